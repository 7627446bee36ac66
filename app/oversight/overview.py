"""A project at a glance: how far it is, how fast it goes, when it ends, what it costs, and how well people agree."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import func, literal_column, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.annotations.tables import Annotation, AnnotationState
from app.oversight.counting import Counted, Counts, counted
from app.oversight.forecast import WINDOW, Forecast, forecast
from app.projects.care import GOLD
from app.projects.rules import day_begins, last_days
from app.projects.tables import Batch, BatchState, Project
from app.quality.tables import Figures
from app.tasks.tables import QuotaDay, Slot, Task

SHOWN = 30  # days of the chart
IS_FREE = literal_column("slots.state") == literal_column("0")  # written out, so that the partial index is seen
MOST = 10_000  # free places that are counted while somebody waits


@dataclass(frozen=True)
class Agreed:
    """How far people agree, as it was computed last. of: what was asked, `choice`, `ranking`, `rating:…`. whole, and by
    round (inside id): {value, low, high, n}, percent agreement, of rankings Kendall's tau-b."""

    of: str
    whole: dict[str, Any]
    by_round: dict[int, dict[str, Any]]
    at: datetime


@dataclass(frozen=True)
class Clock:
    """days: the last local days, the oldest first, ending with today. of_today: share of it that is still to come."""

    days: list[date]
    of_today: float
    zone: str

    @property
    def today(self) -> date:
        return self.days[-1]


@dataclass(frozen=True)
class Overview:
    """given: answers a day, of `clock.days`. found: None while a large project was never counted. room: `room_of`."""

    found: Counted | None
    counts: Counts
    clock: Clock
    forecast: Forecast
    agreed: Agreed | None
    room: int | None

    @property
    def given(self) -> list[int]:
        return self.counts.by_day(self.clock.days[-SHOWN:])

    @property
    def hours(self) -> float | None:
        """Of work that wait: what is wanted at the mean time at an answer."""
        each = self.counts.seconds_each
        return None if each is None else self.counts.left * each / 3600


async def overview_of(session: AsyncSession, project: Project) -> Overview:
    found = await counted(session, project.id)
    counts = found.whole if found else Counts()
    clock = await clock_of(session, project)
    room = await room_of(session, project, counts)
    told = forecast_of(project, counts, counts.left, clock, counts, room)
    return Overview(found, counts, clock, told, await agreed_in(session, project.id), room)


async def clock_of(session: AsyncSession, project: Project) -> Clock:
    """By the database's clock, in the project's zone."""
    now = (await session.execute(select(func.now()))).scalar_one()
    days = last_days(now, project.zone, SHOWN)[::-1]
    begins, ends = (day_begins(days[-1] + timedelta(days=ahead), project.zone) for ahead in (0, 1))
    return Clock(days, (ends - now) / (ends - begins), project.zone)


async def room_of(session: AsyncSession, project: Project, whole: Counts) -> int | None:
    """Answers that may still come under the project's limit in all, with those that are being given; None: any number.
    By the days of quotas, as the hand-out counts: answers that a file brought are none of them."""
    if project.answers_in_all is None:
        return None
    used = select(func.coalesce(func.sum(QuotaDay.used), 0)).where(QuotaDay.project_id == project.id)
    return max(0, project.answers_in_all - int(await session.scalar(used) or 0) + whole.leased)


def forecast_of(project: Project, counts: Counts, left: int, clock: Clock, whole: Counts, room: int | None) -> Forecast:
    """When so many answers of a round, or of the whole project, will have come, as its last days went and as the limits
    of the project are now, which all its rounds share. room: see `room_of`."""
    days = clock.days[-1 - WINDOW : -1]
    return forecast(
        counts.by_day(days),
        left if room is None else min(left, room),
        clock.today,
        of_today=clock.of_today,
        most_a_day=project.answers_a_day,
        of=whole.by_day(days),
    )


async def agreed_in(session: AsyncSession, project_id: int) -> Agreed | None:
    """Of the measure that most answers are about; None: nothing was computed, or no two people answered one task."""
    first = Figures.body["measures"][0]
    asked = select(first["measure"].astext, first["figures"], first["by"]["round"], Figures.at)
    row = (await session.execute(asked.where(Figures.project_id == project_id, Figures.name == "quality"))).first()
    if row is None or row[0] is None:
        return None
    measure, whole, rounds, at = row
    return Agreed(measure, _headline(whole), {one["key"]: _headline(one["figures"]) for one in rounds or ()}, at)


def _headline(figures: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = figures.get("percent") or figures.get("kendall") or {}
    return found


@dataclass(frozen=True)
class Waiting:
    """What somebody who answers sees. mine: their answers that count; free: places that wait, as far as they are
    counted."""

    mine: int
    free: int

    @property
    def is_cut(self) -> bool:
        return self.free >= MOST


async def waiting_for(session: AsyncSession, project_id: int, person_id: int) -> Waiting:
    """Read from indexes."""
    stands = Annotation.state.in_((AnnotationState.live, AnnotationState.surplus))
    own = (Annotation.project_id == project_id) & (Annotation.annotator_id == person_id)
    mine = select(Annotation.id).where(own, stands)
    asks = Batch.state.in_([state for state in BatchState if state.asks])
    round_asks = select(Task.id).join(Batch, Batch.id == Task.batch_id).where(Task.id == Slot.task_id, asks).exists()
    free = select(Slot.id).where(Slot.project_id == project_id, IS_FREE, Slot.lane.bitwise_and(GOLD) == 0, round_asks)
    counts = [select(func.count()).select_from(asked.subquery()) for asked in (mine, free.limit(MOST))]
    return Waiting(*[await session.scalar(count) or 0 for count in counts])


def weekly(given: Sequence[int]) -> float:
    """Answers a day of the last seven whole days."""
    return sum(given[-8:-1]) / 7
