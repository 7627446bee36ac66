"""How far each annotator can be relied on, without knowing what is true: from who agrees with whom. Pure.

Preferences: Crowd-BT (Chen, Bennett, Collins-Thompson and Horvitz 2013, eq. 3). With reliability η of a person and the
difference d between the two answers, they prefer the first with probability η s(d) + (1 - η) s(-d), s the logistic
function: η 1 is a Bradley-Terry judge, ½ a coin, 0 somebody who says the opposite. Nearly every pair of answers here is
met in one task alone, and a difference fitted to two or three votes would be far too sure of itself; so d is not fitted
but integrated over d ~ N(0, σ²), on a grid of nodes; η and σ are fitted by scoring.

Labels: Dawid and Skene (1979): a true class for each task, a table for each person of what they say where it is which.
"""

import math
from dataclasses import dataclass

import numpy as np

from app.quality.statistics.intervals import Z_95, Estimate, Floats, Ints, within

NODES = np.linspace(-3.5, 3.5, 25)  # of d, in σ
SHARES = np.exp(-(NODES**2) / 2) / np.exp(-(NODES**2) / 2).sum()
HITS, MISSES = 0.3, 0.1  # votes that everybody has beforehand; they also say that people try rather than mislead
USUAL, FACTOR = 2.0, 1.6  # σ beforehand, and what it lies within a factor of: see `crowd_bt`
ROUNDS = 60
CHUNK = 2048
DENSER = 30  # a pair that is looked up costs as much as so many products in a matrix


@dataclass(frozen=True)
class Reliability:
    """people: η by rater. better: of each, how often they take the better answer of a pair, which is surer than η.
    spread: σ, how far apart answers are. truth: (tasks,) probability that the first answer is the better one."""

    people: list[Estimate]
    better: list[Estimate]
    spread: float
    truth: Floats


def logistic(x: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-x)), dtype=np.float64)


@dataclass(frozen=True)
class Votes:
    """task, rater: (n,) numbers from 0 on, tasks in their order and none without a vote; first: whether the task's
    first answer is preferred. starts: (tasks,) where each begins. weight: (tasks,) around 1, how many tasks each stands
    for: the inverse of the probability that it was drawn with."""

    task: Ints
    rater: Ints
    first: Floats
    starts: Ints
    raters: int
    weight: Floats


def votes_of(task: Ints, rater: Ints, first: Floats, weight: Floats | None = None) -> Votes:
    """In any order; tasks come back in the order of their numbers. weight: (n,) of each vote's task."""
    order = np.argsort(task, kind="stable")
    _ids, starts, place = np.unique(task[order], return_index=True, return_inverse=True)
    of_task = np.ones(len(starts)) if weight is None else weight[order][starts]
    return Votes(place, rater[order], first[order], starts, int(rater.max()) + 1, of_task / of_task.mean())


@dataclass(frozen=True)
class Fit:
    """At (log-odds of η by rater, log σ): the log posterior, its gradient, the information (outer products of the
    tasks' scores: Berndt, Hall, Hall and Hausman 1974), how much the gradient varies from sample to sample (the same
    where all tasks weigh alike) and the tasks' posteriors over NODES."""

    at: Floats
    value: float
    gradient: Floats
    information: Floats
    variance: Floats
    after: Floats


def fit_at(votes: Votes, at: Floats) -> Fit:
    """By Fisher's identity a task's score is the posterior mean of the complete data's."""
    eta, spread = logistic(at[:-1]), math.exp(at[-1])
    towards = np.stack([-spread * NODES, spread * NODES])[None]  # (1, said, nodes): d as the vote sees it
    faithful, e = logistic(towards), eta[:, None, None]
    chance = e * faithful + (1 - e) * (1 - faithful)  # (raters, said, nodes)
    cell = votes.rater * 2 + (votes.first > 0)
    after = np.add.reduceat(np.log(chance).reshape(-1, len(NODES))[cell], votes.starts) + np.log(SHARES)
    most = after.max(axis=1, keepdims=True)
    after = np.exp(after - most)
    whole = after.sum(axis=1, keepdims=True)
    after /= whole
    turn = eta * (1 - eta)
    slopes = np.stack(
        [
            turn[:, None, None] * (2 * faithful - 1) / chance,
            (2 * e - 1) * faithful * (1 - faithful) * towards / chance,
        ]
    ).reshape(2, -1, len(NODES))
    here = after[votes.task]
    per_vote = np.einsum("vn,vn->v", here, slopes[0][cell])
    by_spread = np.add.reduceat(np.einsum("vn,vn->v", here, slopes[1][cell]), votes.starts)
    information = outer_products(votes, per_vote, by_spread, votes.weight)
    are_alike = bool(np.ptp(votes.weight) < 1e-12)
    variance = information if are_alike else outer_products(votes, per_vote, by_spread, votes.weight**2)
    away = (at[-1] - math.log(USUAL)) / math.log(FACTOR) ** 2
    weighed = per_vote * votes.weight[votes.task]
    by_rater = np.bincount(votes.rater, weighed, votes.raters)
    gradient = np.append(by_rater, votes.weight @ by_spread).astype(np.float64)
    gradient += np.append(HITS * (1 - eta) - MISSES * eta, -away)
    beforehand = np.append((HITS + MISSES) * turn, 1 / math.log(FACTOR) ** 2)
    information[np.diag_indices(len(at))] += beforehand
    if not are_alike:
        variance[np.diag_indices(len(at))] += beforehand
    value = float(votes.weight @ (np.log(whole) + most)[:, 0] + (HITS * np.log(eta) + MISSES * np.log1p(-eta)).sum())
    return Fit(at, value - away * (at[-1] - math.log(USUAL)) / 2, gradient, information, variance, after)


