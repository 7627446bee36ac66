"""Rounds of collection are made, changed, and go from state to state."""

from collections.abc import Sequence
from datetime import UTC, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import func, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app import events
from app.accounts.actions.lanes import share_hand_out
from app.completions.queries import GOING_ON
from app.completions.tables import Generation
from app.errors import Conflict, NotFound
from app.jobs.queue import enqueue
from app.projects.actions import EditedMeanwhile
from app.projects.batching import SETTLED, HandOut, HandOutEdit, RoundEdit, RoundForm, Selection
from app.projects.protocols import ProtocolBody
from app.projects.queries import batch_by_public_id, get_project, protocol_of_batch
from app.projects.rules import Recipe, day_begins
from app.projects.tables import Batch, BatchState, Project
from app.prompts.tables import Prompt
from app.tasks.actions.limiting import RoundSettled, edit_hand_out
from app.tasks.actions.making import make_tasks, room_in
from app.tasks.actions.prompting import drawn_for, prompts_for
from app.tasks.actions.releasing import room_changed
from app.tasks.jobs import RoundChanged, RoundTurned
from app.translation import _

S = BatchState
MOVES: dict[BatchState, tuple[BatchState, ...]] = {
    S.draft: (S.pilot, S.open),
    S.pilot: (S.open, S.closed),
    S.open: (S.closed,),
    S.closed: (S.pilot, S.open, S.accepted),
    S.accepted: (S.frozen, S.closed),
    S.frozen: (),
}
MOST_STEPS = 100  # that are remembered


class NoSuchMove(Conflict):
    code = "no-such-move"
    sentence = _("This round is {now}; it cannot become {wanted} from there.")


class ReportUnread(Conflict):
    code = "report-unread"
    sentence = _("A pilot is opened for everybody once its report was read. Look at it, and say so.")


class NotADraft(Conflict):
    code = "not-a-draft"
    sentence = _("Only a draft can be deleted. A round that has asked people is closed.")


class RoundInUse(Conflict):
    code = "round-in-use"
    sentence = _("Completions were asked for this round, so it cannot be deleted.")


async def round_of(session: AsyncSession, project_id: int, public_id: UUID) -> Batch:
    """:raises NotFound: no such round here."""
    found = await batch_by_public_id(session, project_id, public_id)
    if found is None:
        raise NotFound
    return found


async def make_round(session: AsyncSession, project_id: int, form: RoundForm, actor_id: int | None) -> Batch:
    """A draft: nobody is asked anything yet. :raises NotFound: there is no such audience."""
    await share_hand_out(session, project_id)  # its lock comes before the project's row
    project = await get_project(session, project_id)
    if not project.has_rounds:
        project.has_rounds = True
    batch = Batch(project_id=project_id, name=form.name, state=BatchState.draft)
    session.add(batch)
    await session.flush()
    return await _fill_in(session, project, batch, form, "batch.made", actor_id)


async def edit_round(session: AsyncSession, batch: Batch, form: RoundEdit, actor_id: int | None) -> Batch:
    """k, the selection and the recipe hold for tasks that are made from now on; answers that are there may become more
    tasks.

    :raises EditedMeanwhile: the round has moved on from the version that the editor saw. :raises RoundSettled: it is
    accepted or frozen, and more than its name and due day would change. :raises NotFound: there is no such audience.
    """
    project = await get_project(session, batch.project_id)
    await share_hand_out(session, project.id)  # its lock comes before the round's row
    await session.refresh(batch, with_for_update={"key_share": True})
    if form.version != batch.version:
        raise EditedMeanwhile([("version", batch.version, form.version)])
    wanted = (form.target, form.pilot, form.selection, form.recipe)
    there = (batch.target, batch.pilot, Selection.model_validate(batch.selection), Recipe.model_validate(batch.recipe))
    if batch.state in SETTLED and wanted != there:
        raise RoundSettled(state=_(batch.state.value))
    return await _fill_in(session, project, batch, form, "batch.edited", actor_id)


async def remove_draft(session: AsyncSession, batch: Batch, actor_id: int | None) -> None:
    """A round that never asked anybody is gone for good.

    :raises NotADraft: it has asked. :raises RoundInUse: something rests on it already.
    """
    await session.refresh(batch, with_for_update=True)
    if batch.state is not BatchState.draft or batch.is_default:
        raise NotADraft
    project_id, subject, name = batch.project_id, batch.public_id, batch.name
    try:
        async with session.begin_nested():
            await session.delete(batch)
    except IntegrityError:
        raise RoundInUse from None
    told = {"actor_id": actor_id, "project_id": project_id}
    await events.record(session, "batch.removed", **told, subject=subject, name=name)


async def _fill_in(
    session: AsyncSession, project: Project, batch: Batch, form: RoundForm, kind: str, actor_id: int | None
) -> Batch:
    await edit_hand_out(
        session, batch, HandOutEdit(**{name: getattr(form, name) for name in HandOut.model_fields}), None
    )
    batch.name, batch.target, batch.pilot = form.name, form.target, form.pilot
    batch.selection, batch.recipe = form.selection.as_json(), form.recipe.as_json()
    batch.due_at = None if form.due is None else day_begins(form.due + timedelta(days=1), project.zone)
    await session.flush()
    told = form.model_dump(mode="json")
    await events.record(session, kind, actor_id=actor_id, project_id=project.id, subject=batch.public_id, wanted=told)
    if batch.state.asks:
        await enqueue(session, RoundChanged(batch_id=batch.id))
    return batch


