"""Pages: the text that people agree to before their first task, and agreeing to it; and a project's rest."""

from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, Response

from app.accounts.access import Access, may
from app.accounts.permissions import Permission
from app.database import Session
from app.markup import render_markdown
from app.pages import redirect, respond
from app.projects.actions import ConsentChanged, EditedMeanwhile, agree, change_consent, note_consent, pause
from app.projects.forms import TextEdit, filled
from app.projects.queries import get_project, newest_consent
from app.translation import _

router = APIRouter()
Own = Annotated[Access, may(Permission.annotation_own)]
Annotator = Annotated[Access, may(Permission.annotate)]
Editor = Annotated[Access, may(Permission.project_edit)]
Version = Annotated[int, Form()]


@router.get("/projects/{project}/consent")
async def read_consent(request: Request, access: Own, session: Session) -> Response:
    """The text, and whether and when one agreed to it."""
    project = await get_project(session, access.of_project())
    text = await newest_consent(session, project.id)
    given = access.consent_given
    return respond(request, "projects/consent.html", None, project=project, text=text, given=given, declined=False)


@router.post("/projects/{project}/consent")
async def give_consent(request: Request, version: Version, access: Annotator, session: Session) -> Response:
    address = f"/projects/{access.project}/annotate"
    try:
        await agree(session, access, version)
    except ConsentChanged as changed:
        return redirect(request, address, str(changed), "warning")
    return redirect(request, address)


@router.post("/projects/{project}/consent/decline")
async def decline(request: Request, version: Version, access: Annotator, session: Session) -> Response:
    """Nothing is held against anybody who declines: they are told where they stand."""
    await note_consent(session, access, "consent.declined", version)
    project = await get_project(session, access.of_project())
    text = await newest_consent(session, project.id)
    return respond(request, "projects/consent.html", None, project=project, text=text, given=None, declined=True)


@router.get("/projects/{project}/settings/consent")
async def edit_consent(request: Request, access: Editor, session: Session) -> Response:
    project = await get_project(session, access.of_project())
    newest = await newest_consent(session, project.id)
    values = {"markdown": newest.markdown, "version": newest.version} if newest else {"markdown": "", "version": 0}
    return _editor(request, project=project, values=values, html=newest.html if newest else "")


@router.post("/projects/{project}/settings/consent")
async def save_consent(request: Request, access: Editor, session: Session) -> Response:
    """A new version, a preview of one, or the form again beside what others saved meanwhile."""
    sent = {name: str(value) for name, value in (await request.form()).items()}
    wants_preview = sent.pop("preview", "") != ""
    form, errors = filled(TextEdit, sent, ("markdown",))
    project = await get_project(session, access.of_project())
    if form is None:
        return _editor(request, 422, project=project, values=sent, errors=errors)
    if wants_preview:
        return _editor(request, project=project, values=sent, html=render_markdown(form.markdown))
    try:
        await change_consent(session, project.id, form.markdown, access.person.id, form.version)
    except EditedMeanwhile:
        theirs = await newest_consent(session, project.id)
        values = sent | {"version": theirs.version if theirs else 0}
        return _editor(request, 409, project=project, values=values, theirs=theirs)
    return redirect(request, f"/projects/{access.project}/settings/consent", _("Saved as a new version."))


@router.post("/projects/{project}/pause")
async def rest(request: Request, paused: Annotated[bool, Form()], access: Editor, session: Session) -> Response:
    """Hand nothing more out, or go on."""
    await pause(session, access.of_project(), access.person.id, paused=paused)
    said = _("The project is paused: nobody is handed a new task.") if paused else _("Work goes on.")
    return redirect(request, f"/projects/{access.project}", said)


def _editor(request: Request, status: int = 200, **page: Any) -> Response:
    page = {"errors": {}, "theirs": None, "html": ""} | page
    return respond(request, "projects/edit_consent.html", "editor", status, **page)
