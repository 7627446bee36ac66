"""What a person sees: the task on their screen, their own answers; and what those who run a project read."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, Uuid, cast, false, func, select, true
from sqlalchemy.dialects.postgresql import JSONPATH, aggregate_order_by
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.orm import aliased

from app.accounts.tables import Membership
from app.annotations.kinds import LETTERS, OnScreen, fields_of, in_words
from app.annotations.tables import Annotation, AnnotationState, AnnotationVersion, EditDraft, OwnAccount
from app.completions.tables import Completion, Generation, GenerationState
from app.errors import NotFound
from app.keys import key_for
from app.projects.protocols import ProtocolBody
from app.projects.tables import Guidelines, Project, Protocol
from app.prompts.tables import Prompt
from app.tasks.queries import names_of, protocol_body, texts_of
from app.tasks.rules import handle_of
from app.tasks.tables import Task, TaskCompletion


async def on_screen(
    session: AsyncSession,
    protocol: ProtocolBody,
    slot_id: int,
    sides: Sequence[int],
    completions: Sequence[tuple[int, str, bool]],
) -> list[OnScreen]:
    """Completions in the order of the screen. completions: id, html, was it cut off at a limit; in the task's order."""
    secret = key_for("handles")
    ids = [completion for completion, _html, _cut_off in completions]
    texts = await texts_of(session, ids) if protocol.needs_texts else [""] * len(ids)
    names = await names_of(session, ids) if protocol.needs_texts else {}
    shown = []
    for letter, number in zip(LETTERS, sides, strict=False):
        completion, html, cut_off = completions[number]
        handle, own = handle_of(secret, slot_id, completion), names.get(completion, ())
        shown.append(OnScreen(letter, handle, html, texts[number], cut_off, own))
    return shown


@dataclass(frozen=True)
class MyAnswer:
    """An answer of one's own, ready to be shown and changed. said: the browser's fields that say the same.

    tags: of the prompt as shown, care: as it is now. categories: as the project stores them. draft: typed, not sent.
    """

    annotation: Annotation
    task: UUID
    tags: list[str]
    care: int
    categories: list[dict[str, Any]]
    turns: list[tuple[str, str]]
    shown: list[OnScreen]
    protocol: ProtocolBody
    said: dict[str, list[str]]
    words: str
    is_open: bool
    draft: EditDraft | None


def my_answers(project_id: int, person_id: int) -> Select[Any]:
    """One's own answers with all that is needed to show them again; order and page are the caller's."""
    return shown_answers(project_id).where(Annotation.annotator_id == person_id)


