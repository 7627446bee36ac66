"""Computes figures about quality, each project's in turn, and never while a transaction is open."""

import asyncio
import logging
from time import monotonic
from typing import Any

from app.quality.actions import keep_figures
from app.quality.entering import entrance_projects, judge_newcomers
from app.quality.gathering import Gathered, gather, projects_to_measure
from app.quality.informing import (
    LEARNED_FROM,
    ask_for_scores,
    figures_name,
    known_of,
    order_of,
    rounds_to_arrange,
    waiting_in,
)
from app.quality.mixing import doubt, mix_in, mixing_projects, without_twins
from app.quality.persons import persons_of
from app.quality.ranking import standings_of
from app.quality.reporting import quality_of
from app.tasks.actions import arrange, look_from_the_beginning
from workers.handlers.registry import Context, every

log = logging.getLogger("hone.workers")
AT_ONCE = 500  # tasks


@every(30)
async def measure_again(context: Context) -> None:
    """Projects in which something has happened. One that fails does not hold up the others; two rounds at once keep
    the same figures twice."""
    async with context.session() as session:
        waiting = await projects_to_measure(session)
    for project_id in waiting:
        try:
            await measure(project_id, context)
        except Exception:
            log.exception("the quality of project %s could not be computed", project_id)


@every(30)
async def mix_argued_tasks_in(context: Context) -> None:
    """One transaction for each: two rounds at once make one twin."""
    after, has_failed = 0, True
    while has_failed:  # those that fail keep none behind them waiting
        has_failed = False
        async with context.session() as session:
            tasks = await without_twins(session, after)
        for task_id in tasks:
            try:
                async with context.session() as session:
                    await mix_in(session, task_id)
            except Exception:
                log.exception("task %s could not be mixed in", task_id)
                after, has_failed = tasks[-1], True


@every(3)
async def let_newcomers_in(context: Context) -> None:
    """Each project in a transaction of its own."""
    async with context.session() as session:
        projects = await entrance_projects(session)
    for project_id in projects:
        try:
            async with context.session() as session:
                await judge_newcomers(session, project_id)
        except Exception:
            log.exception("the newcomers of project %s could not be judged", project_id)


@every(300)
async def doubt_argued_tasks(context: Context) -> None:
    async with context.session() as session:
        projects = await mixing_projects(session)
    for project_id in projects:
        try:
            async with context.session() as session:
                await doubt(session, project_id)
        except Exception:
            log.exception("the known answers of project %s could not be looked through", project_id)


@every(30)
async def put_the_most_informative_first(context: Context) -> None:
    """Rounds that are asked in this order, one after the other; one that fails does not hold up the others."""
    async with context.session() as session:
        rounds = await rounds_to_arrange(session)
    for project_id, batch_id in rounds:
        try:
            await put_in_order(project_id, batch_id, context)
        except Exception:
            log.exception("the tasks of round %s could not be put in order", batch_id)


async def put_in_order(project_id: int, batch_id: int, context: Context) -> None:
    """Gather, compute, move a few at a time, so that those who answer wait for few."""
    begun = monotonic()
    async with context.session() as session:
        waiting = await waiting_in(session, batch_id)
        gathered = await gather(session, project_id, LEARNED_FROM)
        written, said = await known_of(session, project_id, waiting)
        await ask_for_scores(session, project_id, batch_id)
    places = await asyncio.to_thread(order_of, waiting, gathered, written, said)
    moved = sorted(places)
    for start in range(0, len(moved), AT_ONCE):
        async with context.session() as session:
            await arrange(session, project_id, {task: places[task] for task in moved[start : start + AT_ONCE]})
    async with context.session() as session:
        await look_from_the_beginning(session, project_id)
        told = {"tasks": len(places), "scored": len(said)}
        kept = {figures_name(batch_id): told}
        await keep_figures(session, project_id, kept, gathered.through, monotonic() - begun)


async def measure(project_id: int, context: Context) -> None:
    """Gather, compute, keep."""
    begun = monotonic()
    async with context.session() as session:
        gathered = await gather(session, project_id)
    bodies = await asyncio.to_thread(bodies_of, gathered)
    async with context.session() as session:
        await keep_figures(session, project_id, bodies, gathered.through, monotonic() - begun)


def bodies_of(gathered: Gathered) -> dict[str, dict[str, Any]]:
    return {
        "quality": quality_of(gathered),
        "standings": standings_of(gathered),
        "people": persons_of(gathered),
    }
