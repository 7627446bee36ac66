"""Jobs outlast what happens to their workers: errors that pass, a stop in the middle, a kill."""

import asyncio
from datetime import UTC, datetime

import procrastinate
import psycopg
import pytest
from procrastinate.exceptions import ConnectorException
from procrastinate.jobs import Job as QueuedJob
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as SQLTimeout

from app import database
from app.errors import Conflict
from app.jobs.queue import enqueue
from app.settings import get_settings
from app.tasks.jobs import QueueRanLow
from app.training.jobs import Train
from tests.queue import waiting
from workers import running
from workers.handlers.registry import HANDLERS, MAX_ATTEMPTS, WITHOUT_DATABASE, Context
from workers.running import Patiently, build_queue, empty_queue, give_back_for_ever, give_back_stalled, load_handlers


def wait_after(error: BaseException, attempts: int, *, gives_up: bool = True) -> float | None:
    """Seconds until the job is tried again; None: never."""
    job = QueuedJob(id=1, queue="light", lock=None, queueing_lock=None, task_name="X", attempts=attempts)
    decision = Patiently(gives_up=gives_up).get_retry_decision(exception=error, job=job)
    if decision is None:
        return None
    assert decision.retry_at is not None
    return round((decision.retry_at - datetime.now(UTC)).total_seconds())


def test_an_error_is_tried_again_ever_later_and_not_for_ever() -> None:
    waits = [wait_after(OSError("full"), attempts) for attempts in range(MAX_ATTEMPTS)]
    assert waits == [1, 2, 4, 8, 16, None]


def test_a_job_whose_handler_counts_for_itself_is_never_given_up() -> None:
    assert [wait_after(OSError("full"), attempts, gives_up=False) for attempts in (5, 6, 50, 500)] == [32, 60, 60, 60]
    assert not Train.is_given_up


def test_a_decision_is_not_tried_again() -> None:
    assert wait_after(Conflict(), 0) is None


@pytest.mark.parametrize(
    ("error", "is_away"),
    [
        (psycopg.OperationalError("server closed the connection unexpectedly"), True),
        (psycopg.errors.CannotConnectNow("starting up"), True),
        (psycopg.errors.DiskFull("no space left"), True),
        (psycopg.errors.TooManyConnections("none is free"), True),
        (psycopg.errors.OutOfMemory("of this query"), False),
        (psycopg.errors.IdleInTransactionSessionTimeout("it was idle"), False),
        (DBAPIError("SELECT 1", {}, psycopg.InterfaceError("it is closed"), connection_invalidated=True), True),
        (SQLTimeout("no connection is free"), True),
        (psycopg.errors.QueryCanceled("statement timeout"), False),
        (psycopg.errors.DeadlockDetected("deadlock"), False),
        (psycopg.errors.UniqueViolation("twice"), False),
    ],
)
def test_a_database_that_is_away_uses_up_no_tries(error: Exception, is_away: bool) -> None:
    wrapped = error if isinstance(error, SQLAlchemyError) else OperationalError("SELECT 1", {}, error)
    for one in (error, wrapped):
        assert [wait_after(one, attempts) for attempts in (5, 50)] == ([32, 60] if is_away else [None, None])
        assert Context(get_settings(), attempt=50).gives_up(one) is not is_away
        assert wait_after(one, WITHOUT_DATABASE) is None


def test_an_error_that_the_queue_has_wrapped_is_known_by_its_cause() -> None:
    wrapped = ConnectorException()
    wrapped.__cause__ = psycopg.OperationalError("server closed the connection unexpectedly")
    assert wait_after(wrapped, 50) == 60
    wrapped.__cause__ = psycopg.errors.UndefinedTable("none")
    assert wait_after(wrapped, 50) is None


def test_a_job_whose_worker_was_told_to_stop_is_never_given_up_for_that() -> None:
    assert [wait_after(asyncio.CancelledError(), attempts) for attempts in (0, MAX_ATTEMPTS, 50)] == [0, 0, 0]


