"""Peers look at written prompts before they are used: one lets a prompt through, or returns it with a remark."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import false, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.access import Access
from app.annotations.actions.returning import return_answer
from app.annotations.kinds import prompt_in
from app.annotations.queries import prompts_to_check
from app.annotations.tables import Annotation
from app.errors import Conflict, NotFound
from app.projects.queries import get_project
from app.projects.tables import ProjectState
from app.prompts.actions import let_through
from app.prompts.rules import of_user
from app.prompts.tables import Prompt
from app.tasks.actions import ConsentNeeded
from app.translation import _


class WorkRests(Conflict):
    code = "work-rests"
    sentence = _("The work here rests. Your annotate page says why.")


class PromptIsChecked(Conflict):
    code = "prompt-is-checked"
    sentence = _("Somebody has dealt with this prompt already, or its author has changed it.")


@dataclass(frozen=True)
class ToCheck:
    """A written prompt, the answer that it came from, and how many further ones wait for this person."""

    prompt: Prompt
    annotation: Annotation
    further: int


async def next_to_check(session: AsyncSession, access: Access, after: UUID | None = None) -> ToCheck | None:
    """The oldest prompt that waits for somebody else than its author; after: the next one behind this, or the first
    again. One that was returned waits for its author first.

    :raises ConsentNeeded: before this person's consent. :raises WorkRests: the project's work rests, or theirs.
    """
    await _admit(session, access)
    project_id = access.of_project()
    behind = select(Prompt.id).where(Prompt.project_id == project_id, Prompt.public_id == after).scalar_subquery()
    is_behind = func.coalesce(Prompt.id > behind, false())
    waiting = prompts_to_check(project_id, access.person.id).add_columns(func.count().over())
    found = (await session.execute(waiting.order_by(None).order_by(is_behind.desc(), Prompt.id).limit(1))).one_or_none()
    return None if found is None else ToCheck(found[0], found[1], found[2] - 1)


async def accept_prompt(session: AsyncSession, access: Access, prompt: UUID) -> None:
    """Take a prompt into use.

    :raises NotFound: no such prompt of somebody else. :raises PromptIsChecked: it waits for nobody, or not for a peer.
    """
    found, _annotation = await _held(session, access, prompt)
    await let_through(session, found, access.person.id)


async def return_prompt(session: AsyncSession, access: Access, prompt: UUID, text: str) -> None:
    """Its author finds it in their inbox with the remark; what they make of it waits for a check again.

    :raises NotFound: no such prompt of somebody else. :raises PromptIsChecked: it waits for nobody, or not for a peer.
    """
    _prompt, annotation = await _held(session, access, prompt)
    await return_answer(session, access.of_project(), annotation.public_id, reviewer_id=access.person.id, text=text)


async def _admit(session: AsyncSession, access: Access) -> None:
    """As a claim does."""
    if access.lacks_consent:
        raise ConsentNeeded(version=access.consent_wanted, project=access.project)
    project = await get_project(session, access.of_project())
    if access.paused or project.state is not ProjectState.open:
        raise WorkRests


async def _held(session: AsyncSession, access: Access, public_id: UUID) -> tuple[Prompt, Annotation]:
    """A prompt that waits for this person, and its answer, which still says it; both locked. An edit that is on its way
    to the prompt is an edit of the answer already."""
    await _admit(session, access)
    project_id, me = access.of_project(), access.person.id
    asked = select(Prompt).where(Prompt.project_id == project_id, Prompt.public_id == public_id)
    locked = asked.with_for_update(key_share=True).execution_options(populate_existing=True)
    prompt = (await session.scalars(locked)).one_or_none()
    if prompt is None or prompt.author_id == me:
        raise NotFound
    waiting = prompts_to_check(project_id, me).where(Prompt.id == prompt.id).with_only_columns(Annotation)
    of_answer = waiting.with_for_update(key_share=True, of=Annotation).execution_options(populate_existing=True)
    annotation = (await session.scalars(of_answer)).one_or_none()
    if annotation is None or of_user(prompt_in(annotation.body) or "") != prompt.messages:
        raise PromptIsChecked
    return prompt, annotation
