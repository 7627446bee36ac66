"""REST: what answers are worth, and what people earned. Hone moves no money."""

from datetime import date, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse
from pydantic import AfterValidator, BaseModel

from app.accounts.access import Access, may
from app.accounts.permissions import Permission
from app.annotations.actions.paying import adjust, set_rate
from app.annotations.earnings import FIRST_DAY, LAST_DAY, Period, earned, lines, rates_of, statement
from app.annotations.tables import LedgerLine
from app.cursors import Cursor, Limit, page_of
from app.database import Session
from app.projects.batching import Adjustment, RateForm
from app.projects.forms import without_nul
from app.projects.queries import get_project

router = APIRouter(tags=["pay"])
Reader = Annotated[Access, may(Permission.pay_read)]
Editor = Annotated[Access, may(Permission.pay_edit)]
Day = Annotated[date | None, Query(ge=FIRST_DAY, le=LAST_DAY, description="a local day of the project, counted")]
Rater = Annotated[str | None, Query(max_length=200), AfterValidator(lambda name: name and without_nul(name))]


class RateView(BaseModel):
    """Amounts in hundredths of the project's currency. rater, cohort, kind empty: all of them."""

    id: UUID
    rater: str | None
    cohort: str | None
    kind: str | None
    an_answer: int | None
    a_minute: int | None
    most: int | None
    starts_at: datetime


class LineView(BaseModel):
    """amount: in hundredths of the project's currency. answer: outside id; empty where somebody added the line."""

    id: UUID
    at: datetime
    rater: str
    amount: int
    answer: UUID | None
    kind: str | None
    active_seconds: float | None
    remark: str


class LinePage(BaseModel):
    rows: list[LineView]
    next: str | None


class Sum(BaseModel):
    rater: str
    answers: int
    active_seconds: float
    amount: int


class Sums(BaseModel):
    """Everybody's sum in the period; amounts in hundredths of the currency."""

    currency: str
    amount: int
    people: list[Sum]


def rate_view(rate: Any, rater: str | None) -> RateView:
    plain = ("cohort", "kind", "an_answer", "a_minute", "most", "starts_at")
    return RateView(id=rate.public_id, rater=rater, **{name: getattr(rate, name) for name in plain})


def line_view(row: Any) -> LineView:
    line, rater, answer, kind, active = row
    plain = {name: getattr(line, name) for name in ("at", "amount", "remark")}
    return LineView(id=line.public_id, rater=rater, answer=answer, kind=kind, active_seconds=active, **plain)


@router.get("/projects/{project}/rates")
async def list_rates(project: UUID, access: Reader, session: Session) -> list[RateView]:
    """All that there ever were, those that begin last first. The nearest counts: a person's before a cohort's before
    the project's, of the kind before all kinds, and of these the newest."""
    return [rate_view(*row) for row in await rates_of(session, access.of_project())]


@router.post("/projects/{project}/rates", status_code=201)
async def post_rate(project: UUID, form: RateForm, access: Editor, session: Session) -> RateView:
    """What answers to tasks that are shown from then on are worth. 0 ends what was paid."""
    return rate_view(await set_rate(session, access, form), form.rater)


@router.get("/projects/{project}/ledger")
async def list_ledger(
    project: UUID,
    access: Reader,
    session: Session,
    rater: Rater = None,
    first: Day = None,
    last: Day = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> LinePage:
    """Lines of the ledger, newest first: one for each answer, and those that somebody added."""
    asked = lines(await get_project(session, access.of_project()), Period(first, last), rater=rater)
    page = await page_of(session, asked, LedgerLine.id, cursor=cursor, limit=limit)
    return LinePage(rows=[line_view(row) for row in page.rows], next=page.next)


@router.post("/projects/{project}/ledger", status_code=201)
async def post_adjustment(project: UUID, form: Adjustment, access: Editor, session: Session) -> LineView:
    """Add a line with a remark; nothing in the ledger is ever changed."""
    return line_view((await adjust(session, access, form), form.rater, None, None, None))


@router.get("/projects/{project}/earned")
async def show_sums(project: UUID, access: Reader, session: Session, first: Day = None, last: Day = None) -> Sums:
    """What everybody earned in a period; the lines of the ledger add up to it."""
    found = await get_project(session, access.of_project())
    people = [
        Sum(rater=one.rater, answers=one.answers, active_seconds=one.active, amount=one.amount)
        for one in await earned(session, found, Period(first, last))
    ]
    return Sums(currency=found.currency, amount=sum(one.amount for one in people), people=people)


@router.get("/projects/{project}/statement.csv", response_class=StreamingResponse)
async def download(
    project: UUID,
    access: Reader,
    session: Session,
    rater: Rater = None,
    first: Day = None,
    last: Day = None,
) -> StreamingResponse:
    """The lines of a period as CSV, of one person or of all."""
    found = await get_project(session, access.of_project())
    rows = statement(found, Period(first, last), rater=rater)
    return StreamingResponse(rows, media_type="text/csv")
