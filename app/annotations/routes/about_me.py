"""Pages: what I tell a project about myself; and for those who run it, the form that asks."""

from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from pydantic import ValidationError

from app.accounts.access import Access, may
from app.accounts.permissions import Permission
from app.annotations.actions.about_me import forget_about_me, tell_about_me, told_by
from app.annotations.asking import asking
from app.annotations.forms import PostedForm
from app.annotations.kinds import from_fields, read_kept
from app.database import Session
from app.errors import Conflict, Invalid
from app.pages import redirect, respond
from app.projects.about_you import START, edited, entries_of, form_of
from app.projects.actions import change_about_you
from app.projects.forms import reason
from app.projects.protocols import QuestionsProtocol, protocol_of, wording
from app.projects.queries import get_project, newest_about_you
from app.translation import _
from app.unions import steps_to

router = APIRouter()
Own = Annotated[Access, may(Permission.annotation_own)]
Editor = Annotated[Access, may(Permission.project_edit)]


class NothingAsked(Conflict):
    code = "nothing-asked"
    sentence = _("This project asks nothing about you any more. What you wrote was not kept.")


@router.get("/projects/{project}/about-me")
async def show_about_me(request: Request, access: Own, session: Session) -> Response:
    """The project's form with what I said in it; or that there is none."""
    return respond(request, "annotations/about_me.html", None, **await _about_me(session, access))


@router.post("/projects/{project}/about-me")
async def save_about_me(request: Request, access: Own, session: Session) -> Response:
    """Kept, if I agree to that; or the page again with what I said."""
    page = await _about_me(session, access)
    if page["form"] is None:
        raise NothingAsked
    fields = PostedForm.from_raw(await request.body()).fields
    agreed = fields.pop("consent", None)
    refusal = None if agreed else _("It is kept only if you agree to that. Tick the box, or leave everything as it is.")
    if refusal is None:
        try:
            body = from_fields("questions", fields)
            await tell_about_me(session, access.of_project(), access.person.id, page["version"], page["form"], body)
        except Invalid as wrong:
            refusal = str(wrong)
    if refusal is not None:
        return respond(request, "annotations/about_me.html", None, 422, **(page | {"said": fields, "refusal": refusal}))
    return redirect(request, f"/projects/{access.project}/about-me", _("Saved."))


@router.post("/projects/{project}/about-me/delete")
async def delete_about_me(request: Request, access: Own, session: Session) -> Response:
    await forget_about_me(session, access.of_project(), access.person.id)
    return redirect(request, f"/projects/{access.project}/about-me", _("Deleted. Nothing of it is kept."))


async def _about_me(session: Session, access: Access) -> dict[str, Any]:
    project = await get_project(session, access.of_project())
    newest = await newest_about_you(session, project.id)
    told = await told_by(session, project.id, access.person.id)
    form = protocol_of(newest.body) if newest and newest.body else None
    said = read_kept(told.body).fields([]) if told else {}
    page: dict[str, Any] = {"project": project, "form": form, "told": told, "refusal": None, "said": said}
    if newest is None or form is None:
        return page
    assert isinstance(form, QuestionsProtocol)
    return page | asking(form, [], said) | {"version": newest.version}


@router.get("/projects/{project}/settings/about-you")
async def edit_about_you(request: Request, access: Editor, session: Session) -> Response:
    project = await get_project(session, access.of_project())
    newest = await newest_about_you(session, project.id)
    tree = newest.body if newest and newest.body else START
    return _editor(request, project=project, tree=tree, is_asked=bool(newest and newest.body))


@router.post("/projects/{project}/settings/about-you")
async def save_about_you(request: Request, access: Editor, session: Session) -> Response:
    """A new version of the form; or what a button did to it, of which nothing is kept; or what is wrong, by field."""
    sent = {name: str(value) for name, value in (await request.form()).multi_items()}
    project = await get_project(session, access.of_project())
    address = f"/projects/{access.project}/settings/about-you"
    if sent.get("do") == "nothing":
        await change_about_you(session, project.id, None, access.person.id)
        return redirect(request, address, _("People are asked nothing about themselves."))
    tree, at = edited(sent)
    if sent.get("do"):
        return _editor(request, project=project, tree=tree, at=at, is_asked=True)
    try:
        form = form_of(tree)
    except ValidationError as wrong:
        errors: dict[str, str] = {}
        for one in wrong.errors():
            errors.setdefault(".".join(map(str, steps_to(one))), reason(one))
        return _editor(request, 422, project=project, tree=tree, errors=errors, is_asked=True)
    await change_about_you(session, project.id, form, access.person.id)
    return redirect(request, address, _("Saved as a new version."))


def _editor(request: Request, status: int = 200, **page: Any) -> Response:
    entries = entries_of(page["tree"])
    shown: dict[str, Any] = {"errors": {}, "at": "", "entries": entries, "wording": wording} | page
    return respond(request, "projects/edit_about_you.html", "editor", status, **shown)
