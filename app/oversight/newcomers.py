"""Newcomers who wait for nothing: each known task that is left they have met."""

from datetime import timedelta

from sqlalchemy import func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from app import wording
from app.accounts.access import Access
from app.accounts.tables import Membership
from app.annotations.tables import Annotation
from app.oversight.deciding import Decision, below
from app.projects.tables import Project
from app.quality.entering import newcomers
from app.quality.tables import ArguedAnswer
from app.tasks.tables import Skip, Slot, SlotState
from app.translation import _

MOST = 50  # newcomers who are looked at, those who came first
RESTED = timedelta(hours=1)  # without an answer; a twin that is made meanwhile is there in half a minute


async def newcomers_wait(session: AsyncSession, access: Access, project: Project) -> Decision | None:
    """Those who joined, and answered last, an hour ago or longer, and for whom no known task is free."""
    if project.entrance is None:
        return None
    waiting = await stranded(session, project.id)
    if not waiting:
        return None
    evidence = _("Newcomers who have met every known task, and can go neither on nor in: {count}").format(
        count=wording.number(waiting)
    )
    title, action = _("Newcomers wait for known tasks"), _("Argue more")
    return Decision("newcomers_wait", title, evidence, action, below(project, "/review/gold"))


async def stranded(session: AsyncSession, project_id: int) -> int:
    """How many of the first MOST newcomers there is nothing for."""
    rested = func.now() - RESTED
    first = newcomers(project_id).with_only_columns(Membership.user_id, Membership.lanes)
    first = first.where(Membership.paused_at.is_(None), Membership.withdrawn_at.is_(None))
    first = first.where(Membership.created_at < rested)
    person = first.order_by(Membership.id).limit(MOST).subquery()
    lately = select(Annotation.id).where(Annotation.annotator_id == person.c.user_id)
    lately = lately.where(Annotation.project_id == project_id, Annotation.submitted_at > rested)
    own, here = aliased(Slot), (ArguedAnswer, person)  # two levels up, which is never guessed
    met = select(own.id).where(own.task_id == ArguedAnswer.task_id, own.annotator_id == person.c.user_id)
    passed = select(Skip.task_id).where(Skip.task_id == ArguedAnswer.task_id, Skip.annotator_id == person.c.user_id)
    free = select(Slot.id).where(Slot.task_id == ArguedAnswer.task_id, Slot.lane == func.any(person.c.lanes))
    free = free.where(Slot.state == SlotState.free)
    free, met, passed = (one.correlate(*here) for one in (free, met, passed))
    left = select(ArguedAnswer.task_id).where(ArguedAnswer.project_id == project_id, ArguedAnswer.twin_of.is_not(None))
    left = left.where(free.exists(), ~or_(met.exists(), passed.exists()))
    asked = select(func.count()).select_from(person).where(~lately.exists(), ~left.exists())
    return await session.scalar(asked) or 0
