"""Answers change after they were given: edited in the project's window or when they were returned, withdrawn, or set
aside by a reviewer."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from app import events
from app.annotations.actions.answering import Saved, kept_body
from app.annotations.actions.prompting import refuse_known_prompt, tell_of_prompt
from app.annotations.actions.remarking import settle_return
from app.annotations.kinds import BodyForm
from app.annotations.tables import Annotation, AnnotationState, AnnotationVersion, EditDraft
from app.errors import Conflict, NotFound
from app.projects.tables import Project
from app.tasks.actions import reopen_slot
from app.tasks.actions.changing import answers_changed, lock_tasks
from app.tasks.queries import completions_of, protocol_body, tags_of
from app.tasks.tables import Lapse, Slot
from app.translation import _
from app.wording import duration

CHANGEABLE = (AnnotationState.live, AnnotationState.surplus)


class EditedMeanwhile(Conflict):
    """there: the answer as it is kept now; wanted: what this edit would have made of it. Nothing was changed."""

    code = "edited-meanwhile"
    sentence = _("You have changed this answer from another tab in the meantime. Both are shown; choose one.")

    def __init__(self, version: int, there: dict[str, Any], wanted: dict[str, Any]) -> None:
        self.version, self.there, self.wanted = version, there, wanted
        super().__init__()


class EditWindowOver(Conflict):
    code = "edit-window-over"
    sentence = _("Answers of this project can be changed for {time}, and that time is over for this one.")


class NotToBeChanged(Conflict):
    code = "not-to-be-changed"
    sentence = _("This answer was taken out and can no longer be changed.")


async def edit(
    session: AsyncSession,
    project_id: int,
    person_id: int,
    annotation: UUID,
    version: int,
    body: BodyForm,
    *,
    over: Sequence[int] = (),
) -> Saved:
    """Replace one's own answer; the old version is kept. version: as it was seen. Repeating an edit changes nothing.

    over: revs of the drafts that this edit grew out of. Another draft of it was typed elsewhere, and stays.

    :raises NotFound: no such answer of this person.
    :raises EditedMeanwhile: the answer has moved on from `version`.
    :raises EditWindowOver: the project's time for edits has passed.
    """
    found = await _mine(session, project_id, person_id, annotation)
    await _still_open(session, found)
    tags = await tags_of(session, found.task_id) if found.tags is None else found.tags
    protocol = (await protocol_body(session, found.protocol_id)).of_prompt(tags)
    slots, completions = await _slots_of(session, found), await completions_of(session, found.task_id)
    whose = {"task_id": found.task_id, "person_id": person_id}
    wanted = await kept_body(session, body, protocol, slots, completions, **whose)
    if wanted == found.body:
        await _drop_draft(session, found, over)
        return await _saved(session, found)
    if version != found.version:
        raise EditedMeanwhile(found.version, found.body, wanted)
    await refuse_known_prompt(session, project_id, wanted, found.public_id)
    old = {"annotation_id": found.id, "version": found.version, "project_id": project_id, "body": found.body}
    await session.execute(insert(AnnotationVersion).values(old | {"by_id": person_id}))
    found.body, found.version = wanted, found.version + 1
    await settle_return(session, found)
    await session.flush()
    await _drop_draft(session, found, over)
    await tell_of_prompt(session, wanted, found.id)
    await _note(session, "annotation.edited", found, person_id, version=found.version)
    return await _saved(session, found)


async def _drop_draft(session: AsyncSession, found: Annotation, over: Sequence[int]) -> None:
    if over:
        mine = (EditDraft.annotation_id == found.id, EditDraft.rev.in_(over))
        await session.execute(delete(EditDraft).where(*mine))


async def _slots_of(session: AsyncSession, found: Annotation) -> list[int]:
    """Whose handles name the completions of an answer: the slot it stands in, and the one it was shown in.

    They differ for an answer that came late, when its own slot had been taken. A program still holds the old handles;
    pages make new ones.
    """
    of_showing = (Lapse.shown_key == found.idempotency_key, Lapse.annotator_id == found.annotator_id)
    shown_in = await session.scalar(select(Lapse.slot_id).where(*of_showing))
    return [slot for slot in (found.slot_id, shown_in) if slot is not None]


async def withdraw(session: AsyncSession, project_id: int, person_id: int, annotation: UUID) -> Saved:
    """Take one's own answer back; its row stays and its slot is opened anew for others.

    :raises NotFound: no such answer of this person. :raises EditWindowOver: too late.
    """
    await _lock_place_of(session, project_id, annotation)
    found = await _mine(session, project_id, person_id, annotation)
    if found.state is AnnotationState.withdrawn:
        return await _saved(session, found)
    await _still_open(session, found)
    await _take_off(session, found, AnnotationState.withdrawn, person_id, None)
    return await _saved(session, found)


async def set_aside(session: AsyncSession, project_id: int, annotation: UUID, *, actor_id: int, reason: str) -> Saved:
    """Take somebody's answer out of what is concluded; its row stays and its slot is opened anew for others.

    :raises NotFound: no such answer in this project.
    """
    await _lock_place_of(session, project_id, annotation)
    found = await locked(session, project_id, annotation)
    if found.state in CHANGEABLE:
        await _take_off(session, found, AnnotationState.set_aside, actor_id, reason)
    return await _saved(session, found)


async def _take_off(
    session: AsyncSession, found: Annotation, state: AnnotationState, actor_id: int, reason: str | None
) -> None:
    was_live, found.state, found.returned_at = found.state is AnnotationState.live, state, None
    await session.flush()
    if was_live and found.slot_id is not None:
        await reopen_slot(session, found.slot_id, without=found.annotator_id, reason=state.value)
    await tell_of_prompt(session, found.body, found.id)
    await _note(session, f"annotation.{state.value}", found, actor_id, reason=reason)


async def _lock_place_of(session: AsyncSession, project_id: int, annotation: UUID) -> None:
    """The task and the slot come before the annotation in the lock order."""
    of = (Annotation.project_id == project_id, Annotation.public_id == annotation)
    task_id = await session.scalar(select(Annotation.task_id).where(*of))
    if task_id is None:
        raise NotFound
    await lock_tasks(session, project_id, [task_id])
    slot = select(Slot.id).join(Annotation, Annotation.slot_id == Slot.id).where(*of)
    await session.execute(slot.with_for_update(of=Slot, key_share=True))


async def locked(session: AsyncSession, project_id: int, annotation: UUID) -> Annotation:
    """:raises NotFound: no such answer in this project."""
    asked = (
        select(Annotation)
        .where(Annotation.project_id == project_id, Annotation.public_id == annotation)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )
    found = (await session.scalars(asked)).one_or_none()
    if found is None:
        raise NotFound
    return found


async def _mine(session: AsyncSession, project_id: int, person_id: int, annotation: UUID) -> Annotation:
    found = await locked(session, project_id, annotation)
    if found.annotator_id != person_id:
        raise NotFound
    return found


async def _still_open(session: AsyncSession, found: Annotation) -> None:
    """Whether its owner may still change an answer, by the database's clock; one that was returned always."""
    if found.state not in CHANGEABLE:
        raise NotToBeChanged
    if found.returned_at is not None:
        return
    age = func.extract("epoch", func.now() - found.submitted_at) / 60
    minutes, passed = (
        await session.execute(select(Project.edit_minutes, age).where(Project.id == found.project_id))
    ).one()
    if passed > minutes:
        raise EditWindowOver(time=duration(60 * minutes))


async def _note(session: AsyncSession, kind: str, found: Annotation, actor_id: int, **body: object) -> None:
    await answers_changed(session, found.task_id)
    await events.record(session, kind, actor_id=actor_id, project_id=found.project_id, subject=found.public_id, **body)


async def _saved(session: AsyncSession, found: Annotation) -> Saved:
    at = await session.scalar(select(func.now()))
    return Saved(found.id, found.public_id, found.version, found.state, at or found.submitted_at)
