"""The people who answer in a project, as those who run it see them: what they may do and did, and how well.

Counts come from the days of quotas, figures from what the quality job keeps (`quality.persons`, `quality.leanings`), so
no answer is read here. Leads see their own cohort, and names stand where the reader may know them. Nobody sees their
own figures beside those of others.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from sqlalchemy import Date, cast, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.access import Access
from app.accounts.forms import SearchWords, empty_is_none
from app.accounts.permissions import Permission, Role
from app.accounts.queries import members
from app.accounts.tables import Membership
from app.cursors import Page, page_of_list
from app.errors import NotFound
from app.projects.tables import Project
from app.quality.gathering import MOST
from app.quality.queries import figures_of
from app.tasks.tables import QuotaDay
from app.translation import _

ROWS = 50
ANSWERING = (Role.annotator, Role.lead)  # listed before their first answer as well


class State(StrEnum):
    active = _("active")
    paused = _("paused")
    deactivated = _("deactivated")


class Order(StrEnum):
    """What the list is ordered by; of figures the interval's lower end counts, so few answers prove little."""

    pseudonym = "pseudonym"
    cohort = "cohort"
    today = "today"
    in_all = "in_all"
    active = "active"
    agrees = "agrees"
    reliability = "reliability"
    gold = "gold"