def shown_answers(project_id: int) -> Select[Any]:
    """Anybody's answers as `mine` shows them: for a page that asks whose they are."""
    is_cut_off = func.coalesce(Completion.finish_reason == "length", false())
    what = (
        select(
            func.array_agg(aggregate_order_by(Completion.id, TaskCompletion.number)).label("ids"),
            func.array_agg(aggregate_order_by(Completion.html, TaskCompletion.number)).label("htmls"),
            func.array_agg(aggregate_order_by(is_cut_off, TaskCompletion.number)).label("cut"),
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
            func.coalesce(Annotation.tags, Prompt.tags).label("tags"),
            Prompt.care,
            Project.care.label("categories"),
            func.jsonb_path_query_array(Prompt.messages, cast("$[*].role", JSONPATH)).label("roles"),
            Prompt.rendered,
            what.c.ids,
            what.c.htmls,
            what.c.cut,
            ((age <= Project.edit_minutes) | Annotation.returned_at.is_not(None)).label("is_open"),
            EditDraft,
        )
        .join(Task, Task.id == Annotation.task_id)
        .join(Prompt, Prompt.id == Task.prompt_id)
        .join(Project, Project.id == Annotation.project_id)
        .join(what, true())  # a task may show no completion
        .outerjoin(EditDraft, EditDraft.annotation_id == Annotation.id)
        .where(Annotation.project_id == project_id)
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


async def one_answer(session: AsyncSession, project_id: int, annotation: UUID) -> MyAnswer:
    """Anybody's answer, for reviewers.

    :raises NotFound: no such answer in this project.
    """
    asked = shown_answers(project_id).where(Annotation.public_id == annotation)
    row = (await session.execute(asked)).one_or_none()
    if row is None:
        raise NotFound
    return await mine(session, *row)


async def mine(
    session: AsyncSession,
    said: Annotation,
    task: UUID,
    tags: list[str],
    care: int,
    categories: list[dict[str, Any]],
    roles: list[str],
    rendered: list[str],
    ids: list[int] | None,
    htmls: list[str] | None,
    cut: list[bool] | None,
    is_open: bool,
    draft: EditDraft | None,
) -> MyAnswer:
    """A row of `my_answers` as it is shown."""
    protocol = await protocol_body(session, said.protocol_id)
    completions = list(zip(ids or (), htmls or (), cut or (), strict=True))
    shown = await on_screen(session, protocol, said.slot_id or 0, said.sides, completions)
    return MyAnswer(
        annotation=said,
        task=task,
        tags=tags,
        care=care,
        categories=categories,
        turns=list(zip(roles, rendered, strict=True)),
        shown=shown,
        protocol=protocol,
        said=fields_of(said.body, said.sides, shown),
        words=in_words(said.body, said.sides, protocol),
        is_open=is_open and said.state in (AnnotationState.live, AnnotationState.surplus),
        draft=draft,
    )


async def my_answer_to(session: AsyncSession, project_id: int, person_id: int, task: UUID) -> MyAnswer | None:
    """What this person has already said about a task, newest first."""
    asked = my_answers(project_id, person_id).where(Task.public_id == task).order_by(Annotation.id.desc()).limit(1)
    row = (await session.execute(asked)).one_or_none()
    return None if row is None else await mine(session, *row)


async def pseudonym_of(session: AsyncSession, project_id: int, person_id: int) -> str | None:
    """The name that others know somebody by in this project."""
    asked = select(Membership.pseudonym).where(Membership.project_id == project_id, Membership.user_id == person_id)
    return await session.scalar(asked)


async def versions_of(session: AsyncSession, annotation: Annotation) -> list[tuple[int, dict[str, Any], datetime]]:
    """Versions that edits replaced, oldest first: number, body, when it was replaced."""
    asked = select(AnnotationVersion).where(AnnotationVersion.annotation_id == annotation.id)
    found = await session.scalars(asked.order_by(AnnotationVersion.version))
    return [(one.version, one.body, one.at) for one in found]


async def about_raters(session: AsyncSession, project_id: int) -> list[Any]:
    """What people told about themselves, with their pseudonyms, in the order of these."""
    asked = (
        select(OwnAccount, Membership.pseudonym)
        .join(Membership, (Membership.user_id == OwnAccount.user_id) & (Membership.project_id == OwnAccount.project_id))
        .where(OwnAccount.project_id == project_id)
        .order_by(Membership.pseudonym)
    )
    return list(await session.execute(asked.limit(10_000)))


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
            Annotation.active_seconds,
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
            Prompt.care,
        )
        .join(Task, Task.id == Annotation.task_id)
        .join(Prompt, Prompt.id == Task.prompt_id)
        .join(completion, true())
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


def prompts_to_check(project_id: int, person_id: int) -> Select[Prompt, Annotation]:
    """Prompts that wait for somebody else than their author, with the answers that they came from, the oldest first.
    One that was returned waits for its author before it waits for others; a sensitive one for those who opted in."""
    source = cast(func.split_part(Prompt.external_id, ":", 2), Uuid)
    opted = (
        select(func.coalesce(func.max(Membership.care), 0))
        .where(Membership.project_id == project_id, Membership.user_id == person_id)
        .scalar_subquery()
    )
    return (
        select(Prompt, Annotation)
        .join(Annotation, Annotation.public_id == source)
        .where(Prompt.project_id == project_id, Prompt.awaits_check, Prompt.author_id != person_id)
        .where(Prompt.care.op("&")(opted) == Prompt.care)
        .where(Annotation.returned_at.is_(None), Annotation.state.in_((AnnotationState.live, AnnotationState.surplus)))
        .order_by(Prompt.id)
    )


async def count_to_check(session: AsyncSession, project_id: int, person_id: int) -> int:
    waiting = prompts_to_check(project_id, person_id).with_only_columns(func.count()).order_by(None)
    return await session.scalar(waiting) or 0
