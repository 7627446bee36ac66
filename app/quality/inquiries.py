"""Questions that people ask about the task on their screen, the answers to them, and rulings: answers for everybody."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, false, func, select, union_all, update
from sqlalchemy.ext.asyncio import AsyncSession

from app import events
from app.accounts.access import Access
from app.accounts.actions.inbox import tell
from app.accounts.permissions import Permission
from app.accounts.tables import Letter, Membership, User
from app.annotations.tables import Annotation
from app.completions.tables import Completion
from app.errors import Conflict, Forbidden, NotFound
from app.markup import render_markdown
from app.projects.tables import Project
from app.prompts.tables import Prompt
from app.quality.tables import Inquiry, Ruling
from app.tasks.tables import Lapse, Slot, Task, TaskCompletion
from app.translation import _

OPEN_AT_ONCE = 20  # unanswered questions of one person in a project
MOST_RULINGS = 100


class EnoughAsked(Conflict):
    code = "enough-asked"
    sentence = _("{most} of your questions wait for an answer. Please wait for some of these first.")


class NotAnswered(Conflict):
    code = "not-answered"
    sentence = _("Only a question that is answered can be published as a ruling, and only once.")


async def ask(session: AsyncSession, access: Access, task: UUID, words: str) -> Inquiry:
    """Keep somebody's question about a task that was shown to them; they go on with it meanwhile.

    :raises NotFound: no such task, or never shown to them. :raises EnoughAsked: too many of theirs are open.
    """
    project_id, me = access.of_project(), access.person.id
    shown = select(Slot.id).where(Slot.task_id == Task.id, Slot.annotator_id == me).exists()
    asked = select(Task.id).where(Task.project_id == project_id, Task.public_id == task, shown)
    task_id = await session.scalar(asked)
    if task_id is None:
        raise NotFound
    mine = select(Inquiry.id).where(Inquiry.asker_id == me, Inquiry.project_id == project_id)
    waiting = mine.where(Inquiry.answered_at.is_(None)).limit(OPEN_AT_ONCE)
    if len((await session.scalars(waiting)).all()) >= OPEN_AT_ONCE:
        raise EnoughAsked(most=OPEN_AT_ONCE)
    made = Inquiry(project_id=project_id, task_id=task_id, asker_id=me, words=words)
    session.add(made)
    await session.flush()
    await session.refresh(made)
    await _note(session, "question.asked", made, me, task=str(task))
    return made


async def answer(session: AsyncSession, access: Access, inquiry: UUID, words: str) -> Inquiry:
    """Answer a question, or say it better; who asked finds it in their inbox. Leads answer their own cohort.

    :raises NotFound: no such question that the caller may see. :raises Forbidden: it is their own.
    """
    found = await inquiry_of(session, access, inquiry, for_update=True)
    if found.asker_id == access.person.id:
        raise Forbidden
    found.answer, found.answered_by_id, found.answered_at = words, access.person.id, func.now()
    await session.flush()
    await session.refresh(found)
    await _note(session, "question.answered", found, access.person.id)
    await tell(session, [found.asker_id], found.project_id, Letter.answered, found.public_id)
    return found


async def publish(session: AsyncSession, access: Access, inquiry: UUID, question: str, markdown: str) -> Ruling:
    """An answer holds for everybody from now on, in these words, beside the guidelines.

    :raises NotFound: no such question. :raises NotAnswered: it is not answered, or is published.
    """
    found = await inquiry_of(session, access, inquiry, for_update=True)
    known = await session.scalar(select(Ruling).where(Ruling.inquiry_id == found.id))
    if found.answered_at is None or (known is not None and known.retired_at is None):
        raise NotAnswered
    ruling = known or Ruling(project_id=found.project_id, inquiry_id=found.id)
    ruling.question, ruling.markdown, ruling.html = question, markdown, render_markdown(markdown)
    ruling.by_id, ruling.retired_at = access.person.id, None
    session.add(ruling)
    await session.flush()
    await session.refresh(ruling)
    await _note(session, "ruling.published", ruling, access.person.id)
    return ruling


async def retire(session: AsyncSession, access: Access, ruling: UUID) -> None:
    """A ruling is shown no more. :raises NotFound: no such ruling that is shown."""
    shown = update(Ruling).where(Ruling.public_id == ruling, Ruling.project_id == access.of_project())
    ended = shown.where(Ruling.retired_at.is_(None)).values(retired_at=func.now()).returning(Ruling)
    found = (await session.scalars(ended)).one_or_none()
    if found is None:
        raise NotFound
    await _note(session, "ruling.retired", found, access.person.id)


async def inquiry_of(session: AsyncSession, access: Access, inquiry: UUID, *, for_update: bool = False) -> Inquiry:
    """:raises NotFound: no such question, or not one of the caller's cohort."""
    asked = visible_to(access, Inquiry).where(Inquiry.public_id == inquiry)
    if for_update:
        asked = asked.with_for_update(of=Inquiry)
    found: Inquiry | None = await session.scalar(asked.execution_options(populate_existing=True))
    if found is None:
        raise NotFound
    return found


def in_cohort_of(access: Access) -> ColumnElement[bool]:
    """Of the caller's own cohort; who is in none leads nobody, not all those who are in none either."""
    return Membership.cohort == access.cohort if access.cohort is not None else false()


def visible_to(access: Access, *columns: Any) -> Select[Any]:
    """Questions that the caller may answer: reviewers all, leads those of their own cohort."""
    asked: Select[Any] = select(*columns).where(Inquiry.project_id == access.of_project())
    if access.may(Permission.annotation_review):
        return asked
    of_cohort = (Membership.project_id == Inquiry.project_id) & (Membership.user_id == Inquiry.asker_id)
    return asked.join(Membership, of_cohort).where(in_cohort_of(access))


