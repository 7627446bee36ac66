"""Rounds that ask the most informative first: where their tasks stand, and which of them were drawn at random."""

from collections.abc import Mapping, Sequence

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.tasks.actions.changing import lock_tasks
from app.tasks.actions.placing import put, wishes_now
from app.tasks.rules import chance_of
from app.tasks.tables import Slot, SlotState, Task, TaskState, Watermark


async def arrange(session: AsyncSession, project_id: int, places: Mapping[int, float]) -> None:
    """Give open tasks (inside ids) their places, 0 first … 1 last; those with a place of their own are left there."""
    tasks = await lock_tasks(session, project_id, list(places))
    tasks = [task for task in tasks if task.state is TaskState.open and not task.has_own_place]
    for task in tasks:
        task.place = places[task.id]
    await session.flush()
    await put(session, tasks, await wishes_now(session, tasks))


async def look_from_the_beginning(session: AsyncSession, project_id: int) -> None:
    """What was moved forward stands where people have been already: everybody looks there once more."""
    await session.execute(update(Watermark).where(Watermark.project_id == project_id).values(rank=0))


async def not_drawn(session: AsyncSession, tasks: Sequence[Task]) -> None:
    """Of locked tasks that everybody would have answered those that nobody has: a share stays drawn, the others will be
    chosen. Once chosen they stay so, whatever order their round has later."""
    ids = [task.id for task in tasks if task.chance == 1]
    done = select(Slot.task_id).where(Slot.task_id.in_(ids), Slot.state == SlotState.done)
    answered = set(await session.scalars(done))
    for task in tasks:
        if task.chance == 1 and task.id not in answered:
            task.chance = chance_of(str(task.public_id))
