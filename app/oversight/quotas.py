"""Quotas of a project as one grid: the project, tags with limits, and people; used, limit and left, by day and in all.

What is used comes from the days of quotas (`tasks.limits` for tags), so no answer is counted here.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.tables import Membership, User
from app.events import QUOTAS, Event
from app.oversight.forecast import WINDOW
from app.oversight.people import Row, State
from app.oversight.quota_effects import Done, Limits, Stand
from app.projects.queries import limits_of
from app.projects.rules import local_day
from app.projects.tables import Project
from app.tasks.limits import Standing, standing_of, standing_of_tag
from app.tasks.tables import QuotaDay

DAY, ALL, BUDGET = "day", "all", "budget"
PROJECT, TAG, PERSON = "project", "tag", "person"
MOST_TAGS = 20  # whose answers are counted for a page


@dataclass(frozen=True)
class Cell:
    """One limit. most: what stands there, None for none of its own. bound: what holds then, None for nothing."""

    row: str
    name: str
    column: str
    used: int
    most: int | None
    bound: int | None

    @property
    def left(self) -> int | None:
        return None if self.bound is None else max(0, self.bound - self.used)


@dataclass(frozen=True)
class Grid:
    """limits: as their form has them (`projects.queries.limits_of`). today: of the project."""

    project: list[Cell]
    tags: list[tuple[str, list[Cell]]]
    limits: dict[str, Any]
    standing: Standing
    today: date


async def grid_of(session: AsyncSession, project: Project) -> Grid:
    """The rows of the project and of its tags; those of people are `people.people_of`."""
    limits = await limits_of(session, project)
    standing = await standing_of(session, project.id)
    today = local_day((await session.execute(select(func.now()))).scalar_one(), project.zone)
    a_day, in_all, budget = limits["answers_a_day"], limits["answers_in_all"], limits["budget"]
    own = [
        Cell(PROJECT, "", DAY, standing.used_today, a_day, a_day),
        Cell(PROJECT, "", ALL, standing.used, in_all, in_all),
        Cell(PROJECT, "", BUDGET, standing.spent, budget, budget),
    ]
    tags = []
    for rule in [one for one in limits["tags"] if one["a_day"] is not None or one["in_all"] is not None][:MOST_TAGS]:
        tag = rule["tag"]
        used, used_today = await standing_of_tag(session, project.id, tag)
        cells = [
            Cell(TAG, tag, DAY, used_today, rule["a_day"], rule["a_day"]),
            Cell(TAG, tag, ALL, used, rule["in_all"], rule["in_all"]),
        ]
        tags.append((tag, cells))
    return Grid(own, tags, limits, standing, today)


def cells_of(row: Row) -> list[Cell]:
    """A person's two."""
    member = row.member
    return [
        Cell(PERSON, row.pseudonym, DAY, row.today, member.daily_limit, row.most_today),
        Cell(PERSON, row.pseudonym, ALL, row.in_all, member.total_limit, member.total_limit),
    ]


async def done_lately(session: AsyncSession, project_id: int, today: date) -> Done:
    """Answers of each person on each of the last whole days; at most people times days of the forecast's window."""
    asked = (
        select(QuotaDay.day, Membership.pseudonym, QuotaDay.used)
        .join(
            Membership,
            (Membership.project_id == QuotaDay.project_id) & (Membership.user_id == QuotaDay.annotator_id),
        )
        .where(QuotaDay.project_id == project_id, QuotaDay.day >= today - timedelta(days=WINDOW), QuotaDay.day < today)
    )
    done: dict[date, dict[str, int]] = defaultdict(dict)
    for day, who, used in await session.execute(asked):
        done[day][who] = used
    return done


def stand_of(grid: Grid, people: Sequence[Row]) -> Stand:
    there = grid.standing
    return Stand(
        today=grid.today,
        wanted=there.free + there.planned + there.leased,
        used=there.used - there.leased,  # what is in hand is still to come
        used_by={row.pseudonym: row.in_all for row in people},
        spent=there.spent,
        dearest=there.dearest,
    )


def limits_now(grid: Grid, people: Sequence[Row]) -> Limits:
    """As they are; of people, those who are asked."""
    asked = [row for row in people if row.state is State.active]
    return Limits(
        a_day={row.pseudonym: row.most_today for row in asked},
        in_all={row.pseudonym: row.member.total_limit for row in asked if row.member.total_limit is not None},
        project_a_day=grid.limits["answers_a_day"],
        project_in_all=grid.limits["answers_in_all"],
        budget=grid.limits["budget"],
    )


def history_of(project_id: int) -> Select[Any]:
    """(event, name of who did it) of every change of a quota; their order and page are the caller's."""
    named: tuple[Any, ...] = (Event, User.name)
    asked: Select[Any] = select(*named).outerjoin(User, User.id == Event.actor_id)
    return asked.where(Event.project_id == project_id, Event.kind.in_(QUOTAS))
