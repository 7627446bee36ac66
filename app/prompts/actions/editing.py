"""What may change about a prompt: its tags, and whether it is in use."""

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app import events
from app.errors import Conflict
from app.jobs.queue import enqueue
from app.projects.tables import Project
from app.prompts.jobs import PromptsArrived
from app.prompts.tables import Prompt, Use
from app.translation import _


class CardStays(Conflict):
    code = "card-stays"
    sentence = _("This is a card that prompts are written from. Change the project's questions to draw others.")


async def retire_prompt(session: AsyncSession, prompt: Prompt, actor_id: int | None, *, retired: bool) -> None:
    """Take a prompt out of use, or back into it. Its completions and answers stay.

    :raises CardStays: it is a card; which cards are drawn, the protocol says.
    """
    if prompt.is_card:
        raise CardStays
    was_waiting = prompt.awaits_check
    if (prompt.retired_at is not None) == retired:
        prompt.is_replaced = prompt.awaits_check = False  # whoever asks for it now means it
        return
    prompt.retired_at, prompt.is_replaced, prompt.awaits_check = func.now() if retired else None, False, False
    await session.flush()
    kind = "prompt.retired" if retired else "prompt.restored"
    await events.record(session, kind, actor_id=actor_id, project_id=prompt.project_id, subject=prompt.public_id)
    if was_waiting and prompt.use is Use.label:  # nobody has heard of it yet
        await enqueue(session, PromptsArrived(project_id=prompt.project_id))


async def tag_prompt(session: AsyncSession, prompt: Prompt, tags: list[str], actor_id: int | None) -> None:
    """Give a prompt exactly these tags."""
    if prompt.tags == tags:
        return
    prompt.tags = tags
    await session.flush()
    await events.record(
        session, "prompt.tagged", actor_id=actor_id, project_id=prompt.project_id, subject=prompt.public_id, tags=tags
    )


async def note_care_sets(session: AsyncSession, project_id: int) -> None:
    """Remember which sets of categories the project's prompts carry. The caller holds the project."""
    carried = select(Prompt.care).where(Prompt.project_id == project_id, Prompt.care != 0).distinct()
    sets = sorted(await session.scalars(carried))
    await session.execute(update(Project).where(Project.id == project_id).values(care_sets=sets))
