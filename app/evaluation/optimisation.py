"""How far from the reference a policy still gains: by the reward model that it learned from, and by people.

The reward model's score goes on rising when people have long stopped to like what it pays for (Gao et al. 2023, who
draw both over the root of the divergence: near the reference, gains are straight lines there).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import and_, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.charts import Point
from app.checkpoints.tables import Checkpoint
from app.evaluation.queries import side_of
from app.evaluation.tables import Evaluation
from app.training.tables import Run

MOST = 50  # policies, the newest


@dataclass(frozen=True)
class ByPeople:
    """A blind comparison of the policy with its reference: win rate with its 95 % interval, of so many answers."""

    evaluation: UUID
    answers: int
    rate: float
    low: float
    high: float


@dataclass(frozen=True)
class Measured:
    """A policy at one moment. step: of the run itself, None at a run's end. kl: nats an answer from the reference;
    gain: score above the reference's, raw; proxy: win rate over it by the reward model."""

    name: str
    step: int | None
    checkpoint: UUID | None
    kl: float
    gain: float | None
    proxy: float | None
    people: ByPeople | None = None

    @property
    def distance(self) -> float:
        """Root of the divergence; its estimate may be a little below 0."""
        return math.sqrt(max(0.0, self.kl))


@dataclass(frozen=True)
class Optimisation:
    """run: looks of the run itself. policies: ends of runs against the same reward model from the same reference."""

    run: list[Measured]
    policies: list[Measured]

    def curve(self, name: str) -> list[Point]:
        """`gain` or `proxy` of the run's looks over distance."""
        return [(look.distance, getattr(look, name)) for look in self.run]

    def dots(self, name: str) -> list[Point]:
        """Of the policies, with a gap behind each, so that no line leads from one run to another."""
        placed = [(one.distance, getattr(one, name)) for one in self.policies]
        return [point for x, y in placed for point in ((x, y), (x, None))]

    @property
    def by_people(self) -> list[Point]:
        """Win rates as dots, each on an upright line that is its interval."""
        known = [(one.distance, one.people) for one in self.policies if one.people]
        return [(x, y) for x, people in known for y in (people.low, people.high, None, people.rate, None)]


async def optimisation_of(
    session: AsyncSession, run: Run, curves: Mapping[str, Sequence[tuple[float, float | None]]]
) -> Optimisation | None:
    """None where nothing was measured, or the run has no reward model. curves: the run's metrics by name."""
    if run.reward_id is None:
        return None
    found = Optimisation(looks_of(run.name, curves), await policies_beside(session, run))
    return found if found.run or found.policies else None


def looks_of(name: str, curves: Mapping[str, Sequence[tuple[float, float | None]]]) -> list[Measured]:
    """The run at each look at prompts that it does not practise on."""
    at = {metric: dict(points) for metric, points in curves.items() if metric.startswith("eval_")}
    measured = []
    for step, kl in at.get("eval_kl", {}).items():
        score, reference = (at.get(metric, {}).get(step) for metric in ("eval_score", "eval_reference_score"))
        if kl is not None:
            gain = score - reference if score is not None and reference is not None else None
            measured.append(Measured(name, int(step), None, kl, gain, at.get("eval_win_rate", {}).get(step)))
    return measured


async def policies_beside(session: AsyncSession, run: Run) -> list[Measured]:
    """The newest policies from the run's reference against its reward model, its own included, the nearest first."""
    query = (
        select(Run.name, Run.report, Checkpoint.id, Checkpoint.public_id)
        .join(Checkpoint, Checkpoint.id == Run.result_id)
        .where(Run.project_id == run.project_id, Run.reward_id == run.reward_id, Run.base_id == run.base_id)
        .order_by(Run.id.desc())
        .limit(MOST)
    )
    rows = [row for row in (await session.execute(query)).all() if row.report.get("kl") is not None]
    heard = await _by_people(session, run, [row.id for row in rows])
    found = [_at_its_end(row.name, row.report, row.public_id, heard.get(row.id)) for row in rows]
    return sorted(found, key=lambda one: (one.kl, one.name))


def _at_its_end(name: str, report: Mapping[str, Any], checkpoint: UUID, people: ByPeople | None) -> Measured:
    score, reference = report.get("score"), report.get("reference_score")
    gain = score - reference if score is not None and reference is not None else None
    return Measured(name, None, checkpoint, report["kl"], gain, report.get("win_rate"), people)


async def _by_people(session: AsyncSession, run: Run, policies: Sequence[int]) -> dict[int, ByPeople]:
    """Of each policy (its checkpoint's inside id) the newest comparison with the run's reference that has answers,
    whichever of the two was the candidate."""
    query = (
        select(Evaluation)
        .where(
            Evaluation.project_id == run.project_id,
            or_(
                and_(Evaluation.baseline_id == run.base_id, Evaluation.candidate_id.in_(policies)),
                and_(Evaluation.candidate_id == run.base_id, Evaluation.baseline_id.in_(policies)),
            ),
        )
        .order_by(Evaluation.id)
    )
    heard = {}
    for one in await session.scalars(query):
        policy = one.candidate_id if one.baseline_id == run.base_id else one.baseline_id
        answers, rate, low, high = side_of(one, policy)
        if rate is not None and low is not None and high is not None:
            heard[policy] = ByPeople(one.public_id, answers, rate, low, high)
    return heard
