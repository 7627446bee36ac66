"""What people earned: lines of the ledger, sums by person and period, and statements that add up to the same."""

from collections.abc import AsyncIterator, Sequence
from csv import writer
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from io import StringIO
from typing import Any

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.tables import Membership
from app.annotations.tables import Annotation, LedgerLine
from app.database import snapshot
from app.projects.rules import day_begins
from app.projects.tables import Project, Rate

COLUMNS = ("at", "rater", "amount", "currency", "answer", "kind", "active_seconds", "remark")
RATER = func.coalesce(Membership.pseudonym, "–").label("rater")
LINE: tuple[Any, ...] = (
    LedgerLine,
    RATER,
    Annotation.public_id.label("answer"),
    Annotation.kind,
    Annotation.active_seconds,
)
TOLD: tuple[Any, ...] = (
    LedgerLine.at,
    RATER,
    LedgerLine.amount,
    Annotation.public_id,
    Annotation.kind,
    Annotation.active_seconds,
    LedgerLine.remark,
)


FIRST_DAY, LAST_DAY = date(2000, 1, 1), date(2199, 12, 31)  # periods lie between


@dataclass(frozen=True)
class Period:
    """Local days of a project, both counted; empty: without an end."""

    first: date | None = None
    last: date | None = None

    @property
    def asked(self) -> dict[str, str]:
        """As addresses have it."""
        days = {"first": self.first, "last": self.last}
        return {name: day.isoformat() for name, day in days.items() if day is not None}

    def bounds(self, zone: str) -> tuple[datetime | None, datetime | None]:
        """Instants: from the first, up to but not with the second."""
        after = None if self.last is None else day_begins(self.last + timedelta(days=1), zone)
        return None if self.first is None else day_begins(self.first, zone), after


def lines(project: Project, period: Period, *, rater: str | None = None) -> Select[Any]:
    """(line, pseudonym, outside id and kind and active seconds of its answer) of a period; of one person, if named."""
    asked: Select[Any] = (
        select(*LINE)
        .outerjoin(
            Membership,
            (Membership.project_id == LedgerLine.project_id) & (Membership.user_id == LedgerLine.annotator_id),
        )
        .outerjoin(Annotation, Annotation.id == LedgerLine.annotation_id)
        .where(LedgerLine.project_id == project.id, *_within(project, period))
    )
    return asked if rater is None else asked.where(Membership.pseudonym == rater)


def _within(project: Project, period: Period) -> list[ColumnElement[bool]]:
    start, end = period.bounds(project.zone)
    bounds = [LedgerLine.at >= start] if start is not None else []
    return bounds + ([LedgerLine.at < end] if end is not None else [])


@dataclass(frozen=True)
class Earned:
    """One person's sum in a period. answers: that were paid. active: seconds at those whose time was measured."""

    rater: str
    answers: int
    active: float
    amount: int


async def earned(session: AsyncSession, project: Project, period: Period) -> Sequence[Earned]:
    """Everybody who has a line in the period, the largest sum first."""
    each = (  # summed by number first: pseudonyms of a hundred thousand lines are slow to group
        select(
            LedgerLine.annotator_id,
            func.count(LedgerLine.annotation_id).label("answers"),
            func.sum(Annotation.active_seconds).label("active"),
            func.sum(LedgerLine.amount).label("amount"),
        )
        .outerjoin(Annotation, Annotation.id == LedgerLine.annotation_id)
        .where(LedgerLine.project_id == project.id, *_within(project, period))
        .group_by(LedgerLine.annotator_id)
        .subquery()
    )
    here = (Membership.project_id == project.id) & (Membership.user_id == each.c.annotator_id)
    rater, amount = func.coalesce(Membership.pseudonym, "–"), func.sum(each.c.amount)
    asked = (
        select(rater, func.sum(each.c.answers), func.coalesce(func.sum(each.c.active), 0), amount)
        .outerjoin(Membership, here)
        .group_by(rater)
        .order_by(amount.desc(), rater)
    )
    found = await session.execute(asked)
    return [Earned(rater, int(count), float(active), int(amount)) for rater, count, active, amount in found]


async def earned_by(session: AsyncSession, project: Project, person_id: int, period: Period) -> int:
    """What one person earned in a period."""
    asked = select(func.coalesce(func.sum(LedgerLine.amount), 0)).where(
        LedgerLine.project_id == project.id, LedgerLine.annotator_id == person_id, *_within(project, period)
    )
    return int((await session.execute(asked)).scalar_one())


async def rates_of(session: AsyncSession, project_id: int) -> Sequence[Any]:
    """(rate, pseudonym of its person or None), those that begin last first."""
    asked = select(Rate, Membership.pseudonym).outerjoin(
        Membership, (Membership.project_id == Rate.project_id) & (Membership.user_id == Rate.annotator_id)
    )
    asked = asked.where(Rate.project_id == project_id).order_by(Rate.starts_at.desc(), Rate.id.desc())
    return (await session.execute(asked)).all()


async def statement(project: Project, period: Period, *, rater: str | None = None) -> AsyncIterator[bytes]:
    """Lines of the ledger as CSV, the oldest first, by a server-side cursor; amounts in the currency, to the cent."""
    yield _row(COLUMNS)
    ordered = lines(project, period, rater=rater).order_by(LedgerLine.id).with_only_columns(*TOLD)
    async with snapshot() as connection, connection.stream(ordered, execution_options={"yield_per": 500}) as rows:
        async for at, rater, amount, answer, kind, active, remark in rows:
            seconds = "" if active is None else f"{active:.1f}"
            yield _row((at.isoformat(), rater, in_currency(amount), project.currency, answer, kind, seconds, remark))


def in_currency(amount: int) -> str:
    """Hundredths as a decimal number: -1205 is -12.05."""
    sign = "-" if amount < 0 else ""
    return f"{sign}{abs(amount) // 100}.{abs(amount) % 100:02d}"


def _row(values: Sequence[object]) -> bytes:
    line = StringIO()
    writer(line).writerow(["" if value is None else _plain(str(value)) for value in values])
    return line.getvalue().encode()


def _plain(text: str) -> str:
    """No spreadsheet takes a remark for a formula."""
    is_number = text.lstrip("-").replace(".", "", 1).isdigit()
    return text if is_number or not text.startswith(("=", "+", "-", "@", "\t", "\r")) else "'" + text
