"""Payloads of this chapter."""

from app.jobs.queue import Job


class FreezeDataset(Job):
    dataset_id: int


class FreezingEnded(Job):
    """Said when a dataset is frozen, or could not be; a schedule's next step waits for it."""

    dataset_id: int
