"""Freezes datasets."""

import asyncio

from app import database
from app.annotations.actions import place_openings
from app.annotations.jobs import ConsentWithdrawn
from app.datasets.actions import conclude_freezing, give_up_freezing, write_dataset
from app.datasets.jobs import FreezeDataset
from app.datasets.tables import Dataset, DatasetState
from app.datasets.withdrawing import datasets_to_mark, labels_in, mark
from app.errors import DomainError
from app.translation import _
from workers.handlers.registry import Context, handles


@handles(FreezeDataset)
async def freeze_dataset(job: FreezeDataset, context: Context) -> None:
    """Write the lines from one snapshot, then say so in a transaction of its own, which so never waits on a file.

    A dataset that is already frozen is left alone, so running twice is harmless.
    """
    async with context.session() as session:
        dataset = await session.get(Dataset, job.dataset_id)
    if dataset is None or dataset.state is not DatasetState.freezing:
        return
    try:
        async with context.session() as session:
            await place_openings(session, dataset.project_id)
        async with database.snapshot() as connection:
            manifest = await write_dataset(connection, dataset, context.settings.home)
    except Exception as error:
        if not isinstance(error, DomainError | OSError) and not context.gives_up(error):
            raise
        async with context.session() as session:
            await give_up_freezing(session, dataset.id, reason_of(error))
        return
    async with context.session() as session:
        await conclude_freezing(session, dataset.id, manifest)


@handles(ConsentWithdrawn)
async def mark_datasets(job: ConsentWithdrawn, context: Context) -> None:
    """A dataset a transaction, its lines being read before; running twice is harmless."""
    async with context.session() as session:
        pseudonym, datasets = await datasets_to_mark(session, job.project_id, job.person_id)
    for dataset in datasets:
        labels = await asyncio.to_thread(labels_in, context.settings.home, dataset, pseudonym)
        async with context.session() as session:
            await mark(session, dataset, job.person_id, labels)


def reason_of(error: Exception) -> str:
    if isinstance(error, DomainError):
        return str(error)
    said = (error.strerror if isinstance(error, OSError) else None) or f"{type(error).__name__}: {error}"
    return _("The lines could not be written: {reason}.").format(reason=said)
