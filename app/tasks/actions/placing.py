"""Where slots stand: the lane and rank that their round, and the tags of their prompt, want of them now."""

from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.projects.care import CLASSES, GOLD
from app.projects.tables import Batch
from app.tasks.actions.wishing import Wish, wishes_of
from app.tasks.rules import rank_in
from app.tasks.tables import Purpose, Slot, SlotState, Task

PLACED = (Purpose.collect, Purpose.calibration)  # purposes of tasks that rounds and tags have a say in
UNANSWERED = (SlotState.resting, SlotState.planned, SlotState.free, SlotState.leased)

# Also those in somebody's hands: their place counts again if they come back.
PUT = text("""
    WITH held AS MATERIALIZED (
        SELECT id FROM slots WHERE id = ANY(CAST(:slots AS bigint[])) ORDER BY id FOR NO KEY UPDATE
    )
    UPDATE slots s SET lane = new.lane, rank = new.rank
    FROM unnest(CAST(:slots AS bigint[]), CAST(:lanes AS smallint[]), CAST(:ranks AS bigint[])) new (id, lane, rank)
    JOIN held ON held.id = new.id
    WHERE s.id = new.id AND s.state IN (-2, -1, 0, 1) AND (s.lane, s.rank) IS DISTINCT FROM (new.lane, new.rank)
""")


async def put_in_place(session: AsyncSession, task: Task, numbers: Collection[int] | None = None) -> None:
    """Move slots of a task that have no answer to where they are wanted now, unless somebody gave it its own place.

    numbers: of the slots; None: all.
    """
    if task.purpose in PLACED and not task.has_own_place:
        await put(session, [task], await wishes_now(session, [task]), numbers)


async def wishes_now(session: AsyncSession, tasks: Sequence[Task]) -> dict[int, Wish]:
    """What is wanted of these tasks now, by inside id."""
    wishes: dict[int, Wish] = {}
    for batch in await session.scalars(select(Batch).where(Batch.id.in_({task.batch_id for task in tasks}))):
        here = [task for task in tasks if task.batch_id == batch.id]
        by_prompt = await wishes_of(session, batch, {task.prompt_id for task in here})
        wishes |= {task.id: by_prompt[task.prompt_id] for task in here}
    return wishes


async def put(
    session: AsyncSession,
    tasks: Sequence[Task],
    wishes: Mapping[int, Wish],
    numbers: Collection[int] | None = None,
) -> None:
    """Move slots of these tasks that have no answer to where the wishes want them."""
    by_id = {task.id: task for task in tasks}
    asked = select(Slot).where(Slot.task_id.in_(by_id), Slot.state.in_(UNANSWERED)).order_by(Slot.id)
    if numbers is not None:
        asked = asked.where(Slot.number.in_(numbers))
    slots = (await session.scalars(asked.execution_options(populate_existing=True))).all()
    places = [place_in(wishes[slot.task_id], by_id[slot.task_id], slot) for slot in slots]
    values = {"lanes": [lane for lane, _rank in places], "ranks": [rank for _lane, rank in places]}
    await session.execute(PUT, values | {"slots": [slot.id for slot in slots]})


def place_in(wish: Wish, task: Task, slot: Slot) -> tuple[int, int]:
    """Lane and rank of a slot under a wish; what its prompt is sensitive for stays above, and held back stays so."""
    before = ~slot.lane if slot.lane < 0 else slot.lane
    lane = before // CLASSES * CLASSES + (before & GOLD) + wish.people
    key, number = str(task.public_id), slot.number
    rank = rank_in(wish.ordering, key, wish.band, task_id=task.id, number=number, informative=task.place)
    return (~lane if slot.lane < 0 else lane), rank
