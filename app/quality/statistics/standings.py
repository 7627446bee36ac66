"""Where checkpoints stand by people's comparisons: Bradley-Terry with ties (Davidson 1970). Pure.

With d the difference of two strengths, win : tie : loss = e^(d/2) : ν : e^(-d/2). Style control (as Chatbot Arena's)
adds to d what the answers' differences in length and Markdown account for, so that strengths are of answers alike in
both.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from app.quality.statistics.intervals import Estimate, Floats, Ints, within

PRIOR = 0.02  # precision of strengths around 0: whoever won all has a large strength and not an infinite one
RESAMPLES = 200


@dataclass(frozen=True)
class Games:
    """One line an answer. task, one, other: (n,) numbers from 0 on; points: 1 where `one` was preferred, ½ tie, 0.

    style: (n, m) differences one minus other, each column in its standard deviations; m 0: not controlled.
    weight: (n,) how many tasks each one's stands for, around 1; None: all alike.
    """

    task: Ints
    one: Ints
    other: Ints
    points: Floats
    style: Floats
    weight: Floats | None = None

    def weighed(self) -> Floats:
        return np.ones(len(self.task)) if self.weight is None else self.weight / self.weight.mean()


@dataclass(frozen=True)
class Standings:
    """strengths: by checkpoint, in log-odds around their mean. style: of each column. ties: log ν."""

    strengths: list[Estimate]
    style: list[Estimate]
    ties: float


def components(checkpoints: int, one: Sequence[int], other: Sequence[int]) -> list[list[int]]:
    """Checkpoints that comparisons connect, largest group first: between two groups nothing can be said."""
    parent = list(range(checkpoints))

    def root(number: int) -> int:
        while parent[number] != number:
            parent[number] = parent[parent[number]]
            number = parent[number]
        return number

    for a, b in {(int(a), int(b)) for a, b in zip(one, other, strict=True)}:
        parent[root(a)] = root(b)
    groups: dict[int, list[int]] = {}
    for number in range(checkpoints):
        groups.setdefault(root(number), []).append(number)
    return sorted(groups.values(), key=lambda group: (-len(group), group))


def fit(x: Floats, points: Floats, weight: Floats, beta: Floats, players: int, *, rounds: int = 50) -> Floats:
    """Newton's method from beta on: from the whole data's solution two rounds do for a resample; x: (n, players +
    m), the last entry of beta is log ν."""
    ridge = np.full(len(beta), 1e-4)
    ridge[:players] = PRIOR
    tied, side = points == 0.5, points - 0.5
    for _round in range(rounds):
        d = np.clip(x @ beta[:-1], -40, 40)
        up, even, down = np.exp(d / 2), np.exp(np.clip(beta[-1], -20, 20)), np.exp(-d / 2)
        whole = up + even + down
        win, tie, loss = up / whole, even / whole, down / whole
        mean = (win - loss) / 2
        vary, across, ties = (win + loss) / 4 - mean**2, -mean * tie, tie * (1 - tie)
        gradient = np.append(x.T @ (weight * (side - mean)), weight @ (tied - tie)) - ridge * beta
        information = np.diag(ridge)
        information[:-1, :-1] += (x * (weight * vary)[:, None]).T @ x
        information[:-1, -1] += x.T @ (weight * across)
        information[-1, :-1] = information[:-1, -1]
        information[-1, -1] += weight @ ties
        step = np.clip(np.linalg.solve(information, gradient), -3, 3)
        beta = beta + step
        if np.abs(step).max() < 1e-7:
            break
    return beta


def standings(games: Games, players: int, *, seed: int = 0) -> Standings:
    """Of checkpoints 0 … players - 1, all of one component; intervals over tasks."""
    n, weighed = len(games.task), games.weighed()
    x = np.zeros((n, players))
    x[np.arange(n), games.one], x[np.arange(n), games.other] = 1.0, -1.0
    x = np.concatenate([x, games.style], axis=1)
    found = centred(fit(x, games.points, weighed, np.zeros(x.shape[1] + 1), players), players)
    _ids, task = np.unique(games.task, return_inverse=True)
    tasks = int(task.max()) + 1
    draws = np.random.default_rng(seed)
    drawn = []
    for _resample in range(RESAMPLES):
        weight = weighed * draws.multinomial(tasks, np.full(tasks, 1 / tasks))[task]
        drawn.append(centred(fit(x, games.points, weight, found, players, rounds=2), players))
    each = np.array(drawn)
    estimates = [within(float(value), each[:, place], tasks) for place, value in enumerate(found[:-1])]
    return Standings(estimates[:players], estimates[players:], float(found[-1]))


def centred(beta: Floats, players: int) -> Floats:
    """Strengths around their mean: only their differences say something."""
    moved = beta.copy()
    moved[:players] -= moved[:players].mean()
    return moved


@dataclass(frozen=True)
class Cell:
    """What one checkpoint did against another: share of points, of n answers."""

    share: float
    n: int


def win_matrix(games: Games, players: int) -> list[list[Cell | None]]:
    """[row][column]: None where the two never met."""
    points, met, stands_for = (np.zeros((players, players)) for _table in range(3))
    weight = games.weighed()
    for a, b, p in ((games.one, games.other, games.points), (games.other, games.one, 1 - games.points)):
        np.add.at(points, (a, b), weight * p)
        np.add.at(stands_for, (a, b), weight)
        np.add.at(met, (a, b), 1)
    return [
        [Cell(float(points[a, b] / stands_for[a, b]), int(met[a, b])) if met[a, b] else None for b in range(players)]
        for a in range(players)
    ]