def outer_products(votes: Votes, per_vote: Floats, by_spread: Floats, weight: Floats) -> Floats:
    """(raters + 1, raters + 1): the sum of w·s·sᵀ over tasks' scores s. weight: (tasks,). Few of many raters answer a
    task, and then most of s is zero: only pairs of answers to one task are met. Where all answer all it is dense."""
    sizes = np.diff(np.append(votes.starts, len(votes.task)))
    is_sparse = DENSER * np.sum(sizes**2) < len(sizes) * (votes.raters + 1) ** 2
    return (by_pairs if is_sparse else by_matrices)(votes, per_vote, by_spread, weight)


def by_pairs(votes: Votes, per_vote: Floats, by_spread: Floats, weight: Floats) -> Floats:
    """Pairs of answers to one task that stand so many places apart, for each number of places."""
    side = votes.raters + 1
    weighed = per_vote * weight[votes.task]
    found = np.zeros((side, side))
    found[:-1, -1] = found[-1, :-1] = np.bincount(votes.rater, weighed * by_spread[votes.task], votes.raters)
    found[-1, -1] = weight @ by_spread**2
    people = np.arange(side - 1)
    found[people, people] = np.bincount(votes.rater, weighed * per_vote, votes.raters)
    one, apart = np.arange(len(votes.task)), 1
    while True:
        one = one[one + apart < len(votes.task)]
        one = one[votes.task[one] == votes.task[one + apart]]  # answers to a task stand together
        if not len(one):
            return found
        other = one + apart
        place = votes.rater[one] * side + votes.rater[other]
        products = np.bincount(place, weighed[one] * per_vote[other], side * side).reshape(side, side)
        found += products + products.T
        apart += 1


def by_matrices(votes: Votes, per_vote: Floats, by_spread: Floats, weight: Floats) -> Floats:
    """A piece of the tasks at a time."""
    tasks = len(votes.starts)
    ends = np.append(votes.starts, len(votes.task))
    found = np.zeros((votes.raters + 1, votes.raters + 1))
    for begin in range(0, tasks, CHUNK):
        end = min(begin + CHUNK, tasks)
        rows = slice(ends[begin], ends[end])
        scores = np.zeros((end - begin, votes.raters + 1))
        np.add.at(scores, (votes.task[rows] - begin, votes.rater[rows]), per_vote[rows])
        scores[:, -1] = by_spread[begin:end]
        found += (scores * weight[begin:end, None]).T @ scores
    return found


def crowd_bt(votes: Votes) -> Reliability:
    """The most probable reliabilities and their intervals.

    Careless people and close pairs look alike until some tasks have four answers or more: of two and three answers only
    products of the two are known. So σ has a distribution beforehand (around 2: then a judge with η = 1 takes the
    better answer of a pair in 76 of 100 cases, as published annotators do), which many answers a task outweigh.
    """
    fit = fit_at(votes, np.append(np.full(votes.raters, 1.4), math.log(USUAL)))
    for _round in range(ROUNDS):
        step = np.clip(np.linalg.solve(fit.information, fit.gradient), -1.5, 1.5)
        further = fit_at(votes, fit.at + step)
        while further.value < fit.value - 1e-9 and np.abs(step).max() > 1e-6:
            step = step / 2
            further = fit_at(votes, fit.at + step)
        fit = further
        if np.abs(step).max() < 1e-4:
            break
    return read_off(votes, fit)


