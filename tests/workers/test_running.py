"""Jobs outlast what happens to their workers: errors that pass, a stop in the middle, a kill."""

import asyncio
from datetime import UTC, datetime

import procrastinate
import pytest
from procrastinate.jobs import Job as QueuedJob
from sqlalchemy import text

from app import database
from app.errors import Conflict
from app.jobs.queue import enqueue
from app.tasks.jobs import QueueRanLow
from tests.queue import waiting
from workers.handlers.registry import MAX_ATTEMPTS
from workers.running import Patiently, connector, retry_stalled


def wait_after(error: BaseException, attempts: int) -> float | None:
    """Seconds until the job is tried again; None: never."""
    job = QueuedJob(id=1, queue="light", lock=None, queueing_lock=None, task_name="X", attempts=attempts)
    decision = Patiently().get_retry_decision(exception=error, job=job)
    if decision is None:
        return None
    assert decision.retry_at is not None
    return round((decision.retry_at - datetime.now(UTC)).total_seconds())


def test_an_error_is_tried_again_ever_later_and_not_for_ever() -> None:
    waits = [wait_after(OSError("full"), attempts) for attempts in range(MAX_ATTEMPTS)]
    assert waits == [1, 2, 4, 8, 16, None]


def test_a_decision_is_not_tried_again() -> None:
    assert wait_after(Conflict(), 0) is None


def test_a_job_whose_worker_was_told_to_stop_is_never_given_up_for_that() -> None:
    assert [wait_after(asyncio.CancelledError(), attempts) for attempts in (0, MAX_ATTEMPTS, 50)] == [0, 0, 0]


@pytest.mark.committed
async def test_jobs_of_a_worker_that_was_killed_go_back_to_the_queue(committed: str) -> None:
    async with database.transaction() as session:
        for project in (1, 2):
            await enqueue(session, QueueRanLow(project_id=project))
        await session.execute(
            text(
                "WITH dead AS (INSERT INTO jobs.procrastinate_workers (last_heartbeat) "
                "VALUES (now() - interval '31 seconds') RETURNING id), "
                "alive AS (INSERT INTO jobs.procrastinate_workers (last_heartbeat) VALUES (now()) RETURNING id) "
                "UPDATE jobs.procrastinate_jobs SET status = 'doing', worker_id = CASE (args->>'project_id')::int "
                "WHEN 1 THEN (SELECT id FROM dead) ELSE (SELECT id FROM alive) END"
            )
        )
    async with procrastinate.App(connector=connector()).open_async() as queue:
        sweeping = asyncio.create_task(retry_stalled(queue))
        states = await until_one_waits()
        sweeping.cancel()
    assert states == {1: "todo", 2: "doing"}


async def until_one_waits() -> dict[int, str]:
    for _ in range(200):
        async with database.transaction() as session:
            rows = await session.execute(text("SELECT (args->>'project_id')::int, status FROM jobs.procrastinate_jobs"))
            states = dict(iter(rows))
            if "todo" in states.values():
                assert len(await waiting(session, "QueueRanLow")) == 2
                return states
        await asyncio.sleep(0.05)
    raise AssertionError("nothing went back to the queue")
