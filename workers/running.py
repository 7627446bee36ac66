"""Runs jobs: takes them from the queue, gives each its handler, retries what may pass, notices what got stuck."""

import asyncio
import importlib
import logging
import pkgutil
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

import procrastinate
from procrastinate import JobContext
from procrastinate.jobs import Job as QueuedJob
from procrastinate.retry import BaseRetryStrategy, RetryDecision
from sqlalchemy.engine import make_url

import workers.handlers
from app import database
from app.errors import DomainError
from app.jobs.queue import Job, Queue
from app.settings import get_settings
from workers.handlers.registry import HANDLERS, MAX_ATTEMPTS, TICKS, Context, Handler, Tick

if TYPE_CHECKING:  # tidy and train stay free of torch
    from workers.sampling.engine import Engine

log = logging.getLogger("hone.workers")


class Patiently(BaseRetryStrategy):
    """Again after 1, 2, 4 … seconds; a DomainError is a decision, not a mishap, and is not retried.

    A job that its worker cut off to stop in time waits for the next worker, however often that happens.
    """

    def get_retry_decision(self, *, exception: BaseException, job: QueuedJob) -> RetryDecision | None:
        if isinstance(exception, asyncio.CancelledError):
            return RetryDecision(retry_in={"seconds": 0})
        if isinstance(exception, DomainError) or job.attempts + 1 >= MAX_ATTEMPTS:
            return None
        return RetryDecision(retry_in={"seconds": 2**job.attempts})


def load_handlers() -> None:
    """Import every file beside the registry, so that its handlers are known."""
    for found in pkgutil.iter_modules(workers.handlers.__path__):
        importlib.import_module(f"workers.handlers.{found.name}")


def connector() -> procrastinate.PsycopgConnector:
    """The queue's own few connections; its tables live in the schema `jobs`."""
    plain = make_url(database.database_url()).set(drivername="postgresql").render_as_string(hide_password=False)
    options = "-c search_path=public,jobs -c timezone=UTC"
    return procrastinate.PsycopgConnector(conninfo=plain, kwargs={"options": options}, min_size=1, max_size=4)


def build_queue(engine: "Engine | None" = None) -> procrastinate.App:
    """The queue with one task for each payload class."""
    load_handlers()
    queue = procrastinate.App(connector=connector())
    for payload, handler in HANDLERS.items():
        queue.task(name=payload.__name__, queue=payload.queue, retry=Patiently(), pass_context=True)(
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


async def retry_stalled(queue: procrastinate.App) -> None:
    """Give jobs of workers that died back to the queue."""
    while True:
        await queue.job_manager.prune_stalled_workers(seconds_since_heartbeat=30)
        for job in await queue.job_manager.get_stalled_jobs(seconds_since_heartbeat=30):
            log.warning("job %s (%s) was left behind and is tried again", job.id, job.task_name)
            await queue.job_manager.retry_job(job)
        await queue.job_manager.delete_old_jobs(nb_hours=48, include_failed=False)
        await asyncio.sleep(10)


async def work(queue_name: Queue, *, concurrency: int, engine: "Engine | None" = None) -> None:
    """Do the jobs of one queue until told to stop."""
    queue = build_queue(engine)
    beside: list[Coroutine[Any, Any, None]] = []
    if queue_name is Queue.light:
        beside = [tick_for_ever(tick, seconds) for tick, seconds in TICKS.items()] + [retry_stalled(queue)]
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
