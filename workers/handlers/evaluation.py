"""Looks after blind comparisons: each in transactions of its own, none of them open while its interval is drawn."""

import asyncio
import logging

from app.evaluation.actions import conclude, count_again, take_stock
from app.evaluation.queries import evaluations_to_count
from app.evaluation.rules import result_of
from app.tasks.jobs import AnswersChanged
from workers.handlers.registry import Context, every, handles

log = logging.getLogger("hone.workers")


@every(2)
async def look_after(context: Context) -> None:
    """One comparison that fails does not hold up the others."""
    async with context.session() as session:
        waiting = await evaluations_to_count(session)
    for evaluation_id in waiting:
        try:
            await count(evaluation_id, context)
        except Exception:
            log.exception("comparison %s could not be counted", evaluation_id)


async def count(evaluation_id: int, context: Context) -> None:
    """Pair, look, draw, keep."""
    async with context.session() as session:
        said = await take_stock(session, evaluation_id)
    if said is not None:
        drawn = await asyncio.to_thread(result_of, said)
        async with context.session() as session:
            await conclude(session, evaluation_id, said, drawn)


@handles(AnswersChanged)
async def answers_changed(job: AnswersChanged, context: Context) -> None:
    async with context.session() as session:
        await count_again(session, job.evaluation_id)
