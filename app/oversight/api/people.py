"""REST: everybody who answers in a project, with effort and figures; and changes to several at once."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel

from app.accounts.access import Access, may
from app.accounts.permissions import Permission, Role
from app.cursors import Cursor
from app.database import Session
from app.oversight.changing_people import PeopleChange, change_people
from app.oversight.people import Only, Row, State, chosen, page_of_people, people_of, person_of
from app.projects.queries import get_project

router = APIRouter(tags=["oversight"])
Reader = Annotated[Access, may(Permission.member_list)]
Manager = Annotated[Access, may(Permission.member_manage)]
KNOWN = ("answers", "active", "seconds", "pace", "drift")


class SignView(BaseModel):
    """value: what was seen, over n answers; limit: from where on it is raised (docs/quality.md)."""

    value: float | None
    n: int
    limit: float
    raised: bool


class PersonView(BaseModel):
    """today, in_all: answers given and tasks in hand. Figures are {value, low, high, n}, null where there are too few
    answers or for oneself: agrees, how often they say what another one says about the same task; reliability, how often
    they take the better answer of a pair, or give the right label; gold, how often they meet an answer that was argued.
    answers, active (seconds), seconds and pace (of the middle answer; characters a second): of the newest answers.
    """

    rater: str
    role: Role
    cohort: str | None
    skills: list[str]
    state: State
    today: int
    most_today: int
    in_all: int
    total_limit: int | None
    answers: int | None = None
    active: float | None = None
    seconds: float | None = None
    pace: float | None = None
    agrees: dict[str, Any] | None
    reliability: dict[str, Any] | None
    gold: dict[str, Any] | None
    weeks: list[dict[str, Any]]
    drift: dict[str, Any] | None = None
    signs: dict[str, SignView]


class PeoplePage(BaseModel):
    """at: when figures were computed; null: not yet. newest: so many answers they rest on, the newest; null: on all."""

    at: datetime | None
    newest: int | None
    rows: list[PersonView]
    next: str | None


class Changed(BaseModel):
    """people: how many were changed, or written to."""

    people: int


def person_view(row: Row) -> PersonView:
    member, known = row.member, row.known
    gold = known.get("gold")
    reliability = row.reliability
    return PersonView(
        rater=row.pseudonym,
        role=member.role,
        cohort=member.cohort,
        skills=member.skills,
        state=row.state,
        today=row.today,
        most_today=row.most_today,
        in_all=row.in_all,
        total_limit=member.total_limit,
        agrees=row.figures.get("agrees"),
        reliability={name: reliability[name] for name in ("value", "low", "high", "n")} if reliability else None,
        gold={name: gold[name] for name in ("value", "low", "high", "n")} if gold and gold["n"] else None,
        weeks=known.get("weeks", []),
        signs={name: SignView(**sign) for name, sign in known.get("signs", {}).items()},
        **{name: known[name] for name in KNOWN if name in known},
    )


@router.get("/projects/{project}/annotators")
async def list_people(
    project: UUID, access: Reader, session: Session, only: Annotated[Only, Query()], cursor: Cursor = None
) -> PeoplePage:
    """Fifty a page; leads see their own cohort. Figures are those that were computed last."""
    found = await people_of(session, access, await get_project(session, access.of_project()))
    page = page_of_people(chosen(found.rows, only), only, cursor)
    rows = [person_view(row) for row in page.rows]
    return PeoplePage(at=found.at, newest=found.newest, rows=rows, next=page.next)


@router.get("/projects/{project}/annotators/{member}")
async def show_person(project: UUID, member: str, access: Reader, session: Session) -> PersonView:
    """One of them, by pseudonym."""
    row, _people = await person_of(session, access, await get_project(session, access.of_project()), member)
    return person_view(row)


@router.post("/projects/{project}/annotators/changes")
async def post_change(project: UUID, form: PeopleChange, access: Manager, session: Session) -> Changed:
    """One thing for several people, all of them or nobody: their cohort, skills, limits, a message, a pause, the end
    of their place here."""
    return Changed(people=await change_people(session, access, form))
