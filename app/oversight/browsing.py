"""Which tasks a list shows: filters that an address holds, paged by key; and queues of tasks that a reviewer looks at.

Most filters are questions that an index answers. Two are not, whether people disagree and whether a reward model does
with them: these look at the bodies of answers, so a page looks through so many tasks at most and goes on from there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, StringConstraints
from sqlalchemy import ColumnElement, Select, Text, case, cast, func, select
from sqlalchemy.dialects.postgresql import JSONPATH
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from app.accounts.tables import Membership
from app.annotations.forms import blank_is_none
from app.annotations.tables import Annotation, AnnotationState
from app.checkpoints.tables import Checkpoint
from app.completions.tables import Completion, Score
from app.cursors import Cursor, seal, unseal
from app.projects.forms import without_nul
from app.projects.tables import Batch
from app.prompts.queries import worded
from app.prompts.tables import Prompt
from app.quality.queries import figures_of
from app.quality.tables import Adjudication, ArguedAnswer
from app.tasks.tables import Purpose, Report, Task, TaskCompletion, TaskState

ROWS = 25
LOOKED_THROUGH = 3000  # tasks of which a page reads the answers at most
UNRELIABLE = 0.6  # takes the better answer of a pair less often than this; a coin does so at half
SCOPE = "oversight.tasks"
# A comparison or a ranking, or the one that is part of a combined judgement; a conversation's turns lie deeper.
DECIDES = '$.**{0 to 2} ? (@.kind == "comparison" || @.kind == "ranking")'

Short = Annotated[str, StringConstraints(strip_whitespace=True, max_length=100), AfterValidator(without_nul)]
Word = Annotated[Short | None, BeforeValidator(blank_is_none)]
Id = Annotated[UUID | None, BeforeValidator(blank_is_none)]


class Queue(StrEnum):
    """What a reviewer goes through one by one; a settled task is in none of them."""

    disagreements = "disagreements"
    reliability = "reliability"
    reward = "reward"


class TaskFilter(BaseModel):
    """Which tasks; empty: all. words: that all stand in the prompt. rater: a pseudonym; tasks that this person
    answered. checkpoint: tasks that show an answer of it. queue: see `Queue`."""

    model_config = ConfigDict(frozen=True)

    state: Annotated[TaskState | None, BeforeValidator(blank_is_none)] = None
    purpose: Annotated[Purpose | None, BeforeValidator(blank_is_none)] = None
    batch: Id = None
    prompt: Id = None
    words: Word = None
    tag: Word = None
    rater: Word = None
    checkpoint: Id = None
    reported: bool = False
    argued: bool = False
    settled: bool = False
    queue: Annotated[Queue | None, BeforeValidator(blank_is_none)] = None
    cursor: Cursor = None

    @property
    def asked(self) -> dict[str, Any]:
        """What its address says."""
        return self.model_dump(mode="json", exclude={"cursor"}, exclude_defaults=True)


@dataclass(frozen=True)
class Found:
    """ids: inside ids of tasks, the newest first. looked: how many were looked through for them, None: every one that
    there is is found by index. next: a cursor."""

    ids: list[int]
    next: str | None
    looked: int | None = None


async def tasks_found(
    session: AsyncSession, project_id: int, only: TaskFilter, *, before: int | None = None, rows: int = ROWS
) -> Found:
    """One page. before: an inside id to go on after, in place of the cursor.

    :raises ForgedCursor:
    """
    if only.cursor:
        (before,) = unseal(SCOPE, only.cursor)
    asked = select(Task.id).where(Task.project_id == project_id, *await _by_index(session, project_id, only))
    if before is not None:
        asked = asked.where(Task.id < before)
    if only.queue is not None:
        asked = asked.where(_has_answers(2 if only.queue is Queue.disagreements else 1))
    asked = asked.order_by(Task.id.desc())
    scorer = await newest_scorer(session, project_id) if only.queue is Queue.reward else None
    if only.queue is Queue.reward and scorer is None:
        return Found([], None)
    costly = _by_answers(only, scorer)
    if costly is None:
        ids = list(await session.scalars(asked.limit(rows + 1)))
        return Found(ids[:rows], seal(SCOPE, [ids[rows - 1]]) if len(ids) > rows else None)
    window = list(await session.scalars(asked.limit(LOOKED_THROUGH)))
    matching = select(Task.id).where(Task.id.in_(window), costly).order_by(Task.id.desc()).limit(rows + 1)
    ids = list(await session.scalars(matching)) if window else []
    if len(ids) > rows:
        return Found(ids[:rows], seal(SCOPE, [ids[rows - 1]]), len(window))
    more = seal(SCOPE, [window[-1]]) if len(window) == LOOKED_THROUGH else None
    return Found(ids, more, len(window))


async def next_in(
    session: AsyncSession, project_id: int, only: TaskFilter, after: int
) -> tuple[UUID | None, str | None]:
    """Outside id of the task that comes after one (inside id) in a list; where none does as far as one page looks, a
    cursor to go on from, if there are more."""
    found = await tasks_found(session, project_id, only.model_copy(update={"cursor": None}), before=after, rows=1)
    if not found.ids:
        return None, found.next
    return (await session.scalars(select(Task.public_id).where(Task.id == found.ids[0]))).one(), None


async def public_ids(session: AsyncSession, ids: Sequence[int]) -> list[UUID]:
    """Outside ids of tasks, in the order given."""
    rows = await session.execute(select(Task.id, Task.public_id).where(Task.id.in_(ids)))
    found = {row.id: row.public_id for row in rows}
    return [found[one] for one in ids]


async def _by_index(session: AsyncSession, project_id: int, only: TaskFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if only.state is not None:
        conditions.append(Task.state == only.state)
    if only.purpose is not None:
        conditions.append(Task.purpose == only.purpose)
    if only.batch is not None:
        conditions.append(Task.batch_id.in_(select(Batch.id).where(Batch.public_id == only.batch)))
    if only.prompt or only.words or only.tag:
        conditions.append(Task.prompt_id.in_(_prompts(project_id, only)))
    if only.rater is not None:
        person = select(Membership.user_id).where(
            Membership.project_id == project_id, Membership.pseudonym == only.rater
        )
        conditions.append(Task.id.in_(_answered_by(project_id, Annotation.annotator_id.in_(person))))
    if only.checkpoint is not None:
        shown = select(TaskCompletion.task_id).join(Completion, Completion.id == TaskCompletion.completion_id)
        of = select(Checkpoint.id).where(Checkpoint.public_id == only.checkpoint).scalar_subquery()
        conditions.append(shown.where(TaskCompletion.task_id == Task.id, Completion.checkpoint_id == of).exists())
    if only.reported:
        conditions.append(Task.id.in_(select(Report.task_id).where(Report.project_id == project_id)))
    if only.argued:
        conditions.append(Task.id.in_(select(ArguedAnswer.task_id).where(ArguedAnswer.project_id == project_id)))
    if only.settled:
        conditions.append(Task.id.in_(select(Adjudication.task_id).where(Adjudication.project_id == project_id)))
    if only.queue is not None:
        conditions.append(Task.id.not_in(select(Adjudication.task_id).where(Adjudication.project_id == project_id)))
        conditions.append(Task.id.not_in(select(ArguedAnswer.task_id).where(ArguedAnswer.project_id == project_id)))
    if only.queue is Queue.reliability:
        people = Annotation.annotator_id.in_(await unreliable(session, project_id))
        conditions.append(Task.id.in_(_answered_by(project_id, people)))
    return conditions


def _prompts(project_id: int, only: TaskFilter) -> Select[int]:
    asked = select(Prompt.id).where(Prompt.project_id == project_id)
    if only.prompt is not None:
        asked = asked.where(Prompt.public_id == only.prompt)
    if only.tag:
        asked = asked.where(Prompt.tags.contains([only.tag]))
    return asked.where(worded(only.words)) if only.words else asked


def _answered_by(project_id: int, people: ColumnElement[bool]) -> Select[int]:
    counts = Annotation.state.in_((AnnotationState.live, AnnotationState.surplus))
    return select(Annotation.task_id).where(Annotation.project_id == project_id, people, counts)


def _has_answers(least: int) -> ColumnElement[bool]:
    """Of a task: so many people have answered it. Thousands that wait for answers are not looked through."""
    said = select(Annotation.id).where(Annotation.task_id == Task.id, Annotation.state == AnnotationState.live)
    return said.offset(least - 1).correlate(Task).exists()


def _by_answers(only: TaskFilter, scorer: Checkpoint | None) -> ColumnElement[bool] | None:
    if only.queue is Queue.disagreements:
        return disagrees()
    return against(scorer.id) if scorer else None


def concluded(body: Any) -> ColumnElement[str]:
    """What a body comes to, as `annotations.rules.conclusion_of`: null where it decides nothing."""
    one = func.jsonb_path_query_first(body, cast(DECIDES, JSONPATH))
    best = func.jsonb_extract_path_text(one, "tiers", "0")
    chosen, outcome = (one.op("->>")(name) for name in ("preferred", "outcome"))
    return cast(func.coalesce(best, chosen, outcome), Text)


def disagrees() -> ColumnElement[bool]:
    """Of a task: two people who both decide do not come to the same."""
    many = select(func.count(concluded(Annotation.body).distinct()))
    many = many.where(Annotation.task_id == Task.id, Annotation.state == AnnotationState.live)
    return many.scalar_subquery() > 1


def against(checkpoint_id: int) -> ColumnElement[bool]:
    """Of a task: more people prefer the answer that this reward model scores lower, by more than it is unsure of."""

    def side(number: int, what: Any) -> Any:
        shown = aliased(TaskCompletion)
        of = select(what).join(shown, shown.completion_id == Score.completion_id)
        of = of.where(shown.task_id == Task.id, shown.number == number, Score.checkpoint_id == checkpoint_id)
        return of.correlate(Task).scalar_subquery()

    preferred = concluded(Annotation.body)
    lean = select(func.sum(case((preferred == "0", 1), (preferred == "1", -1), else_=0)))
    lean = lean.where(Annotation.task_id == Task.id, Annotation.state == AnnotationState.live).correlate(Task)
    apart = side(0, Score.value) - side(1, Score.value)
    unsure = (func.coalesce(side(number, Score.uncertainty), 0.0) for number in (0, 1))
    first, second = unsure
    is_against: ColumnElement[bool] = apart * lean.scalar_subquery() < 0
    return is_against & (func.abs(apart) > func.sqrt(first * first + second * second))


async def newest_scorer(session: AsyncSession, project_id: int) -> Checkpoint | None:
    """The reward model whose scores of this project's completions came last."""
    newest = select(Score.checkpoint_id).where(Score.project_id == project_id)
    newest = newest.order_by(Score.checkpoint_id.desc()).limit(1)
    return await session.scalar(select(Checkpoint).where(Checkpoint.id.in_(newest)))


async def unreliable(session: AsyncSession, project_id: int) -> Sequence[int]:
    """People (inside ids) whose reliability, as it was computed last, is low."""
    figures = await figures_of(session, project_id, "quality")
    people = figures.body["people"] if figures else {}
    return [
        int(person)
        for person, one in people.items()
        if one.get("reliability") and (one["reliability"]["better"]["value"] or 1.0) < UNRELIABLE
    ]
