"""What a person sees: the task on their screen, their own answers; and what those who run a project read."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, cast, func, select
from sqlalchemy.dialects.postgresql import JSONPATH, aggregate_order_by
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.orm import aliased

from app.accounts.tables import Membership
from app.annotations.tables import Annotation, AnnotationState, AnnotationVersion
from app.completions.tables import Completion, Generation, GenerationState
from app.errors import NotFound
from app.keys import key_for
from app.projects.rules import ProtocolBody
from app.projects.tables import Guidelines, Project, Protocol
from app.prompts.tables import Prompt
from app.tasks.queries import protocol_body
from app.tasks.rules import handle_of
from app.tasks.tables import Task, TaskCompletion
from app.translation import _

LETTERS = "ABCDEFGH"


@dataclass(frozen=True, slots=True)
class OnScreen:
    """One answer as a person sees it: a letter for its side, a handle made for this slot, and the text."""

    letter: str
    handle: str
    html: str


@dataclass(frozen=True, slots=True)
class Choice:
    """One button: what it sends, the key that presses it, its words, and the side it prefers (0, 1 or None)."""

    value: str
    key: str
    words: str
    side: int | None = None


def on_screen(slot_id: int, sides: Sequence[int], ids: Sequence[int], htmls: Sequence[str]) -> list[OnScreen]:
    """Completions in the order of the screen. ids, htmls: in the task's own order."""
    secret = key_for("handles")
    return [
        OnScreen(LETTERS[place], handle_of(secret, slot_id, ids[number]), htmls[number])
        for place, number in enumerate(sides)
    ]


def scale_of(protocol: ProtocolBody, shown: Sequence[OnScreen]) -> list[Choice]:
    """The protocol's scale from A's end to B's, one button a point."""
    choices = []
    for point in protocol.points:
        if point.side is None:
            choices.append(Choice("tie", str(point.number), _("Tie: {words}").format(words=point.words)))
            continue
        side = 0 if point.side == "first" else 1
        choices.append(Choice(f"{shown[side].handle}.{point.strength}", str(point.number), point.words, side))
    return choices


def beside_scale(protocol: ProtocolBody) -> list[Choice]:
    """What can be said beside the scale: the tie only when the scale has no middle."""
    offered = (
        (protocol.ties and not protocol.tie_on_scale, Choice("tie", "0", _("Tie"))),
        (protocol.both_bad, Choice("both_bad", "X", _("Both bad"))),
        (protocol.neither_valid, Choice("neither_valid", "N", _("Neither is an answer"))),
    )
    return [choice for is_offered, choice in offered if is_offered]


@dataclass(frozen=True)
class MyAnswer:
    """An answer of one's own, ready to be shown and changed. chosen: the value of the button that says the same."""

    annotation: Annotation
    task: UUID
    turns: list[tuple[str, str]]
    shown: list[OnScreen]
    protocol: ProtocolBody
    chosen: str
    words: str
    is_open: bool


def my_answers(project_id: int, person_id: int) -> Select[Any]:
    """One's own answers with all that is needed to show them again; order and page are the caller's."""
    what = (
        select(
            func.array_agg(aggregate_order_by(Completion.id, TaskCompletion.number)).label("ids"),
            func.array_agg(aggregate_order_by(Completion.html, TaskCompletion.number)).label("htmls"),
        )
        .join(TaskCompletion, TaskCompletion.completion_id == Completion.id)
        .where(TaskCompletion.task_id == Annotation.task_id)
        .lateral("what")
    )
    age = func.extract("epoch", func.now() - Annotation.submitted_at) / 60
    return (
        select(
            Annotation,
            Task.public_id.label("task"),
            func.jsonb_path_query_array(Prompt.messages, cast("$[*].role", JSONPATH)).label("roles"),
            Prompt.rendered,
            what.c.ids,
            what.c.htmls,
            (age <= Project.edit_minutes).label("is_open"),
        )
        .join(Task, Task.id == Annotation.task_id)
        .join(Prompt, Prompt.id == Task.prompt_id)
        .join(Project, Project.id == Annotation.project_id)
        .join(what, what.c.ids.is_not(None))
        .where(Annotation.project_id == project_id, Annotation.annotator_id == person_id)
    )


async def my_last_answer(
    session: AsyncSession, project_id: int, person_id: int, before: UUID | None
) -> MyAnswer | None:
    """The newest answer that can still be changed; `before` one of them: the one given before it."""
    asked = my_answers(project_id, person_id).where(
        Annotation.state.in_([AnnotationState.live, AnnotationState.surplus])
    )
    if before is not None:
        seen = aliased(Annotation)
        asked = asked.where(Annotation.id < select(seen.id).where(seen.public_id == before).scalar_subquery())
    row = (await session.execute(asked.order_by(Annotation.id.desc()).limit(1))).one_or_none()
    return None if row is None or not row.is_open else await mine(session, *row)


