"""What is counted about a project and its rounds: tasks, answers by day, time, money.

A small project is counted when somebody looks. One of hundreds of thousands of answers is counted by a job, again and
again (at most a twentieth of the time), and pages read what was kept, and say as of when.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Self

from sqlalchemy import BigInteger, bindparam, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.annotations.tables import Annotation
from app.completions.queries import count_completions
from app.events import Event
from app.prompts.queries import counts_by_use
from app.quality.queries import figures_of
from app.tasks.tables import Slot

NAME = "rounds"  # of these figures among those that are kept
SCHEMA = {"name": "hone.rounds", "version": 1}
# Rows that are counted while somebody waits.
SMALL: dict[type[Annotation] | type[Slot], int] = {Annotation: 10_000, Slot: 30_000}
DAYS = 60  # local days up to today of which answers are kept by day
LONGEST = 15 * 60  # seconds that an answer counts for at most

PROJECT = bindparam("project", type_=BigInteger)

# Answers whatever became of them, by round and local day; those that a file brought were given on no day of ours.
ANSWERS = text("""
    SELECT t.batch_id AS batch,
           CASE WHEN a.shown_at IS NOT NULL AND a.submitted_at > now() - make_interval(days => :days)
                THEN CAST(a.submitted_at AT TIME ZONE p.zone AS date) END AS day,
           count(*) AS given,
           count(*) FILTER (WHERE a.state = 'live') AS live,
           count(*) FILTER (WHERE a.state = 'surplus') AS surplus,
           count(a.active_seconds) AS timed,
           coalesce(sum(least(a.active_seconds, :longest)), 0) AS seconds,
           coalesce(sum(l.amount), 0) AS spent
    FROM annotations a
    JOIN projects p ON p.id = a.project_id
    JOIN tasks t ON t.id = a.task_id
    LEFT JOIN ledger l ON p.pays AND l.annotation_id = a.id
    WHERE a.project_id = :project GROUP BY 1, 2
""").bindparams(PROJECT)

# Places that no answer has filled, of rounds that ask; those of argued tasks take the place of others, and are not
# waited for.
PLACES = text("""
    SELECT t.batch_id AS batch,
           count(*) FILTER (WHERE s.state = 1) AS leased,
           count(*) FILTER (WHERE s.state = 0 AND s.lane >= 0) AS free,
           count(*) FILTER (WHERE s.state < 0 OR s.lane < 0) AS planned
    FROM slots s JOIN tasks t ON t.id = s.task_id JOIN batches b ON b.id = t.batch_id
    WHERE s.project_id = :project
      AND (s.state = 1 OR s.state IN (-2, -1, 0) AND (s.lane < 0 OR s.lane & 32 = 0) AND b.state IN ('pilot', 'open'))
    GROUP BY 1
""").bindparams(PROJECT)

TASKS = text("""
    SELECT batch_id AS batch, count(*) AS tasks, count(*) FILTER (WHERE state = 'open') AS open,
           count(*) FILTER (WHERE purpose IN ('collect', 'calibration') AND state <> 'cancelled') AS made
    FROM tasks WHERE project_id = :project AND purpose <> 'gold' GROUP BY 1
