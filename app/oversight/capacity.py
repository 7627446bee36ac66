"""Whether the quotas of those who answer allow what is wanted by a day."""

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.permissions import ROLE_PERMISSIONS, Permission, Role
from app.accounts.tables import Membership
from app.oversight.rules import enough_until
from app.projects.tables import Batch, BatchState, Project
from app.tasks.actions.making import GATHERS, tasks_in
from app.tasks.tables import Slot, Task, TaskState

MOST_ROUNDS = 10  # with a date, the next ones


@dataclass(frozen=True)
class Short:
    """A round of which more than `allowed` answers are wanted by its date; so many quotas allow, a_day of them."""

    batch: Batch
    a_day: int
    allowed: int


async def first_short(session: AsyncSession, project: Project) -> Short | None:
    """The first of the rounds with a date by which not all its answers can come, however diligent people are."""
    asks = [state for state in BatchState if state.asks]
    dated = select(Batch, func.now()).where(Batch.project_id == project.id, Batch.due_at > func.now())
    asked = dated.where(Batch.state.in_(asks)).order_by(Batch.due_at, Batch.id).limit(MOST_ROUNDS)
    rows = (await session.execute(asked)).all()
    a_day = await most_a_day(session, project) if rows else 0
    for batch, now in rows:
        assert batch.due_at is not None
        allowed = enough_until(a_day, (batch.due_at - now) / timedelta(days=1))
        if await _wants_more(session, batch, allowed):
            return Short(batch, a_day, allowed)
    return None


async def _wants_more(session: AsyncSession, batch: Batch, allowed: int) -> bool:
    """Than so many answers, with those to tasks that are still to be made; counted up to that."""
    wanted = select(Slot.id).join(Task, Task.id == Slot.task_id)
    wanted = wanted.where(Task.batch_id == batch.id, Task.state == TaskState.open, Task.purpose.in_(GATHERS))
    some = wanted.where(Slot.state.in_([-2, -1, 0, 1])).limit(allowed + 1).subquery()
    left = await session.scalar(select(func.count()).select_from(some)) or 0
    if left <= allowed and batch.most_tasks is not None:
        left += max(0, batch.most_tasks - await tasks_in(session, batch.id)) * batch.k
    return left > allowed


async def most_a_day(session: AsyncSession, project: Project) -> int:
    """Answers that everybody's quotas, and the project's, allow on one day."""
    roles = [role for role in Role if Permission.annotate in ROLE_PERMISSIONS[role]]
    each = func.coalesce(Membership.daily_limit, project.daily_limit)
    working = select(func.coalesce(func.sum(each), 0)).where(Membership.project_id == project.id)
    working = working.where(Membership.role.in_(roles), Membership.withdrawn_at.is_(None))
    people = await session.scalar(working.where(Membership.paused_at.is_(None)))
    a_day = int(people or 0)
    return a_day if project.answers_a_day is None else min(a_day, project.answers_a_day)
