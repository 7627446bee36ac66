"""Questions about tasks and about what is shown with them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID
from weakref import WeakKeyDictionary

from sqlalchemy import Engine, Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.completions.tables import Completion
from app.errors import NotFound
from app.projects.protocols import ProtocolBody, protocol_of
from app.projects.tables import Batch, Guidelines, Protocol
from app.prompts.tables import Prompt
from app.tasks.tables import Purpose, Slot, SlotState, Task, TaskCompletion, TaskState

# Rows of these two never change, so each web process reads one once. The bound keeps a long life small.
MOST_KEPT = 500
_kept: WeakKeyDictionary[Engine, dict[tuple[type, int], Any]] = WeakKeyDictionary()


async def protocol_body(session: AsyncSession, protocol_id: int) -> ProtocolBody:
    """What a protocol (inside id) asks."""
    kept, key = _kept_of(session), (Protocol, protocol_id)
    if key not in kept:
        body = (await session.scalars(select(Protocol.body).where(Protocol.id == protocol_id))).one()
        kept[key] = protocol_of(body)
    return cast(ProtocolBody, kept[key])


async def guidelines_html(session: AsyncSession, guidelines_id: int) -> tuple[int, str]:
    """Version and rendered text of guidelines (inside id)."""
    kept, key = _kept_of(session), (Guidelines, guidelines_id)
    if key not in kept:
        asked = select(Guidelines.version, Guidelines.html).where(Guidelines.id == guidelines_id)
        kept[key] = tuple((await session.execute(asked)).one())
    return cast(tuple[int, str], kept[key])


def _kept_of(session: AsyncSession) -> dict[tuple[type, int], Any]:
    """What this process has read from the session's database; the oldest is dropped when it is full."""
    kept = _kept.setdefault(session.get_bind().engine, {})
    if len(kept) >= MOST_KEPT:
        kept.pop(next(iter(kept)))
    return kept


@dataclass(frozen=True)
class ShownTask:
    """A task as its page shows it. ids, htmls: of its completions, in its own order."""

    task: Task
    tags: list[str]
    turns: list[tuple[str, str]]
    ids: list[int]
    htmls: list[str]


async def shown_task(session: AsyncSession, project_id: int, public_id: UUID) -> ShownTask:
    """:raises NotFound: no such task in this project."""
    asked = select(Task, Prompt).join(Prompt, Prompt.id == Task.prompt_id)
    asked = asked.where(Task.project_id == project_id, Task.public_id == public_id)
    row = (await session.execute(asked)).one_or_none()
    if row is None:
        raise NotFound
    task, prompt = row
    shown = select(Completion.id, Completion.html).join(TaskCompletion, TaskCompletion.completion_id == Completion.id)
    rows = (await session.execute(shown.where(TaskCompletion.task_id == task.id).order_by(TaskCompletion.number))).all()
    turns = [(one["role"], html) for one, html in zip(prompt.messages, prompt.rendered, strict=True)]
    return ShownTask(task, prompt.tags, turns, [one.id for one in rows], [one.html for one in rows])


async def completions_of(session: AsyncSession, task_id: int) -> Sequence[int]:
    """Inside ids of a task's completions, in the task's own order."""
    asked = select(TaskCompletion.completion_id).where(TaskCompletion.task_id == task_id)
    return (await session.scalars(asked.order_by(TaskCompletion.number))).all()


async def texts_of(session: AsyncSession, completions: Sequence[int]) -> list[str]:
    """The texts of completions (inside ids) as they were written, in the order given."""
    asked = select(Completion.id, Completion.parts).where(Completion.id.in_(completions))
    parts = {row.id: row.parts for row in await session.execute(asked)}
    return ["\n\n".join(part["text"] for part in parts[one] if part["type"] == "text") for one in completions]


async def tags_of(session: AsyncSession, task_id: int) -> list[str]:
    """Tags of a task's prompt."""
    asked = select(Prompt.tags).join(Task, Task.prompt_id == Prompt.id).where(Task.id == task_id)
    return (await session.scalars(asked)).one()


async def task_id_of(session: AsyncSession, project_id: int, public_id: UUID) -> int:
    """:raises NotFound: no such task in this project."""
    found = await session.scalar(select(Task.id).where(Task.project_id == project_id, Task.public_id == public_id))
    if found is None:
        raise NotFound
    return found


def counted_tasks(project_id: int, state: TaskState | None, purpose: Purpose | None) -> Select[Any]:
    """Tasks with the outside ids of their batch and prompt, and how many of their slots are done and free."""

    def slots_that_are(wanted: SlotState) -> Any:
        return select(func.count()).where(Slot.task_id == Task.id, Slot.state == wanted).scalar_subquery()

    asked = (
        select(
            Task,
            Batch.public_id,
            Prompt.public_id,
            slots_that_are(SlotState.done),
            slots_that_are(SlotState.free),
        )
        .join(Batch, Batch.id == Task.batch_id)
        .join(Prompt, Prompt.id == Task.prompt_id)
        .where(Task.project_id == project_id)
    )
    if state is not None:
        asked = asked.where(Task.state == state)
    return asked if purpose is None else asked.where(Task.purpose == purpose)
