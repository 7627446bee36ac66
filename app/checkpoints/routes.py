"""Pages: the checkpoints that a project may use, one of them with its line of descent, and how one is registered."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Request, Response

from app.accounts.access import Access, may
from app.accounts.permissions import Permission
from app.checkpoints.actions import check_again, register_checkpoint, serve
from app.checkpoints.forms import NewCheckpoint
from app.checkpoints.queries import ancestors_of, checkpoint_of, checkpoints_of, children_of
from app.checkpoints.tables import CheckpointKind, CheckpointState, Place
from app.completions.queries import count_by_checkpoint
from app.database import Session
from app.evaluation.queries import standings_of
from app.pages import redirect, respond
from app.projects.forms import filled
from app.projects.queries import get_project
from app.translation import _
from app.wording import number

router = APIRouter()
Reader = Annotated[Access, may(Permission.checkpoint_read)]
Editor = Annotated[Access, may(Permission.checkpoint_edit)]


@router.get("/projects/{project}/checkpoints")
async def index(request: Request, project: UUID, access: Reader, session: Session) -> Response:
    found = await checkpoints_of(session, access.of_project())
    return respond(
        request,
        "checkpoints/index.html",
        "checkpoints",
        project=await get_project(session, access.of_project()),
        checkpoints=found,
        names={one.id: one for one in found},
        answers=await count_by_checkpoint(session, access.of_project()),
        is_checking=any(one.state is CheckpointState.checking for one in found),
    )


@router.get("/projects/{project}/checkpoints/new")
async def new(request: Request, project: UUID, access: Editor, session: Session) -> Response:
    place = Place.folder if _may_everything(access) else Place.hub
    return await _form(request, access, session, values={"place": place.value, "kind": "base"})


@router.post("/projects/{project}/checkpoints")
async def register(request: Request, project: UUID, access: Editor, session: Session) -> Response:
    sent = {name: str(value) for name, value in (await request.form()).items()}
    form, errors = filled(NewCheckpoint, sent)
    if form is None:
        return await _form(request, access, session, 422, values=sent, errors=errors)
    is_admin = _may_everything(access)
    made = await register_checkpoint(session, access.of_project(), form, access.person.id, is_admin=is_admin)
    return redirect(request, f"/projects/{project}/checkpoints/{made.public_id}", _("It is being checked."))


@router.get("/projects/{project}/checkpoints/{checkpoint}")
async def show(request: Request, project: UUID, checkpoint: UUID, access: Reader, session: Session) -> Response:
    found = await checkpoint_of(session, access.of_project(), checkpoint)
    home = await get_project(session, access.of_project())
    able = found.kind is not CheckpointKind.reward and found.state is CheckpointState.ready
    return respond(
        request,
        "checkpoints/show.html",
        "checkpoint",
        project=home,
        checkpoint=found,
        ancestors=await ancestors_of(session, found),
        children=await children_of(session, found, home.id),
        answers=(await count_by_checkpoint(session, home.id)).get(found.id, 0),
        facts=facts_of(found.record),
        evaluations=await standings_of(session, home.id, found.id),
        can_answer=able,
        serves=home.checkpoint_id == found.id,
    )


@router.post("/projects/{project}/checkpoints/{checkpoint}/serve")
async def let_serve(request: Request, project: UUID, checkpoint: UUID, access: Editor, session: Session) -> Response:
    found = await checkpoint_of(session, access.of_project(), checkpoint)
    await serve(session, access.of_project(), found, access.person.id)
    notice = _("From now on it answers this project's prompts.")
    return redirect(request, f"/projects/{project}/checkpoints/{checkpoint}", notice)


@router.post("/projects/{project}/checkpoints/{checkpoint}/check")
async def look_again(request: Request, project: UUID, checkpoint: UUID, access: Editor, session: Session) -> Response:
    found = await checkpoint_of(session, access.of_project(), checkpoint)
    await check_again(session, found, access.person.id)
    return redirect(request, f"/projects/{project}/checkpoints/{checkpoint}", _("It is being checked."), "info")


def facts_of(record: dict[str, Any]) -> list[tuple[str, str]]:
    """What a person asks first of a record: how it was made, and every number that was measured."""
    named = {
        "method": _("Method"),
        "architecture": _("Architecture"),
        "parameters": _("Parameters"),
        "seed": _("Seed"),
        "code_version": _("Code version"),
    }
    facts = [(words, _said(record[field])) for field, words in named.items() if record.get(field) is not None]
    metrics = record.get("metrics") or {}
    return facts + [(name, _said(value)) for name, value in metrics.items() if isinstance(value, int | float)]


def _said(value: object) -> str:
    return number(value) if isinstance(value, int | float) else str(value)


async def _form(request: Request, access: Access, session: Session, status: int = 200, **more: Any) -> Response:
    shown: dict[str, Any] = {"errors": {}, "is_admin": _may_everything(access)} | more
    project = await get_project(session, access.of_project())
    return respond(request, "checkpoints/new.html", "register", status, project=project, **shown)


def _may_everything(access: Access) -> bool:
    return access.may(Permission.installation_manage)
