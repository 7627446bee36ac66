"""Prompts that others wrote, one after the other: use it, or say what is wrong with it."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form, Request, Response

from app.accounts.access import Access, may
from app.accounts.permissions import Permission
from app.annotations.actions import WorkRests, accept_prompt, next_to_check, return_prompt
from app.annotations.forms import RemarkForm
from app.annotations.history import talk_about
from app.annotations.tables import RemarkKind
from app.database import Session
from app.pages import redirect, respond
from app.projects.queries import get_project
from app.tasks.actions import ConsentNeeded
from app.translation import _

router = APIRouter()
MayAnnotate = Annotated[Access, may(Permission.annotate)]


@router.get("/projects/{project}/checks")
async def show_next(request: Request, access: MayAnnotate, session: Session, after: UUID | None = None) -> Response:
    """The next prompt that waits for somebody else than its author. Who that is, nobody is told."""
    try:
        found = await next_to_check(session, access, after)
    except (ConsentNeeded, WorkRests):
        return redirect(request, f"/projects/{access.project}/annotate")  # which says why, and what to do
    project = await get_project(session, access.of_project())
    talk = [] if found is None else await talk_about(session, found.annotation)
    remarks = [line for line in talk if line.kind is RemarkKind.returned or (line.is_author and line.text)]
    return respond(request, "annotations/check.html", None, project=project, found=found, remarks=remarks)


@router.post("/projects/{project}/checks/{prompt}")
async def accept(request: Request, prompt: UUID, access: MayAnnotate, session: Session) -> Response:
    await accept_prompt(session, access, prompt)
    return redirect(request, f"/projects/{access.project}/checks", _("It is used from now on."))


@router.post("/projects/{project}/checks/{prompt}/return")
async def give_back(
    request: Request, prompt: UUID, form: Annotated[RemarkForm, Form()], access: MayAnnotate, session: Session
) -> Response:
    await return_prompt(session, access, prompt, form.text)
    return redirect(request, f"/projects/{access.project}/checks", _("Returned. Its author finds it in their inbox."))
