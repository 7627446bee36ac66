"""Questions about runs."""

from collections.abc import AsyncIterator, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Select, and_, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased, defer

from app.charts import thin
from app.checkpoints.tables import Checkpoint, Place
from app.datasets.tables import Dataset
from app.errors import NotFound
from app.projects.tables import Project
from app.prompts.tables import Prompt, Root, Use
from app.training.tables import Run, RunMetric, RunSample


async def run_of(session: AsyncSession, project_id: int, public_id: UUID) -> Run:
    found = await session.scalar(select(Run).where(Run.project_id == project_id, Run.public_id == public_id))
    if found is None:
        raise NotFound
    return found


def runs_in(project_id: int) -> Select[Run]:
    """Runs without their logs, which are long and belong to one run's page."""
    return select(Run).where(Run.project_id == project_id).options(defer(Run.log, raiseload=True))


def runs_with_results(project_id: int) -> Select[Any]:
    """Rows (run without its log, outside id of the checkpoint that it made or None)."""
    return runs_in(project_id).outerjoin(Checkpoint, Checkpoint.id == Run.result_id).add_columns(Checkpoint.public_id)


async def runs_of(session: AsyncSession, project_id: int) -> Sequence[Run]:
    """Newest first, without their logs."""
    return (await session.scalars(runs_in(project_id).order_by(Run.id.desc()))).all()


async def metrics_of(session: AsyncSession, run_id: int, after: int = -1) -> Sequence[RunMetric]:
    """Steps later than `after`, in order."""
    wanted = select(RunMetric).where(RunMetric.run_id == run_id, RunMetric.step > after).order_by(RunMetric.step)
    return (await session.scalars(wanted)).all()


async def curves_of(session: AsyncSession, run_id: int, most: int = 400) -> dict[str, list[tuple[float, float | None]]]:
    """Each metric as (step, value), thinned to about `most` points, for drawing. Each by itself, since what is measured
    at every tenth step alone would fall between the rows that are kept."""
    curves: dict[str, list[tuple[float, float | None]]] = {}
    for row in await metrics_of(session, run_id):
        for name, value in row.values.items():
            curves.setdefault(name, []).append((row.step, value))
    return {name: thin(points, most) for name, points in curves.items()}


async def samples_of(session: AsyncSession, run_id: int, after: int = -1, most: int = 100) -> Sequence[RunSample]:
    """Looks later than step `after`, in order."""
    wanted = select(RunSample).where(RunSample.run_id == run_id, RunSample.step > after)
    return (await session.scalars(wanted.order_by(RunSample.step).limit(most))).all()


async def some_samples(session: AsyncSession, run_id: int, most: int = 6) -> Sequence[RunSample]:
    """The first look, the last, and others at equal distances between, in order."""
    of_run = RunSample.run_id == run_id
    steps = (await session.scalars(select(RunSample.step).where(of_run).order_by(RunSample.step))).all()
    chosen = {steps[round((len(steps) - 1) * n / (most - 1))] for n in range(most if steps else 0)}
    wanted = select(RunSample).where(of_run, RunSample.step.in_(chosen)).order_by(RunSample.step)
    return (await session.scalars(wanted)).all()


async def default_base(session: AsyncSession, project_id: int) -> UUID | None:
    """The checkpoint that answers for the project now, else the bundled one."""
    chosen = select(Project.checkpoint_id).where(Project.id == project_id).scalar_subquery()
    query = select(Checkpoint.public_id).where(or_(Checkpoint.id == chosen, Checkpoint.place == Place.bundled))
    return (await session.scalars(query.order_by((Checkpoint.id == chosen).desc().nulls_last()).limit(1))).first()


async def practice_prompts(session: AsyncSession, project_id: int) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    """(component's key, prompt as records.PromptRecord) to practise on: use train, else label; never held-out."""
    named = aliased(Root)
    for use in (Use.train, Use.label):
        query = (
            select(Root.component, Prompt.public_id, named.public_id, Prompt.messages)
            .join(Root, Root.id == Prompt.root_id)
            .join(named, and_(named.project_id == Root.project_id, named.key == Root.component))
            .where(Prompt.project_id == project_id, Prompt.use == use, Prompt.retired_at.is_(None))
            .order_by(Prompt.id)
        )
        found = False
        async for component, prompt, group, messages in await session.stream(query):
            found = True
            line = {"kind": "prompt", "schema_version": 1, "id": str(prompt), "group": str(group), "prompt": messages}
            yield component, line
        if found:
            return


async def sources_of(session: AsyncSession, run: Run) -> dict[str, Any]:
    """What a run was made from: its dataset (reward), its base, its reward checkpoint (PPO)."""
    return {
        "dataset": await session.get(Dataset, run.dataset_id) if run.dataset_id else None,
        "base": await session.get_one(Checkpoint, run.base_id),
        "reward": await session.get(Checkpoint, run.reward_id) if run.reward_id else None,
    }
