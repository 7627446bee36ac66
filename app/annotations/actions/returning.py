"""A reviewer gives an answer back with a remark; its author changes it or answers. What was said first stays."""

from uuid import UUID

from sqlalchemy import func
from sqlalchemy.ext.asyncio import AsyncSession

from app import events
from app.accounts.actions.inbox import tell
from app.accounts.tables import Letter
from app.annotations.actions.editing import CHANGEABLE, NotToBeChanged, locked
from app.annotations.actions.remarking import add_remark, count_of_remarks, tell_reviewers
from app.annotations.tables import Annotation, RemarkKind
from app.errors import Conflict, NotFound
from app.translation import _

MOST = 200  # lines of one talk


class OwnAnswer(Conflict):
    code = "own-answer"
    sentence = _("This answer is your own; another reviewer can return it.")


class LongTalk(Conflict):
    code = "long-talk"
    sentence = _("This talk has {most} lines, and no room for more. Please write to each other directly.")


async def return_answer(
    session: AsyncSession, project_id: int, annotation: UUID, *, reviewer_id: int, text: str
) -> Annotation:
    """Give somebody's answer back with a remark. It counts as before until they change it, for which they have time
    whatever the project's window is.

    :raises NotFound: no such answer in this project. :raises NotToBeChanged: it was taken out.
    :raises OwnAnswer: the reviewer gave it.
    """
    found = await locked(session, project_id, annotation)
    if found.annotator_id == reviewer_id:
        raise OwnAnswer
    if found.state not in CHANGEABLE:
        raise NotToBeChanged
    found.returned_at = func.now()
    await _say(session, found, reviewer_id, RemarkKind.returned, text)
    await tell(session, [found.annotator_id], project_id, Letter.returned, found.public_id)
    return found


async def answer_back(session: AsyncSession, project_id: int, person_id: int, annotation: UUID, text: str) -> None:
    """Its author says something about an answer: a question, or what they think of its being returned, which ends that.

    :raises NotFound: no such answer of this person.
    """
    found = await locked(session, project_id, annotation)
    if found.annotator_id != person_id:
        raise NotFound
    found.returned_at = None
    await _say(session, found, person_id, RemarkKind.said, text)
    await tell_reviewers(session, found, Letter.asked)


async def reply(session: AsyncSession, project_id: int, annotation: UUID, *, reviewer_id: int, text: str) -> None:
    """A reviewer says something about somebody's answer, which stays as it is.

    :raises NotFound: no such answer in this project. :raises OwnAnswer: the reviewer gave it.
    """
    found = await locked(session, project_id, annotation)
    if found.annotator_id == reviewer_id:
        raise OwnAnswer
    await _say(session, found, reviewer_id, RemarkKind.said, text)
    await tell(session, [found.annotator_id], project_id, Letter.replied, found.public_id)


async def _say(session: AsyncSession, about: Annotation, by_id: int, kind: RemarkKind, text: str) -> None:
    if await count_of_remarks(session, about) >= MOST:
        raise LongTalk(most=MOST)
    await add_remark(session, about, by_id, kind, text)
    verb = "annotation.returned" if kind is RemarkKind.returned else "annotation.remarked"
    await events.record(
        session, verb, actor_id=by_id, project_id=about.project_id, subject=about.public_id, version=about.version
    )
