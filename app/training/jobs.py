"""Payloads of this chapter."""

from typing import ClassVar

from app.jobs.queue import Job, Queue


class Train(Job):
    is_given_up: ClassVar[bool] = False  # a run goes on from its saved state, and counts how often it was begun itself
    queue: ClassVar[Queue] = Queue.training
    run_id: int


class RunEnded(Job):
    """Said when a run has succeeded, failed or was cancelled; a schedule's next step waits for it."""

    run_id: int
