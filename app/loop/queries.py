"""Questions about schedules."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.annotations.tables import Annotation, AnnotationState
from app.datasets.forms import FreezeForm
from app.datasets.tables import Dataset, DatasetState
from app.errors import NotFound
from app.loop.tables import FireState, Schedule, ScheduleFire
from app.projects.tables import Project, ProjectState
from app.prompts.tables import Prompt, Root
from app.quality.queries import is_argued
from app.tasks.tables import Task
from app.training.tables import Run

IS_KEPT = (Schedule.enabled, Project.state == ProjectState.open)


async def schedule_of(session: AsyncSession, project_id: int, public_id: UUID) -> Schedule:
    found = await session.scalar(
        select(Schedule).where(Schedule.project_id == project_id, Schedule.public_id == public_id)
    )
    if found is None:
        raise NotFound
    return found


def schedules_in(project_id: int) -> Select[Schedule]:
    return select(Schedule).where(Schedule.project_id == project_id)


async def schedules_of(session: AsyncSession, project_id: int) -> Sequence[Schedule]:
    """Oldest first."""
    return (await session.scalars(schedules_in(project_id).order_by(Schedule.id))).all()


async def fires_of(session: AsyncSession, schedule_id: int, most: int = 20) -> Sequence[ScheduleFire]:
    """Newest first."""
    query = select(ScheduleFire).where(ScheduleFire.schedule_id == schedule_id).order_by(ScheduleFire.due_at.desc())
    return (await session.scalars(query.limit(most))).all()


async def enabled_schedules(session: AsyncSession) -> Sequence[int]:
    """Inside ids of the schedules to look at."""
    query = select(Schedule.id).join(Project, Project.id == Schedule.project_id)
    return (await session.scalars(query.where(*IS_KEPT).order_by(Schedule.id))).all()


async def schedule_to_look_at(session: AsyncSession, schedule_id: int) -> tuple[Schedule, Project] | None:
    """A schedule, locked; None when another scheduler holds it right now, or it is off by now."""
    query = (
        select(Schedule, Project)
        .join(Project, Project.id == Schedule.project_id)
        .where(Schedule.id == schedule_id, *IS_KEPT)
        .with_for_update(of=Schedule, skip_locked=True)
    )
    found = (await session.execute(query, execution_options={"populate_existing": True})).one_or_none()
    return None if found is None else (found[0], found[1])


def for_training(project_id: int, *columns: Any) -> Select[Any]:
    """The live answers that a dataset takes unless it is told otherwise."""
    taken = FreezeForm(name="any")
    return (
        select(*columns)
        .select_from(Annotation)
        .join(Task, Task.id == Annotation.task_id)
        .join(Prompt, Prompt.id == Task.prompt_id)
        .where(
            Annotation.project_id == project_id,
            Annotation.state == AnnotationState.live,
            Annotation.kind == "comparison",
            Prompt.retired_at.is_(None),
            Prompt.use.in_(taken.uses),
            Task.purpose.in_(taken.purposes),
            ~is_argued(),
        )
    )


async def new_answers(session: AsyncSession, schedule: Schedule) -> int:
    """Those that came since the schedule was last due, or last changed. Counted by when they were given: a prompt that
    is retired takes its answers along, and no others have to come in their place."""
    last = select(func.max(ScheduleFire.created_at)).where(ScheduleFire.schedule_id == schedule.id).scalar_subquery()
    since = func.greatest(schedule.armed_at, last)  # of a null and an instant, the instant
    query = for_training(schedule.project_id, func.count()).where(Annotation.submitted_at > since)
    return await session.scalar(query) or 0


async def is_anything_new(session: AsyncSession, schedule: Schedule) -> bool:
    """Whether an answer came since the last time that the schedule went through to its end, if it ever did."""
    last = select(func.max(ScheduleFire.created_at)).where(
        ScheduleFire.schedule_id == schedule.id, ScheduleFire.state == FireState.finished
    )
    since = await session.scalar(last)
    if since is None:
        return True
    newer = for_training(schedule.project_id, Annotation.id).where(Annotation.submitted_at > since)
    return await session.scalar(newer.limit(1)) is not None


async def preferring_by_component(session: AsyncSession, project_id: int) -> Sequence[tuple[str, int]]:
    """(component of roots, answers that prefer a side) of what a dataset would take; splits go by components."""
    query = for_training(project_id, Root.component, func.count()).join(Root, Root.id == Prompt.root_id)
    preferring = query.where(Annotation.body["outcome"].astext == "preferred").group_by(Root.component)
    return [(component, count) for component, count in await session.execute(preferring)]


async def database_now(session: AsyncSession) -> datetime:
    """The only clock."""
    instant: datetime = (await session.execute(select(func.now()))).scalar_one()
    return instant


async def is_running(session: AsyncSession, schedule_id: int, other_than: int | None = None) -> bool:
    """Whether a fire of this schedule has started and not ended, besides the one named."""
    query = select(ScheduleFire.id).where(
        ScheduleFire.schedule_id == schedule_id, ScheduleFire.state == FireState.started
    )
    if other_than is not None:
        query = query.where(ScheduleFire.id != other_than)
    return await session.scalar(query.limit(1)) is not None


async def traces_of(session: AsyncSession, fires: Sequence[ScheduleFire]) -> dict[int, list[Dataset | Run]]:
    """What each fire has made so far, by its inside id: a dataset, then its runs."""
    ids = [fire.id for fire in fires]
    made: dict[int, list[Dataset | Run]] = {fire_id: [] for fire_id in ids}
    datasets = select(ScheduleFire.id, Dataset).join(Dataset, Dataset.id == ScheduleFire.dataset_id)
    for fire_id, dataset in await session.execute(datasets.where(ScheduleFire.id.in_(ids))):
        made[fire_id].append(dataset)
    runs = select(Run).where(Run.schedule_fire_id.in_(ids)).order_by(Run.id)
    for run in await session.scalars(runs):
        made[run.schedule_fire_id or 0].append(run)
    return made


async def ended_datasets_of_fires(session: AsyncSession) -> Sequence[int]:
    """Datasets of fires still under way that are no longer being frozen."""
    query = (
        select(ScheduleFire.dataset_id)
        .join(Dataset, Dataset.id == ScheduleFire.dataset_id)
        .where(ScheduleFire.state == FireState.started, Dataset.state != DatasetState.freezing)
    )
    return [found for found in await session.scalars(query) if found is not None]


async def ended_runs_of_fires(session: AsyncSession) -> Sequence[int]:
    """Runs of fires still under way that have ended."""
    query = (
        select(Run.id)
        .join(ScheduleFire, ScheduleFire.id == Run.schedule_fire_id)
        .where(ScheduleFire.state == FireState.started, Run.finished_at.is_not(None))
    )
    return (await session.scalars(query)).all()
