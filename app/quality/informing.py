"""Rounds that ask the most informative first: what an answer to each of their tasks would tell, and their new order.

By the newest reward model's ensemble where its members have scored both answers, else by a Bradley-Terry fit of what
people have said so far on what is known of any answer: who wrote it, how long it is, how it is marked up.
"""

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.ext.asyncio import AsyncSession

from app.checkpoints.queries import base_of, scorers_of
from app.checkpoints.tables import Checkpoint, Place
from app.completions.tables import Completion, Score
from app.events import Event
from app.jobs.queue import enqueue
from app.projects.tables import Batch, BatchState, Ordering
from app.quality.gathering import Gathered, Written, written_of
from app.quality.jobs import ScoreAnswers
from app.quality.statistics.information import fit, of_fit, of_members, places
from app.quality.statistics.intervals import Floats
from app.quality.tables import Figures
from app.tasks.tables import Purpose, Task, TaskCompletion, TaskState

MOST = 50_000  # open tasks of a round
LEARNED_FROM = 20_000  # the newest answers
REST = 60  # seconds between two orders at least

Members = Mapping[int, Sequence[float]]  # what each member says of a completion


@dataclass(frozen=True)
class Waiting:
    """An open task with two answers. completions: inside ids. is_drawn: at random, whatever it would tell."""

    task: int
    key: str
    completions: tuple[int, int]
    is_drawn: bool


def figures_name(batch_id: int) -> str:
    """What is kept of an order, beside the figures that pages show."""
    return f"places-{batch_id}"


async def rounds_to_arrange(session: AsyncSession) -> list[tuple[int, int]]:
    """Project and round (inside ids) in whose project something has happened since their tasks were put in order."""
    newest = select(func.max(Event.id)).where(Event.project_id == Batch.project_id).scalar_subquery()
    kept = (Figures.project_id == Batch.project_id) & (Figures.name == func.concat("places-", Batch.id))
    rested = Figures.at + func.make_interval(0, 0, 0, 0, 0, 0, func.greatest(REST, 20 * Figures.seconds)) < func.now()
    asked = (
        select(Batch.project_id, Batch.id)
        .outerjoin(Figures, kept)
        .where(Batch.ordering == Ordering.informative, Batch.state.in_([one for one in BatchState if one.asks]))
        .where(Figures.at.is_(None) | ((newest > Figures.through) & rested))
        .order_by(Batch.id)
    )
    return [(row.project_id, row.id) for row in await session.execute(asked)]


async def waiting_in(session: AsyncSession, batch_id: int) -> list[Waiting]:
    """Tasks of a round that wait for answers and show two completions, the oldest MOST."""
    shown = (
        select(func.array_agg(aggregate_order_by(TaskCompletion.completion_id, TaskCompletion.number)))
        .where(TaskCompletion.task_id == Task.id)
        .scalar_subquery()
    )
    asked = (
        select(Task.id, Task.public_id, Task.chance, shown.label("shown"))
        .where(Task.batch_id == batch_id, Task.state == TaskState.open, Task.purpose == Purpose.collect)
        .where(~Task.has_own_place)
        .order_by(Task.id)
        .limit(MOST)
    )
    return [
        Waiting(row.id, str(row.public_id), (row.shown[0], row.shown[1]), row.chance is not None)
        for row in await session.execute(asked)
        if len(row.shown or ()) == 2
    ]


async def members_of(session: AsyncSession, project_id: int, completions: Sequence[int]) -> dict[int, list[float]]:
    """By completion, of the project's newest reward checkpoint; empty where none has scored anything."""
    newest = await scorer_of(session, project_id)
    if newest is None:
        return {}
    asked = select(Score.completion_id, Score.members).where(
        Score.checkpoint_id == newest.id, Score.completion_id.in_(completions), Score.members.is_not(None)
    )
    return {row.completion_id: row.members for row in await session.execute(asked)}


async def scorer_of(session: AsyncSession, project_id: int) -> Checkpoint | None:
    """The newest reward model that the project may use, whose ensemble says what is not known."""
    return next(iter(await scorers_of(session, project_id)), None)


async def ask_for_scores(session: AsyncSession, project_id: int, batch_id: int) -> bool:
    """Let the newest reward model score what a round asks about, where anything lacks its scores and its weights are
    here. Whether that was asked for."""
    scorer = await scorer_of(session, project_id)
    base = None if scorer is None else await base_of(session, project_id, scorer)
    if scorer is None or base is None or base.place is Place.endpoint:
        return False
    if not await unscored_in(session, batch_id, scorer.id, after=0, most=1):
        return False
    wanted = ScoreAnswers(project_id=project_id, batch_id=batch_id, checkpoint_id=scorer.id)
    return await enqueue(session, wanted, **wanted.line)


