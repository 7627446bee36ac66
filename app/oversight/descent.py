"""What was trained from datasets that hold labels of people who took their consent back."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.checkpoints.tables import Checkpoint
from app.datasets.tables import Dataset, DatasetWithdrawal
from app.training.tables import Run

MOST = 200


@dataclass(frozen=True)
class Trained:
    """A run and what it made, as far as it has."""

    run: str
    run_id: UUID
    dataset: str
    checkpoint: str | None
    checkpoint_id: UUID | None


def _trained() -> Select[str, UUID, str, str, UUID]:
    columns = (Run.name, Run.public_id, Dataset.name, Checkpoint.name, Checkpoint.public_id)
    asked = select(*columns).join(Dataset, Dataset.id == Run.dataset_id)
    return asked.outerjoin(Checkpoint, Checkpoint.id == Run.result_id).order_by(Run.id.desc()).limit(MOST)


async def trained_from(session: AsyncSession, project_id: int, person_id: int) -> list[Trained]:
    """Runs on datasets that are marked for somebody, the newest first."""
    marked = select(DatasetWithdrawal.dataset_id).where(
        DatasetWithdrawal.project_id == project_id, DatasetWithdrawal.user_id == person_id
    )
    rows = await session.execute(_trained().where(Run.project_id == project_id, Run.dataset_id.in_(marked)))
    return [Trained(run, run_id, of, made, made_id) for run, run_id, of, made, made_id in rows]


async def trained_on(session: AsyncSession, dataset: Dataset) -> list[Trained]:
    """Runs on one dataset, the newest first."""
    asked = _trained().where(Run.project_id == dataset.project_id, Run.dataset_id == dataset.id)
    rows = await session.execute(asked)
    return [Trained(run, run_id, of, made, made_id) for run, run_id, of, made, made_id in rows]
