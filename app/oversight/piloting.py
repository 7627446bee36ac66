"""What a round's answers look like so far, from some of its tasks: the report that is read before a pilot opens.

The tasks are all of a small round, and a random thousand of a large one: their outside ids are random, so the first
thousand of these are as good as drawn, and the same at every look.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import median, quantiles
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, BigInteger, and_, any_, func, literal, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.annotations.tables import Annotation, AnnotationState
from app.projects.protocols import ProtocolBody
from app.projects.tables import Batch
from app.prompts.tables import Prompt
from app.quality.reading import said_in
from app.quality.tables import Inquiry
from app.tasks.actions.making import GATHERS
from app.tasks.queries import COUNTED, protocol_body
from app.tasks.tables import PassedBy, Report, Skip, Task

SAMPLE = 1000  # tasks
DISPUTED = 10  # tasks that are listed
MOST_APART = 10  # answers to one task that are compared, each with each
OUTCOMES = ("tie", "both_bad", "neither_valid")


@dataclass(frozen=True)
class Given:
    """One answer that counts."""

    task: int
    body: Mapping[str, Any]
    protocol: ProtocolBody
    seconds: float | None
    fast: bool


@dataclass(frozen=True)
class Disputed:
    """A task people disagreed about. share: how far pairs of its answers are apart, 0 … 1."""

    task: UUID
    prompt: Prompt
    answers: int
    share: float


@dataclass(frozen=True)
class Sampled:
    """tasks: looked at, is_cut: there are more. seconds: a quarter is quicker, half is, three quarters are; None where
    nobody measured. outcomes: share of answers to comparisons that chose neither, by how; compared: of how many.
    passed: showings that were passed by, by how; reports: that were made; questions: that people asked about them."""

    tasks: int
    is_cut: bool
    answers: int
    people: int
    seconds: tuple[float, float, float] | None
    fast: float | None
    compared: int
    outcomes: dict[str, float]
    passed: dict[str, int]
    reports: int
    questions: int
    disputed: list[Disputed]

    @property
    def skipped(self) -> float | None:
        """Share of showings that ended in passing by."""
        shown = self.answers + sum(self.passed.values())
        return sum(self.passed.values()) / shown if shown else None


async def sampled(session: AsyncSession, batch_id: int) -> Sampled:
    """What the answers to a round's tasks, or to a thousand of them, say."""
    some = select(Task.id).where(Task.batch_id == batch_id, Task.purpose.in_(GATHERS)).order_by(Task.public_id)
    found = list(await session.scalars(some.limit(SAMPLE + 1)))
    tasks = found[:SAMPLE]
    these = any_(literal(tasks, ARRAY(BigInteger)))  # one value: a thousand take longer to write down than to look up
    columns = (Annotation.task_id, Annotation.body, Annotation.active_seconds, Annotation.fast)
    more = (Annotation.protocol_id, Annotation.annotator_id)
    asked = select(*columns, *more).where(Annotation.task_id == these, Annotation.state == AnnotationState.live)
    rows = (await session.execute(asked.order_by(Annotation.public_id))).all()
    protocols = {one: await protocol_body(session, one) for one in {row.protocol_id for row in rows}}
    given = [Given(row.task_id, row.body, protocols[row.protocol_id], row.active_seconds, row.fast) for row in rows]
    passing = select(Skip.kind, func.count()).where(Skip.task_id == these, Skip.kind.in_(COUNTED)).group_by(Skip.kind)
    passed = {kind.value: 0 for kind in COUNTED}
    passed |= {PassedBy(kind).value: count for kind, count in await session.execute(passing)}
    reported = await session.scalar(select(func.count()).select_from(Report).where(Report.task_id == these))
    here = select(Batch.project_id).where(Batch.id == batch_id).scalar_subquery()  # by an index
    inquired = select(func.count()).select_from(Inquiry).where(Inquiry.project_id == here, Inquiry.task_id == these)
    apart = await asyncio.to_thread(disputes, given)  # seconds, for much said by many
    compared = [outcome for one in given if (outcome := outcome_of(one.body)) is not None]
    return Sampled(
        tasks=len(tasks),
        is_cut=len(found) > SAMPLE,
        answers=len(given),
        people=len({row.annotator_id for row in rows}),
        seconds=quarters([one.seconds for one in given if one.seconds is not None]),
        fast=sum(one.fast for one in given) / len(given) if given else None,
        compared=len(compared),
        outcomes={word: compared.count(word) / len(compared) for word in OUTCOMES} if compared else {},
        passed=passed,
        reports=reported or 0,
        questions=await session.scalar(inquired) or 0,
        disputed=await _named(session, apart),
    )


