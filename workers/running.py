"""Runs jobs: takes them from the queue, gives each its handler, retries what may pass, notices what got stuck."""

import asyncio
import importlib
import logging
import pkgutil
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

import procrastinate
from procrastinate import JobContext
from procrastinate.exceptions import ConnectorException, UniqueViolation
from procrastinate.jobs import Job as QueuedJob
from procrastinate.jobs import Status
from procrastinate.manager import JobManager
from procrastinate.retry import BaseRetryStrategy, RetryDecision
from sqlalchemy.engine import make_url

import workers.handlers
from app import database
from app.errors import DomainError
from app.jobs.queue import Job, Queue
from app.settings import get_settings
from workers.handlers.registry import HANDLERS, TICKS, Context, Handler, Tick, is_last

if TYPE_CHECKING:  # tidy and train stay free of torch
    from workers.sampling.engine import Engine

log = logging.getLogger("hone.workers")

ROUND = 10.0  # seconds between two looks for jobs of dead workers


BESIDE = 8  # jobs of a second queue at once
LONGEST_WAIT = 60  # seconds between two tries of a job


class Patiently(BaseRetryStrategy):
    """Again after 1, 2, 4 … seconds; a DomainError is a decision, not a mishap, and is not retried.

    A job that its worker cut off to stop in time waits for the next worker, however often that happens; so does one
    that finds no database, whose last tries a restart of Postgres would otherwise be.
    """

    def __init__(self, *, gives_up: bool) -> None:
        self.gives_up = gives_up

    def get_retry_decision(self, *, exception: BaseException, job: QueuedJob) -> RetryDecision | None:
        if isinstance(exception, asyncio.CancelledError):
            return RetryDecision(retry_in={"seconds": 0})
        if isinstance(exception, DomainError):
            return None
        if self.gives_up and is_last(job.attempts, exception):
            return None
        return RetryDecision(retry_in={"seconds": min(2**job.attempts, LONGEST_WAIT)})


def load_handlers() -> None:
    """Import every file beside the registry, so that its handlers are known."""
    for found in pkgutil.iter_modules(workers.handlers.__path__):
        importlib.import_module(f"workers.handlers.{found.name}")


def connector() -> procrastinate.PsycopgConnector:
    """The queue's own few connections; its tables live in the schema `jobs`."""
    plain = make_url(database.database_url()).set(drivername="postgresql").render_as_string(hide_password=False)
    options = "-c search_path=public,jobs -c timezone=UTC"
    return procrastinate.PsycopgConnector(conninfo=plain, kwargs={"options": options}, min_size=1, max_size=4)


class Keeper(JobManager):
    """The queue's own books. Two jobs may not wait under one key, which stands for the same work: one that is to be
    tried again while another waits so is finished; left as being done for ever it would hold up its lock."""

    async def retry_job(self, job: QueuedJob, *args: Any, **how: Any) -> None:
        try:
            await super().retry_job(job, *args, **how)
        except UniqueViolation:
            log.info("job %s (%s): a newer one waits to do the same", job.id, job.task_name)
            await self.finish_job(job, status=Status.SUCCEEDED, delete_job=True)


def empty_queue() -> procrastinate.App:
    """The queue without a task."""
    queue = procrastinate.App(connector=connector())
    queue.job_manager = Keeper(queue.connector)
    return queue


def build_queue(engine: "Engine | None" = None) -> procrastinate.App:
    """The queue with one task for each payload class."""
    load_handlers()
    queue = empty_queue()
    for payload, handler in HANDLERS.items():
        retry = Patiently(gives_up=payload.is_given_up)
        queue.task(name=payload.__name__, queue=payload.queue, retry=retry, pass_context=True)(
            doing(payload, handler, engine)
        )
    return queue


def doing(payload: type[Job], handler: Handler, engine: "Engine | None") -> Any:
    async def do(job: JobContext, **body: Any) -> None:
        context = Context(get_settings(), engine, attempt=job.job.attempts)
        await handler(payload.model_validate(body), context)

    return do


async def tick_for_ever(tick: Tick, seconds: float) -> None:
    """Housekeeping must outlive its own failures: each is logged, and the next round tries again."""
    while True:
        try:
            await tick(Context(get_settings()))
        except Exception:
            log.exception("housekeeping %s failed", tick.__name__)
        await asyncio.sleep(seconds)


async def give_back_for_ever(queue: procrastinate.App) -> None:
    """Like housekeeping, it must outlive its own failures."""
    while True:
        try:
            await give_back_stalled(queue)
            await queue.job_manager.delete_old_jobs(nb_hours=48, include_failed=False)
        except Exception:
            log.exception("the jobs of dead workers were not looked at")
        await asyncio.sleep(ROUND)


async def give_back_stalled(queue: procrastinate.App) -> None:
    """Give jobs of workers that died back to the queue."""
    await queue.job_manager.prune_stalled_workers(seconds_since_heartbeat=30)
    for job in await queue.job_manager.get_stalled_jobs(seconds_since_heartbeat=30):
        log.warning("job %s (%s) was left behind and is tried again", job.id, job.task_name)
        try:
            await queue.job_manager.retry_job(job)
        except ConnectorException:
            log.exception("job %s (%s) was not given back", job.id, job.task_name)


async def work(
    queue_name: Queue, *, concurrency: int, engine: "Engine | None" = None, also: Queue | None = None
) -> None:
    """Do the jobs of one queue until told to stop. also: another queue whose jobs wait for none of the first."""
    queue = build_queue(engine)
    beside: list[Coroutine[Any, Any, None]] = []
    if also is not None:
        beside = [work_beside(queue, also)]
    if queue_name is Queue.light:
        beside = [tick_for_ever(tick, seconds) for tick, seconds in TICKS.items()] + [give_back_for_ever(queue)]
    async with queue.open_async(), asyncio.TaskGroup() as group:
        running = [group.create_task(one) for one in beside]
        await queue.run_worker_async(
            queues=[queue_name],
            name=f"hone-{queue_name}",
            concurrency=concurrency,
            fetch_job_polling_interval=2.0,
            shutdown_graceful_timeout=8.0,
            delete_jobs="successful",
        )
        for one in running:
            one.cancel()
    await database.dispose()


async def work_beside(queue: procrastinate.App, also: Queue) -> None:
    """The jobs of a second queue, until the worker of the first has ended and cancels this one: signals are its."""
    await queue.run_worker_async(
        queues=[also],
        name=f"hone-{also}",
        concurrency=BESIDE,
        fetch_job_polling_interval=2.0,
        shutdown_graceful_timeout=8.0,
        delete_jobs="successful",
        install_signal_handlers=False,
    )
