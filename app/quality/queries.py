"""What a person's own page shows: their days, today's quota, and how they did where an answer is argued; and figures
about everybody, for those who run a project.

Nothing on their own page compares them with others: agreement with the crowd on matters of taste breeds herding, and
a rank or another's speed tells nobody how to judge better.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Date, case, cast, exists, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.tables import Membership, User
from app.annotations.kinds import in_words
from app.annotations.tables import Annotation, AnnotationState, AnnotationVersion
from app.checkpoints.tables import Checkpoint
from app.projects.rules import day_begins, last_days
from app.projects.tables import Project
from app.quality.rules import hits
from app.quality.tables import Adjudication, ArguedAnswer, Figures, Use
from app.tasks.queries import protocol_body
from app.tasks.tables import QuotaDay, Task

LONGEST = 15 * 60  # seconds: what an answer counts for at most, as long as a task is kept for somebody who does nothing
STANDS = (AnnotationState.live, AnnotationState.surplus)


def is_argued() -> ColumnElement[bool]:
    """A condition on `Task`: its answer is argued."""
    return exists().where(ArguedAnswer.task_id == Task.id)


def edited_from() -> ColumnElement[dict[str, Any] | None]:
    """Of an `Annotation`: what its author said first, where it was changed since; else null.

    Known answers are judged by it: whoever has answered is told what is accepted, and may still edit.
    """
    first = select(AnnotationVersion.body).where(
        AnnotationVersion.annotation_id == Annotation.id, AnnotationVersion.version == 1
    )
    return case((Annotation.version > 1, first.correlate(Annotation).scalar_subquery()))


def said_first() -> ColumnElement[dict[str, Any]]:
    """Of an `Annotation`: the body that was handed in."""
    return func.coalesce(edited_from(), Annotation.body)


@dataclass(frozen=True)
class Day:
    """One local day of one's own. seconds: at tasks, as the page measured them, else from each one's being
    shown to its answer."""

    day: date
    answers: int = 0
    seconds: float = 0.0


async def my_days(
    session: AsyncSession, person_id: int, project_id: int | None, zone: str, count: int = 14
) -> list[Day]:
    """The last local days, the newest first, also those without an answer. project_id None: all projects."""
    now = (await session.execute(select(func.now()))).scalar_one()
    days = last_days(now, zone, count)
    between = func.extract("epoch", Annotation.submitted_at - Annotation.shown_at)
    taken = func.coalesce(Annotation.active_seconds, func.least(func.greatest(between, 0), LONGEST))
    local = cast(func.timezone(zone, Annotation.submitted_at), Date)
    asked = (
        select(local, func.count(), func.coalesce(func.sum(taken), 0))
        .where(Annotation.annotator_id == person_id, Annotation.submitted_at >= day_begins(days[-1], zone))
        .where(Annotation.state.in_(STANDS))
        .group_by(local)
    )
    if project_id is not None:
        asked = asked.where(Annotation.project_id == project_id)
    found = {day: Day(day, answers, float(seconds)) for day, answers, seconds in await session.execute(asked)}
    return [found.get(day, Day(day)) for day in days]


@dataclass(frozen=True)
class Quota:
    """Today's quota of one project, whose day ends at resets_at in its own zone."""

    project: UUID
    name: str
    used: int
    most: int
    zone: str
    resets_at: datetime


async def my_quotas(session: AsyncSession, person_id: int, project_id: int | None) -> list[Quota]:
    """Of the projects that a person is in, or of one of them."""
    today = cast(func.timezone(Project.zone, func.now()), Date)
    asked = (
        select(
            Project.public_id,
            Project.name,
            func.coalesce(QuotaDay.used, 0),
            func.coalesce(Membership.daily_limit, Project.daily_limit),
            Project.zone,
            today,
        )
        .join(Membership, (Membership.project_id == Project.id) & (Membership.user_id == person_id))
        .outerjoin(
            QuotaDay,
            (QuotaDay.project_id == Project.id) & (QuotaDay.annotator_id == person_id) & (QuotaDay.day == today),
        )
        .order_by(Project.name, Project.id)
    )
    if project_id is not None:
        asked = asked.where(Project.id == project_id)
    return [
        Quota(project, name, used, most, zone, day_begins(day + timedelta(days=1), zone))
        for project, name, used, most, zone, day in await session.execute(asked)
    ]