def listed(access: Access, *, is_open: bool) -> Select[Inquiry, UUID, str, str, Ruling]:
    """Rows as `with_asker` gives them, for `cursors.page_of`."""
    return with_asker(access).where(Inquiry.answered_at.is_(None) if is_open else Inquiry.answered_at.is_not(None))


def with_asker(access: Access) -> Select[Inquiry, UUID, str, str, Ruling]:
    """(question, task, pseudonym and name of who asked, ruling or None) of all that the caller may answer."""
    place = (Membership.project_id == Inquiry.project_id) & (Membership.user_id == Inquiry.asker_id)
    asked = (
        select(Inquiry, Task.public_id, Membership.pseudonym, User.name, Ruling)
        .join(Task, Task.id == Inquiry.task_id)
        .join(User, User.id == Inquiry.asker_id)
        .outerjoin(Membership, place)
        .outerjoin(Ruling, Ruling.inquiry_id == Inquiry.id)
        .where(Inquiry.project_id == access.of_project())
    )
    return asked if access.may(Permission.annotation_review) else asked.where(in_cohort_of(access))


async def order_seen(session: AsyncSession, inquiry: Inquiry) -> list[int] | None:
    """Numbers of the task's completions as they stood before its asker, who says A and B by them; None: not kept.

    The same person may be shown a task again, in another order: what counts is the last showing before the question.
    """
    showings = [
        select(of.sides, of.shown_at).where(task == inquiry.task_id, of.annotator_id == inquiry.asker_id)
        for of, task in ((Slot, Slot.task_id), (Annotation, Annotation.task_id))
    ]
    ended = select(Lapse.sides, Lapse.shown_at).join(Slot, Slot.id == Lapse.slot_id)
    showings.append(ended.where(Slot.task_id == inquiry.task_id, Lapse.annotator_id == inquiry.asker_id))
    seen = union_all(*showings).subquery()
    last = select(seen.c.sides).where(seen.c.shown_at <= inquiry.at).order_by(seen.c.shown_at.desc()).limit(1)
    return await session.scalar(last)


async def count_open(session: AsyncSession, access: Access, most: int = 100) -> tuple[int, datetime | None]:
    """Questions that wait for the caller's answer, counted up to `most`; and since when the oldest one waits."""
    few = visible_to(access, Inquiry.at).where(Inquiry.answered_at.is_(None), Inquiry.asker_id != access.person.id)
    waiting = few.order_by(Inquiry.id).limit(most).subquery()
    count, oldest = (await session.execute(select(func.count(), func.min(waiting.c.at)))).one()
    return count, oldest


@dataclass(frozen=True)
class Asked:
    """A question of one's own."""

    words: str
    at: datetime
    answer: str | None
    answered_at: datetime | None
    project: UUID
    project_name: str


async def my_inquiries(session: AsyncSession, person_id: int, project_id: int | None, most: int = 50) -> list[Asked]:
    """The latest first. project_id None: of all projects."""
    asked = (
        select(Inquiry, Project.public_id, Project.name)
        .join(Project, Project.id == Inquiry.project_id)
        .where(Inquiry.asker_id == person_id)
        .order_by(Inquiry.id.desc())
        .limit(most)
    )
    if project_id is not None:
        asked = asked.where(Inquiry.project_id == project_id)
    return [
        Asked(one.words, one.at, one.answer, one.answered_at, project, name)
        for one, project, name in await session.execute(asked)
    ]


@dataclass(frozen=True)
class Example:
    """A ruling with the task it was made about. turns: (role, html); answers: html, in the task's own order. care: what
    the task is sensitive for, so it is covered."""

    ruling: Ruling
    task: UUID
    turns: list[tuple[str, str]]
    answers: list[str]
    care: int


async def rulings_of(session: AsyncSession, project_id: int) -> list[Example]:
    """What is published beside the guidelines, the newest first."""
    shown = (
        select(Ruling, Task.id, Task.public_id, Prompt.messages, Prompt.rendered, Prompt.care)
        .join(Inquiry, Inquiry.id == Ruling.inquiry_id)
        .join(Task, Task.id == Inquiry.task_id)
        .join(Prompt, Prompt.id == Task.prompt_id)
        .where(Ruling.project_id == project_id, Ruling.retired_at.is_(None))
        .order_by(Ruling.id.desc())
        .limit(MOST_RULINGS)
    )
    rows = (await session.execute(shown)).all()
    answers: dict[int, list[str]] = {}
    texts = select(TaskCompletion.task_id, Completion.html).join(
        Completion, Completion.id == TaskCompletion.completion_id
    )
    texts = texts.where(TaskCompletion.task_id.in_({row[1] for row in rows}))
    for task_id, html in await session.execute(texts.order_by(TaskCompletion.task_id, TaskCompletion.number)):
        answers.setdefault(task_id, []).append(html)
    return [
        Example(
            ruling,
            task,
            [(one["role"], html) for one, html in zip(messages, rendered, strict=True)],
            answers.get(task_id, []),
            care,
        )
        for ruling, task_id, task, messages, rendered, care in rows
    ]


async def _note(session: AsyncSession, kind: str, about: Inquiry | Ruling, actor_id: int, **told: object) -> None:
    subject = about.public_id
    await events.record(session, kind, actor_id=actor_id, project_id=about.project_id, subject=subject, **told)
