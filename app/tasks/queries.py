"""Questions about tasks and about what is shown with them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, cast
from uuid import UUID
from weakref import WeakKeyDictionary

from sqlalchemy import ColumnElement, Engine, Row, Select, func, literal_column, select
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from app.accounts.tables import Membership
from app.checkpoints.tables import Checkpoint
from app.completions.tables import Completion
from app.errors import NotFound
from app.projects.protocols import ProtocolBody, protocol_of
from app.projects.queries import local_day_in_sql
from app.projects.tables import Batch, BatchState, Guidelines, Project, Protocol
from app.prompts.tables import Prompt
from app.tasks.tables import (
    PassedBy,
    Purpose,
    QuotaDay,
    Report,
    Skip,
    Slot,
    SlotState,
    Task,
    TaskCompletion,
    TaskState,
)

# Rows of these two never change, so each web process reads one once. The bound keeps a long life small.
MOST_KEPT = 500
_kept: WeakKeyDictionary[Engine, dict[tuple[Any, ...], Any]] = WeakKeyDictionary()


@dataclass(frozen=True)
class SkippedPrompt:
    """How often a prompt's tasks were passed by, and the last reasons given."""

    prompt: Prompt
    skipped: int
    not_known: int
    reported: int
    reasons: tuple[str, ...]


async def protocol_body(session: AsyncSession, protocol_id: int) -> ProtocolBody:
    """What a protocol (inside id) asks."""
    kept, key = _kept_of(session), (Protocol, protocol_id)
    if key not in kept:
        body = (await session.scalars(select(Protocol.body).where(Protocol.id == protocol_id))).one()
        kept[key] = protocol_of(body)
    return cast(ProtocolBody, kept[key])


@dataclass(frozen=True, slots=True)
class Narrowed:
    """A protocol as it asks about prompts with certain tags. drawn: what pages keep of it, as long as it is kept."""

    protocol: ProtocolBody
    drawn: dict[Any, Any] = field(default_factory=dict)


async def protocol_asked(session: AsyncSession, protocol_id: int, tags: Collection[str]) -> Narrowed:
    """What a protocol (inside id) asks about a prompt that carries these tags."""
    whole = await protocol_body(session, protocol_id)
    kept, key = _kept_of(session), (Narrowed, protocol_id, whole.tags_that_tell.intersection(tags))
    if key not in kept:
        kept[key] = Narrowed(whole.of_prompt(tags))
    return cast(Narrowed, kept[key])


async def guidelines_html(session: AsyncSession, guidelines_id: int) -> tuple[int, str]:
    """Version and rendered text of guidelines (inside id)."""
    kept, key = _kept_of(session), (Guidelines, guidelines_id)
    if key not in kept:
        asked = select(Guidelines.version, Guidelines.html).where(Guidelines.id == guidelines_id)
        kept[key] = tuple((await session.execute(asked)).one())
    return cast(tuple[int, str], kept[key])


def _kept_of(session: AsyncSession) -> dict[tuple[Any, ...], Any]:
    """What this process has read from the session's database; the oldest is dropped when it is full."""
    kept = _kept.setdefault(session.get_bind().engine, {})
    if len(kept) >= MOST_KEPT:
        kept.pop(next(iter(kept)))
    return kept


@dataclass(frozen=True)
class ShownTask:
    """A task as its page shows it. ids, htmls: of its completions, in its own order. care: of its prompt."""

    task: Task
    tags: list[str]
    turns: list[tuple[str, str]]
    ids: list[int]
    htmls: list[str]
    care: int


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
    return ShownTask(task, prompt.tags, turns, [one.id for one in rows], [one.html for one in rows], prompt.care)


async def completions_of(session: AsyncSession, task_id: int) -> Sequence[int]:
    """Inside ids of a task's completions, in the task's own order."""
    asked = select(TaskCompletion.completion_id).where(TaskCompletion.task_id == task_id)
    return (await session.scalars(asked.order_by(TaskCompletion.number))).all()


async def public_ids_of(session: AsyncSession, task_id: int) -> Sequence[UUID]:
    """Outside ids of a task's completions, in the task's own order."""
    asked = select(Completion.public_id).join(TaskCompletion, TaskCompletion.completion_id == Completion.id)
    return (await session.scalars(asked.where(TaskCompletion.task_id == task_id).order_by(TaskCompletion.number))).all()


async def answers_of(session: AsyncSession, task_id: int) -> Sequence[str]:
    """A task's completions as people are shown them, in the task's own order."""
    asked = select(Completion.html).join(TaskCompletion, TaskCompletion.completion_id == Completion.id)
    return (await session.scalars(asked.where(TaskCompletion.task_id == task_id).order_by(TaskCompletion.number))).all()


async def texts_of(session: AsyncSession, completions: Sequence[int]) -> list[str]:
    """The texts of completions (inside ids) as they were written, in the order given."""
    asked = select(Completion.id, Completion.parts).where(Completion.id.in_(completions))
    parts = {row.id: row.parts for row in await session.execute(asked)}
    return ["\n\n".join(part["text"] for part in parts[one] if part["type"] == "text") for one in completions]


