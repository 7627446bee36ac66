"""Tasks that were drawn with different probabilities, or chosen for what they would tell: what everybody's figures on
all of them would be is found by weights and by the drawn slice, and missed without."""

from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
import pytest

from app.projects.protocols import protocol_of
from app.quality.gathering import Fact, Gathered
from app.quality.reporting import quality_of
from app.quality.statistics.agreement import Answers, agreement
from app.quality.statistics.intervals import Estimate, Floats, Ints
from app.quality.statistics.raters import crowd_bt, dawid_skene, votes_of
from app.quality.statistics.standings import Games, standings
from app.tasks.rules import DRAWN
from app.tasks.tables import Purpose
from tests import make

TASKS, PEOPLE, RARE = 2500, 4, 0.15


def logistic(x: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-x)))


class World:
    """Two kinds of task in equal numbers: people judge the first well and hardly at all the second, where the first
    answer is the longer one and the other checkpoint's is the better. The first kind is drawn with RARE alone."""

    def __init__(self, seed: int) -> None:
        draw = np.random.default_rng(seed)
        self.task = np.repeat(np.arange(TASKS), PEOPLE)
        self.rater = np.tile(np.arange(PEOPLE), TASKS)
        self.is_first_kind = draw.random(TASKS) < 0.5
        self.apart = np.where(self.is_first_kind, 0.6, -0.6) + draw.normal(0, 2, TASKS)
        skill = np.where(self.is_first_kind, 0.95, 0.6)[self.task]
        follows = logistic(self.apart)[self.task]
        self.first = (draw.random(len(self.task)) < skill * follows + (1 - skill) * (1 - follows)).astype(float)
        self.is_drawn = draw.random(TASKS) < np.where(self.is_first_kind, RARE, 1.0)
        self.weight = np.where(self.is_first_kind, 1 / RARE, 1.0)

    def rows(self, tasks: Floats) -> tuple[Ints, Ints, Floats, Floats]:
        """Answers to some tasks, these numbered anew: task, rater, first, weight of the task."""
        here = tasks[self.task].astype(bool)
        _ids, task = np.unique(self.task[here], return_inverse=True)
        return task, self.rater[here], self.first[here], self.weight[self.task[here]]


Figure = Callable[[Ints, Ints, Floats, Floats], Estimate]


def first_of(values: Floats, task: Ints) -> Floats:
    return values[np.unique(task, return_index=True)[1]]


def percent(task: Ints, rater: Ints, first: Floats, weight: Floats) -> Estimate:
    return agreement(Answers(task, rater, first.astype(np.int64), 2, first_of(weight, task)))["percent"]


def reliability(task: Ints, rater: Ints, first: Floats, weight: Floats) -> Estimate:
    return crowd_bt(votes_of(task, rater, first, weight)).better[0]


def skill(task: Ints, rater: Ints, first: Floats, weight: Floats) -> Estimate:
    return dawid_skene(task, rater, first.astype(np.int64), 2, weight=first_of(weight, task))[0]


def strength(task: Ints, rater: Ints, first: Floats, weight: Floats) -> Estimate:
    """Of the checkpoint that wrote all first answers."""
    n = len(task)
    games = Games(task, np.zeros(n, dtype=np.int64), np.ones(n, dtype=np.int64), first, np.zeros((n, 0)), weight)
    return standings(games, 2).strengths[0]


@pytest.mark.parametrize("figure", [percent, skill, strength])
def test_inverse_probabilities_find_what_all_tasks_would_have_said(figure: Figure) -> None:
    """Truth is the figure on all tasks; it lies inside our interval in two worlds of three at least, and in none inside
    that of the answers as they came."""
    ours = naive = 0
    for seed in range(3):
        world = World(seed)
        task, rater, first, _weight = world.rows(np.ones(TASKS))
        truth = figure(task, rater, first, np.ones(len(task))).value
        task, rater, first, weight = world.rows(world.is_drawn)
        ours += holds(figure(task, rater, first, weight), truth)
        naive += holds(figure(task, rater, first, np.ones(len(task))), truth)
    assert (ours >= 2, naive) == (True, 0), (ours, naive)


def test_crowd_bt_weighs_tasks_by_their_chance() -> None:
    world = World(1)
    task, rater, first, _weight = world.rows(np.ones(TASKS))
    truth = reliability(task, rater, first, np.ones(len(task))).value or 0.0
    task, rater, first, weight = world.rows(world.is_drawn)
    ours = reliability(task, rater, first, weight)
    naive = reliability(task, rater, first, np.ones(len(task)))
    assert holds(ours, truth)
    assert abs((ours.value or 0.0) - truth) < abs((naive.value or 0.0) - truth)


def holds(found: Estimate, truth: float | None) -> bool:
    assert None not in (found.low, found.high, truth)
    return bool(found.low <= truth <= found.high)  # type: ignore[operator]


def test_what_was_chosen_for_what_it_would_tell_stands_apart_and_is_biased() -> None:
    """Close pairs were asked first: among the answers as they came people seem to agree less than they do. What the
    page shows comes from the drawn fifth."""
    draw = np.random.default_rng(5)
    apart = draw.normal(0, 2.5, 3000)
    is_drawn = draw.random(3000) < DRAWN
    closest = np.argsort(np.where(is_drawn, np.inf, np.abs(apart)))[:600]
    facts = []
    for task in [*np.flatnonzero(is_drawn), *closest]:
        for person in range(2):
            preferred = 0 if draw.random() < logistic(apart[task]) else 1
            body = {"kind": "comparison", "outcome": "preferred", "preferred": preferred, "strength": 1}
            facts.append(fact(len(facts), int(task), person, body, DRAWN if is_drawn[task] else None))
    p = logistic(apart)
    truth = float((p**2 + (1 - p) ** 2).mean())
    found = quality_of(Gathered(facts, {}, {1: make.PROTOCOL}, is_cut=False, through=0))
    assert protocol_of(make.PROTOCOL).kind == "comparison"
    ours = next(one for one in found["measures"] if one["measure"] == "choice")["figures"]["percent"]
    apart_from = next(one for one in found["biased"] if one["measure"] == "choice")["figures"]["percent"]
    assert ours["low"] <= truth <= ours["high"]
    assert apart_from["high"] < truth
    as_they_came = [fact(one.id, one.task, one.person, one.body, 1.0) for one in facts]
    naive = quality_of(Gathered(as_they_came, {}, {1: make.PROTOCOL}, is_cut=False, through=0))
    wrong = next(one for one in naive["measures"] if one["measure"] == "choice")["figures"]["percent"]
    assert wrong["high"] < truth


def fact(number: int, task: int, person: int, body: dict[str, object], chance: float | None) -> Fact:
    return Fact(
        id=number,
        task=task,
        person=person,
        body=body,
        sides=[0, 1],
        protocol=1,
        version=1,
        tags=[],
        fast=False,
        seconds=None,
        purpose=Purpose.collect,
        chance=chance,
        first_k=None,
        number=0,
        completions=[2 * task, 2 * task + 1],
        shown=None,
        came=datetime(2026, 1, 1, tzinfo=UTC),
    )
