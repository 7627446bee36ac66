"""The inbox: what others want a person to see, what was returned to them, and where work waits."""

from typing import Annotated

from fastapi import APIRouter, Request, Response

from app.accounts.access import Access, in_person
from app.accounts.actions.inbox import mark_read
from app.accounts.queries import letters_to
from app.accounts.tables import InboxItem, Letter
from app.annotations.emptiness import open_work
from app.annotations.history import my_talks
from app.cursors import Cursor, page_of
from app.database import Session
from app.pages import redirect, respond
from app.translation import _

router = APIRouter()
Me = Annotated[Access, in_person()]
ROWS = 25
SENTENCES = {
    Letter.returned: _("An answer of yours was returned."),
    Letter.replied: _("A reviewer said something about an answer of yours."),
    Letter.changed: _("An answer that you returned was changed."),
    Letter.asked: _("Somebody said something about their answer."),
    Letter.guidelines: _("There are new guidelines: version {version}."),
    Letter.answered: _("A question of yours is answered."),
}
LEADS_TO = {
    Letter.returned: "answers/{subject}",
    Letter.replied: "answers/{subject}",
    Letter.changed: "annotations/{subject}",
    Letter.asked: "annotations/{subject}",
    Letter.guidelines: "guidelines",
    Letter.answered: "questions/mine",
}


@router.get("/inbox")
async def show_inbox(request: Request, me: Me, session: Session, cursor: Cursor = None) -> Response:
    """Letters, newest first; on the first page also what is returned and where work waits."""
    page = await page_of(session, letters_to(me.person.id), InboxItem.id, cursor=cursor, limit=ROWS)
    letters = [
        {
            "sentence": _(SENTENCES[item.kind]).format(version=item.subject),
            "address": f"/projects/{project}/" + LEADS_TO[item.kind].format(subject=item.subject),
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


@router.post("/inbox/read")
async def read_all(request: Request, me: Me, session: Session) -> Response:
    await mark_read(session, me.person.id)
    return redirect(request, "/inbox", _("Everything is marked as read."))