def read_off(votes: Votes, fit: Fit) -> Reliability:
    """Intervals on the scale of log-odds, turned back; where tasks weigh differently by the sandwich (Huber 1967)."""
    answers = np.bincount(votes.rater, minlength=votes.raters)
    bread = np.linalg.inv(fit.information)
    covariance = bread @ fit.variance @ bread
    eta, spread = logistic(fit.at[:-1]), math.exp(fit.at[-1])
    agreeing = float((SHARES * logistic(spread * np.abs(NODES))).sum())
    moved = float((SHARES * logistic(spread * 1.01 * np.abs(NODES))).sum())
    people = around(fit.at[:-1], np.sqrt(np.diag(covariance)[:-1]), answers)
    better = eta * agreeing + (1 - eta) * (1 - agreeing)
    turn = np.stack([eta * (1 - eta) * (2 * agreeing - 1), (2 * eta - 1) * (moved - agreeing) / math.log(1.01)])
    own, shared, both = np.diag(covariance)[:-1], covariance[-1, -1], covariance[:-1, -1]
    variance = turn[0] ** 2 * own + turn[1] ** 2 * shared + 2 * turn[0] * turn[1] * both
    odds = np.sqrt(variance) / (better * (1 - better))
    middle = len(NODES) // 2
    truth = fit.after[:, middle + 1 :].sum(axis=1) + fit.after[:, middle] / 2
    return Reliability(people, around(np.log(better / (1 - better)), odds, answers), spread, truth)


def around(at: Floats, error: Floats, answers: Ints) -> list[Estimate]:
    """Log-odds and their standard errors as shares with 95 % intervals. answers: what each one rests on."""
    ends = zip(logistic(at), logistic(at - Z_95 * error), logistic(at + Z_95 * error), answers, strict=True)
    return [Estimate(float(value), float(low), float(high), int(n)) for value, low, high, n in ends]


def dawid_skene(
    task: Ints,
    rater: Ints,
    label: Ints,
    classes: int,
    *,
    weight: Floats | None = None,
    drawn: Ints | None = None,
    seed: int = 0,
) -> list[Estimate]:
    """Each annotator's probability of saying the true class, with its interval over tasks. weight: (tasks,) how many
    each stands for. drawn: (tasks,) number of what is drawn anew together, as `agreement.Answers` has it."""
    tasks, raters = int(task.max()) + 1, int(rater.max()) + 1
    votes = np.bincount(rater, minlength=raters)
    weight = np.ones(tasks) if weight is None else weight / weight.mean()
    said = np.bincount(task * classes + label, minlength=tasks * classes).reshape(tasks, classes)
    start = said / said.sum(axis=1, keepdims=True)
    skill, after = _em(task, rater, label, weight, start, raters, rounds=100)
    draws = np.random.default_rng(seed)
    resamples = int(np.clip(2_000_000_000 // (len(task) * classes * 200), 40, 100))
    together = np.arange(tasks) if drawn is None else drawn
    whole = int(together.max()) + 1
    found = []
    for _resample in range(resamples):
        again = weight * draws.multinomial(whole, np.full(whole, 1 / whole))[together]
        found.append(_em(task, rater, label, again, after, raters, rounds=10)[0])
    each = np.array(found)
    return [within(float(skill[who]), each[:, who], int(votes[who])) for who in range(raters)]


def _em(
    task: Ints, rater: Ints, label: Ints, weight: Floats, after: Floats, raters: int, *, rounds: int
) -> tuple[Floats, Floats]:
    """(raters,) accuracies and (tasks, classes) posteriors. weight: how often each task counts."""
    classes = after.shape[1]
    place = rater * classes + label
    tables = np.zeros((raters, classes, classes))
    for _round in range(rounds):
        weighed = after * weight[:, None]
        share = (weighed.sum(axis=0) + 1e-3) / (weighed.sum() + classes * 1e-3)
        for true in range(classes):
            counts = np.bincount(place, weighed[task, true], raters * classes).reshape(raters, classes)
            tables[:, true] = counts + 0.1
        tables[:, range(classes), range(classes)] += 0.4
        tables = tables / tables.sum(axis=2, keepdims=True)
        logs = np.log(tables).transpose(0, 2, 1).reshape(raters * classes, classes)[place]
        fresh = np.stack([np.bincount(task, logs[:, true], len(after)) for true in range(classes)], axis=1)
        fresh = np.exp(fresh + np.log(share) - (fresh + np.log(share)).max(axis=1, keepdims=True))
        fresh /= fresh.sum(axis=1, keepdims=True)
        change, after = float(np.abs(fresh - after).max()), fresh
        if change < 1e-6:
            break
    return np.einsum("kcc,c->k", tables, share), after


def ceiling_of(agreement: float) -> float:
    """The most that any reward model can reach on single answers of the same people, whatever it knows: with p the
    share of people who prefer one answer of a pair, two of them agree with probability (1 + E x²) / 2, x = 2p - 1, and
    whoever always says what most say is right with (1 + E|x|) / 2, at most (1 + √(E x²)) / 2.

    Agreement 0.73, as of Llama 2's and InstructGPT's annotators: (1 + √0.46) / 2 = 0.839.
    """
    return (1 + math.sqrt(max(0.0, 2 * agreement - 1))) / 2


def ceiling(agreement: Estimate) -> Estimate:
    """With its interval, which is the agreement's, turned. agreement: on decided pairs, of two answers drawn."""
    low, high = (None if end is None else ceiling_of(end) for end in (agreement.low, agreement.high))
    return Estimate(None if agreement.value is None else ceiling_of(agreement.value), low, high, agreement.n)