class Only(BaseModel):
    """Whom a list shows, and in which order. Its address is a link that others can follow. state empty: all who are
    not deactivated. sign: the name of a sign that is raised; `any` of them. fell: whose known answers fell."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    q: SearchWords = ""
    cohort: SearchWords = ""
    skill: SearchWords = ""
    state: Annotated[State | None, BeforeValidator(empty_is_none)] = None
    sign: Annotated[str, Field(max_length=20, pattern="^[a-z]*$")] = ""
    fell: bool = False
    by: Order = Order.pseudonym
    down: bool = False

    @property
    def asked(self) -> dict[str, Any]:
        """What differs from the plain list, for addresses."""
        return self.model_dump(mode="json", exclude_defaults=True)


@dataclass(frozen=True)
class Row:
    """One person. today, in_all: answers given and tasks in hand. most_today: their limit, or the project's.

    figures: of `quality.leanings` where there are enough answers; known: of `quality.persons`; both empty for oneself.
    """

    id: int
    pseudonym: str
    name: str | None
    member: Membership
    is_me: bool
    today: int
    most_today: int
    in_all: int
    figures: Mapping[str, Any]
    known: Mapping[str, Any]

    @property
    def state(self) -> State:
        if self.member.deactivated_at is not None:
            return State.deactivated
        return State.active if self.member.paused_at is None else State.paused

    @property
    def raised(self) -> list[str]:
        """Names of the signs that are raised."""
        return [name for name, sign in self.known.get("signs", {}).items() if sign["raised"]]

    @property
    def fell(self) -> bool:
        return bool((self.known.get("drift") or {}).get("fell"))

    @property
    def reliability(self) -> Mapping[str, Any] | None:
        """How often they take the better answer of a pair, or give the right label."""
        trusted = self.figures.get("reliability")
        return trusted["better"] if trusted else self.figures.get("skill")


@dataclass(frozen=True)
class People:
    """rows: everybody whom the reader may see. at: when figures were computed; None: not yet. pace: of the project's
    middle answer, characters a second. newest: so many of the newest answers figures rest on; None: on all."""

    rows: list[Row]
    at: datetime | None
    pace: float | None
    newest: int | None


async def people_of(session: AsyncSession, access: Access, project: Project, *only: str) -> People:
    """only: pseudonyms; none: everybody."""
    today = cast(func.timezone(project.zone, func.now()), Date)
    counted = (
        select(
            QuotaDay.annotator_id,
            func.sum(QuotaDay.used).label("in_all"),
            func.coalesce(func.sum(QuotaDay.used).filter(QuotaDay.day == today), 0).label("today"),
        )
        .where(QuotaDay.project_id == project.id)
        .group_by(QuotaDay.annotator_id)
        .subquery()
    )
    asked = (
        members(access)
        .add_columns(func.coalesce(counted.c.today, 0), func.coalesce(counted.c.in_all, 0))
        .outerjoin(counted, counted.c.annotator_id == Membership.user_id)
        .where(Membership.role.in_(ANSWERING) | counted.c.annotator_id.is_not(None))
        .order_by(Membership.pseudonym)
    )
    if only:
        asked = asked.where(Membership.pseudonym.in_(only))
    quality = await figures_of(session, project.id, "quality")
    persons = await figures_of(session, project.id, "people")
    agreed = quality.body["people"] if quality else {}
    known = persons.body["people"] if persons else {}
    named = access.may(Permission.member_read) or access.may(Permission.cohort_read)
    rows = [
        Row(
            id=user.id,
            pseudonym=member.pseudonym,
            name=user.name if named else None,
            member=member,
            is_me=user.id == access.person.id,
            today=int(of_today),
            most_today=project.daily_limit if member.daily_limit is None else member.daily_limit,
            in_all=int(in_all),
            figures={} if user.id == access.person.id else agreed.get(str(user.id), {}),
            known={} if user.id == access.person.id else known.get(str(user.id), {}),
        )
        for member, user, of_today, in_all in await session.execute(asked)
        if not user.is_imported
    ]
    if persons is None:
        return People(rows, None, None, None)
    return People(rows, persons.at, persons.body["pace"], MOST if persons.body["is_cut"] else None)


def chosen(rows: list[Row], only: Only) -> list[Row]:
    """Those of a list that are asked for, in its order."""
    kept = [row for row in rows if _fits(row, only)]
    kept.sort(key=lambda row: row.pseudonym)
    placed = [(_place(row, only.by), row) for row in kept]
    known = [one for one in placed if one[0] is not None]
    known.sort(key=lambda one: one[0], reverse=only.down)  # type: ignore[arg-type,return-value]
    return [row for _value, row in known] + [row for value, row in placed if value is None]


def page_of_people(rows: list[Row], only: Only, cursor: str | None) -> Page:
    """rows: those that are `chosen`."""
    scope = f"people {only.by.value} {only.down}"
    return page_of_list(rows, [row.pseudonym for row in rows], scope=scope, cursor=cursor, limit=ROWS)


def _fits(row: Row, only: Only) -> bool:
    if only.q and only.q.casefold() not in f"{row.pseudonym} {row.name or ''}".casefold():
        return False
    if only.cohort and row.member.cohort != only.cohort:
        return False
    if only.skill and only.skill not in row.member.skills:
        return False
    if row.state is not only.state if only.state else row.state is State.deactivated:
        return False
    if only.sign and not (row.raised if only.sign == "any" else only.sign in row.raised):
        return False
    return row.fell or not only.fell


def _place(row: Row, by: Order) -> str | float | None:
    """What a row is ordered by; None: it comes last, whichever way."""
    if by is Order.pseudonym:
        return row.pseudonym
    if by is Order.cohort:
        return row.member.cohort
    if by in (Order.today, Order.in_all):
        return float(row.today if by is Order.today else row.in_all)
    if by is Order.active:
        return row.known.get("active")
    figures = {Order.agrees: row.figures.get("agrees"), Order.reliability: row.reliability}
    figure = figures[by] if by in figures else row.known.get("gold")
    return None if not figure or figure["value"] is None else _low(figure)


def _low(figure: Mapping[str, Any]) -> float:
    return float(figure["value"] if figure["low"] is None else figure["low"])


async def person_of(session: AsyncSession, access: Access, project: Project, pseudonym: str) -> tuple[Row, People]:
    """One of the people whom the reader may see.

    :raises NotFound:
    """
    found = await people_of(session, access, project, pseudonym)
    if not found.rows:
        raise NotFound
    return found.rows[0], found
