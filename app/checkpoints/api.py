"""REST: the checkpoints that a project may use."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel

from app.accounts.access import Access, may
from app.accounts.permissions import Permission
from app.checkpoints.actions import check_again, register_checkpoint, serve
from app.checkpoints.forms import NewCheckpoint
from app.checkpoints.queries import checkpoint_of, with_parents
from app.checkpoints.tables import Checkpoint, CheckpointKind, CheckpointState, Place
from app.cursors import Cursor, Limit, page_of
from app.database import Session

router = APIRouter(tags=["checkpoints"])
Reader = Annotated[Access, may(Permission.checkpoint_read)]
Editor = Annotated[Access, may(Permission.checkpoint_edit)]


class CheckpointView(BaseModel):
    """A checkpoint. shared: every project may use it. reason: why it was refused. record: how it was made."""

    id: UUID
    name: str
    kind: CheckpointKind
    place: Place
    state: CheckpointState
    reason: str | None
    revision: str | None
    parent: UUID | None = None
    shared: bool
    weights_sha256: str | None
    record: dict[str, Any]
    created_at: datetime


class CheckpointPage(BaseModel):
    """next: cursor of the following page; empty on the last."""

    rows: list[CheckpointView]
    next: str | None


def view(checkpoint: Checkpoint, parent: UUID | None) -> CheckpointView:
    plain = ("name", "kind", "place", "state", "reason", "revision", "weights_sha256", "record", "created_at")
    shown = {field: getattr(checkpoint, field) for field in plain}
    return CheckpointView(id=checkpoint.public_id, parent=parent, shared=checkpoint.project_id is None, **shown)


async def looked_up(session: Session, checkpoint: Checkpoint) -> CheckpointView:
    await session.flush()
    await session.refresh(checkpoint)
    parent = await session.get(Checkpoint, checkpoint.parent_id) if checkpoint.parent_id else None
    return view(checkpoint, parent.public_id if parent else None)


@router.get("/projects/{project}/checkpoints")
async def list_checkpoints(
    project: UUID, access: Reader, session: Session, cursor: Cursor = None, limit: Limit = 50
) -> CheckpointPage:
    """This project's and those of all projects, newest first."""
    page = await page_of(session, with_parents(access.of_project()), Checkpoint.id, cursor=cursor, limit=limit)
    return CheckpointPage(rows=[view(*row) for row in page.rows], next=page.next)


@router.post("/projects/{project}/checkpoints", status_code=202)
async def register(project: UUID, form: NewCheckpoint, access: Editor, session: Session) -> CheckpointView:
    """Register a folder of this machine, a hub name or an OpenAI-compatible endpoint. It is fetched and checked by a
    worker: ask again until it is `ready` or `refused`. Folders and endpoints want an admin of the installation."""
    is_admin = access.may(Permission.installation_manage)
    made = await register_checkpoint(session, access.of_project(), form, access.person.id, is_admin=is_admin)
    return await looked_up(session, made)


@router.get("/projects/{project}/checkpoints/{checkpoint}")
async def show(project: UUID, checkpoint: UUID, access: Reader, session: Session) -> CheckpointView:
    return await looked_up(session, await checkpoint_of(session, access.of_project(), checkpoint))


@router.post("/projects/{project}/checkpoints/{checkpoint}/serve")
async def let_serve(project: UUID, checkpoint: UUID, access: Editor, session: Session) -> CheckpointView:
    """From now on this one answers the project's prompts."""
    found = await checkpoint_of(session, access.of_project(), checkpoint)
    await serve(session, access.of_project(), found, access.person.id)
    return await looked_up(session, found)


@router.post("/projects/{project}/checkpoints/{checkpoint}/check", status_code=202)
async def look_again(project: UUID, checkpoint: UUID, access: Editor, session: Session) -> CheckpointView:
    """Check a refused one once more."""
    found = await checkpoint_of(session, access.of_project(), checkpoint)
    await check_again(session, found, access.person.id)
    return await looked_up(session, found)
