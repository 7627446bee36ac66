"""Pages: tasks with a known answer, making many of them, and what newcomers answer first."""

from typing import Annotated, Any

from fastapi import APIRouter, Form, Query, Request, Response

from app.accounts.access import Access, may
from app.accounts.permissions import Permission
from app.accounts.tables import Membership
from app.cursors import Cursor, page_of
from app.database import Session
from app.oversight.known import argued_tasks, known_shown
from app.oversight.listing import Row, rows_of
from app.oversight.waiting import open_contests
from app.pages import redirect, respond
from app.projects.forms import filled
from app.projects.queries import get_project
from app.quality.entering import EntranceForm, let_in, newcomers, set_entrance, tasks_for_newcomers
from app.quality.knowing import LOOKED_THROUGH, ManyArguments, Source, argue_many, known_tasks
from app.quality.queries import people_by_id
from app.quality.tables import ArguedAnswer
from app.translation import _, ngettext

router = APIRouter(prefix="/projects/{project}")
Reviewer = Annotated[Access, may(Permission.annotation_review)]
Editor = Annotated[Access, may(Permission.project_edit)]
Manager = Annotated[Access, may(Permission.member_manage)]
Least = Annotated[int, Query(ge=2, le=50)]
SHOWN = 5  # of those that would be argued


@router.get("/review/gold")
async def index(
    request: Request,
    access: Reviewer,
    session: Session,
    source: Source | None = None,
    least: Least = 3,
    most: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Cursor = None,
) -> Response:
    """source: show what would be argued of it."""
    asked = {"source": source, "least": least, "most": most}
    return await _page(request, access, session, asked=asked, cursor=cursor)


@router.post("/review/gold/many")
async def argue_all(request: Request, access: Reviewer, session: Session) -> Response:
    """Argue what was shown, and what is like it by now."""
    sent = {name: str(value) for name, value in (await request.form()).items()}
    form, errors = filled(ManyArguments, sent)
    if form is None:
        return await _page(request, access, session, asked=_asked(sent, errors), errors=errors, status=422)
    project = await get_project(session, access.of_project())
    made = await argue_many(session, project, form, access.person.id)
    told = ngettext("{count} task has a known answer now.", "{count} tasks have a known answer now.", made)
    return redirect(request, f"/projects/{access.project}/review/gold", told.format(count=made))


@router.post("/review/entrance")
async def ask_newcomers(request: Request, access: Editor, session: Session) -> Response:
    """What newcomers answer first."""
    sent = {name: str(value) for name, value in (await request.form()).items()}
    form, errors = filled(EntranceForm, sent)
    if form is None:
        return await _page(request, access, session, errors=errors, entrance=sent, status=422)
    await set_entrance(session, await get_project(session, access.of_project()), form, access.person.id)
    return redirect(
        request, f"/projects/{access.project}/review/gold", _("Whoever joins from now on answers these first.")
    )


@router.post("/review/entrance/off")
async def ask_no_newcomers(request: Request, access: Editor, session: Session) -> Response:
    await set_entrance(session, await get_project(session, access.of_project()), None, access.person.id)
    return redirect(request, f"/projects/{access.project}/review/gold", _("Newcomers get the usual tasks at once."))


@router.post("/review/entrance/let-in")
async def let_them_in(
    request: Request, access: Manager, session: Session, rater: Annotated[str, Form(max_length=100)]
) -> Response:
    """Somebody gets the usual tasks, whatever they answered."""
    await let_in(session, access.of_project(), rater, access.person.id)
    return redirect(request, f"/projects/{access.project}/review/gold", _("{rater} is let in.").format(rater=rater))


def _asked(sent: dict[str, str], errors: dict[str, str]) -> dict[str, Any]:
    """What was asked for, as it was typed; what is wrong with a number is said of the argument's form, so the usual
    number stands for it."""
    asked: dict[str, Any] = {"source": Source.unanimous, "least": 3, "most": 50, "use": sent.get("use", "gold")}
    if sent.get("source") == Source.settled.value:
        asked["source"] = Source.settled
    asked |= {name: int(sent[name]) for name in ("least", "most") if name in sent and name not in errors}
    return asked | {"typed": sent.get("argument", "")}


async def _page(
    request: Request,
    access: Access,
    session: Session,
    *,
    asked: dict[str, Any] | None = None,
    errors: dict[str, str] | None = None,
    entrance: dict[str, str] | None = None,
    cursor: str | None = None,
    status: int = 200,
) -> Response:
    """entrance: what was typed about newcomers, where it is shown again."""
    project = await get_project(session, access.of_project())
    asked = {"source": None, "least": 3, "most": 50, "typed": project.argument_template} | (asked or {})
    page = await page_of(session, argued_tasks(project.id), ArguedAnswer.task_id, cursor=cursor, limit=25)
    waiting = (await page_of(session, newcomers(project.id), Membership.id, limit=50)).rows if project.entrance else []
    named = await people_by_id(session, project.id) if waiting and access.may(Permission.member_read) else {}
    told: dict[str, Any] = {
        "project": project,
        "asked": asked,
        "errors": errors or {},
        "entrance": entrance,
        "known": await known_shown(session, page.rows),
        "next": page.next,
        "cursor": cursor,
        "contested": await open_contests(session, project.id),
        "waiting": [(member, entrance, named.get(str(member.user_id), ("", ""))[1]) for member, entrance in waiting],
        "room": await tasks_for_newcomers(session, project.id) if project.entrance else 0,
        "looked": LOOKED_THROUGH,
        "would": None,
    }
    if asked["source"] is not None:
        found = await known_tasks(session, project.id, asked["source"], asked["least"], asked["most"], access.person.id)
        rows: list[Row] = await rows_of(session, [one.task.id for one in found[:SHOWN]], project.care)
        told |= {"would": len(found), "rows": rows}
    return respond(request, "oversight/gold.html", "gold", status, **told)
