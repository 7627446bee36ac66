"""The queue's face: a job is a row written in the transaction of its cause, so it is neither lost nor early."""

from datetime import datetime
from enum import StrEnum
from typing import ClassVar

import procrastinate
from procrastinate.exceptions import AlreadyEnqueued
from pydantic import BaseModel, ConfigDict
from sqlalchemy.ext.asyncio import AsyncSession


class Queue(StrEnum):
    """Which worker process takes a job."""

    light = "light"  # seconds, no torch: `workers tidy`
    sampling = "sampling"  # `workers sample`
    talking = "talking"  # `workers sample`, beside the former: a person waits for each of these
    training = "training"  # `workers train`


class Job(BaseModel):
    """A payload: ids and settings, never rows. The class name is the kind; exactly one handler answers to it."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    queue: ClassVar[Queue] = Queue.light
    is_given_up: ClassVar[bool] = True  # after some tries; else its handler alone decides when it was the last


# Defers only, always on a connection that is handed in: the connector is never opened.
queue = procrastinate.App(connector=procrastinate.PsycopgConnector())


async def enqueue(
    session: AsyncSession,
    job: Job,
    *,
    lock: str | None = None,
    once: str | None = None,
    at: datetime | None = None,
    priority: int = 0,
) -> bool:
    """Write `job` into the caller's transaction.

    lock: jobs of one lock run one after the other. once: while a job with this key waits, a second one is not
    written and the answer is False. at: not before this instant.
    """
    connection = await (await session.connection()).get_raw_connection()
    deferrer = queue.configure_task(
        type(job).__name__,
        queue=job.queue,
        lock=lock,
        queueing_lock=once,
        schedule_at=at,
        priority=priority,
        connection=connection.driver_connection,
    )
    payload = job.model_dump(mode="json")
    if once is None:
        await deferrer.defer_async(**payload)
        return True
    try:
        async with session.begin_nested():
            await session.connection()  # a nested transaction sets its savepoint when it is first used
            await deferrer.defer_async(**payload)
    except AlreadyEnqueued:
        return False
    return True
