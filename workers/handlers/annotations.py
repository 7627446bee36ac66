"""Places prompts that people have written among the project's prompts."""

from app.annotations.actions import settle_prompt
from app.annotations.jobs import PromptWritten
from workers.handlers.registry import Context, handles


@handles(PromptWritten)
async def place_prompt(job: PromptWritten, context: Context) -> None:
    async with context.session() as session:
        await settle_prompt(session, job.annotation_id)