async def my_answer(session: AsyncSession, project_id: int, person_id: int, annotation: UUID) -> MyAnswer:
    """:raises NotFound: no such answer of this person."""
    asked = my_answers(project_id, person_id).where(Annotation.public_id == annotation)
    row = (await session.execute(asked)).one_or_none()
    if row is None:
        raise NotFound
    return await mine(session, *row)


async def mine(
    session: AsyncSession,
    said: Annotation,
    task: UUID,
    roles: list[str],
    rendered: list[str],
    ids: list[int],
    htmls: list[str],
    is_open: bool,
) -> MyAnswer:
    """A row of `my_answers` as it is shown."""
    protocol = await protocol_body(session, said.protocol_id)
    shown = on_screen(said.slot_id or 0, said.sides, ids, htmls)
    return MyAnswer(
        annotation=said,
        task=task,
        turns=list(zip(roles, rendered, strict=True)),
        shown=shown,
        protocol=protocol,
        chosen=chosen_of(said.body, said.sides, shown),
        words=in_words(said.body, said.sides, protocol),
        is_open=is_open and said.state in (AnnotationState.live, AnnotationState.surplus),
    )


def chosen_of(body: dict[str, Any], sides: Sequence[int], shown: Sequence[OnScreen]) -> str:
    """The value of the button that says what `body` says."""
    if body["outcome"] != "preferred":
        return str(body["outcome"])
    return f"{shown[list(sides).index(body['preferred'])].handle}.{body['strength']}"


def in_words(body: dict[str, Any], sides: Sequence[int], protocol: ProtocolBody) -> str:
    """What was said, as it stood on the screen: “A much better”, “Tie”."""
    words = {"tie": _("Tie"), "both_bad": _("Both bad"), "neither_valid": _("Neither is an answer")}
    if body["outcome"] in words:
        return words[body["outcome"]]
    letter = LETTERS[list(sides).index(body["preferred"])]
    return f"{letter} {protocol.words(body['strength'])}"


async def my_answer_to(session: AsyncSession, project_id: int, person_id: int, task: UUID) -> MyAnswer | None:
    """What this person has already said about a task, newest first."""
    asked = my_answers(project_id, person_id).where(Task.public_id == task).order_by(Annotation.id.desc()).limit(1)
    row = (await session.execute(asked)).one_or_none()
    return None if row is None else await mine(session, *row)


async def versions_of(session: AsyncSession, annotation: Annotation) -> list[tuple[int, dict[str, Any], datetime]]:
    """Versions that edits replaced, oldest first: number, body, when it was replaced."""
    asked = select(AnnotationVersion).where(AnnotationVersion.annotation_id == annotation.id)
    found = await session.scalars(asked.order_by(AnnotationVersion.version))
    return [(one.version, one.body, one.at) for one in found]


async def arriving(session: AsyncSession, project_id: int) -> int:
    """Completions that were asked for and are still to come."""
    waits = Generation.state.in_([GenerationState.waiting, GenerationState.running])
    counted = select(func.coalesce(func.sum(Generation.wanted - Generation.done), 0))
    return int(await session.scalar(counted.where(Generation.project_id == project_id, waits)) or 0)


def everybodys(project_id: int) -> Select[Any]:
    """Answers of a project for those who may read them: people are pseudonyms."""
    completion = (
        select(func.array_agg(aggregate_order_by(Completion.public_id, TaskCompletion.number)).label("public_ids"))
        .join(TaskCompletion, TaskCompletion.completion_id == Completion.id)
        .where(TaskCompletion.task_id == Annotation.task_id)
        .lateral("completion")
    )
    return (
        select(
            Annotation.id,
            Annotation.public_id,
            Annotation.kind,
            Annotation.body,
            Annotation.state,
            Annotation.version,
            Annotation.sides,
            Annotation.fast,
            Annotation.shown_at,
            Annotation.submitted_at,
            Task.public_id.label("task"),
            Task.purpose,
            Prompt.public_id.label("prompt"),
            Prompt.rendered,
            completion.c.public_ids.label("completions"),
            Membership.pseudonym.label("rater"),
            Protocol.version.label("protocol"),
            Protocol.id.label("protocol_id"),
            Guidelines.version.label("guidelines"),
        )
        .join(Task, Task.id == Annotation.task_id)
        .join(Prompt, Prompt.id == Task.prompt_id)
        .join(completion, completion.c.public_ids.is_not(None))
        .join(Protocol, Protocol.id == Annotation.protocol_id)
        .outerjoin(Guidelines, Guidelines.id == Annotation.guidelines_id)
        .outerjoin(
            Membership,
            (Membership.user_id == Annotation.annotator_id) & (Membership.project_id == Annotation.project_id),
        )
        .where(Annotation.project_id == project_id)
    )


async def streamed(connection: AsyncConnection, project_id: int) -> AsyncIterator[Row[Any]]:
    """All answers of a project in the order they came, by a server-side cursor."""
    async with connection.stream(
        everybodys(project_id).order_by(Annotation.id), execution_options={"yield_per": 500}
    ) as rows:
        async for row in rows:
            yield row
