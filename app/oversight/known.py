"""Tasks with a known answer as their page shows them: how often they were answered, and how often as argued."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from app.annotations.kinds import in_words
from app.annotations.tables import Annotation
from app.prompts.tables import Prompt
from app.quality.queries import STANDS, said_first
from app.quality.rules import hits
from app.quality.tables import ArguedAnswer
from app.tasks.queries import protocol_body
from app.tasks.tables import Slot, SlotState, Task, TaskCompletion


@dataclass(frozen=True)
class KnownTask:
    """accepted: in words, with the letters of the task's own order. free: people who may still meet it; None: it is not
    mixed in (yet)."""

    task: UUID
    argued: ArguedAnswer
    rendered: list[str]
    care: int
    accepted: list[str]
    answers: int
    right: int
    free: int | None
    is_doubted: bool


def argued_tasks(project_id: int) -> Select[Any]:
    """(argued answer, outside id of its task, prompt, completions that it shows, its twin or None)."""
    twin = aliased(ArguedAnswer)
    shown = select(func.count()).where(TaskCompletion.task_id == ArguedAnswer.task_id).scalar_subquery()
    return (
        select(ArguedAnswer, Task.public_id, Prompt.rendered, Prompt.care, shown, twin)
        .join(Task, Task.id == ArguedAnswer.task_id)
        .join(Prompt, Prompt.id == Task.prompt_id)
        .outerjoin(twin, twin.twin_of == ArguedAnswer.task_id)
        .where(ArguedAnswer.project_id == project_id, ArguedAnswer.twin_of.is_(None))
    )


async def known_shown(session: AsyncSession, rows: Sequence[Any]) -> list[KnownTask]:
    """Rows of `argued_tasks`; answers are those to the task and to its twin."""
    ids = {key for argued, *_rest, twin in rows for key in (argued.task_id, twin and twin.task_id) if key}
    said = select(Annotation.task_id, said_first()).where(Annotation.task_id.in_(ids), Annotation.state.in_(STANDS))
    bodies: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for task_id, body in await session.execute(said):
        bodies[task_id].append(body)
    waits = select(Slot.task_id, func.count()).where(Slot.task_id.in_(ids), Slot.state == SlotState.free)
    free: dict[int, int] = {row[0]: row[1] for row in await session.execute(waits.group_by(Slot.task_id))}
    shown = []
    for argued, task, rendered, care, completions, twin in rows:
        protocol = await protocol_body(session, argued.protocol_id)
        given = bodies[argued.task_id] + (bodies[twin.task_id] if twin else [])
        shown.append(
            KnownTask(
                task=task,
                argued=argued,
                rendered=rendered,
                care=care,
                accepted=[in_words(body, range(completions), protocol) for body in argued.bodies],
                answers=len(given),
                right=sum(hits(body, argued.bodies) for body in given),
                free=free.get(twin.task_id, 0) if twin else None,
                is_doubted=bool(twin and twin.doubted_at),
            )
        )
    return shown
