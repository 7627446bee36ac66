"""Counts large projects again, each in turn; small ones are counted when somebody looks."""

import logging
from time import monotonic

from app.oversight.counting import NAME, SCHEMA, count_now, is_small, newest_event
from app.quality.actions import keep_figures
from app.quality.gathering import projects_to_measure
from workers.handlers.registry import Context, every

log = logging.getLogger("hone.workers")


@every(30)
async def count_again(context: Context) -> None:
    """Projects in which something has happened. One that fails does not hold up the others."""
    async with context.session() as session:
        waiting = await projects_to_measure(session, NAME, SCHEMA)
    for project_id in waiting:
        try:
            await count_large(project_id, context)
        except Exception:
            log.exception("project %s could not be counted", project_id)


async def count_large(project_id: int, context: Context) -> None:
    begun = monotonic()
    async with context.session() as session:
        if await is_small(session, project_id):
            return
        through = await newest_event(session, project_id)
        counts = await count_now(session, project_id)
        await keep_figures(session, project_id, {NAME: counts}, through, monotonic() - begun)
