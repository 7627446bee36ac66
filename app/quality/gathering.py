"""The answers that figures about quality rest on, a piece at a time and with nothing else read along."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, bindparam, cast, false, func, select, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, aggregate_order_by
from sqlalchemy.ext.asyncio import AsyncSession

from app.annotations.tables import Annotation, AnnotationState
from app.events import Event
from app.projects.tables import Guidelines, Project, Protocol
from app.prompts.tables import Prompt
from app.quality.queries import edited_from
from app.quality.reading import preferred_of_two
from app.quality.tables import ArguedAnswer, Figures, Use
from app.tasks.tables import Purpose, Slot, Task, TaskCompletion

MOST = 200_000  # the newest answers, so that memory and time have a bound
PIECE = 5_000
REST = 20  # times as long as the last round took nothing is computed anew, and a minute at least
MARKS = r"^\s{0,3}(#{1,6}\s|[-*+]\s|\d+[.)]\s)|\*\*|```"  # headings, list entries, bold, fences
OURS = (Purpose.collect, Purpose.calibration)

WRITTEN = text("""
    SELECT c.id, c.checkpoint_id, length(whole) AS length, regexp_count(whole, :marks, 1, 'n') AS marks
    FROM completions c
    CROSS JOIN LATERAL (
        SELECT coalesce(string_agg(part->>'text', E'\n'), '') AS whole FROM jsonb_array_elements(c.parts) part
    ) t
    WHERE c.project_id = :project AND c.id = ANY(:ids)