def outcome_of(body: Mapping[str, Any]) -> str | None:
    """What a comparison came to, also as a part of a combined answer; None: nothing was compared."""
    if body["kind"] == "combined":
        return next((found for part in body["parts"] if (found := outcome_of(part)) is not None), None)
    return str(body["outcome"]) if body["kind"] == "comparison" else None


def quarters(values: Sequence[float]) -> tuple[float, float, float] | None:
    """The three values that cut them into quarters; of one value it is all three."""
    if not values:
        return None
    if len(values) == 1:
        return values[0], values[0], values[0]
    first, _half, third = quantiles(values, n=4, method="inclusive")
    return first, median(values), third


def disputes(given: Sequence[Given]) -> list[tuple[int, int, float]]:
    """(task, answers, how far pairs of them are apart) of tasks people disagreed about, the most first.

    Two answers differ in as many of the measures that both say as they say otherwise; points of a scale differ by their
    distance, as a share of the widest that these answers show. Of many answers to one task the first MOST_APART are
    held against each other: pairs grow with their square.
    """
    by_task: dict[int, list[dict[tuple[str, int], str | float]]] = defaultdict(list)
    points: dict[str, list[float]] = defaultdict(list)
    answers_to = Counter(one.task for one in given)
    for one in given:
        if len(by_task[one.task]) == MOST_APART:
            continue
        told = {(said.measure, said.about): said.value for said in said_in(one.body, one.protocol)}
        by_task[one.task].append(told)
        for (measure, _about), value in told.items():
            if isinstance(value, float):
                points[measure].append(value)
    widths = {measure: max(values) - min(values) for measure, values in points.items()}
    found = [
        (task, answers_to[task], sum(apart) / len(apart))
        for task, answers in by_task.items()
        if (apart := [differ(*pair, widths) for pair in combinations(answers, 2) if pair[0].keys() & pair[1].keys()])
    ]
    return sorted((one for one in found if one[2] > 0), key=lambda one: (-one[2], -one[1], one[0]))[:DISPUTED]


def differ(
    one: Mapping[tuple[str, int], str | float],
    other: Mapping[tuple[str, int], str | float],
    widths: Mapping[str, float],
) -> float:
    """How far two answers are apart, 0 … 1, over the measures that both say."""
    both = one.keys() & other.keys()
    total = 0.0
    for place in both:
        mine, theirs = one[place], other[place]
        if isinstance(mine, float) and isinstance(theirs, float):
            total += abs(mine - theirs) / widths[place[0]] if mine != theirs else 0.0
        else:
            total += mine != theirs
    return total / len(both)


async def _named(session: AsyncSession, found: Sequence[tuple[int, int, float]]) -> list[Disputed]:
    asked = select(Task.id, Task.public_id, Prompt).join(
        Prompt, and_(Prompt.id == Task.prompt_id, Prompt.project_id == Task.project_id)
    )
    rows = await session.execute(asked.where(Task.id.in_([task for task, _answers, _share in found])))
    named = {row.id: (row.public_id, row.Prompt) for row in rows}
    return [Disputed(*named[task], answers, share) for task, answers, share in found]


def as_json(report: Sampled) -> dict[str, Any]:
    """A report as it is kept beside the state that it led to; without the tasks it names."""
    plain = {name: value for name, value in vars(report).items() if name != "disputed"}
    return plain | {"seconds": list(report.seconds) if report.seconds else None}
