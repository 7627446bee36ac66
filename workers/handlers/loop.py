"""Keeps schedules: one look a minute, and the next step whenever a step has ended."""

import logging
from collections.abc import Awaitable, Callable

from app.datasets.jobs import FreezingEnded
from app.datasets.withdrawing import look_for_withdrawn
from app.errors import is_passing
from app.loop.actions import after_freeze, after_run, fire_if_due, note_trouble
from app.loop.queries import enabled_schedules, ended_datasets_of_fires, ended_runs_of_fires
from app.training.jobs import RunEnded
from app.translation import _
from workers.handlers.registry import Context, every, handles

log = logging.getLogger("hone.loop")


@every(60)
async def look_at_schedules(context: Context) -> None:
    """First the fires whose last step has ended: the job that should have gone on may have been lost, and a fire that
    stays started would keep its schedule from ever firing again. Both steps are safe to repeat. Then what is due."""
    async with context.session() as session:
        datasets, runs = await ended_datasets_of_fires(session), await ended_runs_of_fires(session)
        schedules = await enabled_schedules(session)
    for dataset_id in datasets:
        await alone(context, after_freeze, dataset_id)
    for run_id in runs:
        await alone(context, after_run, run_id)
    for schedule_id in schedules:
        error = await alone(context, fire_if_due, schedule_id)
        if error and not is_passing(error):
            reason = _("It could not begin: {error}.").format(error=f"{type(error).__name__}: {error}")
            await alone(context, note_trouble, schedule_id, reason)


async def alone(context: Context, step: Callable[..., Awaitable[None]], row_id: int, *more: str) -> Exception | None:
    """Take a step in a transaction of its own. What goes wrong is logged, comes back, and keeps nothing else from
    happening: schedules of all projects are looked at in one round."""
    try:
        async with context.session() as session:
            await step(session, row_id, *more)
    except Exception as error:
        log.exception("%s of %s failed", step.__name__, row_id)
        return error
    return None


@handles(FreezingEnded)
async def dataset_frozen(job: FreezingEnded, context: Context) -> None:
    async with context.session() as session:
        await look_for_withdrawn(session, job.dataset_id)
        await after_freeze(session, job.dataset_id)


@handles(RunEnded)
async def run_ended(job: RunEnded, context: Context) -> None:
    async with context.session() as session:
        await after_run(session, job.run_id)
