"""All that happened to a task, from where each of it is kept, in the order it happened."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Text, cast, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.tables import Membership
from app.annotations.kinds import in_words, read_kept
from app.annotations.tables import Annotation, AnnotationVersion, Remark, RemarkKind
from app.events import Event
from app.quality.tables import Contest
from app.tasks.queries import protocol_body
from app.tasks.tables import Lapse, PassedBy, Report, Skip, Slot, SlotState, Task
from app.translation import _

MOST = 200  # of one sort

# As they stand in the log, about the task and about answers to it; what other tables hold is left out here.
EVENTS = {
    "task.lease_ran_out": _("Its time ran out"),
    "task.released": _("Given back without an answer"),
    "task.cancelled": _("Cancelled"),
    "task.k_changed": _("More or fewer answers wanted"),
    "task.argued": _("An answer was argued"),
    "task.argument_dropped": _("The argued answer was taken away"),
    "task.doubted": _("The argued answer was doubted"),
    "task.settled": _("Settled by a reviewer"),
    "task.unsettled": _("Opened again by a reviewer"),
    "annotation.withdrawn": _("Withdrew the answer"),
    "annotation.set_aside": _("An answer was set aside"),
}
PASSED = {
    PassedBy.skipped: _("Skipped it"),
    PassedBy.not_known: _("Knows too little about it"),
    PassedBy.reported: _("Passed it by with a report"),
}
REMARKS = {
    RemarkKind.returned: _("Returned the answer"),
    RemarkKind.changed: _("Changed the returned answer"),
    RemarkKind.said: _("Said about an answer"),
}


@dataclass(frozen=True, order=True)
class Happened:
    """what: a sentence of ours, marked at import. who: inside id; words: of people, or numbers. answer: outside id."""

    at: datetime
    what: str = field(compare=False)
    who: int | None = field(default=None, compare=False)
    words: str = field(default="", compare=False)
    answer: UUID | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Answered:
    """One person's answer beside those of others. words: with the letters of the task's own order. seconds: at it."""

    annotation: Annotation
    rater: str | None
    words: str
    written: list[str]
    seconds: float | None
    is_mine: bool


async def answers_to(session: AsyncSession, task: Task, tags: list[str], shown: int, me: int) -> list[Answered]:
    """Everybody's, in the order they came; also those that count no more. shown: completions that the task has."""
    asked = select(Annotation, Membership.pseudonym).outerjoin(
        Membership, (Membership.project_id == Annotation.project_id) & (Membership.user_id == Annotation.annotator_id)
    )
    rows = await session.execute(asked.where(Annotation.task_id == task.id).order_by(Annotation.id).limit(MOST))
    found = []
    for said, rater in rows.all():
        protocol = (await protocol_body(session, said.protocol_id)).of_prompt(said.tags or tags)
        taken = (said.submitted_at - said.shown_at).total_seconds() if said.shown_at else None
        found.append(
            Answered(
                annotation=said,
                rater=rater,
                words=in_words(said.body, range(shown), protocol),
                written=read_kept(said.body).written(),
                seconds=taken if said.active_seconds is None else said.active_seconds,
                is_mine=said.annotator_id == me,
            )
        )
    return found


async def history_of(session: AsyncSession, task: Task) -> tuple[list[Happened], dict[int, str]]:
    """What happened, the oldest first; and the pseudonyms of those who did."""
    lines = [Happened(task.created_at, _("Made"))]
    lines += await _shown(session, task)
    lines += await _passed_by(session, task)
    lines += await _said(session, task)
    lines += await _noted(session, task)
    people = {one.who for one in lines if one.who is not None}
    named = select(Membership.user_id, Membership.pseudonym)
    named = named.where(Membership.project_id == task.project_id, Membership.user_id.in_(people))
    return sorted(lines), {row.user_id: row.pseudonym for row in await session.execute(named)}


async def _shown(session: AsyncSession, task: Task) -> list[Happened]:
    held = select(Slot).where(Slot.task_id == task.id, Slot.state == SlotState.leased)
    lines = [
        Happened(slot.shown_at, _("Shown, and on the screen now"), slot.annotator_id)
        for slot in await session.scalars(held)
        if slot.shown_at
    ]
    lapses = select(Lapse).join(Slot, Slot.id == Lapse.slot_id).where(Slot.task_id == task.id)
    ended = await session.scalars(lapses.order_by(Lapse.at.desc()).limit(MOST))  # how, the log says for ever
    return lines + [Happened(one.shown_at, _("Shown"), one.annotator_id) for one in ended]


async def _passed_by(session: AsyncSession, task: Task) -> list[Happened]:
    skips = select(Skip).where(Skip.task_id == task.id, Skip.kind.in_(PASSED)).order_by(Skip.at.desc())
    lines = [
        Happened(one.at, PASSED[one.kind], one.annotator_id, one.reason or "")
        for one in await session.scalars(skips.limit(MOST))
    ]
    for one in await session.scalars(select(Report).where(Report.task_id == task.id).limit(MOST)):
        lines.append(Happened(one.at, _("Reported it"), one.annotator_id, one.words))
        if one.closed_at:
            lines.append(Happened(one.closed_at, _("The report was closed"), one.closed_by_id))
    return lines


async def _said(session: AsyncSession, task: Task) -> list[Happened]:
    answers = list(await session.scalars(select(Annotation).where(Annotation.task_id == task.id).limit(MOST)))
    by_id = {one.id: one.public_id for one in answers}
    lines = []
    for one in answers:
        if one.shown_at:
            lines.append(Happened(one.shown_at, _("Shown"), one.annotator_id))
        lines.append(Happened(one.submitted_at, _("Answered"), one.annotator_id, answer=one.public_id))
    versions = select(AnnotationVersion).where(AnnotationVersion.annotation_id.in_(by_id))
    lines += [
        Happened(old.at, _("Changed the answer"), old.by_id, answer=by_id[old.annotation_id])
        for old in await session.scalars(versions.limit(MOST))
    ]
    remarks = select(Remark).where(Remark.annotation_id.in_(by_id), Remark.kind != RemarkKind.changed)
    lines += [
        Happened(said.at, REMARKS[said.kind], said.by_id, said.text, by_id[said.annotation_id])
        for said in await session.scalars(remarks.order_by(Remark.id).limit(MOST))
    ]
    contests = select(Contest).where(Contest.annotation_id.in_(by_id))
    for held in await session.scalars(contests.limit(MOST)):
        author = next(one.annotator_id for one in answers if one.id == held.annotation_id)
        lines.append(Happened(held.at, _("Contested the argued answer"), author, held.words, by_id[held.annotation_id]))
        if held.closed_at:
            told = _("Accepted the contested answer as well") if held.is_accepted else _("Upheld the argued answer")
            lines.append(Happened(held.closed_at, told, held.closed_by_id, held.reply, by_id[held.annotation_id]))
    return lines


async def _noted(session: AsyncSession, task: Task) -> list[Happened]:
    """Of the log, by index: the condition on the kind is written out, as the index has it."""
    answers = select(cast(Annotation.public_id, Text)).where(Annotation.task_id == task.id)
    subjects = [str(task.public_id), *await session.scalars(answers)]
    noted = select(Event).where(Event.subject.in_(subjects), text("kind <> 'annotation.submitted'"))
    noted = noted.where(Event.kind.in_(EVENTS), Event.project_id == task.project_id).order_by(Event.id).limit(MOST)
    return [Happened(one.at, EVENTS[one.kind], one.actor_id, _words(one.body)) for one in await session.scalars(noted)]


def _words(body: dict[str, Any]) -> str:
    return str(body.get("reason") or body.get("remark") or "")
