"""Rounds as those who run a project see them: how far each is, when it ends, what it cost, how well people agree."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.tables import Audience, Membership, User
from app.oversight.counting import Counts
from app.oversight.forecast import Forecast
from app.oversight.overview import Clock, Overview, forecast_of, overview_of
from app.oversight.piloting import Sampled, as_json, sampled
from app.projects.batching import Selection
from app.projects.queries import hand_out_of
from app.projects.rules import Recipe, local_day
from app.projects.tables import Batch, Project

NEWEST = 5  # on the overview


@dataclass(frozen=True)
class Round:
    """wanted: answers in all, also to tasks that are still to be made. agreed: see `Agreed`; None: nothing is known."""

    batch: Batch
    counts: Counts
    wanted: int
    forecast: Forecast
    agreed: dict[str, Any] | None
    clock: Clock

    @property
    def is_overdue(self) -> bool:
        return self.batch.due_at is not None and self.batch.state.asks and self.due_day < self.clock.today

    @property
    def is_late(self) -> bool:
        """Whether it is likely to end after it is due."""
        likely = self.forecast.likely
        return self.batch.due_at is not None and likely is not None and likely > self.due_day

    @property
    def due_day(self) -> date:
        """The local day at whose end it is due."""
        assert self.batch.due_at is not None
        return local_day(self.batch.due_at - timedelta(seconds=1), self.clock.zone)


def rounds_in(project_id: int) -> Select[Batch]:
    return select(Batch).where(Batch.project_id == project_id)


async def rounds_told(session: AsyncSession, project: Project, batches: Sequence[Batch]) -> list[Round]:
    """These rounds with their figures."""
    overview = await overview_of(session, project)
    return [told(project, batch, overview) for batch in batches]


def told(project: Project, batch: Batch, overview: Overview) -> Round:
    clock, agreed = overview.clock, overview.agreed
    counts = overview.found.of(batch.id) if overview.found else Counts()
    to_come = max(0, (batch.most_tasks or 0) - counts.made) * batch.k if batch.state.asks else 0
    left = counts.left + to_come
    ends = forecast_of(project, counts, left, clock, overview.counts, overview.room) if batch.state.asks else Forecast()
    figure = agreed.by_round.get(batch.id) if agreed else None
    return Round(batch, counts, counts.wanted + to_come, ends, figure or _kept(batch), clock)


def _kept(batch: Batch) -> dict[str, Any] | None:
    """Agreement as it stood at a step of the round, where its answers are older than those that figures rest on."""
    reports = [step["report"] for step in reversed(batch.steps) if step.get("report")]
    return next((report["agreed"] for report in reports if report.get("agreed")), None)


async def newest_rounds(session: AsyncSession, project: Project, overview: Overview) -> list[Round]:
    """A few, for the overview; figures as that has them."""
    batches = (await session.scalars(rounds_in(project.id).order_by(Batch.id.desc()).limit(NEWEST))).all()
    return [told(project, batch, overview) for batch in batches]


@dataclass(frozen=True)
class Step:
    """A state that a round came to. name, pseudonym: of who brought it there; empty where nobody has a place here.
    report: what was read, or stood, then."""

    state: str
    at: datetime
    name: str | None
    pseudonym: str | None
    read: bool
    report: dict[str, Any] | None


async def steps_of(session: AsyncSession, batch: Batch) -> list[Step]:
    """The newest first."""
    people = {step["by"] for step in batch.steps if step["by"] is not None}
    here = (Membership.user_id == User.id) & (Membership.project_id == batch.project_id)
    asked = select(User.id, User.name, Membership.pseudonym).outerjoin(Membership, here).where(User.id.in_(people))
    named = {row.id: (row.name, row.pseudonym) for row in await session.execute(asked)}
    nobody = (None, None)
    return [
        Step(
            step["state"],
            datetime.fromisoformat(step["at"]),
            *named.get(step["by"], nobody),
            step["read"],
            step["report"],
        )
        for step in reversed(batch.steps)
    ]


async def report_of(session: AsyncSession, project: Project, batch: Batch) -> tuple[Round, Sampled]:
    """Everything that is read about a round."""
    [one] = await rounds_told(session, project, [batch])
    return one, await sampled(session, batch.id)


def kept_report(one: Round, report: Sampled) -> dict[str, Any]:
    """The figures as they are kept beside the next state."""
    counts = {name: value for name, value in vars(one.counts).items() if name != "days"}
    return {"schema": {"name": "hone.round", "version": 1}, "counts": counts, "agreed": one.agreed} | as_json(report)


async def form_of(session: AsyncSession, batch: Batch, zone: str) -> dict[str, Any]:
    """A round as its form has it."""
    selection, recipe = Selection.model_validate(batch.selection), Recipe.model_validate(batch.recipe)
    due = None if batch.due_at is None else local_day(batch.due_at - timedelta(seconds=1), zone)
    plain = {"name": batch.name, "target": batch.target, "pilot": batch.pilot, "due": due, "version": batch.version}
    return plain | await hand_out_of(session, batch) | {"selection": selection, "recipe": recipe}


async def audience_name(session: AsyncSession, batch: Batch) -> str | None:
    """Of whom it asks; None: of everybody."""
    if batch.audience_id is None:
        return None
    return await session.scalar(select(Audience.name).where(Audience.id == batch.audience_id))
