"""Pages: the guidelines of a project, each change saved as a new version."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Request, Response

from app.accounts.access import Access, may
from app.accounts.permissions import Permission
from app.database import Session
from app.markup import render_markdown
from app.pages import redirect, respond
from app.projects.actions import EditedMeanwhile, change_guidelines
from app.projects.forms import GuidelinesEdit, filled
from app.projects.queries import get_project, newest_guidelines
from app.translation import _

router = APIRouter()
Reader = Annotated[Access, may(Permission.project_read)]
Editor = Annotated[Access, may(Permission.project_edit)]


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
