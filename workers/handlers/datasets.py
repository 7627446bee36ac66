"""Freezes datasets."""

from sqlalchemy import select

from app import database
from app.datasets.actions import freeze
from app.datasets.jobs import FreezeDataset, FreezingEnded
from app.datasets.tables import Dataset, DatasetState
from app.jobs.queue import enqueue
from workers.handlers.registry import Context, handles


@handles(FreezeDataset)
async def freeze_dataset(job: FreezeDataset, context: Context) -> None:
    """Write the lines; a dataset that is already frozen is left alone, so running twice is harmless."""
    async with context.session() as session:
        dataset = await session.scalar(select(Dataset).where(Dataset.id == job.dataset_id).with_for_update())
        if dataset is None or dataset.state is not DatasetState.freezing:
            return
        try:
            async with database.snapshot() as connection, session.begin_nested():
                await freeze(session, connection, dataset, context.settings.home)
        except OSError as error:
            dataset.state, dataset.reason = DatasetState.failed, f"The lines could not be written: {error.strerror}."
            await enqueue(session, FreezingEnded(dataset_id=dataset.id))