@dataclass(frozen=True)
class Lesson:
    """One answer of one's own to a task whose answer is argued. said, accepted: in words; html: the argument.

    It is judged by what was said first, whatever it was changed to since."""

    project: UUID
    annotation: UUID
    use: Use
    is_hit: bool
    said: str
    accepted: list[str]
    html: str
    at: datetime


async def my_lessons(session: AsyncSession, person_id: int, project_id: int | None, *, most: int = 50) -> list[Lesson]:
    """How somebody did where an answer is argued, the latest first."""
    asked = (
        select(Annotation, ArguedAnswer, Project.public_id, edited_from())
        .join(ArguedAnswer, ArguedAnswer.task_id == Annotation.task_id)
        .join(Project, Project.id == Annotation.project_id)
        .where(Annotation.annotator_id == person_id, Annotation.state.in_(STANDS))
        .order_by(Annotation.id.desc())
        .limit(most)
    )
    if project_id is not None:
        asked = asked.where(Annotation.project_id == project_id)
    return [await _lesson(session, *row) for row in (await session.execute(asked)).all()]


async def _lesson(
    session: AsyncSession, said: Annotation, argued: ArguedAnswer, project: UUID, first: dict[str, Any] | None
) -> Lesson:
    body = first or said.body
    own, theirs = await protocol_body(session, said.protocol_id), await protocol_body(session, argued.protocol_id)
    return Lesson(
        project=project,
        annotation=said.public_id,
        use=argued.use,
        is_hit=hits(body, argued.bodies),
        said=in_words(body, said.sides, own),
        accepted=[in_words(body, said.sides, theirs) for body in argued.bodies],
        html=argued.html,
        at=said.submitted_at,
    )


async def lesson_of(session: AsyncSession, annotation_id: int, project: UUID) -> Lesson | None:
    """What somebody is told who has just answered a training task."""
    asked = select(Annotation, ArguedAnswer, edited_from())
    asked = asked.join(ArguedAnswer, ArguedAnswer.task_id == Annotation.task_id)
    row = (await session.execute(asked.where(Annotation.id == annotation_id))).one_or_none()
    return None if row is None else await _lesson(session, row[0], row[1], project, row[2])


async def argued_answer(session: AsyncSession, task_id: int) -> ArguedAnswer | None:
    return await session.get(ArguedAnswer, task_id)


async def settled_answer(session: AsyncSession, task_id: int) -> Adjudication | None:
    return await session.get(Adjudication, task_id)


async def figures_of(session: AsyncSession, project_id: int, name: str) -> Figures | None:
    """What was computed last; None: nothing yet."""
    return await session.get(Figures, (project_id, name))


async def people_by_id(session: AsyncSession, project_id: int) -> dict[str, tuple[str, str]]:
    """(pseudonym, name) of everybody who has a place in the project, by inside id as figures hold it."""
    asked = select(Membership.user_id, Membership.pseudonym, User.name).join(User, User.id == Membership.user_id)
    rows = await session.execute(asked.where(Membership.project_id == project_id))
    return {str(row.user_id): (row.pseudonym, row.name) for row in rows}


async def checkpoints_by_id(session: AsyncSession, project_id: int) -> dict[int, tuple[str, UUID]]:
    """(name, outside id) of the checkpoints that a project may use."""
    here = or_(Checkpoint.project_id == project_id, Checkpoint.project_id.is_(None))
    rows = await session.execute(select(Checkpoint.id, Checkpoint.name, Checkpoint.public_id).where(here))
    return {row.id: (row.name, row.public_id) for row in rows}
