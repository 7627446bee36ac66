"""Slots of rounds that do not ask rest: no search for a next task meets them, however many they are."""

from collections.abc import Sequence

from sqlalchemy import BigInteger, SmallInteger, bindparam, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

from app.projects.tables import Batch, BatchState
from app.tasks.actions.releasing import room_changed, state_of_new
from app.tasks.tables import Purpose, SlotState, Task, TaskState

# In the order of their ids, as those who put slots in place lock them.
TURN = text("""
    UPDATE slots SET state = :after WHERE id = ANY(ARRAY(
        SELECT id FROM slots WHERE task_id = ANY(:tasks) AND state = ANY(:before) ORDER BY id FOR NO KEY UPDATE))
    RETURNING id
""").bindparams(
    bindparam("after", type_=SmallInteger),
    bindparam("before", type_=ARRAY(SmallInteger)),
    bindparam("tasks", type_=ARRAY(BigInteger)),
)


async def tasks_to_turn(session: AsyncSession, batch_id: int) -> Sequence[int]:
    """Inside ids of a round's tasks that want answers. Those with a known answer are the project's and asked anyway."""
    asked = select(Task.id).where(Task.batch_id == batch_id, Task.state == TaskState.open)
    return (await session.scalars(asked.where(Task.purpose != Purpose.gold).order_by(Task.id))).all()


async def turn_slots(session: AsyncSession, batch_id: int, tasks: Sequence[int]) -> int:
    """Of these tasks of a round, let the slots rest that nobody has where it does not ask now; else those that rest are
    handed out, as far as limits have room. Whoever moves the round waits. Returns how many were turned."""
    batch = await session.get_one(Batch, batch_id)
    wanted = await state_of_new(session, batch.project_id)
    await session.refresh(batch, with_for_update={"read": True})
    before, after = [SlotState.resting], wanted
    if not batch.state.asks:
        before, after = [SlotState.planned, SlotState.free], SlotState.resting
    values = {"tasks": tasks, "before": before, "after": after}
    turned = len((await session.execute(TURN, values)).all())
    if turned and wanted is SlotState.planned:
        await room_changed(session, batch.project_id)
    return turned


async def rounds_at_rest(session: AsyncSession, project_id: int) -> Sequence[int]:
    """Inside ids of a project's rounds that do not ask now."""
    asks = Batch.state.in_([state for state in BatchState if state.asks])
    return (await session.scalars(select(Batch.id).where(Batch.project_id == project_id, ~asks))).all()
