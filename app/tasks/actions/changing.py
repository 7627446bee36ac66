"""Tasks are changed by those who run a project: more or fewer answers, another place in the queue, no more answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, case, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app import events
from app.errors import NotFound
from app.jobs.queue import enqueue
from app.projects.care import CLASSES, GOLD
from app.tasks.actions.ending import SETTLE, pass_by
from app.tasks.actions.making import add_slots, slots_of
from app.tasks.actions.placing import put_in_place
from app.tasks.actions.releasing import room_changed, state_of_new
from app.tasks.jobs import AnswersChanged
from app.tasks.tables import Purpose, Slot, SlotState, Task, TaskCompletion, TaskState

UNTAKEN = (SlotState.resting, SlotState.planned, SlotState.free)


@dataclass(frozen=True)
class Place:
    """lane: the class of people who may take a slot. rank: when; `rules.rank_of` makes one."""

    lane: int
    rank: int


async def lock_tasks(session: AsyncSession, project_id: int, task_ids: Sequence[int]) -> list[Task]:
    """Tasks in id order, locked against answers that would finish them at this moment."""
    asked = (
        select(Task)
        .where(Task.project_id == project_id, Task.id.in_(task_ids))
        .order_by(Task.id)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )
    return list(await session.scalars(asked))


async def cancel_tasks(
    session: AsyncSession, project_id: int, task_ids: Sequence[int], *, actor_id: int | None = None
) -> int:
    """Ask nobody else. Answers stay, and whoever holds one of these tasks may still finish it."""
    cancelled = [task for task in await lock_tasks(session, project_id, task_ids) if task.state is TaskState.open]
    for task in cancelled:
        task.state = TaskState.cancelled
        await events.record(session, "task.cancelled", actor_id=actor_id, project_id=project_id, subject=task.public_id)
    await session.flush()
    await _cancel_free(session, [task.id for task in cancelled])
    return len(cancelled)


async def change_k(
    session: AsyncSession,
    project_id: int,
    task_id: int,
    k: int,
    *,
    actor_id: int | None = None,
    is_adaptive: bool = True,
) -> Task:
    """Want k answers. More: slots are added, also to a task that was done. Fewer: only free slots are cancelled.

    Answers that are wanted after somebody has answered may be wanted for what was said, so they stand apart in figures
    about quality; unless is_adaptive is False.

    :raises NotFound: no such task in this project.
    """
    task = next(iter(await lock_tasks(session, project_id, [task_id])), None)
    if task is None:
        raise NotFound
    before, task.k = task.k, k
    if actor_id is not None and task.purpose is Purpose.calibration:
        task.has_own_place = True  # its number is somebody's word now
    slots = list(await session.scalars(select(Slot).where(Slot.task_id == task_id).order_by(Slot.number)))
    wanted = [slot for slot in slots if slot.state != SlotState.cancelled]
    if len(wanted) < k and task.state is not TaskState.cancelled:
        task.state = TaskState.open
        if is_adaptive and task.first_k is None and any(slot.state == SlotState.done for slot in slots):
            task.first_k = max(slot.number for slot in slots) + 1
        await session.flush()
        await _add_slots(session, task, slots, k - len(wanted))
    elif len(wanted) > k:
        await session.flush()
        await _cancel_free(session, [task_id], most=len(wanted) - k)
        await session.execute(SETTLE, {"task": task_id})
        await session.refresh(task)
    await events.record(
        session,
        "task.k_changed",
        actor_id=actor_id,
        project_id=project_id,
        subject=task.public_id,
        before=before,
        after=k,
    )
    await answers_changed(session, task_id)
    return task


async def answers_changed(session: AsyncSession, task_id: int) -> None:
    """Whoever has counted this task's answers counts again."""
    evaluation_id = await session.scalar(select(Task.evaluation_id).where(Task.id == task_id))
    if evaluation_id is not None:
        await enqueue(session, AnswersChanged(evaluation_id=evaluation_id))


async def reorder(session: AsyncSession, project_id: int, places: Mapping[int, Place]) -> None:
    """Move free slots of tasks (inside ids) to another lane or rank; slots in somebody's hands stay as they are."""
    for task in await lock_tasks(session, project_id, list(places)):
        task_id, place = task.id, places[task.id]
        task.has_own_place = True
        free = and_(Slot.project_id == project_id, Slot.task_id == task_id, Slot.state.in_(UNTAKEN))
        await session.execute(update(Slot).where(free).values(lane=in_class(place.lane), rank=place.rank))


def in_class(people: int) -> ColumnElement[int]:
    """A slot's lane with another class of people in it; what stands above the class stays, and held back stays so."""
    above = Slot.lane.bitwise_and(-CLASSES)
    return case((Slot.lane < 0, above + (CLASSES - 1 - people)), else_=above + people)


async def reopen_slot(session: AsyncSession, slot_id: int, *, without: int, reason: str) -> None:
    """Want this answer anew, from anybody but `without`. The caller holds the task and has taken the old answer off.

    A task that was cancelled, or that wants fewer answers now, gets no new slot.
    """
    asked = select(Task.project_id, Task.batch_id).join(Slot, Slot.task_id == Task.id).where(Slot.id == slot_id)
    state = await state_of_new(session, *(await session.execute(asked)).one())  # its lock comes before those of rows
    slot = (await session.scalars(select(Slot).where(Slot.id == slot_id).with_for_update(key_share=True))).one()
    await session.refresh(slot)
    task = (await session.scalars(select(Task).where(Task.id == slot.task_id))).one()
    await pass_by(session, task.id, without, reason)
    if slot.state != SlotState.done:
        return
    live = await session.scalar(
        select(func.count()).where(Slot.task_id == task.id, Slot.state != SlotState.cancelled, Slot.id != slot.id)
    )
    is_wanted = task.state is not TaskState.cancelled and (live or 0) < task.k
    is_mixed_in = slot.lane >= 0 and bool(slot.lane & GOLD)  # it takes the room of others and waits for none
    slot.state = SlotState.cancelled if not is_wanted else SlotState.free if is_mixed_in else state
    slot.annotator_id = slot.shown_key = slot.shown_at = slot.protocol_id = slot.guidelines_id = None
    if is_wanted:
        task.state = TaskState.open
    await session.flush()
    if is_wanted:
        await put_in_place(session, task, [slot.number])
    if slot.state == SlotState.planned:
        await room_changed(session, task.project_id)


async def _cancel_free(session: AsyncSession, task_ids: Sequence[int], most: int | None = None) -> None:
    """Cancel free slots, a task's last ones first; whoever took one before this was seen keeps it."""
    free = (
        select(Slot.id)
        .where(Slot.task_id.in_(task_ids), Slot.state.in_(UNTAKEN))
        .order_by(Slot.task_id, Slot.number.desc())
        .limit(most)
        .with_for_update(key_share=True)
    )
    ids = list(await session.scalars(free))
    await session.execute(update(Slot).where(Slot.id.in_(ids)).values(state=SlotState.cancelled))


async def _add_slots(session: AsyncSession, task: Task, slots: Sequence[Slot], more: int) -> None:
    """New slots stand where the task's others stand."""
    shown = await session.scalar(select(func.count()).where(TaskCompletion.task_id == task.id))
    first = max(slot.number for slot in slots) + 1
    rows = slots_of(
        task.project_id,
        task.id,
        task.public_id,
        range(first, first + more),
        shown or 0,
        lane=slots[0].lane,
        ranks=[slots[0].rank] * more,
        state=await state_of_new(session, task.project_id, task.batch_id),
    )
    await add_slots(session, task.project_id, rows)
    await put_in_place(session, task, range(first, first + more))