""").bindparams(
    bindparam("ids", type_=ARRAY(BigInteger)), bindparam("marks", MARKS), bindparam("project", type_=BigInteger)
)


@dataclass(frozen=True, slots=True)
class Fact:
    """One live answer. number: of its slot. completions: inside ids, in the task's own order. version: of the protocol.
    guidelines: version that it was given under. batch: the task's round, by inside id. edited_from: the body that was
    handed in, None where `body` is that still.

    seconds: that the person was at it, None where nobody measured. shown: None of what a file or a program brought.
    """

    id: int
    task: int
    person: int
    body: dict[str, Any]
    sides: list[int]
    protocol: int
    version: int
    tags: list[str]
    fast: bool
    seconds: float | None
    purpose: Purpose
    chance: float | None
    first_k: int | None
    number: int
    completions: list[int]
    shown: datetime | None
    came: datetime
    batch: int = 0
    guidelines: int | None = None
    edited_from: dict[str, Any] | None = None

    @property
    def counts(self) -> bool:
        """Whether it belongs to the randomly drawn slice: its task was drawn with a known probability, and its answer
        was wanted before anybody had said anything. What a file brought was drawn by nobody knows whom."""
        is_first = self.first_k is None or self.number < self.first_k
        return self.chance is not None and is_first and self.version >= 0

    @property
    def points(self) -> float | None:
        """Of the first of two answers: 1 preferred, ½ a tie or both bad, 0; None where that is not said, or more are
        shown."""
        return preferred_of_two(self.body) if len(self.completions) == 2 else None

    @property
    def weight(self) -> float:
        """The inverse of the probability that its task was drawn with."""
        return 1 / self.chance if self.chance else 1.0


@dataclass(frozen=True, slots=True)
class Written:
    """length: in characters. marks: of Markdown."""

    checkpoint: int | None
    length: int
    marks: int


@dataclass(frozen=True, slots=True)
class Argued:
    """What is accepted as the answer to a task, and since when: an answer that came before may be what was argued."""

    bodies: list[dict[str, Any]]
    since: datetime
    use: Use


@dataclass(frozen=True)
class Gathered:
    """facts: the oldest first. argued: by task, without what is doubted. zone: of the project's days. is_cut: there
    are more than MOST. through: the newest event of the project before."""

    facts: list[Fact]
    written: dict[int, Written]
    protocols: dict[int, dict[str, Any]]
    argued: dict[int, Argued]
    zone: str
    is_cut: bool
    through: int


async def projects_to_measure(
    session: AsyncSession, name: str = "quality", schema: dict[str, Any] | None = None
) -> Sequence[int]:
    """Those in which something has happened since they were measured, and which have rested long enough. name: of the
    figures; those about quality need answers, others something that waits for one. schema: those that are kept in
    another are of an earlier version, and are computed anew at once."""
    newest = select(func.max(Event.id)).where(Event.project_id == Project.id).scalar_subquery()
    answered = select(Annotation.id).where(Annotation.project_id == Project.id).exists()
    waits = select(Slot.id).where(Slot.project_id == Project.id).exists()
    is_there = answered if name == "quality" else answered | waits
    rested = Figures.at + func.make_interval(0, 0, 0, 0, 0, 0, func.greatest(60, REST * Figures.seconds)) < func.now()
    is_old = false() if schema is None else Figures.body["schema"] != cast(schema, JSONB)
    asked = (
        select(Project.id)
        .outerjoin(Figures, (Figures.project_id == Project.id) & (Figures.name == name))
        .where(is_there, Figures.at.is_(None) | is_old | ((newest > Figures.through) & rested))
    )
    return (await session.scalars(asked.order_by(Project.id))).all()


async def gather(session: AsyncSession, project_id: int, most: int = MOST) -> Gathered:
    """By the newest answers, of every purpose."""
    through = await session.scalar(select(func.max(Event.id)).where(Event.project_id == project_id))
    facts: list[Fact] = []
    before: int | None = None
    while len(facts) < most:
        piece = await _piece(session, project_id, before, min(PIECE, most - len(facts)))
        if not piece:
            break
        facts += piece
        before = piece[-1].id
    is_cut = len(facts) >= most and bool(await _piece(session, project_id, before, 1))
    wanted = sorted({one for fact in facts for one in fact.completions})
    protocols = await session.execute(select(Protocol.id, Protocol.body).where(Protocol.project_id == project_id))
    bodies = {row.id: row.body for row in protocols}
    written, argued = await written_of(session, project_id, wanted), await _argued(session, project_id)
    zone = (await session.scalars(select(Project.zone).where(Project.id == project_id))).one()
    return Gathered(facts[::-1], written, bodies, argued, zone, is_cut, through or 0)


async def _argued(session: AsyncSession, project_id: int) -> dict[int, Argued]:
    asked = select(ArguedAnswer.task_id, ArguedAnswer.bodies, ArguedAnswer.at, ArguedAnswer.use)
    asked = asked.where(ArguedAnswer.project_id == project_id, ArguedAnswer.doubted_at.is_(None))
    return {row.task_id: Argued(row.bodies, row.at, row.use) for row in await session.execute(asked)}


async def _piece(session: AsyncSession, project_id: int, before: int | None, most: int) -> list[Fact]:
    """Newest first, below an inside id."""
    shown = (
        select(func.array_agg(aggregate_order_by(TaskCompletion.completion_id, TaskCompletion.number)))
        .where(TaskCompletion.task_id == Annotation.task_id)
        .scalar_subquery()
    )
    asked = (
        select(
            Annotation.id,
            Annotation.task_id,
            Annotation.annotator_id,
            Annotation.body,
            Annotation.sides,
            Annotation.protocol_id,
            Protocol.version,
            func.coalesce(Annotation.tags, Prompt.tags),
            Annotation.fast,
            Annotation.active_seconds,
            Task.purpose,
            Task.chance,
            Task.first_k,
            Slot.number,
            shown,
            Annotation.shown_at,
            Annotation.submitted_at,
            Task.batch_id,
            Guidelines.version,
            edited_from(),
        )
        .join(Task, Task.id == Annotation.task_id)
        .join(Prompt, Prompt.id == Task.prompt_id)
        .join(Slot, Slot.id == Annotation.slot_id)
        .join(Protocol, Protocol.id == Annotation.protocol_id)
        .outerjoin(Guidelines, Guidelines.id == Annotation.guidelines_id)
        .where(Annotation.project_id == project_id, Annotation.state == AnnotationState.live)
        .order_by(Annotation.id.desc())
        .limit(most)
    )
    if before is not None:
        asked = asked.where(Annotation.id < before)
    return [_fact(tuple(row)) for row in await session.execute(asked)]


def _fact(row: Sequence[Any]) -> Fact:
    """A row of `_piece`; tags and completions may be none."""
    named = dict(zip(Fact.__dataclass_fields__, row, strict=True))
    return Fact(**named | {"tags": row[7] or [], "completions": row[14] or []})


async def written_of(session: AsyncSession, project_id: int, ids: Sequence[int]) -> dict[int, Written]:
    """How completions (inside ids) are written."""
    found: dict[int, Written] = {}
    for start in range(0, len(ids), PIECE):
        rows = await session.execute(WRITTEN, {"project": project_id, "ids": list(ids[start : start + PIECE])})
        found |= {row.id: Written(row.checkpoint_id, row.length, row.marks) for row in rows}
    return found
