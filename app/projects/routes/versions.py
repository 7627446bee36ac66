"""Pages: the guidelines and the protocol of a project, each saved as a new version."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Form, Request, Response

from app.accounts.access import Access, may
from app.accounts.permissions import Permission
from app.database import Session
from app.markup import render_markdown
from app.pages import redirect, respond
from app.projects.actions import EditedMeanwhile, change_guidelines, change_protocol
from app.projects.forms import GuidelinesEdit, filled
from app.projects.protocols import ComparisonProtocol, protocol_of
from app.projects.queries import get_project, newest_guidelines, newest_protocol
from app.translation import _

router = APIRouter()
Reader = Annotated[Access, may(Permission.project_read)]
Editor = Annotated[Access, may(Permission.project_edit)]
SWITCHES = ("ties", "both_bad", "neither_valid")


@router.get("/projects/{project}/guidelines")
async def read_guidelines(request: Request, project: UUID, access: Reader, session: Session) -> Response:
    found = await get_project(session, access.of_project())
    guidelines = await newest_guidelines(session, found.id)
    return respond(request, "projects/guidelines.html", "guidelines", project=found, guidelines=guidelines)


@router.get("/projects/{project}/settings/guidelines")
async def edit_guidelines(request: Request, project: UUID, access: Editor, session: Session) -> Response:
    found = await get_project(session, access.of_project())
    newest = await newest_guidelines(session, found.id)
    values = {"markdown": newest.markdown, "version": newest.version}
    return _guidelines_page(request, project=found, values=values, html=newest.html)


@router.post("/projects/{project}/settings/guidelines")
async def save_guidelines(request: Request, project: UUID, access: Editor, session: Session) -> Response:
    """A new version, a preview of one, or the form again beside what others saved meanwhile."""
    sent = {name: str(value) for name, value in (await request.form()).items()}
    wants_preview = sent.pop("preview", "") != ""
    form, errors = filled(GuidelinesEdit, sent, ("markdown",))
    found = await get_project(session, access.of_project())
    if form is None:
        return _guidelines_page(request, 422, project=found, values=sent, errors=errors)
    if wants_preview:
        return _guidelines_page(request, project=found, values=sent, html=render_markdown(form.markdown))
    try:
        await change_guidelines(session, found.id, form.markdown, access.person.id, form.version)
    except EditedMeanwhile:
        newest = await newest_guidelines(session, found.id)
        again = {"values": sent | {"version": newest.version}, "theirs": newest}
        return _guidelines_page(request, 409, project=found, html=render_markdown(form.markdown), **again)
    return redirect(request, f"/projects/{project}/settings/guidelines", _("Saved as a new version."))


def _guidelines_page(request: Request, status: int = 200, **page: Any) -> Response:
    page = {"errors": {}, "theirs": None, "html": ""} | page
    return respond(request, "projects/edit_guidelines.html", "editor", status, **page)


@router.get("/projects/{project}/settings/protocol")
async def edit_protocol(request: Request, project: UUID, access: Editor, session: Session) -> Response:
    found = await get_project(session, access.of_project())
    newest = await newest_protocol(session, found.id)
    body = protocol_of(newest.body)
    return _protocol_page(request, project=found, body=body, values=newest.body | {"version": newest.version})


@router.post("/projects/{project}/settings/protocol")
async def save_protocol(
    request: Request, project: UUID, access: Editor, session: Session, version: Annotated[int, Form()]
) -> Response:
    """A new version, a preview of the scale, or the form again with what is wrong."""
    sent = {name: str(value) for name, value in (await request.form()).items()}
    asked = {name: sent.get(name) == "true" for name in SWITCHES} | {"scale": sent.get("scale", "")}
    body, errors = filled(ComparisonProtocol, asked)
    found = await get_project(session, access.of_project())
    if body is None or "preview" in sent:
        page: dict[str, Any] = {"project": found, "body": body, "values": asked | {"version": version}}
        return _protocol_page(request, 200 if body else 422, errors=errors, **page)
    try:
        await change_protocol(session, found.id, body, access.person.id, version)
    except EditedMeanwhile as conflict:
        newest = await newest_protocol(session, found.id)
        values = asked | {"version": newest.version}
        return _protocol_page(request, 409, project=found, body=body, values=values, conflict=conflict)
    return redirect(request, f"/projects/{project}/settings/protocol", _("Saved as a new version."))


def _protocol_page(request: Request, status: int = 200, **page: Any) -> Response:
    page = {"errors": {}, "conflict": None} | page
    return respond(request, "projects/edit_protocol.html", "editor", status, **page)
