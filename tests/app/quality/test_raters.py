"""People whose reliability is known are found again within their intervals; so are biases and the order of
checkpoints."""

import math

import numpy as np
import pytest

from app.quality.statistics.biases import length_bias, logistic_regression
from app.quality.statistics.intervals import Estimate, share_of
from app.quality.statistics.raters import (
    by_matrices,
    by_pairs,
    ceiling,
    ceiling_of,
    crowd_bt,
    dawid_skene,
    outer_products,
    votes_of,
)
from app.quality.statistics.standings import Games, components, standings, win_matrix


def inside(found: list[Estimate], true: list[float]) -> int:
    return sum(
        one.low is not None and one.high is not None and one.low <= value <= one.high
        for one, value in zip(found, true, strict=True)
    )


def logistic(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def shown(draw: np.random.Generator, tasks: int, people: int, each: int) -> tuple[np.ndarray, np.ndarray]:
    """Tasks and who answers them: `each` different people a task."""
    who = np.concatenate([draw.choice(people, each, replace=False) for _task in range(tasks)])
    return np.repeat(np.arange(tasks), each), who


ETA = [0.5, 0.55, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.93, 0.96]  # the first is a coin


def test_crowd_bt_recovers_people_within_their_intervals() -> None:
    """Twenty fixed seeds, ten people each. σ is common to all of a seed, so intervals miss together."""
    hits = better = 0
    for seed in range(20):
        draw = np.random.default_rng(seed)
        task, rater = shown(draw, 300, 10, 6)
        apart = draw.normal(0, 2, 300)[task]
        eta = np.array(ETA)[rater]
        first = draw.random(len(task)) < eta * logistic(apart) + (1 - eta) * logistic(-apart)
        found = crowd_bt(votes_of(task, rater, first.astype(float)))
        hits += inside(found.people, ETA)
        agreeing = float(logistic(np.abs(np.random.default_rng(0).normal(0, 2, 100_000))).mean())
        better += inside(found.better, [e * agreeing + (1 - e) * (1 - agreeing) for e in ETA])
        assert found.people[0].low is not None
        assert found.people[0].high < found.people[-1].value  # type: ignore[operator]
        right = (found.truth > 0.5) == (np.array([apart[task == one][0] for one in range(300)]) > 0)
        assert right.mean() > 0.65  # of six votes a task, of careless people too
    assert hits >= 180, hits  # of 200, as 27 of 30
    assert better >= 180, better


@pytest.mark.parametrize(("people", "each"), [(40, 3), (5, 5), (9, 1)])
def test_information_is_the_same_by_pairs_of_answers_as_by_matrices(people: int, each: int) -> None:
    """Also where somebody answered a task twice, and where tasks weigh differently."""
    draw = np.random.default_rng(0)
    task, rater = shown(draw, 3000, people, each)
    task, rater = np.append(task, [7, 7]), np.append(rater, [rater[task == 7][0]] * 2)
    votes = votes_of(task, rater, draw.random(len(task)) < 0.5, weight=(draw.random(3000) + 0.5)[task])
    per_vote, by_spread = draw.normal(size=len(task)), draw.normal(size=3000)
    one, other = (how(votes, per_vote, by_spread, votes.weight) for how in (by_pairs, by_matrices))
    assert one == pytest.approx(other, abs=1e-9)
    assert np.array_equal(outer_products(votes, per_vote, by_spread, votes.weight), other if each == people else one)


def test_dawid_skene_recovers_people_within_their_intervals() -> None:
    skills = [0.4, 0.55, 0.65, 0.75, 0.8, 0.9, 0.95]
    hits = 0
    for seed in range(3):
        draw = np.random.default_rng(seed)
        true = draw.choice(3, 250, p=[0.5, 0.3, 0.2])
        task, rater = shown(draw, 250, 7, 4)
        is_right = draw.random(len(task)) < np.array(skills)[rater]
        label = np.where(is_right, true[task], (true[task] + draw.integers(1, 3, len(task))) % 3)
        hits += inside(dawid_skene(task, rater, label, 3), skills)
    assert hits >= 18, hits  # of 21


def test_answers_of_one_screen_are_drawn_anew_together() -> None:
    """Said four times each, the same answers tell no more than once."""
    draw = np.random.default_rng(0)
    task, rater = shown(draw, 60, 4, 4)
    label = (draw.random(len(task)) < 0.8).astype(np.int64)
    units = np.concatenate([task * 4 + part for part in range(4)])
    many = (units, np.tile(rater, 4), np.tile(label, 4), 2)

    def width(found: list[Estimate]) -> float:
        return sum((one.high or 0) - (one.low or 0) for one in found)

    once = width(dawid_skene(task, rater, label, 2))
    assert width(dawid_skene(*many, drawn=np.arange(240) // 4)) == pytest.approx(once, rel=0.25)
    assert width(dawid_skene(*many)) < 0.65 * once


def test_the_ceiling_of_what_can_be_learned() -> None:
    """Nobody, however wise, agrees with single answers more than the ceiling says; and it can be reached."""
    assert ceiling_of(0.73) == pytest.approx((1 + math.sqrt(0.46)) / 2)
    assert (ceiling_of(1.0), ceiling_of(0.5), ceiling_of(0.4)) == (1.0, 0.5, 0.5)
    assert ceiling(Estimate(0.73, 0.5, 1.0, 9)) == Estimate(pytest.approx(0.8391, abs=1e-4), 0.5, 1.0, 9)
    draw = np.random.default_rng(1)
    for p in (np.full(4000, 0.8), draw.beta(0.6, 0.6, 4000)):
        answers = draw.random((4000, 2)) < p[:, None]
        agreement = share_of(np.arange(4000), (answers[:, 0] == answers[:, 1]).astype(float))
        wise = ((p > 0.5) == answers[:, 0]).mean()
        most = ceiling(agreement)
        assert most.high is not None
        assert wise <= most.high
    assert wise < most.value  # type: ignore[operator]
    alike = np.full(4000, 0.8)
    assert ceiling_of(float((alike**2 + (1 - alike) ** 2).mean())) == pytest.approx(0.8)  # reached where all are alike


def test_length_bias_is_found_beside_a_bias_of_place() -> None:
    """Log-odds 0.3 for the first place and 0.7 for each doubling of length."""
    draw = np.random.default_rng(3)
    doublings = draw.normal(0, 1, 3000)
    first = (draw.random(3000) < logistic(0.3 + 0.7 * doublings)).astype(float)
    found = length_bias(np.arange(3000), first, doublings)
    assert inside([found], [math.exp(0.7)]) == 1
    assert found.low is not None
    assert found.low > 1.5
    doubled = length_bias(np.repeat(np.arange(3000), 2), np.repeat(first, 2), np.repeat(doublings, 2))
    assert doubled.low == pytest.approx(found.low, rel=0.01)  # the same task twice makes nobody surer
    assert length_bias(np.arange(3), np.ones(3), np.ones(3)).value is None


def test_logistic_regression_by_hand() -> None:
    """A 2 × 2 table: 30 of 40 against 15 of 30: log-odds log 1, and log 3 more."""
    x = np.stack([np.ones(70), np.repeat([1.0, 0.0], [40, 30])], axis=1)
    y = np.concatenate([np.repeat([1.0, 0.0], [30, 10]), np.repeat([1.0, 0.0], [15, 15])])
    base, more = logistic_regression(x, y, np.arange(70))
    assert (base.value, more.value) == (pytest.approx(0, abs=1e-3), pytest.approx(math.log(3), abs=1e-3))
    # standard error of a log odds ratio: √(1/30 + 1/10 + 1/15 + 1/15) = 0.516
    assert more.high == pytest.approx(math.log(3) + 1.96 * 0.516, abs=0.02)


def games(pairs: list[tuple[int, int, float]], style: np.ndarray | None = None) -> Games:
    one, other, points = (np.array(column) for column in zip(*pairs, strict=True))
    n = len(pairs)
    return Games(np.arange(n), one, other, points.astype(float), np.zeros((n, 0)) if style is None else style)


def test_two_checkpoints_by_hand() -> None:
    """30 wins to 10 without ties: log 3 apart, each half of it from the mean (a weak prior draws them in a little)."""
    found = standings(games([(0, 1, 1.0)] * 30 + [(1, 0, 1.0)] * 10), 2)
    assert found.strengths[0].value == pytest.approx(math.log(3) / 2, abs=0.01)
    assert found.strengths[1].value == pytest.approx(-math.log(3) / 2, abs=0.01)
    # 20 wins, 10 ties, 5 losses: Davidson's d = log(20/5) = 1.386, ν = 10 / √(20 · 5) = 1
    tied = standings(games([(0, 1, 1.0)] * 20 + [(0, 1, 0.5)] * 10 + [(0, 1, 0.0)] * 5), 2)
    assert tied.strengths[0].value == pytest.approx(math.log(4) / 2, abs=0.01)
    assert tied.ties == pytest.approx(0, abs=0.01)


def test_style_is_taken_out() -> None:
    """Two checkpoints of one worth; the first writes longer, and people like length."""
    hits = 0
    for seed in range(5, 17):
        draw = np.random.default_rng(seed)
        longer = draw.normal(1, 1, (800, 1))
        points = (draw.random(800) < logistic(1.0 * longer[:, 0])).astype(float)
        pairs = [(0, 1, float(one)) for one in points]
        plain, controlled = standings(games(pairs), 2), standings(games(pairs, longer), 2)
        assert plain.strengths[0].low > 0.2  # type: ignore[operator]
        assert abs(controlled.strengths[0].value or 0) < 0.15
        hits += inside([controlled.strengths[0], *controlled.style], [0.0, 1.0])
    assert hits >= 21, hits  # of 24: more than 5 of 6


def test_known_strengths_are_found_within_their_intervals() -> None:
    true, draw = np.array([0.9, 0.3, -0.2, -1.0]), np.random.default_rng(11)
    one = draw.integers(0, 4, 900)
    other = (one + draw.integers(1, 4, 900)) % 4
    points = draw.random(900) < logistic(true[one] - true[other])
    found = standings(games([(int(a), int(b), float(p)) for a, b, p in zip(one, other, points, strict=True)]), 4)
    assert inside(found.strengths, list(true)) >= 3


def test_groups_that_never_met_stand_apart() -> None:
    assert components(5, [0, 3, 1], [1, 4, 2]) == [[0, 1, 2], [3, 4]]
    matrix = win_matrix(games([(0, 1, 1.0), (1, 0, 0.5)]), 3)
    assert matrix[0][1] is not None
    assert (matrix[0][1].share, matrix[0][1].n) == (0.75, 2)
    assert (matrix[1][0].share, matrix[0][2]) == (0.25, None)  # type: ignore[union-attr]
