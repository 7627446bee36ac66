"""Payloads of this chapter."""

from app.jobs.queue import Job


class FreezeDataset(Job):
    dataset_id: int


class DatasetFrozen(Job):
    """Said when a dataset's lines are on disk; a schedule's next step waits for it."""

    dataset_id: int
