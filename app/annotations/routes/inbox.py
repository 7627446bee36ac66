"""The inbox: what others want a person to see, what was returned to them, and where work waits."""

from typing import Annotated
from uuid import UUID, uuid4

from fastapi import APIRouter, Form, Request, Response

from app.accounts.access import Access, in_person
from app.accounts.actions.inbox import mark_read, tell
from app.accounts.forms import MessageForm
from app.accounts.queries import letter_to, letters_to
from app.accounts.tables import InboxItem, Letter
from app.annotations.emptiness import open_work
from app.annotations.history import my_talks
from app.cursors import Cursor, page_of
from app.database import Session
from app.errors import NotFound
from app.pages import redirect, respond
from app.translation import _

router = APIRouter()
Me = Annotated[Access, in_person()]
ROWS = 25
SENTENCES = {
    Letter.returned: _("An answer of yours was returned."),
    Letter.replied: _("A reviewer said something about an answer of yours."),
    Letter.upheld: _("Your answer was looked at again; what is argued stays."),
    Letter.accepted: _("Your answer was looked at again, and counts as right now."),
    Letter.entered: _("You are let in: the usual tasks wait for you."),
    Letter.try_again: _("Too few of the first tasks were right. You may try once more, with other tasks."),
    Letter.not_entered: _("Too few of the first tasks were right, and you were not let in."),
    Letter.changed: _("An answer that you returned was changed."),
    Letter.asked: _("Somebody said something about their answer."),
    Letter.contested: _("Somebody says that their answer to a task with a known answer is right."),
    Letter.guidelines: _("There are new guidelines: version {version}."),
    Letter.answered: _("A question of yours is answered."),
    Letter.message: _("A message: {text}"),
    Letter.reply: _("A message: {text}"),
}
LEADS_TO = {
    Letter.returned: "answers/{subject}",
    Letter.replied: "answers/{subject}",
    Letter.upheld: "answers/{subject}",
    Letter.accepted: "answers/{subject}",
    Letter.entered: "annotate",
    Letter.try_again: "me",
    Letter.not_entered: "me",
    Letter.changed: "annotations/{subject}",
    Letter.asked: "annotations/{subject}",
    Letter.contested: "review/contests",
    Letter.guidelines: "guidelines",
    Letter.answered: "questions/mine",
}
TALK = {Letter.message: Letter.reply, Letter.reply: Letter.message}  # what is written back to each
BEGINNING = 140  # signs of a message that the list shows


@router.get("/inbox")
async def show_inbox(request: Request, me: Me, session: Session, cursor: Cursor = None) -> Response:
    """Letters, newest first; on the first page also what is returned and where work waits."""
    page = await page_of(session, letters_to(me.person.id), InboxItem.id, cursor=cursor, limit=ROWS)
    letters = [
        {
            "sentence": _(SENTENCES[item.kind]).format(version=item.subject, text=_beginning(item.text)),
            "address": f"/inbox/{item.public_id}"
            if item.kind in TALK
            else f"/projects/{project}/" + LEADS_TO[item.kind].format(subject=item.subject),
            "project": name,
            "at": item.at,
            "is_read": item.read_at is not None,
        }
        for item, project, name in page.rows
    ]
    talks = await my_talks(session, me.person.id, None)
    return respond(
        request,
        "annotations/inbox.html",
        "letters",
        letters=letters,
        next=page.next,
        returned=[talk for talk in talks if talk.returned_at is not None],
        work=await open_work(session, me.person.id),
    )


def _beginning(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= BEGINNING else line[: BEGINNING - 1] + "…"


@router.get("/inbox/{letter}")
async def show_letter(request: Request, letter: UUID, me: Me, session: Session) -> Response:
    """A message, which is read by that; whoever wrote it may be answered. Those who run a project write as such,
    whatever else they are in it, or become."""
    item, project, name, by = await letter_to(session, me.person.id, letter)
    if item.kind not in TALK:
        raise NotFound
    await mark_read(session, me.person.id, public_id=item.public_id)
    page = {"letter": item, "of": project, "name": name, "by": by, "runs": item.kind is Letter.message}
    return respond(request, "annotations/letter.html", None, **page)


@router.post("/inbox/{letter}/reply")
async def reply(
    request: Request, letter: UUID, form: Annotated[MessageForm, Form()], me: Me, session: Session
) -> Response:
    """An answer to whoever wrote a message; it comes to their inbox."""
    item, *_about = await letter_to(session, me.person.id, letter)
    if item.by_id is None or item.kind not in TALK:
        raise NotFound
    by = me.person.id
    await tell(session, [item.by_id], item.project_id, TALK[item.kind], uuid4(), text=form.text, by_id=by)
    return redirect(request, "/inbox", _("Sent."))


@router.post("/inbox/read")
async def read_all(request: Request, me: Me, session: Session) -> Response:
    await mark_read(session, me.person.id)
    return redirect(request, "/inbox", _("Everything is marked as read."))
