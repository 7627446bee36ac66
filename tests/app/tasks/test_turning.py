"""Slots of rounds that do not ask rest, and come back when these ask again."""

from collections import Counter

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.annotations.actions import submit
from app.projects.tables import Batch, BatchState
from app.tasks.actions import Waiting, change_k, claim, move_round
from app.tasks.jobs import RoundTurned
from app.tasks.tables import Purpose, Slot, Task
from tests.app.evaluation.scene import here
from tests.app.scene import Scene, broken, claimed, prefers, scene
from tests.queue import waiting
from workers.handlers.tasks import turn_round


async def states(session: AsyncSession) -> Counter[int]:
    return Counter(await session.scalars(select(Slot.state).execution_options(populate_existing=True)))


async def moved(session: AsyncSession, there: Scene, to: BatchState) -> Counter[int]:
    """How slots stand once the round is there."""
    await move_round(session, await session.get_one(Batch, there.batch_id), to, None)
    assert {"batch_id": there.batch_id} in await waiting(session, "RoundTurned")
    await turn_round(RoundTurned(batch_id=there.batch_id), here(session))
    return await states(session)


async def test_a_closed_round_leaves_nothing_that_a_claim_would_walk_past(session: AsyncSession) -> None:
    there = await scene(session, tasks=4, k=2)
    known = update(Task).where(Task.id == there.tasks[-1]).values(purpose=Purpose.gold)
    await session.execute(known)
    shown = await claimed(session, there.me)
    assert await moved(session, there, BatchState.closed) == {-2: 5, 1: 1, 0: 2}, "known answers are the project's"
    await submit(session, there.project.id, there.me.person.id, shown.task, shown.key, prefers(shown))
    await change_k(session, there.project.id, there.tasks[1], 3)
    assert await states(session) == {-2: 6, 2: 1, 0: 2}
    assert await broken(session) == {}, "what still wants an answer is open"
    assert await moved(session, there, BatchState.open) == {2: 1, 0: 8}
    assert not isinstance(await claim(session, there.me), Waiting)


async def test_what_comes_back_waits_for_room_in_a_limit(session: AsyncSession) -> None:
    there = await scene(session, tasks=2, answers_in_all=1, is_limited=True)
    assert await moved(session, there, BatchState.closed) == {-2: 2}
    assert await moved(session, there, BatchState.open) == {-1: 2}