async def move_round(
    session: AsyncSession,
    batch: Batch,
    to: BatchState,
    actor_id: int | None,
    report: dict[str, Any] | None = None,
    *,
    is_read: bool = False,
) -> Batch:
    """Bring a round to its next state, or one back. report: its figures now, kept beside; is_read: they were read.

    What somebody has in hand may be answered whatever its round came to.

    :raises NoSuchMove: that state is none of the next ones. :raises ReportUnread: a pilot opens, and nobody read it.
    """
    await session.refresh(batch, with_for_update={"key_share": True})
    if to not in MOVES[batch.state]:
        raise NoSuchMove(now=_(batch.state.value), wanted=_(to.value))
    before = batch.state
    if to is BatchState.pilot and before is BatchState.closed and not was_pilot(batch):
        raise NoSuchMove(now=_(before.value), wanted=_(to.value))
    if to is BatchState.open and was_pilot(batch) and not is_read:
        raise ReportUnread
    at = (await session.execute(select(func.now()))).scalar_one()
    step = {"state": to.value, "at": at.astimezone(UTC).isoformat(), "by": actor_id, "read": is_read, "report": report}
    batch.state, batch.steps = to, [*batch.steps, step][-MOST_STEPS:]
    await session.flush()
    await events.record(
        session,
        "batch.moved",
        actor_id=actor_id,
        project_id=batch.project_id,
        subject=batch.public_id,
        before=before.value,
        after=to.value,
        read=is_read,
    )
    if to.asks:
        await enqueue(session, RoundChanged(batch_id=batch.id))
    if before.asks != to.asks:
        await enqueue(session, RoundTurned(batch_id=batch.id))
    if before.asks or to.asks:
        await room_changed(session, batch.project_id)
    return batch


def was_pilot(batch: Batch) -> bool:
    """Whether it asked as a pilot when it asked last, also where it was closed since."""
    asked = [step["state"] for step in batch.steps if BatchState(step["state"]).asks]
    return bool(asked) and asked[-1] == BatchState.pilot.value


async def freeze_rounds(session: AsyncSession, project_id: int, batches: Sequence[str], actor_id: int | None) -> None:
    """A dataset holds these rounds (outside ids): those that were accepted are frozen with it."""
    for public_id in batches:
        batch = await batch_by_public_id(session, project_id, UUID(public_id))
        if batch is not None and batch.state is BatchState.accepted:
            await move_round(session, batch, BatchState.frozen, actor_id)


async def prompts_of_round(session: AsyncSession, batch_id: int) -> tuple[Batch, ProtocolBody, Sequence[int]]:
    """A round, what it asks, and the prompts it asks about in an order of its own, drawn for it: a pilot's tasks are a
    random sample of those of the round."""
    batch = await session.get_one(Batch, batch_id)
    prompts = (await session.scalars(prompts_for(batch).order_by(drawn_for(batch)))).all()
    return batch, await protocol_of_batch(session, batch), prompts


async def pair_what_arrived(
    session: AsyncSession, batch_id: int, prompt_ids: Sequence[int], generation_id: int | None = None
) -> int:
    """Make a round's tasks of answers to these prompts that arrived, of a request or a file. Returns how many.

    What comes first is no random sample. So a pilot, as long as more is to come, takes only prompts that are the first
    of those drawn for it; and once all are there, what it lacks, in the order of the draw.
    """
    batch = await session.get_one(Batch, batch_id)
    if batch.state is not BatchState.pilot:
        return await make_tasks(session, batch.project_id, batch_id, prompt_ids)
    more = select(Generation.id).where(Generation.project_id == batch.project_id, Generation.state.in_(GOING_ON))
    more = more.where(or_(Generation.batch_id == batch_id, Generation.id == generation_id))
    if await session.scalar(more.limit(1)) is None:
        await enqueue(session, RoundChanged(batch_id=batch_id), once=f"round-changed-{batch_id}")
        return 0
    first = await session.scalars(prompts_for(batch).order_by(drawn_for(batch)).limit(batch.most_tasks))
    drawn = sorted(set(first).intersection(prompt_ids))
    return await make_tasks(session, batch.project_id, batch_id, drawn)


async def rounds_beside(
    session: AsyncSession, project_id: int, prompt_ids: Sequence[int]
) -> list[tuple[int, list[int]]]:
    """(round, which of these prompts it asks about) of each that asks beside the default one; both oldest first."""
    asks = Batch.state.in_([state for state in BatchState if state.asks])
    asked = select(Batch).where(Batch.project_id == project_id, asks, ~Batch.is_default).order_by(Batch.id)
    found = []
    for batch in (await session.scalars(asked)).all():
        mine = list(await session.scalars(prompts_for(batch).where(Prompt.id.in_(prompt_ids)).order_by(Prompt.id)))
        if mine:
            found.append((batch.id, mine))
    return found


async def has_room(session: AsyncSession, batch_id: int) -> bool:
    """Whether a round takes more tasks."""
    return await room_in(session, await session.get_one(Batch, batch_id)) != 0
