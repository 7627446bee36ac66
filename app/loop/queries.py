"""Questions about schedules."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.annotations.tables import Annotation, AnnotationState
from app.datasets.tables import Dataset, DatasetState
from app.errors import NotFound
from app.loop.tables import FireState, Schedule, ScheduleFire
from app.projects.tables import Project, ProjectState
from app.prompts.tables import Prompt
from app.tasks.tables import Purpose, Task
from app.training.tables import Run


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


async def enabled_schedules(session: AsyncSession) -> Sequence[tuple[Schedule, Project]]:
    """Schedules to look at, each locked: one that another scheduler holds right now is passed by."""
    query = (
        select(Schedule, Project)
        .join(Project, Project.id == Schedule.project_id)
        .where(Schedule.enabled, Project.state == ProjectState.open)
        .order_by(Schedule.id)
        .with_for_update(of=Schedule, skip_locked=True)
    )
    return [(schedule, project) for schedule, project in await session.execute(query)]


async def answers_for_training(session: AsyncSession, project_id: int) -> tuple[int, int]:
    """(live answers that a dataset would take, those among them that prefer one side)."""
    query = (
        select(func.count(), func.count().filter(Annotation.body["outcome"].astext == "preferred"))
        .join(Task, Task.id == Annotation.task_id)
        .join(Prompt, Prompt.id == Task.prompt_id)
        .where(
            Annotation.project_id == project_id,
            Annotation.state == AnnotationState.live,
            Prompt.retired_at.is_(None),
            Task.purpose.in_((Purpose.collect, Purpose.calibration)),
        )
    )
    answers, preferring = (await session.execute(query)).one()
    return answers, preferring


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