""").bindparams(PROJECT)

SPENT = text("SELECT coalesce(sum(amount), 0) FROM ledger WHERE project_id = :project").bindparams(PROJECT)


@dataclass(frozen=True)
class Counts:
    """Of a round, or of all together.

    made: tasks of its own; tasks: also those of evaluations; open: that wait for an answer. done: answers that count;
    surplus: that came when their place was gone; given: all, also those that were taken out since. free: places that
    somebody may take now; planned: that wait for room, or are held back. timed: answers whose time was measured, with
    so many seconds in sum. spent: for answers, in hundredths of the currency. days: answers by local day.
    """

    made: int = 0
    tasks: int = 0
    open: int = 0
    done: int = 0
    surplus: int = 0
    given: int = 0
    leased: int = 0
    free: int = 0
    planned: int = 0
    timed: int = 0
    seconds: float = 0.0
    spent: int = 0
    days: Mapping[str, int] = field(default_factory=dict)

    @property
    def wanted(self) -> int:
        """Answers in all, as far as tasks are made."""
        return self.done + self.left

    @property
    def left(self) -> int:
        return self.leased + self.free + self.planned

    @property
    def seconds_each(self) -> float | None:
        """Mean time at an answer; None where nobody measured."""
        return self.seconds / self.timed if self.timed else None

    @property
    def cost_each(self) -> float | None:
        """Hundredths of the currency for an answer that counts."""
        return self.spent / self.done if self.done else None

    def by_day(self, days: Sequence[date]) -> list[int]:
        return [self.days.get(day.isoformat(), 0) for day in days]


@dataclass(frozen=True)
class Counted:
    """rounds: by inside id. spent: all lines of the ledger, also those that people added. prompts: by use. completions:
    (how many, of how many prompts). at: when it was counted; None: just now."""

    rounds: Mapping[int, Counts]
    spent: int
    prompts: Mapping[str, int]
    completions: tuple[int, int]
    at: datetime | None = None

    @property
    def whole(self) -> Counts:
        """All rounds together."""
        plain: Counter[str] = Counter()
        days: Counter[str] = Counter()
        for one in self.rounds.values():
            plain.update({name: value for name, value in vars(one).items() if name != "days"})
            days.update(one.days)
        return Counts(**plain, days=days)

    def of(self, batch_id: int) -> Counts:
        return self.rounds.get(batch_id, Counts())

    @classmethod
    def of_body(cls, body: Mapping[str, Any], at: datetime | None = None) -> Self:
        rounds = {int(key): Counts(**counts) for key, counts in body["rounds"].items()}
        return cls(rounds, body["spent"], body["prompts"], tuple(body["completions"]), at)


async def counted(session: AsyncSession, project_id: int) -> Counted | None:
    """A project's counts: of a small one as they are now, of a large one as they were kept; None: not yet."""
    if await is_small(session, project_id):
        return Counted.of_body(await count_now(session, project_id))
    kept = await figures_of(session, project_id, NAME)
    return None if kept is None or kept.body["schema"] != SCHEMA else Counted.of_body(kept.body, kept.at)


async def spent_in(session: AsyncSession, project_id: int) -> int | None:
    """All lines of a project's ledger; of a large one as they were when it was counted last; None: not yet."""
    if await is_small(session, project_id):
        return int(await session.scalar(SPENT, {"project": project_id}) or 0)
    kept = await figures_of(session, project_id, NAME)
    return None if kept is None else int(kept.body["spent"])


async def is_small(session: AsyncSession, project_id: int) -> bool:
    """Whether it has few answers and few places: two looks into an index, that end at the bound."""
    for table, most in SMALL.items():
        some = select(table.id).where(table.project_id == project_id).limit(most + 1).subquery()
        if (await session.scalar(select(func.count()).select_from(some)) or 0) > most:
            return False
    return True


async def count_now(session: AsyncSession, project_id: int) -> dict[str, Any]:
    """Everything is read: some milliseconds in a small project, seconds in one of a million answers."""
    rounds: dict[int, dict[str, Any]] = {}
    values = {"project": project_id, "days": DAYS + 1, "longest": LONGEST}
    for row in (await session.execute(ANSWERS, values)).mappings():
        one = rounds.setdefault(row["batch"], {"days": {}})
        for name in ("given", "surplus", "timed", "spent"):
            one[name] = one.get(name, 0) + int(row[name])
        one["done"] = one.get("done", 0) + row["live"]
        one["seconds"] = one.get("seconds", 0.0) + float(row["seconds"])
        if row["day"] is not None:
            one["days"][row["day"].isoformat()] = row["given"]
    for statement in (PLACES, TASKS):
        for row in (await session.execute(statement, {"project": project_id})).mappings():
            rounds.setdefault(row["batch"], {}).update({name: row[name] for name in row if name != "batch"})
    completions = await count_completions(session, project_id)
    waits = {name: sum(one.get(name, 0) for one in rounds.values()) for name in ("done", "leased", "free", "planned")}
    return {
        "schema": SCHEMA,
        "whole": waits,
        "rounds": {str(batch): one for batch, one in rounds.items()},
        "spent": int(await session.scalar(SPENT, {"project": project_id}) or 0),
        "prompts": {use.value: count for use, count in (await counts_by_use(session, project_id)).items()},
        "completions": [completions.completions, completions.prompts],
    }


async def newest_event(session: AsyncSession, project_id: int) -> int:
    return await session.scalar(select(func.max(Event.id)).where(Event.project_id == project_id)) or 0
