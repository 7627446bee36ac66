"""Peers look at written prompts before they are used: one lets a prompt through, or returns it with a remark."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.annotations.actions.returning import return_answer
from app.annotations.queries import count_to_check, prompts_to_check
from app.annotations.tables import Annotation
from app.errors import NotFound
from app.projects.actions import locked
from app.prompts.actions import PromptIsChecked, let_through
from app.prompts.queries import prompt_of
from app.prompts.tables import Prompt


@dataclass(frozen=True)
class ToCheck:
    """A written prompt, the answer that it came from, and how many further ones wait for this person."""

    prompt: Prompt
    annotation: Annotation
    further: int


async def next_to_check(
    session: AsyncSession, project_id: int, person_id: int, after: UUID | None = None
) -> ToCheck | None:
    """The oldest prompt that waits for somebody else than its author; after: the next one behind this, or the first
    again. One that was returned waits for its author first."""
    count = await count_to_check(session, project_id, person_id)
    if not count:
        return None
    waiting = prompts_to_check(project_id, person_id)
    behind = select(Prompt.id).where(Prompt.project_id == project_id, Prompt.public_id == after).scalar_subquery()
    found = (await session.execute(waiting.where(Prompt.id > behind).limit(1))).one_or_none() if after else None
    prompt, annotation = found or (await session.execute(waiting.limit(1))).one()
    return ToCheck(prompt, annotation, count - 1)


async def accept_prompt(session: AsyncSession, project_id: int, prompt: UUID, person_id: int) -> None:
    """:raises NotFound: no such prompt of somebody else. :raises PromptIsChecked: it waits for nobody."""
    await locked(session, project_id)
    await let_through(session, await _of_others(session, project_id, prompt, person_id), person_id)


async def return_prompt(session: AsyncSession, project_id: int, prompt: UUID, person_id: int, text: str) -> None:
    """Its author finds it in their inbox with the remark; what they make of it waits for a check again.

    :raises NotFound: no such prompt of somebody else. :raises PromptIsChecked: it waits for nobody.
    """
    await locked(session, project_id)
    found = await _of_others(session, project_id, prompt, person_id)
    if not found.awaits_check:
        raise PromptIsChecked
    assert found.external_id is not None, "what awaits a check was written here"
    annotation = UUID(found.external_id.split(":")[1])
    await return_answer(session, project_id, annotation, reviewer_id=person_id, text=text)


async def _of_others(session: AsyncSession, project_id: int, public_id: UUID, person_id: int) -> Prompt:
    prompt = await prompt_of(session, project_id, public_id)
    if prompt.author_id in (None, person_id):
        raise NotFound
    await session.refresh(prompt)
    return prompt
