"""Pages: the guidelines of a project, each change saved as a new version."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Form, Request, Response

from app.accounts.access import Access, may
from app.accounts.permissions import Permission
from app.database import Session
from app.errors import NotFound
from app.markup import render_markdown
from app.pages import redirect, respond
from app.projects.actions import EditedMeanwhile, change_guidelines, read_guidelines
from app.projects.forms import GuidelinesEdit, filled
from app.projects.queries import get_project, guidelines_of, guidelines_shown, newest_guidelines
from app.projects.tables import Change
from app.translation import _

router = APIRouter()
KINDS = {
    Change.wording: _("Wording: says the same; nobody is told"),
    Change.clarification: _("Clarification: makes a rule clearer; everybody gets a letter"),
    Change.rule: _("Rule change: everybody reads what changed before their next task"),
}
Reader = Annotated[Access, may(Permission.project_read)]
Annotator = Annotated[Access, may(Permission.annotate)]
Editor = Annotated[Access, may(Permission.project_edit)]


@router.get("/projects/{project}/guidelines")
async def show_guidelines(request: Request, project: UUID, access: Reader, session: Session) -> Response:
    found = await get_project(session, access.of_project())
    newest = await newest_guidelines(session, found.id)
    guidelines = await guidelines_shown(session, access, newest.version, newest.html)
    return respond(request, "projects/guidelines.html", None, project=found, guidelines=guidelines)


@router.post("/projects/{project}/guidelines/read")
async def have_read(request: Request, version: Annotated[int, Form()], access: Reader, session: Session) -> Response:
    """Somebody has read the guidelines up to this version: the marks go."""
    await read_guidelines(session, access, version)
    if "HX-Request" not in request.headers:
        return redirect(request, f"/projects/{access.project}/guidelines")
    found = await guidelines_of(session, access.of_project(), version)
    if found is None:
        raise NotFound
    shown = {"version": found.version, "html": found.html}
    return respond(request, "annotations/_guidelines.html", None, guidelines=shown, oob=False)


@router.post("/projects/{project}/guidelines/onward")
async def go_on(request: Request, version: Annotated[int, Form()], access: Annotator, session: Session) -> Response:
    """Somebody has read what was asked for before their next task, and goes on with it."""
    await read_guidelines(session, access, version)
    return redirect(request, f"/projects/{access.project}/annotate")


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
        await change_guidelines(session, found.id, form.markdown, access.person.id, form.version, form.change)
    except EditedMeanwhile:
        newest = await newest_guidelines(session, found.id)
        again = {"values": sent | {"version": newest.version}, "theirs": newest}
        return _guidelines_page(request, 409, project=found, html=render_markdown(form.markdown), **again)
    return redirect(request, f"/projects/{project}/settings/guidelines", _("Saved as a new version."))


def _guidelines_page(request: Request, status: int = 200, **page: Any) -> Response:
    page = {
        "errors": {},
        "theirs": None,
        "html": "",
        "kinds": [(one.value, _(told)) for one, told in KINDS.items()],
    } | page
    return respond(request, "projects/edit_guidelines.html", "editor", status, **page)
