"""Pages: everybody who answers in a project, one of them, what a sign was seen by, and changes to several at once."""

from datetime import date
from typing import Annotated, Any
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from app.accounts.access import Access, may
from app.accounts.permissions import Permission
from app.cursors import Cursor
from app.database import Session
from app.errors import DomainError, NotFound
from app.oversight.changing_people import Does, PeopleChange, change_people
from app.oversight.people import Only, Order, Row, State, chosen, page_of_people, people_of, person_of
from app.oversight.person import DAYS, evidence_of
from app.oversight.wording import NAMES, meaning_of, measured, name_of
from app.pages import redirect, respond
from app.projects.forms import filled
from app.projects.queries import get_project
from app.quality.queries import my_days
from app.translation import _, ngettext

router = APIRouter(prefix="/projects/{project}/annotators")
Reader = Annotated[Access, may(Permission.member_list)]
Judge = Annotated[Access, may(Permission.annotation_read)]
Manager = Annotated[Access, may(Permission.member_manage)]
DOES = {
    Does.message: _("Write to them"),
    Does.cohort: _("Put in a cohort"),
    Does.add_skills: _("Add skills"),
    Does.drop_skills: _("Take skills away"),
    Does.daily_limit: _("Limit answers a day"),
    Does.total_limit: _("Limit answers in all"),
    Does.pause: _("Pause"),
    Does.resume: _("Resume"),
    Does.deactivate: _("Deactivate in this project"),
    Does.reactivate: _("Bring back"),
}
ORDERS = {
    Order.pseudonym: _("Pseudonym"),
    Order.cohort: _("Cohort"),
    Order.today: _("Today"),
    Order.in_all: _("In all"),
    Order.active: _("Active time"),
    Order.agrees: _("As others"),
    Order.reliability: _("Reliability"),
    Order.gold: _("Known answers"),
}


@router.get("")
async def index(
    request: Request,
    project: UUID,
    access: Reader,
    session: Session,
    only: Annotated[Only, Query()],
    cursor: Cursor = None,
) -> Response:
    found = await get_project(session, access.of_project())
    everybody = await people_of(session, access, found)
    rows = chosen(everybody.rows, only)
    page: dict[str, Any] = {
        "project": found,
        "people": everybody,
        "only": only,
        "count": len(rows),
        "found": page_of_people(rows, only, cursor),
        "orders": [(one.value, _(said)) for one, said in ORDERS.items()],
        "states": [("", _("not deactivated")), *((one.name, _(one)) for one in State)],
        "cohorts": _named({row.member.cohort for row in everybody.rows if row.member.cohort}),
        "skills": _named({skill for row in everybody.rows for skill in row.member.skills}),
        "signs": [
            ("", _("any or none")),
            ("any", _("one or more")),
            *((name, name_of(name)) for name in NAMES),
        ],
        "does": [(one.value, _(said)) for one, said in DOES.items()],
        "sign_name": name_of,
        "address": _address(project, only),
    }
    return respond(request, "oversight/people.html", "people", **page)


def _named(words: set[str]) -> list[tuple[str, str]]:
    return [(one, one) for one in sorted(words)]


def _address(project: UUID, only: Only) -> Any:
    """The address of the list as it is, but for what is named."""

    def address(**but: Any) -> str:
        asked = only.asked | but
        said = urlencode({name: one for name, one in asked.items() if one != ""})
        return f"/projects/{project}/annotators" + (f"?{said}" if said else "")

    return address


@router.get("/change")
async def choose(
    request: Request,
    project: UUID,
    access: Manager,
    session: Session,
    only: Annotated[Only, Query()],
    does: Does = Does.message,
    who: Annotated[list[str], Query(max_length=1000)] = [],  # noqa: B006  (read only)
    everybody: bool = False,
    text: Annotated[str, Query(max_length=4000)] = "",
) -> Response:
    """The second step: who was chosen, and the field of what is to be done. everybody: all that the list shows."""
    found = await get_project(session, access.of_project())
    picked: list[Row] = []
    if everybody:
        picked = chosen((await people_of(session, access, found)).rows, only)
    elif who:
        picked = (await people_of(session, access, found, *who)).rows
    if not picked:
        return redirect(request, _address(project, only)(), _("Choose people first."), "warning")
    return await _change_page(request, access, found, picked, does, {"text": text})


@router.post("/change")
async def change(request: Request, project: UUID, access: Manager, session: Session) -> Response:
    sent = await request.form()
    who = [str(one) for one in sent.getlist("who")]
    plain = {name: str(value) for name, value in sent.items() if name != "who"}
    form, errors = filled(PeopleChange, plain | {"who": who})
    if form is None:
        return await _again(request, access, session, who, plain, errors)
    try:
        count = await change_people(session, access, form)
    except DomainError as refusal:
        return await _again(request, access, session, who, plain, {"": str(refusal)}, refusal.status)
    told = ngettext("Done for {count} person.", "Done for {count} people.", count).format(count=count)
    return redirect(request, f"/projects/{project}/annotators", told)


async def _again(
    request: Request,
    access: Access,
    session: Session,
    who: list[str],
    sent: dict[str, str],
    errors: dict[str, str],
    status: int = 422,
) -> Response:
    found = await get_project(session, access.of_project())
    rows = (await people_of(session, access, found, *who)).rows if who else []
    does = Does(sent["does"]) if sent.get("does") in set(Does) else Does.message
    return await _change_page(request, access, found, rows, does, sent, errors, status)


async def _change_page(
    request: Request,
    access: Access,
    found: Any,
    rows: list[Row],
    does: Does,
    sent: dict[str, str],
    errors: dict[str, str] | None = None,
    status: int = 200,
) -> Response:
    page = {"project": found, "rows": rows, "does": does.value, "title": _(DOES[does]), "sent": sent}
    return respond(request, "oversight/change.html", "change", status, errors=errors or {}, **page)


@router.get("/{member}")
async def show(request: Request, project: UUID, member: str, access: Reader, session: Session) -> Response:
    """One person; whoever opens their own page is led to the one that compares them with nobody."""
    found = await get_project(session, access.of_project())
    row, people = await person_of(session, access, found, member)
    if row.is_me:
        return redirect(request, f"/projects/{project}/me")
    days = await my_days(session, row.id, found.id, found.zone, DAYS)
    misses = row.known.get("gold", {}).get("misses", []) if access.may(Permission.annotation_read) else []
    page: dict[str, Any] = {
        "project": found,
        "row": row,
        "people": people,
        "days": days,
        "day_of": date.fromisoformat,
        "misses": await evidence_of(session, found, misses),
        "sign_name": name_of,
        "measured": measured,
        "meaning": meaning_of,
    }
    return respond(request, "oversight/person.html", None, **page)


@router.get("/{member}/signs/{sign}")
async def show_sign(
    request: Request, project: UUID, member: str, sign: str, access: Judge, session: Session
) -> Response:
    """The answers that a sign was seen by, as far as they are kept: the newest fifty."""
    found = await get_project(session, access.of_project())
    row, _people = await person_of(session, access, found, member)
    seen = row.known.get("signs", {}).get(sign)
    if seen is None:
        raise NotFound
    page = {"project": found, "row": row, "sign": sign, "seen": seen, "title": name_of(sign)}
    page |= {"value": measured(sign, seen["value"]), "meaning": meaning_of(sign, seen)}
    return respond(
        request, "oversight/sign.html", None, answers=await evidence_of(session, found, seen["shows"]), **page
    )
