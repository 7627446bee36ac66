"""Tasks that were drawn with different probabilities, or chosen for what they would tell: what everybody's figures on
all of them would be is found by weights and by the drawn slice, and missed without."""

from collections.abc import Callable

import numpy as np
import pytest

from app.quality.statistics.agreement import Answers, agreement
from app.quality.statistics.intervals import Estimate, Floats, Ints
from app.quality.statistics.raters import dawid_skene
from app.quality.statistics.standings import Games, standings

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


def holds(found: Estimate, truth: float | None) -> bool:
    assert None not in (found.low, found.high, truth)
    return bool(found.low <= truth <= found.high)  # type: ignore[operator]
