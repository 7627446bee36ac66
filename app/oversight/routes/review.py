"""Pages: what waits for a reviewer, queue by queue; and what people contest."""

from typing import Annotated, Any
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Form, Query, Request, Response

from app.accounts.access import Access, may
from app.accounts.actions.inbox import mark_read
from app.accounts.permissions import Permission
from app.cursors import Cursor, page_of
from app.database import Session
from app.oversight.browsing import LOOKED_THROUGH, UNRELIABLE, Queue, TaskFilter, newest_scorer, tasks_found
from app.oversight.listing import rows_of
from app.oversight.waiting import ContestShown, contests_shown, open_contests
from app.pages import redirect, respond
from app.projects.queries import get_project
from app.quality.contesting import close_contest, contests
from app.quality.forms import Decision
from app.quality.tables import Contest
from app.translation import _

router = APIRouter(prefix="/projects/{project}")
Reviewer = Annotated[Access, may(Permission.annotation_review)]


@router.get("/review")
async def index(
    request: Request,
    access: Reviewer,
    session: Session,
    queue: Annotated[Queue, Query()] = Queue.disagreements,
    cursor: Cursor = None,
) -> Response:
    """The tasks of one queue, the newest first."""
    project = await get_project(session, access.of_project())
    only = TaskFilter(queue=queue, cursor=cursor)
    found = await tasks_found(session, project.id, only)
    page: dict[str, Any] = {
        "project": project,
        "queue": queue,
        "found": found,
        "rows": await rows_of(session, found.ids, project.care),
        "next": urlencode(only.asked | {"cursor": found.next}) if found.next else None,
        "contested": await open_contests(session, project.id),
        "scorer": await newest_scorer(session, project.id) if queue is Queue.reward else None,
        "unreliable": UNRELIABLE,
        "most": LOOKED_THROUGH,
    }
    return respond(request, "oversight/review.html", "waiting", **page)


@router.get("/review/contests")
async def list_contests(
    request: Request,
    access: Reviewer,
    session: Session,
    state: Annotated[str, Query(pattern="^(open|closed)$")] = "open",
    cursor: Cursor = None,
) -> Response:
    """What people say against argued answers; open ones oldest last."""
    project = await get_project(session, access.of_project())
    found = await page_of(session, contests(project.id, is_open=state == "open"), Contest.id, cursor=cursor, limit=25)
    shown: list[ContestShown] = await contests_shown(session, found.rows, access.person.id, project.care)
    if access.person.unread:
        await mark_read(session, access.person.id, *(one.annotation for one in shown))
    page: dict[str, Any] = {"project": project, "state": state, "shown": shown, "next": found.next, "cursor": cursor}
    contested = await open_contests(session, project.id)
    return respond(request, "oversight/contests.html", "contests", contested=contested, **page)


@router.post("/review/contests/{contest}")
async def decide(
    request: Request, contest: UUID, access: Reviewer, session: Session, form: Annotated[Decision, Form()]
) -> Response:
    """Uphold what is argued, or accept the contested answer as well."""
    me = access.person.id
    await close_contest(session, access.of_project(), contest, me, accepts=form.accepts, reply=form.reply)
    told = _("Accepted as well; its author is told.") if form.accepts else _("Upheld; its author is told.")
    return redirect(request, f"/projects/{access.project}/review/contests", told)