TAKEN = """
    WITH dead AS (
        INSERT INTO jobs.procrastinate_workers (last_heartbeat) VALUES (now() - interval '31 seconds') RETURNING id
    ), alive AS (INSERT INTO jobs.procrastinate_workers (last_heartbeat) VALUES (now()) RETURNING id)
    UPDATE jobs.procrastinate_jobs SET status = 'doing', worker_id = CASE (args->>'project_id')::int
        WHEN 1 THEN (SELECT id FROM dead) ELSE (SELECT id FROM alive) END
"""


@pytest.mark.committed
async def test_jobs_of_a_worker_that_was_killed_go_back_to_the_queue(committed: str) -> None:
    async with database.transaction() as session:
        for project in (1, 2):
            await enqueue(session, QueueRanLow(project_id=project))
        await session.execute(text(TAKEN))
    async with empty_queue().open_async() as queue:
        sweeping = asyncio.create_task(give_back_for_ever(queue))
        states = await until_one_waits()
        sweeping.cancel()
    assert states == {1: "todo", 2: "doing"}


async def left_behind(*keys: str | None) -> None:
    """Jobs of a dead worker, one a key."""
    async with database.transaction() as session:
        for key in keys:
            await enqueue(session, QueueRanLow(project_id=1), once=key)
        await session.execute(text(TAKEN))


async def states_of_jobs() -> list[tuple[str | None, str]]:
    query = "SELECT queueing_lock, status FROM jobs.procrastinate_jobs ORDER BY queueing_lock NULLS LAST, id"
    async with database.transaction() as session:
        return [(key, status) for key, status in await session.execute(text(query))]


@pytest.mark.committed
async def test_a_job_that_another_waits_to_do_is_finished_and_keeps_no_other_from_going_back(committed: str) -> None:
    await left_behind("a", "b", None)
    async with database.transaction() as session:
        assert await enqueue(session, QueueRanLow(project_id=1), once="a")
    async with empty_queue().open_async() as queue:
        await give_back_stalled(queue)
    assert await states_of_jobs() == [("a", "todo"), ("b", "todo"), (None, "todo")]


@pytest.mark.committed
async def test_a_job_that_fails_while_another_waits_to_do_the_same_is_not_left_as_being_done(
    committed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that lives is given nothing back; left so, the job would hold up all others of its lock."""

    async def fails(job: QueueRanLow, context: Context) -> None:
        async with database.transaction() as session:
            await enqueue(session, job, once="a")
        raise OSError("once")

    load_handlers()
    monkeypatch.setitem(HANDLERS, QueueRanLow, fails)
    async with database.transaction() as session:
        await enqueue(session, QueueRanLow(project_id=1), once="a")
    async with build_queue().open_async() as queue:
        running = asyncio.create_task(
            queue.run_worker_async(queues=[QueueRanLow.queue], wait=True, install_signal_handlers=False)
        )
        for _ in range(100):
            await asyncio.sleep(0.05)
            if await states_of_jobs() == [("a", "todo")]:
                break
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert [key for key, _status in await states_of_jobs()] == ["a"]


@pytest.mark.committed
async def test_giving_back_outlives_its_own_failures(committed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    await left_behind("a")
    rounds = []

    async def fails_once(queue: procrastinate.App) -> None:
        rounds.append(queue)
        if len(rounds) == 1:
            raise OSError("away")
        await give_back_stalled(queue)

    monkeypatch.setattr(running, "give_back_stalled", fails_once)
    monkeypatch.setattr(running, "ROUND", 0.01)
    async with empty_queue().open_async() as queue:
        sweeping = asyncio.create_task(give_back_for_ever(queue))
        while await states_of_jobs() != [("a", "todo")]:
            assert not sweeping.done()
            await asyncio.sleep(0.05)
        sweeping.cancel()


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
