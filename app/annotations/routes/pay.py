"""Pages: what answers are worth, what everybody earned, and statements to take away."""

from datetime import date
from typing import Annotated, Any
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import AfterValidator

from app.accounts.access import Access, may
from app.accounts.permissions import Permission
from app.annotations.actions.paying import adjust, set_rate
from app.annotations.earnings import FIRST_DAY, LAST_DAY, Period, earned, rates_of, statement
from app.cursors import Cursor, page_of_list
from app.database import Session
from app.errors import DomainError
from app.pages import redirect, respond
from app.projects.batching import Adjustment, RateForm
from app.projects.forms import filled, without_nul
from app.projects.protocols.outline import KINDS
from app.projects.protocols.wording import kind_name
from app.projects.queries import get_project
from app.tasks.limits import standing_of
from app.translation import _

router = APIRouter(prefix="/projects/{project}/pay")
Reader = Annotated[Access, may(Permission.pay_read)]
Editor = Annotated[Access, may(Permission.pay_edit)]
ROWS = 25
MONEY = ("an_answer", "a_minute", "most", "amount")
Day = Annotated[str, Query(pattern=r"^(\d{4}-\d{2}-\d{2})?$")]


@router.get("")
async def index(
    request: Request,
    project: UUID,
    access: Reader,
    session: Session,
    first: Day = "",
    last: Day = "",
    cursor: Cursor = None,
) -> Response:
    return await _page(request, access, session, period_of(first, last), cursor)


@router.post("/rates")
async def add_rate(request: Request, project: UUID, access: Editor, session: Session) -> Response:
    sent = await _sent(request)
    form, errors = filled(RateForm, sent)
    try:
        if form is not None:
            await set_rate(session, access, form)
            return redirect(request, f"/projects/{project}/pay", _("The rate is set."))
        refusal, status = " ".join(errors.values()), 422
    except DomainError as refused:
        refusal, status = str(refused), refused.status
    return await _page(request, access, session, Period(), told=refusal, status=status)


@router.post("/ledger")
async def add_line(request: Request, project: UUID, access: Editor, session: Session) -> Response:
    form, errors = filled(Adjustment, await _sent(request))
    try:
        if form is not None:
            await adjust(session, access, form)
            return redirect(request, f"/projects/{project}/pay", _("The line is in the ledger."))
        refusal, status = " ".join(errors.values()), 422
    except DomainError as refused:
        refusal, status = str(refused), refused.status
    return await _page(request, access, session, Period(), told=refusal, status=status)


@router.get("/statement.csv", response_class=StreamingResponse)
async def download(
    project: UUID,
    access: Reader,
    session: Session,
    first: Day = "",
    last: Day = "",
    rater: Annotated[str, Query(max_length=200), AfterValidator(without_nul)] = "",
) -> StreamingResponse:
    found = await get_project(session, access.of_project())
    rows = statement(found, period_of(first, last), rater=rater or None)
    head = {"Content-Disposition": 'attachment; filename="statement.csv"'}
    return StreamingResponse(rows, media_type="text/csv", headers=head)


def period_of(first: str, last: str) -> Period:
    """Days that are none count as left out: a field of the browser's own lets nothing else through."""
    return Period(*(_day(text) for text in (first, last)))


def _day(text: str) -> date | None:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return day if FIRST_DAY <= day <= LAST_DAY else None


async def _sent(request: Request) -> dict[str, str]:
    """The fields; amounts of money in hundredths."""
    sent = {name: str(value).strip() for name, value in (await request.form()).items()}
    return {name: _hundredths(value) if name in MONEY else value for name, value in sent.items()}


def _hundredths(amount: str) -> str:
    try:
        return str(round(float(amount) * 100))
    except (ValueError, OverflowError):
        return amount


async def _page(
    request: Request,
    access: Access,
    session: Session,
    period: Period,
    cursor: str | None = None,
    *,
    told: str | None = None,
    status: int = 200,
) -> Response:
    found = await get_project(session, access.of_project())
    people = await earned(session, found, period)
    part = page_of_list(people, [one.rater for one in people], scope="pay", cursor=cursor, limit=ROWS)
    page: dict[str, Any] = {
        "project": found,
        "told": told,
        "period": period,
        "people": part.rows,
        "count": len(people),
        "next": urlencode(period.asked | {"cursor": part.next}) if part.next else None,
        "sum": sum(one.amount for one in people),
        "kind_name": kind_name,
        "rates": await rates_of(session, found.id),
        "kinds": [("", _("all kinds")), *((kind, kind_name(kind)) for kind in KINDS)],
        "standing": await standing_of(session, found.id),
    }
    if told is not None:  # said above the forms, which stay as they were filled in
        return respond(request, "annotations/pay.html", "refusal", status, into="notices", **page)
    return respond(request, "annotations/pay.html", "pay", status, **page)