async def names_of(session: AsyncSession, completions: Sequence[int]) -> dict[int, tuple[str, ...]]:
    """By completion (inside id): the names that it must not be shown with, of its author and of what its checkpoint is
    called here and where it comes from."""
    asked = select(Completion.id, Completion.author, Checkpoint)
    asked = asked.outerjoin(Checkpoint, Checkpoint.id == Completion.checkpoint_id)
    rows = await session.execute(asked.where(Completion.id.in_(completions)))
    return {
        one: (*([author] if author else ()), *(checkpoint.names if checkpoint else ()))
        for one, author, checkpoint in rows
    }


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


async def shown_today(session: AsyncSession, project_id: int, person_id: int) -> Sequence[int]:
    """Sensitive tasks that a person was shown today, by category in the order of the bits; empty: none."""
    day = select(QuotaDay.care).join(Project, Project.id == QuotaDay.project_id)
    today = QuotaDay.day == local_day_in_sql(cast(ColumnElement[str], Project.zone))
    found = await session.scalar(day.where(Project.id == project_id, QuotaDay.annotator_id == person_id, today))
    return found or []


def reports(project_id: int, *, is_open: bool) -> Select[Report, UUID, Prompt, str, str]:
    """Reports with their task's prompt and who made and closed them, by pseudonym."""
    reporter, closer = aliased(Membership), aliased(Membership)
    here = Report.project_id == project_id
    return (
        select(
            Report,
            Task.public_id.label("task"),
            Prompt,
            reporter.pseudonym.label("reporter"),
            closer.pseudonym.label("closer"),
        )
        .join(Task, Task.id == Report.task_id)
        .join(Prompt, Prompt.id == Task.prompt_id)
        .outerjoin(reporter, (reporter.user_id == Report.annotator_id) & (reporter.project_id == project_id))
        .outerjoin(closer, (closer.user_id == Report.closed_by_id) & (closer.project_id == project_id))
        .where(here, Report.closed_at.is_(None) if is_open else Report.closed_at.is_not(None))
    )


async def report_of(session: AsyncSession, project_id: int, public_id: UUID) -> Row[Any]:
    """A row of `reports`, whether open or closed.

    :raises NotFound: no such report here.
    """
    for is_open in (True, False):
        asked = reports(project_id, is_open=is_open).where(Report.public_id == public_id)
        found = (await session.execute(asked)).one_or_none()
        if found is not None:
            return cast(Row[Any], found)
    raise NotFound


async def open_reports(session: AsyncSession, project_id: int) -> int:
    waits = (Report.project_id == project_id, Report.closed_at.is_(None))
    return (await session.scalar(select(func.count()).select_from(Report).where(*waits))) or 0


COUNTED = (PassedBy.skipped, PassedBy.not_known, PassedBy.reported)


async def skips_by_prompt(session: AsyncSession, project_id: int, most: int = 10) -> list[SkippedPrompt]:
    """The prompts that people passed by most often, by how; what was returned without a reason is not counted."""
    reasons = func.array_agg(aggregate_order_by(Skip.reason, Skip.at.desc())).filter(func.length(Skip.reason) > 0)
    asked = (
        select(
            Task.prompt_id,
            *(func.count().filter(Skip.kind == kind).label(kind.value) for kind in COUNTED),
            reasons.label("reasons"),
        )
        .join(Task, Task.id == Skip.task_id)
        .where(Skip.project_id == project_id, Skip.kind.in_(COUNTED))
        .group_by(Task.prompt_id)
        .order_by(func.count().desc(), Task.prompt_id)
        .limit(most)
    )
    rows: Sequence[Any] = (await session.execute(asked)).all()
    found = await session.scalars(select(Prompt).where(Prompt.id.in_([row.prompt_id for row in rows])))
    prompts = {prompt.id: prompt for prompt in found}
    return [
        SkippedPrompt(prompts[row.prompt_id], row.skipped, row.not_known, row.reported, tuple((row.reasons or ())[:3]))
        for row in rows
    ]


async def held_by(session: AsyncSession, project_id: int, person_id: int) -> list[tuple[UUID, UUID]]:
    """(outside id of the task, key of its showing) of what somebody has in hand; at most one."""
    asked = select(Task.public_id, Slot.shown_key).join(Slot, Slot.task_id == Task.id)
    mine = (Slot.project_id == project_id) & (Slot.annotator_id == person_id) & (Slot.state == SlotState.leased)
    return [(task, key) for task, key in await session.execute(asked.where(mine)) if key is not None]


async def limited_projects(session: AsyncSession) -> Sequence[int]:
    """Inside ids of projects whose slots are released by limits, or were, and some are left."""
    planned = select(Slot.id).where(Slot.project_id == Project.id, Slot.state == literal_column("-1")).exists()
    return (await session.scalars(select(Project.id).where(Project.is_limited | planned).order_by(Project.id))).all()


async def calibrated_batches(session: AsyncSession) -> Sequence[int]:
    """Inside ids of rounds that ask and have tasks for everybody."""
    asks = Batch.state.in_([state for state in BatchState if state.asks])
    return (await session.scalars(select(Batch.id).where(asks, Batch.calibration > 0).order_by(Batch.id))).all()
