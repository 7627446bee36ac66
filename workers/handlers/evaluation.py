"""Looks after blind comparisons."""

from app.evaluation.actions import look_after_evaluations
from workers.handlers.registry import Context, every


@every(2)
async def look_after(context: Context) -> None:
    async with context.session() as session:
        await look_after_evaluations(session)
