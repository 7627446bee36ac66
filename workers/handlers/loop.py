"""Keeps schedules: one look a minute, and the next step whenever a step has ended."""

from app.datasets.jobs import FreezingEnded
from app.loop.actions import after_freeze, after_run, tick
from app.training.jobs import RunEnded
from workers.handlers.registry import Context, every, handles


@every(60)
async def look_at_schedules(context: Context) -> None:
    async with context.session() as session:
        await tick(session)


@handles(FreezingEnded)
async def dataset_frozen(job: FreezingEnded, context: Context) -> None:
    async with context.session() as session:
        await after_freeze(session, job.dataset_id)


@handles(RunEnded)
async def run_ended(job: RunEnded, context: Context) -> None:
    async with context.session() as session:
        await after_run(session, job.run_id)
