"""Tasks as a list shows them: what is asked, how far they are, and what people said in few words."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.annotations.kinds import in_words
from app.annotations.tables import Annotation, AnnotationState
from app.projects.care import Category, categories_of, members_of
from app.projects.tables import Batch
from app.prompts.tables import Prompt
from app.quality.tables import Adjudication, ArguedAnswer
from app.tasks.queries import protocol_body
from app.tasks.tables import Report, Slot, SlotState, Task, TaskCompletion


@dataclass(frozen=True)
class Row:
    """said: what people said in words, with the letters of the task's own order, and how many. care: what hides it."""

    task: Task
    rendered: list[str]
    care: list[Category]
    done: int
    wanted: int
    said: list[tuple[str, int]]
    is_argued: bool
    is_settled: bool
    is_reported: bool


async def rows_of(session: AsyncSession, ids: Sequence[int], care: Iterable[dict[str, Any]]) -> list[Row]:
    """In the order of the ids (inside ids). care: the project's categories as stored."""
    if not ids:
        return []
    done = select(func.count()).where(Slot.task_id == Task.id, Slot.state == SlotState.done).scalar_subquery()
    asked = select(
        Task,
        Prompt.rendered,
        Prompt.care,
        done,
        select(ArguedAnswer.task_id).where(ArguedAnswer.task_id == Task.id).exists(),
        select(Adjudication.task_id).where(Adjudication.task_id == Task.id).exists(),
        select(Report.id).where(Report.task_id == Task.id, Report.closed_at.is_(None)).exists(),
    ).join(Prompt, Prompt.id == Task.prompt_id)
    said = await _said(session, ids)
    categories = categories_of(care)
    found = {
        task.id: Row(task, html, members_of(mask, categories), given, task.k, said.get(task.id, []), *marks)
        for task, html, mask, given, *marks in await session.execute(asked.where(Task.id.in_(ids)))
    }
    return [found[one] for one in ids if one in found]


async def _said(session: AsyncSession, ids: Sequence[int]) -> dict[int, list[tuple[str, int]]]:
    """Of each task what was said most often first; answers that count."""
    shown = select(func.count()).where(TaskCompletion.task_id == Annotation.task_id).scalar_subquery()
    asked = select(Annotation.task_id, Annotation.body, Annotation.protocol_id, shown)
    counts = (AnnotationState.live, AnnotationState.surplus)
    rows = await session.execute(asked.where(Annotation.task_id.in_(ids), Annotation.state.in_(counts)))
    words: dict[int, Counter[str]] = {}
    for task_id, body, protocol_id, completions in rows.all():
        protocol = await protocol_body(session, protocol_id)
        words.setdefault(task_id, Counter())[in_words(body, range(completions), protocol)] += 1
    return {task_id: counted.most_common() for task_id, counted in words.items()}


@dataclass(frozen=True)
class Made:
    """Where a task came from. first: outside id of the task that it was made from, of a twin that is mixed in."""

    batch: str
    prompt: UUID
    recipe: dict[str, Any]
    first: UUID | None


async def made_by(session: AsyncSession, task: Task) -> Made:
    asked = select(Batch.name, Prompt.public_id).select_from(Task)
    asked = asked.join(Batch, Batch.id == Task.batch_id).join(Prompt, Prompt.id == Task.prompt_id)
    batch, prompt = (await session.execute(asked.where(Task.id == task.id))).one()
    first = select(Task.public_id).join(ArguedAnswer, ArguedAnswer.twin_of == Task.id)
    twin = await session.scalar(first.where(ArguedAnswer.task_id == task.id))
    return Made(batch, prompt, task.recipe_entry, twin)


async def public_id_of(session: AsyncSession, task_id: int) -> UUID:
    return (await session.scalars(select(Task.public_id).where(Task.id == task_id))).one()
