"""REST: a project at a glance."""

from datetime import date, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel

from app.accounts.access import Access, may
from app.accounts.permissions import Permission
from app.database import Session
from app.oversight.counting import Counts
from app.oversight.forecast import Forecast, Silence
from app.oversight.overview import Overview, overview_of
from app.projects.queries import get_project

router = APIRouter(tags=["oversight"])
Reader = Annotated[Access, may(Permission.progress_read)]


class ForecastView(BaseModel):
    """When what is wanted now will have been answered: four of five times between `earliest` and `latest`, which is
    null where the days differ too much. silence: why there is no likely day: done, new (fewer than three whole days),
    idle (nobody for a week), far (more than two years)."""

    a_day: float
    earliest: date | None
    likely: date | None
    latest: date | None
    silence: Silence | None


class CountsView(BaseModel):
    """tasks: that collect answers. done: answers that count. surplus: that came when their place was gone. leased: on
    somebody's screen; free: places that somebody may take; planned: that wait for room or are held back.
    seconds_each: mean time at an answer. spent, cost_each: for answers, in hundredths of the currency; only for those
    who may see pay."""

    tasks: int
    done: int
    surplus: int
    leased: int
    free: int
    planned: int
    seconds_each: float | None
    spent: int | None = None
    cost_each: float | None = None


class OverviewView(CountsView):
    """counted_at: a large project is counted again and again by a job; null: just now, or never yet (`is_counted`).
    days: answers of the last thirty local days. hours: of work that wait. agreement: {value, low, high, n} of what most
    answers are about (`agreement_of`), as it was computed last. spent: all lines of the ledger."""

    is_counted: bool
    counted_at: datetime | None
    open_tasks: int
    days: dict[date, int]
    hours: float | None
    forecast: ForecastView
    agreement_of: str | None = None
    agreement: dict[str, Any] | None = None


def forecast_view(told: Forecast) -> ForecastView:
    return ForecastView(**vars(told))


def counts_of(counts: Counts, access: Access) -> dict[str, Any]:
    """As views have them; money only for those who may see pay."""
    plain = ("done", "surplus", "leased", "free", "planned", "seconds_each")
    money = ("spent", "cost_each") if access.may(Permission.pay_read) else ()
    return {"tasks": counts.made} | {name: getattr(counts, name) for name in (*plain, *money)}


@router.get("/projects/{project}/overview")
async def show(project: UUID, access: Reader, session: Session) -> OverviewView:
    """Progress, answers by day, a forecast, cost, what waits, and how well people agree."""
    return view(await overview_of(session, await get_project(session, access.of_project())), access)


def view(told: Overview, access: Access) -> OverviewView:
    counts = counts_of(told.counts, access)
    if "spent" in counts and told.found:
        counts["spent"] = told.found.spent
    return OverviewView(
        **counts,
        is_counted=told.found is not None,
        counted_at=told.found.at if told.found else None,
        open_tasks=told.counts.open,
        days=dict(zip(told.clock.days, told.given, strict=True)),
        hours=told.hours,
        forecast=forecast_view(told.forecast),
        agreement_of=told.agreed.of if told.agreed else None,
        agreement=told.agreed.whole if told.agreed else None,
    )
