"""A reviewer settles a task: by accepting somebody's answer as it stands, or by an answer of their own. What people
said stays as it is; what was settled stands beside it, marked, wherever it goes."""

from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, delete, func, or_, select
from sqlalchemy.dialects.postgresql import aggregate_order_by, insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from app import events
from app.annotations.actions.editing import CHANGEABLE, NotToBeChanged, locked
from app.annotations.actions.returning import OwnAnswer
from app.annotations.tables import Annotation
from app.completions.tables import Completion
from app.errors import Conflict
from app.quality.rules import is_arguable
from app.quality.tables import Adjudication, ArguedAnswer
from app.tasks.tables import Task, TaskCompletion
from app.translation import _


class AnsweredYourself(Conflict):
    code = "answered-yourself"
    sentence = _("You answered this task yourself, so another reviewer settles it.")


class ChangedMeanwhile(Conflict):
    code = "changed-meanwhile"
    sentence = _("Its author has changed this answer in the meantime. Look at it again.")


class NotToBeSettled(Conflict):
    code = "not-to-be-settled"
    sentence = _("Of texts that people wrote none is the right one. Return the answer with a remark, or set it aside.")


def answered_by(person_id: int) -> ColumnElement[bool]:
    """Of a task: this person has an answer to it that counts. An answer to its twin, or to the task whose twin it is,
    is one to it: the same was asked."""
    twin = aliased(ArguedAnswer)
    same = or_(
        Annotation.task_id == Task.id,
        Annotation.task_id.in_(select(twin.task_id).where(twin.twin_of == Task.id).correlate(Task)),
        Annotation.task_id.in_(select(twin.twin_of).where(twin.task_id == Task.id).correlate(Task)),
    )
    theirs = select(Annotation.id).where(
        Annotation.project_id == Task.project_id, Annotation.annotator_id == person_id, same
    )
    return theirs.where(Annotation.state.in_(CHANGEABLE)).correlate(Task).exists()


async def has_answered(session: AsyncSession, task: Task, person_id: int) -> bool:
    return await session.scalar(select(Task.id).where(Task.id == task.id, answered_by(person_id))) is not None


async def not_their_own(session: AsyncSession, task: Task, person_id: int) -> None:
    """:raises AnsweredYourself: who is to decide about a task has answered it."""
    if await has_answered(session, task, person_id):
        raise AnsweredYourself


async def adjudicate(
    session: AsyncSession,
    task: Task,
    protocol_id: int,
    body: dict[str, Any],
    actor_id: int,
    *,
    remark: str = "",
    annotation_id: int | None = None,
) -> Adjudication:
    """Settle a task by a kept body, in place of what was settled before. annotation_id: of the answer that said it.

    :raises NotToBeSettled: it is a text. :raises AnsweredYourself: the reviewer has answered it as well.
    """
    if not is_arguable(body):
        raise NotToBeSettled
    await not_their_own(session, task, actor_id)
    said = {
        "protocol_id": protocol_id,
        "annotation_id": annotation_id,
        "body": body,
        "remark": remark,
        "by_id": actor_id,
    }
    kept = insert(Adjudication).values(said | {"task_id": task.id, "project_id": task.project_id})
    kept = kept.on_conflict_do_update(index_elements=["task_id"], set_=said | {"at": func.now()})
    found = await session.scalars(kept.returning(Adjudication), execution_options={"populate_existing": True})
    settled = found.one()
    told = {"accepted": annotation_id is not None, "body": body, "remark": remark}
    await events.record(
        session, "task.settled", actor_id=actor_id, project_id=task.project_id, subject=task.public_id, **told
    )
    return settled


async def accept_answer(
    session: AsyncSession,
    project_id: int,
    annotation: UUID,
    actor_id: int,
    *,
    remark: str = "",
    version: int | None = None,
) -> Adjudication:
    """Settle a task by an answer as it stands. version: that was seen; None: whatever it says now.

    :raises NotFound: no such answer here. :raises OwnAnswer: the reviewer gave it.
    :raises NotToBeChanged: it was taken out. :raises ChangedMeanwhile: it says something else by now.
    :raises NotToBeSettled: it is a text. :raises AnsweredYourself: the reviewer has answered the task as well.
    """
    said = await locked(session, project_id, annotation)
    if said.annotator_id == actor_id:
        raise OwnAnswer
    if said.state not in CHANGEABLE:
        raise NotToBeChanged
    if version is not None and version != said.version:
        raise ChangedMeanwhile
    task = await session.get_one(Task, said.task_id)
    return await adjudicate(session, task, said.protocol_id, said.body, actor_id, remark=remark, annotation_id=said.id)


def adjudications(project_id: int) -> Select[Any]:
    """(adjudication, outside ids of its task, of the answer that it accepted, and of the task's completions)."""
    shown = select(func.array_agg(aggregate_order_by(Completion.public_id, TaskCompletion.number)))
    shown = shown.join(TaskCompletion, TaskCompletion.completion_id == Completion.id)
    ids = shown.where(TaskCompletion.task_id == Adjudication.task_id).scalar_subquery()
    asked: Select[Any] = select(Adjudication, Task.public_id, Annotation.public_id, ids)
    asked = asked.join(Task, Task.id == Adjudication.task_id)
    asked = asked.outerjoin(Annotation, Annotation.id == Adjudication.annotation_id)
    return asked.where(Adjudication.project_id == project_id)


async def open_again(session: AsyncSession, task: Task, actor_id: int) -> None:
    """Nothing is settled about a task any more.

    :raises AnsweredYourself: who opens it again has answered it.
    """
    await not_their_own(session, task, actor_id)
    gone = await session.scalar(
        delete(Adjudication).where(Adjudication.task_id == task.id).returning(Adjudication.task_id)
    )
    if gone is not None:
        await events.record(
            session, "task.unsettled", actor_id=actor_id, project_id=task.project_id, subject=task.public_id
        )
