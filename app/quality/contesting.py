"""Somebody says that an argued answer is not the only right one; a reviewer upholds it, or accepts theirs as well."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Select, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from app import events
from app.accounts.actions.inbox import members_who_may, tell
from app.accounts.actions.lanes import share_hand_out
from app.accounts.permissions import Permission
from app.accounts.tables import Letter, Membership
from app.annotations.actions.returning import OwnAnswer
from app.annotations.tables import Annotation
from app.errors import Conflict, NotFound
from app.quality.actions import MOST, EnoughAccepted
from app.quality.adjudicating import not_their_own
from app.quality.entering import judge_authors_again
from app.quality.mixing import asked_first
from app.quality.queries import STANDS, said_first
from app.quality.rules import hits
from app.quality.tables import ArguedAnswer, Contest
from app.tasks.tables import Task
from app.translation import _


class NothingToContest(Conflict):
    code = "nothing-to-contest"
    sentence = _("This answer is not held to be wrong.")


class ContestedBefore(Conflict):
    code = "contested-before"
    sentence = _("You have said so already; a reviewer looks at it once.")


class ContestClosed(Conflict):
    code = "contest-closed"
    sentence = _("Somebody has decided this already.")


class OtherProtocol(Conflict):
    code = "other-protocol"
    sentence = _("Something else was asked when this was answered. Argue the task anew, with this among the answers.")


async def contest(session: AsyncSession, project_id: int, person_id: int, annotation: UUID, words: str) -> Contest:
    """Say that one's own answer to an argued task is right.

    :raises NotFound: no such answer of this person. :raises NothingToContest: it is accepted, or nothing is argued.
    :raises ContestedBefore:
    """
    mine = (Annotation.annotator_id == person_id, Annotation.public_id == annotation)
    found = select(Annotation).where(Annotation.project_id == project_id, *mine).with_for_update(key_share=True)
    said = (await session.scalars(found)).one_or_none()
    if said is None:
        raise NotFound
    argued = await session.get(ArguedAnswer, said.task_id, with_for_update={"read": True})
    if argued is None or said.state not in STANDS or hits(await _first(session, said), argued.bodies):
        raise NothingToContest
    if await contest_about(session, said.id) is not None:
        raise ContestedBefore
    made = Contest(project_id=project_id, annotation_id=said.id, words=words)
    session.add(made)
    await session.flush()
    reviewers = await members_who_may(session, project_id, Permission.annotation_review)
    others = [one for one in reviewers if one != person_id]
    await tell(session, others, project_id, Letter.contested, said.public_id)
    await events.record(
        session, "annotation.contested", actor_id=person_id, project_id=project_id, subject=said.public_id
    )
    return made


async def _first(session: AsyncSession, said: Annotation) -> dict[str, Any]:
    """What is contested is what was handed in: figures, lessons and the entrance go by that, whatever it says now."""
    body: dict[str, Any] = (await session.scalars(select(said_first()).where(Annotation.id == said.id))).one()
    return body


async def contest_about(session: AsyncSession, annotation_id: int) -> Contest | None:
    return await session.scalar(select(Contest).where(Contest.annotation_id == annotation_id))


def contests(project_id: int, *, is_open: bool) -> Select[Any]:
    """(contest, answer, the body that was handed in, argued answer or None, outside id of its task, pseudonym of its
    author)."""
    asked: Select[Any] = select(Contest, Annotation, said_first(), ArguedAnswer, Task.public_id, Membership.pseudonym)
    return (
        asked.join(Annotation, Annotation.id == Contest.annotation_id)
        .join(Task, Task.id == Annotation.task_id)
        .outerjoin(ArguedAnswer, ArguedAnswer.task_id == Annotation.task_id)
        .outerjoin(
            Membership,
            (Membership.project_id == Contest.project_id) & (Membership.user_id == Annotation.annotator_id),
        )
        .where(Contest.project_id == project_id)
        .where(Contest.closed_at.is_(None) if is_open else Contest.closed_at.is_not(None))
    )


async def close_contest(
    session: AsyncSession, project_id: int, public_id: UUID, actor_id: int, *, accepts: bool, reply: str = ""
) -> Contest:
    """Decide. Accepted, the answer counts as right from now on, whoever gave or gives it.

    :raises NotFound: :raises ContestClosed: :raises OwnAnswer: the reviewer gave the answer.
    :raises AnsweredYourself: who is to accept has answered the task as well: the same words of another would be theirs.
    :raises EnoughAccepted: as many are accepted as may be. :raises OtherProtocol: it was asked otherwise then.
    """
    await share_hand_out(session, project_id)  # its lock comes before those of rows
    asked = select(Contest, Annotation).join(Annotation, Annotation.id == Contest.annotation_id)
    asked = asked.where(Contest.project_id == project_id, Contest.public_id == public_id)
    row = (await session.execute(asked)).one_or_none()
    if row is None:
        raise NotFound
    found, said = row
    if said.annotator_id == actor_id:
        raise OwnAnswer
    task = await asked_first(session, await session.get_one(Task, said.task_id))
    if accepts:
        await not_their_own(session, task, actor_id)
    await session.get(ArguedAnswer, task.id, with_for_update=True)  # a twin that is made now is there then
    both = or_(ArguedAnswer.task_id == task.id, ArguedAnswer.twin_of == task.id)
    locked = select(ArguedAnswer).where(both).order_by(ArguedAnswer.task_id).with_for_update()
    argued = list(await session.scalars(locked, execution_options={"populate_existing": True}))
    about = await _locked_about(session, [said.task_id, *(one.task_id for one in argued)])
    await session.refresh(found)
    if found.closed_at is not None:
        raise ContestClosed
    if accepts:
        await _accept_as_well(session, argued, said.protocol_id, await _first(session, said))
    await _close(session, found, said, actor_id, accepts, reply)
    if accepts:
        for other, theirs, body in about:
            if other.closed_at is None and any(hits(body, one.bodies) for one in argued):
                await _close(session, other, theirs, actor_id, True, reply)
        if argued:
            await judge_authors_again(session, task.id)
    return found


async def _close(
    session: AsyncSession, found: Contest, said: Annotation, actor_id: int, accepts: bool, reply: str
) -> None:
    found.is_accepted, found.reply, found.closed_by_id, found.closed_at = accepts, reply, actor_id, func.now()
    await session.flush()
    await session.refresh(found, ["closed_at"])
    kind = Letter.accepted if accepts else Letter.upheld
    await tell(session, [said.annotator_id], found.project_id, kind, said.public_id)
    verb = "contest.accepted" if accepts else "contest.upheld"
    await events.record(session, verb, actor_id=actor_id, project_id=found.project_id, subject=said.public_id)


async def _accept_as_well(
    session: AsyncSession, both: Sequence[ArguedAnswer], protocol_id: int, body: dict[str, Any]
) -> None:
    """A body that was given under this protocol is among what is accepted. both: of a task and of its twin."""
    for argued in both:
        if hits(body, argued.bodies):
            continue
        if argued.protocol_id != protocol_id:
            raise OtherProtocol
        if len(argued.bodies) >= MOST:
            raise EnoughAccepted(most=MOST)
        argued.bodies = [*argued.bodies, body]
    await session.flush()


async def _locked_about(
    session: AsyncSession, tasks: Sequence[int]
) -> list[tuple[Contest, Annotation, dict[str, Any]]]:
    """Contests about some tasks, each with its answer and the body that was handed in; all locked, those of argued
    answers before: so two reviewers wait for each other in one order."""
    asked = select(Contest, Annotation, said_first()).join(Annotation, Annotation.id == Contest.annotation_id)
    asked = asked.where(Annotation.task_id.in_(tasks)).order_by(Contest.id).with_for_update(of=Contest)
    rows = await session.execute(asked, execution_options={"populate_existing": True})
    return [(one, said, body) for one, said, body in rows]
