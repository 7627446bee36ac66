"""Places prompts that people have written among the project's prompts, and changes many answers at once."""

from app.annotations.actions import settle_prompt
from app.annotations.actions.reworking import go_on
from app.annotations.jobs import PromptWritten, ReworkAsked
from workers.handlers.registry import Context, handles


@handles(PromptWritten)
async def place_prompt(job: PromptWritten, context: Context) -> None:
    async with context.session() as session:
        await settle_prompt(session, job.annotation_id)


@handles(ReworkAsked)
async def rework(job: ReworkAsked, context: Context) -> None:
    """Some answers a transaction; who runs it again goes on where it was."""
    goes_on = True
    while goes_on:
        async with context.session() as session:
            goes_on = await go_on(session, job.rework_id)
