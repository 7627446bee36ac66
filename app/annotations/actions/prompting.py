"""Prompts that people write become prompts of the project.

An answer is kept at once; a worker places its prompt a moment later, because placing waits for imports of the project
(two prompts that are near to each other must find the same root), and an answer waits for nobody.
"""

from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.annotations.jobs import PromptWritten
from app.annotations.kinds import prompt_in
from app.annotations.tables import Annotation, AnnotationState
from app.errors import Conflict
from app.jobs.queue import enqueue
from app.projects.actions import locked
from app.prompts.actions import keep_written, retire_prompt
from app.prompts.queries import card_of, same_prompts, written_under
from app.prompts.rules import content_hash, of_user
from app.tasks.actions.ending import pass_by
from app.tasks.queries import protocol_body
from app.tasks.tables import Task
from app.translation import _

STANDS = (AnnotationState.live, AnnotationState.surplus)


class PromptIsHere(Conflict):
    code = "prompt-is-here"
    sentence = _("This project has this very prompt already. Change yours, and send it again.")


def place_of(annotation: object) -> str:
    """What the ids of an answer's prompts begin with."""
    return f"written:{annotation}:"


async def refuse_known_prompt(
    session: AsyncSession, project_id: int, body: dict[str, Any], annotation: object = None
) -> None:
    """annotation: the answer that is being changed, whose own prompt may stay.

    :raises PromptIsHere: the body's prompt is here already, word for word.
    """
    text = prompt_in(body)
    if text is None:
        return
    here = await same_prompts(session, project_id, (), [content_hash(of_user(text))])
    mine = place_of(annotation)
    if any(not one.is_replaced and not (one.external_id or "").startswith(mine) for one in here):
        raise PromptIsHere


async def tell_of_prompt(session: AsyncSession, body: dict[str, Any], annotation_id: int) -> None:
    if prompt_in(body) is not None:
        await enqueue(session, PromptWritten(annotation_id=annotation_id))


async def settle_prompt(session: AsyncSession, annotation_id: int) -> None:
    """Make the project's prompts say what the answer says now: its text stands, what it said before is retired. Safe
    to run twice. A text that somebody else brought in meanwhile, or that stands on two sides of the split, stays out.
    A prompt that was retired here comes back when its words do, whoever says them; what others retired stays so.

    The project's lock comes before the answer is read, so that of two edits the later one is settled last.
    """
    project_id = await session.scalar(select(Annotation.project_id).where(Annotation.id == annotation_id))
    assert project_id is not None, "answers are never deleted"
    await locked(session, project_id)
    found = await session.get_one(Annotation, annotation_id, populate_existing=True)
    text = prompt_in(found.body) if found.state in STANDS else None
    messages = None if text is None else of_user(text)
    is_here = False
    for prompt in await written_under(session, found.project_id, place_of(found.public_id)):
        is_it = prompt.messages == messages
        is_here = is_here or (is_it and not prompt.is_replaced)
        if not is_it and (prompt.retired_at is None or prompt.awaits_check):
            await retire_prompt(session, prompt, found.annotator_id, retired=True)
            prompt.is_replaced = found.state is not AnnotationState.set_aside
    if text is None or is_here:
        return
    card = await card_of(session, (await session.get_one(Task, found.task_id)).prompt_id)
    protocol = await protocol_body(session, found.protocol_id)
    kept = await keep_written(
        session,
        found.project_id,
        text,
        author_id=found.annotator_id,
        external_id=f"{place_of(found.public_id)}{found.version}",
        metadata={"card": card} if card else {},
        awaits_check=protocol.checks_prompts,
    )
    if kept is not None:  # one that came back may be asked about already
        for task_id in await session.scalars(select(Task.id).where(Task.prompt_id == kept.id)):
            await pass_by(session, task_id, found.annotator_id, "own prompt")
