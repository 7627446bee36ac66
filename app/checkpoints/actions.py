"""What happens to checkpoints: registered from somewhere or made by a run, checked, put to answer."""

import json
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from app import events
from app.checkpoints.forms import NewCheckpoint
from app.checkpoints.jobs import CheckCheckpoint
from app.checkpoints.queries import BUNDLED, bundled
from app.checkpoints.rules import RECORD, Checked
from app.checkpoints.tables import Checkpoint, CheckpointKind, CheckpointState, Place
from app.errors import Conflict, Forbidden
from app.jobs.queue import enqueue
from app.projects.actions import locked
from app.translation import _


class OnlyForAdmins(Forbidden):
    code = "only-for-admins"
    sentence = _("Folders of this machine and endpoints are registered by an admin of the installation.")


class CannotAnswer(Conflict):
    code = "cannot-answer"
    sentence = _("The checkpoint “{name}” cannot answer prompts: it is {why}.")


async def register_checkpoint(
    session: AsyncSession, project_id: int | None, form: NewCheckpoint, actor_id: int | None, *, is_admin: bool
) -> Checkpoint:
    """Note where it is; a job fetches and checks it. project_id None: for every project.

    :raises OnlyForAdmins: a folder could be anybody's and an endpoint is sent a key, so both want an admin.
    """
    if form.place is not Place.hub and not is_admin:
        raise OnlyForAdmins
    checkpoint = Checkpoint(
        project_id=project_id,
        name=form.name,
        kind=CheckpointKind(form.kind),
        place=form.place,
        location=form.location,
        revision=form.revision or None,
        api_key_variable=form.api_key_variable or None,
        state=CheckpointState.checking,
        created_by_id=actor_id,
    )
    session.add(checkpoint)
    await session.flush()
    await _enqueue_check(session, checkpoint)
    await _note(session, "checkpoint.registered", checkpoint, actor_id, place=form.place, location=form.location)
    return checkpoint


async def check_again(session: AsyncSession, checkpoint: Checkpoint, actor_id: int | None) -> None:
    """Look at a refused one once more, after its owner has mended it."""
    if checkpoint.state is not CheckpointState.refused:
        return
    checkpoint.state, checkpoint.reason = CheckpointState.checking, None
    await session.flush()
    await _enqueue_check(session, checkpoint)
    await _note(session, "checkpoint.checked_again", checkpoint, actor_id)


async def _enqueue_check(session: AsyncSession, checkpoint: Checkpoint) -> None:
    """One fetch from a hub at a time, and one folder that is read: each may take hours, and whatever else the workers
    do goes on beside them."""
    await enqueue(session, CheckCheckpoint(checkpoint_id=checkpoint.id), lock=f"checkpoints-{checkpoint.place}")


async def accept_checkpoint(session: AsyncSession, checkpoint_id: int, checked: Checked | None) -> None:
    """The check found nothing wrong. checked: what the files say; None for an endpoint."""
    checkpoint = await session.get_one(Checkpoint, checkpoint_id, with_for_update=True)
    if checkpoint.state is not CheckpointState.checking:
        return
    if checked is not None:
        checkpoint.kind = CheckpointKind(checked.kind) if checked.record else checkpoint.kind
        checkpoint.weights_sha256 = checked.weights_sha256
        checkpoint.record = checked.record or _described(checked)
    checkpoint.state = CheckpointState.ready
    await _note(session, "checkpoint.ready", checkpoint, None)


async def refuse_checkpoint(session: AsyncSession, checkpoint_id: int, reason: str) -> None:
    """The check found something. reason: names the file, for the page."""
    checkpoint = await session.get_one(Checkpoint, checkpoint_id, with_for_update=True)
    if checkpoint.state is not CheckpointState.checking:
        return
    checkpoint.state, checkpoint.reason = CheckpointState.refused, reason
    await _note(session, "checkpoint.refused", checkpoint, None, reason=reason)


async def ensure_bundled(session: AsyncSession, folder: Path = BUNDLED) -> Checkpoint | None:
    """The checkpoint that comes with the code, registered once; None while it has not been built."""
    record = _record_in(folder)
    if record is None:
        return None
    values = {
        "name": _("Demo (bundled)"),
        "kind": CheckpointKind.base,
        "place": Place.bundled,
        "location": "workers/demo/checkpoint",
        "record": record,
    }
    once = upsert(Checkpoint).values(**values)
    fresh = {"record": once.excluded.record}
    await session.execute(
        once.on_conflict_do_update(index_elements=["place"], index_where=Checkpoint.place == Place.bundled, set_=fresh)
    )
    return await bundled(session)


async def register_result(
    session: AsyncSession,
    *,
    project_id: int,
    run_id: int,
    name: str,
    kind: CheckpointKind,
    path: str,
    parent_id: int | None,
    record: dict[str, Any],
    weights_sha256: str | None = None,
    actor_id: int | None = None,
) -> Checkpoint:
    """What a run has made. path: relative to home, where the folder stands under its final name already.

    Safe to repeat: a run has one checkpoint for each path.
    """
    asked = select(Checkpoint).where(Checkpoint.run_id == run_id, Checkpoint.location == path)
    known = (await session.scalars(asked)).one_or_none()
    if known is not None:
        return known
    checkpoint = Checkpoint(
        project_id=project_id,
        run_id=run_id,
        name=name,
        kind=kind,
        place=Place.run,
        location=path,
        parent_id=parent_id,
        record=record,
        weights_sha256=weights_sha256,
        created_by_id=actor_id,
    )
    session.add(checkpoint)
    await session.flush()
    await _note(session, "checkpoint.made", checkpoint, actor_id, run=run_id)
    return checkpoint


async def serve(session: AsyncSession, project_id: int, checkpoint: Checkpoint, actor_id: int | None) -> None:
    """From now on this one answers for the project.

    :raises CannotAnswer: it scores, or is not ready.
    """
    must_answer(checkpoint)
    project = await locked(session, project_id)
    if project.checkpoint_id == checkpoint.id:
        return
    project.checkpoint_id, project.version = checkpoint.id, project.version + 1
    await session.flush()
    await events.record(
        session, "checkpoint.serves", actor_id=actor_id, project_id=project_id, subject=checkpoint.public_id
    )


def must_answer(checkpoint: Checkpoint) -> None:
    """:raises CannotAnswer: it scores, or is not ready."""
    if checkpoint.kind is CheckpointKind.reward:
        raise CannotAnswer(name=checkpoint.name, why=_("a reward checkpoint, which scores"))
    if checkpoint.state is not CheckpointState.ready:
        raise CannotAnswer(name=checkpoint.name, why=_(checkpoint.state.value))


def _record_in(folder: Path) -> dict[str, Any] | None:
    """The folder's `hone.json`; {} where it has none, None where there is no folder."""
    if not folder.is_dir():
        return None
    file = folder / RECORD
    return json.loads(file.read_bytes()) if file.is_file() else {}


def _described(checked: Checked) -> dict[str, Any]:
    """What stands in the record of a folder that brought none."""
    return {
        "kind": checked.kind,
        "architecture": checked.architecture,
        "parameters": checked.parameters,
        "bytes": checked.size,
        "context": checked.context,
    }


async def _note(session: AsyncSession, kind: str, checkpoint: Checkpoint, actor_id: int | None, **body: object) -> None:
    await session.flush()
    project_id, subject = checkpoint.project_id, checkpoint.public_id
    await events.record(session, kind, actor_id=actor_id, project_id=project_id, subject=subject, **body)
