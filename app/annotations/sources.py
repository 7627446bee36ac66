"""Texts of a task as they were written, for those whom it was shown to."""

from uuid import UUID

from sqlalchemy import select, union_all
from sqlalchemy.ext.asyncio import AsyncSession

from app.annotations.tables import Annotation
from app.completions.blinding import blinded
from app.errors import NotFound
from app.prompts.rules import text_of
from app.prompts.tables import Prompt
from app.tasks.queries import completions_of, names_of, texts_of
from app.tasks.tables import Slot, Task


async def sources_shown(
    session: AsyncSession, project_id: int, person_id: int, task: UUID
) -> tuple[list[str], list[str]]:
    """The turns of the prompt and the answers of a task that was shown to this person, as they were written but for
    names that answers introduce themselves by; answers in the order of the screen.

    :raises NotFound: there is no such task, or it was never shown to this person.
    """
    here = select(Task.id, Prompt.messages).join(Prompt, Prompt.id == Task.prompt_id)
    found = (await session.execute(here.where(Task.project_id == project_id, Task.public_id == task))).one_or_none()
    if found is None:
        raise NotFound
    shown = [
        select(of.sides).where(of.task_id == found.id, of.annotator_id == person_id, of.sides.is_not(None))
        for of in (Slot, Annotation)
    ]
    sides = await session.scalar(union_all(*shown).limit(1))
    if sides is None:
        raise NotFound
    ids = await completions_of(session, found.id)
    names = await names_of(session, ids)
    written = zip(ids, await texts_of(session, ids), strict=True)
    texts = [blinded(text, names[one]) for one, text in written]
    return [text_of(message["parts"]) for message in found.messages], [texts[number] for number in sides]