async def unscored_in(
    session: AsyncSession, batch_id: int, checkpoint_id: int, *, after: int, most: int
) -> list[Completion]:
    """Answers that tasks of a round wait with, and of which no member of this reward model has said anything; by inside
    id, the first behind one."""
    waits = select(TaskCompletion.completion_id).join(Task, Task.id == TaskCompletion.task_id)
    waits = waits.where(Task.batch_id == batch_id, Task.state == TaskState.open, Task.purpose == Purpose.collect)
    scored = select(Score.completion_id).where(Score.completion_id == Completion.id)
    scored = scored.where(Score.checkpoint_id == checkpoint_id, Score.members.is_not(None))
    asked = select(Completion).where(Completion.id > after, Completion.id.in_(waits), ~scored.exists())
    return list(await session.scalars(asked.order_by(Completion.id).limit(most)))


async def known_of(
    session: AsyncSession, project_id: int, waiting: Sequence[Waiting]
) -> tuple[dict[int, Written], Members]:
    """What is known of the answers that wait: how they are written, and what an ensemble says of them."""
    ids = sorted({one for task in waiting for one in task.completions})
    return await written_of(session, project_id, ids), await members_of(session, project_id, ids)


def order_of(
    waiting: Sequence[Waiting], gathered: Gathered, written: Mapping[int, Written], said: Members
) -> dict[int, float]:
    """The place of each task, by inside id."""
    chosen = [task for task in waiting if not task.is_drawn]
    drawn = {task.task: hashed(task.key) for task in waiting if task.is_drawn}
    return places(dict(zip([task.task for task in chosen], gains(chosen, gathered, written, said), strict=True)), drawn)


def hashed(key: str) -> float:
    return float(int.from_bytes(hashlib.sha256(f"place:{key}".encode()).digest()[:8], "big"))


def gains(tasks: Sequence[Waiting], gathered: Gathered, written: Mapping[int, Written], said: Members) -> list[float]:
    """What an answer to each would tell, in nats."""
    if not tasks:
        return []
    found = by_fit(tasks, gathered, written)
    scored: dict[int, list[int]] = defaultdict(list)  # by how many members there are: who sends scores may mix them
    for row, task in enumerate(tasks):
        sizes = {len(said.get(one, ())) for one in task.completions}
        if len(sizes) == 1 and 0 not in sizes:
            scored[sizes.pop()].append(row)
    for rows in scored.values():
        first, second = (np.array([said[tasks[row].completions[side]] for row in rows]).T for side in (0, 1))
        found[rows] = of_members(first - second)
    return [float(one) for one in found]


def by_fit(tasks: Sequence[Waiting], gathered: Gathered, written: Mapping[int, Written]) -> Floats:
    """By the Bradley-Terry fit of all choices between two answers that there are."""
    answered = [fact for fact in gathered.facts if fact.points is not None]
    known = dict(gathered.written) | dict(written)
    learned = [(fact.completions[0], fact.completions[1]) for fact in answered]
    pairs = learned + [task.completions for task in tasks]
    x = features(pairs, known)
    points = np.array([fact.points for fact in answered], dtype=np.float64)
    return of_fit(x[len(learned) :], *fit(x[: len(learned)], points))


def features(pairs: Sequence[tuple[int, int]], known: Mapping[int, Written]) -> Floats:
    """(pairs, m): the first answer's minus the second's: who wrote it, log2 of its length, its marks; each of the last
    two in standard deviations."""
    nothing = Written(None, 0, 0)
    both = [(known.get(one, nothing), known.get(other, nothing)) for one, other in pairs]
    writers = sorted({one.checkpoint or 0 for pair in both for one in pair})
    place = {writer: number for number, writer in enumerate(writers)}
    x = np.zeros((len(pairs), len(writers) + 2))
    rows = np.arange(len(pairs))
    for side, sign in ((0, 1.0), (1, -1.0)):
        x[rows, [place[pair[side].checkpoint or 0] for pair in both]] += sign
        x[:, -2] += sign * np.log2(np.maximum([pair[side].length for pair in both], 1))
        x[:, -1] += sign * np.array([pair[side].marks for pair in both], dtype=np.float64)
    spread = x[:, -2:].std(axis=0)
    x[:, -2:] /= np.where(spread > 0, spread, 1.0)
    return x
