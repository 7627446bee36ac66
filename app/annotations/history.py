"""What people look up later: their own answers by words, kind and day; and the talk about an answer."""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, Text, and_, cast, exists, func, or_, select
from sqlalchemy.dialects.postgresql import JSONPATH
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from app.accounts.tables import Membership
from app.annotations.forms import Search
from app.annotations.tables import Annotation, Remark, RemarkKind
from app.completions.tables import Completion
from app.projects.rules import day_begins
from app.projects.tables import Batch, Guidelines, Project, Protocol
from app.prompts.tables import Prompt
from app.tasks.tables import Task, TaskCompletion

MOST_WORDS = 8
WRITTEN = ("justification", "text", "note", "said")  # of a body: what its author typed, wherever it stands


def searched(asked: Select[Any], search: Search, zone: str) -> Select[Any]:
    """`queries.my_answers`, only what is looked for. zone: in which the days are meant."""
    for word in search.q.split()[:MOST_WORDS]:
        asked = asked.where(or_(*places_of(word)))
    if search.kind:
        asked = asked.where(Annotation.kind == search.kind)
    if search.since:
        asked = asked.where(Annotation.submitted_at >= day_begins(search.since, zone))
    if search.until:
        asked = asked.where(Annotation.submitted_at < day_begins(search.until + timedelta(days=1), zone))
    if search.returned:
        asked = asked.where(_remarks().where(Remark.kind == RemarkKind.returned).exists())
    return asked


def places_of(word: str) -> list[ColumnElement[bool]]:
    """Where a word may stand for its answer to be found, whatever its case."""
    judged = and_(TaskCompletion.task_id == Annotation.task_id, TaskCompletion.completion_id == Completion.id)
    inside = json.dumps(word, ensure_ascii=False)[1:-1]  # as JSON writes it
    return [
        _texts(Prompt.messages, "$[*].parts[*].text").icontains(inside, autoescape=True),
        or_(*(_texts(Annotation.body, f"$.**.{key}").icontains(inside, autoescape=True) for key in WRITTEN)),
        exists().where(judged, _texts(Completion.parts, "$[*].text").icontains(inside, autoescape=True)),
        _remarks().where(Remark.text.icontains(word, autoescape=True)).exists(),
    ]


def _texts(column: Any, path: str) -> ColumnElement[str]:
    """All that stands at a path, as one JSON text."""
    return cast(func.jsonb_path_query_array(column, cast(path, JSONPATH)), Text)


def _remarks() -> Select[Any]:
    return select(Remark.id).where(Remark.annotation_id == Annotation.id).correlate(Annotation)


@dataclass(frozen=True)
class Line:
    """One line of a talk. by: the pseudonym of a reviewer or of the author; is_author: who of the two it is."""

    kind: RemarkKind
    text: str
    at: datetime
    version: int
    by: str | None
    by_id: int
    is_author: bool


async def talk_about(session: AsyncSession, about: Annotation) -> list[Line]:
    """What was said about an answer, oldest first."""
    asked = (
        select(Remark, Membership.pseudonym)
        .outerjoin(Membership, and_(Membership.project_id == Remark.project_id, Membership.user_id == Remark.by_id))
        .where(Remark.annotation_id == about.id)
        .order_by(Remark.id)
    )
    return [
        Line(one.kind, one.text, one.at, one.version, by, one.by_id, one.by_id == about.annotator_id)
        for one, by in await session.execute(asked)
    ]


async def kinds_of(session: AsyncSession, project_id: int, person_id: int) -> list[str]:
    """Kinds of judgement that somebody has given here."""
    asked = (
        select(Annotation.kind)
        .distinct()
        .where(Annotation.project_id == project_id, Annotation.annotator_id == person_id)
    )
    return sorted(await session.scalars(asked))


@dataclass(frozen=True)
class Talk:
    """An answer of one's own that is talked about; text: its last words. is_answered: they are somebody else's."""

    project: UUID
    project_name: str
    annotation: UUID
    kind: RemarkKind
    text: str
    at: datetime
    returned_at: datetime | None
    is_answered: bool


async def my_talks(session: AsyncSession, person_id: int, project_id: int | None, *, most: int = 50) -> list[Talk]:
    """Talks about somebody's answers, returned ones first, then the latest. project_id None: of all projects."""
    each = aliased(Remark)
    newest = select(func.max(each.id)).where(each.annotation_id == Annotation.id).scalar_subquery()
    asked = (
        select(Annotation, Remark, Project.public_id, Project.name)
        .join(Remark, Remark.annotation_id == Annotation.id)
        .join(Project, Project.id == Annotation.project_id)
        .where(Annotation.annotator_id == person_id, Remark.id == newest)
        .order_by(Annotation.returned_at.is_(None), Remark.id.desc())
        .limit(most)
    )
    if project_id is not None:
        asked = asked.where(Annotation.project_id == project_id)
    return [
        Talk(project, name, said.public_id, last.kind, last.text, last.at, said.returned_at, last.by_id != person_id)
        for said, last, project, name in await session.execute(asked)
    ]


def narrowed(
    answers: Select[Any],
    *,
    rater: str | None,
    protocol: int | None,
    tag: str | None,
    guidelines: int | None = None,
    batch: UUID | None = None,
) -> Select[Any]:
    """Of `everybodys`, those of one pseudonym, version of the protocol or the guidelines, tag of the prompt when it was
    shown, or round."""
    if batch is not None:
        of_round = select(Task.id).join(Batch, Batch.id == Task.batch_id).where(Batch.public_id == batch)
        answers = answers.where(Annotation.task_id.in_(of_round))
    if rater is not None:
        answers = answers.where(Membership.pseudonym == rater)
    if protocol is not None:
        answers = answers.where(Protocol.version == protocol)
    if guidelines is not None:
        answers = answers.where(Guidelines.version == guidelines)
    if tag is not None:
        answers = answers.where(func.coalesce(Annotation.tags, Prompt.tags).contains([tag]))
    return answers
