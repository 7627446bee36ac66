"""Tasks with a known answer, many at once: from what reviewers settled, or from what everybody said alike."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field
from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.annotations.actions.editing import CHANGEABLE
from app.annotations.tables import Annotation, AnnotationState
from app.projects.tables import Project
from app.prompts.tables import Prompt
from app.quality.actions import argue
from app.quality.forms import Argument
from app.quality.gathering import OURS
from app.quality.rules import decision, is_arguable
from app.quality.tables import Adjudication, ArguedAnswer, Use
from app.tasks.tables import Report, Task, TaskState

LOOKED_THROUGH = 2000  # done tasks, the newest, whose answers are read


class Source(StrEnum):
    """settled: what a reviewer settled. unanimous: what all said who answered."""

    settled = "settled"
    unanimous = "unanimous"


class ManyArguments(Argument):
    """The same argument for many tasks. least: answers that a unanimous task has. most: tasks at once. None of them is
    an attention check: no prompt of theirs says what to answer."""

    use: Literal[Use.training, Use.gold] = Use.training
    source: Source = Source.unanimous
    least: Annotated[int, Field(ge=2, le=50)] = 3
    most: Annotated[int, Field(ge=1, le=200)] = 50


@dataclass(frozen=True)
class Known:
    """A task, and the kept body that is its answer."""

    task: Task
    body: dict[str, Any]
    protocol_id: int


async def known_tasks(
    session: AsyncSession, project_id: int, source: Source, least: int, most: int, actor_id: int
) -> list[Known]:
    """Tasks whose answer is known and not argued yet, the newest first; none whose prompt is out of use, that
    somebody reported or cancelled, that belongs to an evaluation, or that whoever argues them has answered."""
    if source is Source.settled:
        asked = _not_argued(project_id, actor_id, Task, Adjudication.body, Adjudication.protocol_id)
        asked = asked.join(Adjudication, Adjudication.task_id == Task.id)
        return [Known(*row) for row in await session.execute(asked.order_by(Task.id.desc()).limit(most))]
    done = _not_argued(project_id, actor_id, Task).where(Task.state == TaskState.done)
    tasks = {one.id: one for one in await session.scalars(done.order_by(Task.id.desc()).limit(LOOKED_THROUGH))}
    said = select(Annotation.task_id, Annotation.body, Annotation.protocol_id)
    said = said.where(Annotation.task_id.in_(tasks), Annotation.state == AnnotationState.live).order_by(Annotation.id)
    answers: dict[int, list[tuple[dict[str, Any], int]]] = defaultdict(list)
    for task_id, body, protocol_id in await session.execute(said):
        answers[task_id].append((body, protocol_id))
    known = [Known(task, *answers[key][-1]) for key, task in tasks.items() if is_unanimous(answers[key], least)]
    return known[:most]


def _not_argued(project_id: int, actor_id: int, *columns: Any) -> Select[Any]:
    argued = select(ArguedAnswer.task_id).where(ArguedAnswer.task_id == Task.id)
    reported = select(Report.id).where(Report.task_id == Task.id, Report.closed_at.is_(None))
    # read once for all tasks; a task that has a twin, or is one, is argued, so answers to those are no matter here
    mine = select(Annotation.task_id).where(Annotation.project_id == project_id, Annotation.annotator_id == actor_id)
    mine = mine.where(Annotation.state.in_(CHANGEABLE))
    asked: Select[Any] = select(*columns).select_from(Task).join(Prompt, Prompt.id == Task.prompt_id)
    asked = asked.where(Task.project_id == project_id, ~argued.exists(), ~reported.exists(), Task.id.not_in(mine))
    return asked.where(Prompt.retired_at.is_(None), Task.purpose.in_(OURS), Task.state != TaskState.cancelled)


def is_unanimous(answers: Sequence[tuple[dict[str, Any], int]], least: int) -> bool:
    """Whether at least so many answers, all under one protocol, decide the same. answers: (kept body, protocol)."""
    if len(answers) < least or len({protocol for _body, protocol in answers}) > 1:
        return False
    (first, _protocol), *others = answers
    return is_arguable(first) and all(decision(body) == decision(first) for body, _protocol in others)


async def argue_many(session: AsyncSession, project: Project, form: ManyArguments, actor_id: int) -> int:
    """Argue them, all in the same words, which are kept for the next time. How many were argued."""
    project.argument_template = form.argument
    plain = Argument(use=form.use, argument=form.argument)
    found = await known_tasks(session, project.id, form.source, form.least, form.most, actor_id)
    for one in found:
        await argue(session, one.task, one.protocol_id, one.body, plain, actor_id, is_templated=True)
    return len(found)
