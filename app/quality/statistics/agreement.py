"""How much people agree, by the coefficients that publications use, side by side. Pure; every task may have as many
answers as it has.

With n_ic answers of category c to task i, n_i in all, π_c the mean over tasks of n_ic / n_i, w agreement weights (1 on
the diagonal), p_a the mean over tasks with two answers or more of Σ_ck w_ck n_ic (n_ik - [c = k]) / (n_i (n_i - 1)),
all but alpha are (p_a - p_e) / (1 - p_e) with an own p_e, in the form of Gwet, Handbook of Inter-Rater Reliability
(4th ed. 2014, ch. 2-4), who lets answers be missing:

- Cohen (1960) for two people, and for more Conger (1980): two different people drawn at random, each by their own
shares
- Fleiss (1971): Σ w_ck π_c π_k
- AC1 and AC2 (Gwet 2008): Σ w / (q (q - 1)) · Σ π_c (1 - π_c)

Krippendorff's alpha (2011, "Computing Krippendorff's Alpha-Reliability") is 1 - D_o / D_e over coincidences.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from app.quality.statistics.intervals import (
    Estimate,
    Figure,
    Floats,
    Ints,
    added,
    blocks_of,
    bootstrap,
    share_of,
    wilson,
)

CHUNK = 4096  # tasks whose pairs are counted at once


@dataclass(frozen=True)
class Answers:
    """One line an answer. task, rater, category: (n,) numbers from 0 on. categories: how many there are (q).

    weight: (tasks,) of each task, the inverse of the probability that it was drawn with, or None: all alike.
    drawn: (tasks,) number of what is drawn anew together, where `task` is finer: each answer of a screen by itself.
    """

    task: Ints
    rater: Ints
    category: Ints
    categories: int
    weight: Floats | None = None
    drawn: Ints | None = None


@dataclass(frozen=True)
class Sums:
    """What every coefficient is made of; the first axis is blocks of tasks, or resamples of these.

    judged, pairable: tasks with an answer, with two or more. shares: (·, q) of each category in its task. pairs: (·,
    q, q) share of a task's ordered pairs of answers that are (c, k). coincidences: the same times the task's answers.
    by_rater: (·, raters, q) answers.
    """

    judged: Floats
    pairable: Floats
    shares: Floats
    pairs: Floats
    coincidences: Floats
    by_rater: Floats

    def flat(self) -> Floats:
        parts = (self.judged, self.pairable, self.shares, self.pairs, self.coincidences, self.by_rater)
        return np.concatenate([part.reshape(len(part), -1) for part in parts], axis=1)


def unflat(flat: Floats, q: int) -> Sums:
    """(r, m) as `Sums.flat` lays them."""
    ends = np.cumsum([1, 1, q, q * q, q * q])
    judged, pairable, shares, pairs, coincidences, by_rater = np.split(flat, ends, axis=1)
    square = (len(flat), q, q)
    return Sums(
        judged[:, 0],
        pairable[:, 0],
        shares,
        pairs.reshape(square),
        coincidences.reshape(square),
        by_rater.reshape(len(flat), -1, q),
    )


def sums_of(answers: Answers) -> Sums:
    """Over blocks of tasks (see `blocks_of`)."""
    tasks, q = int(answers.task.max()) + 1, answers.categories
    raters = int(answers.rater.max()) + 1
    weight = np.ones(tasks) if answers.weight is None else answers.weight / answers.weight.mean()
    counts = np.bincount(answers.task * q + answers.category, minlength=tasks * q).reshape(tasks, q).astype(np.float64)
    n = counts.sum(axis=1)
    block = blocks_of(tasks) if answers.drawn is None else blocks_of(int(answers.drawn.max()) + 1)[answers.drawn]
    blocks = int(block.max()) + 1
    shares, pairs, coincidences = (np.zeros((blocks, *shape)) for shape in ((q,), (q, q), (q, q)))
    np.add.at(shares, block, weight[:, None] * counts / np.maximum(n, 1)[:, None])
    paired = np.flatnonzero(n >= 2)
    for start in range(0, len(paired), CHUNK):
        rows = paired[start : start + CHUNK]
        c, size, w = counts[rows], n[rows][:, None, None], weight[rows][:, None, None]
        ordered = w * (c[:, :, None] * c[:, None, :] - c[:, :, None] * np.eye(q)) / (size - 1)
        np.add.at(coincidences, block[rows], ordered)
        np.add.at(pairs, block[rows], ordered / size)
    place = (block[answers.task] * raters + answers.rater) * q + answers.category
    by_rater = added(place, weight[answers.task], blocks * raters * q)
    return Sums(
        added(block, weight * (n > 0), blocks),
        added(block, weight * (n >= 2), blocks),
        shares,
        pairs,
        coincidences,
        by_rater.reshape(blocks, raters, q),
    )


def quadratic(values: Sequence[float]) -> Floats:
    """(q, q) agreement weights 1 - (v_c - v_k)² / (greatest difference)², Cohen (1968)."""
    v = np.asarray(values, dtype=np.float64)
    return 1 - (v[:, None] - v[None, :]) ** 2 / max(np.ptp(v) ** 2, 1e-12)


def observed(s: Sums, w: Floats) -> Floats:
    """p_a: (r,)."""
    return np.asarray(np.einsum("rck,ck->r", s.pairs, w) / s.pairable)


def above(p_a: Floats, p_e: Floats) -> Floats:
    return (p_a - p_e) / np.where(np.abs(1 - p_e) < 1e-12, np.nan, 1 - p_e)


def cohen(s: Sums, w: Floats) -> Floats:
    """Of two people Cohen's, of more Conger's; whoever has no answer in a resample is left out of it."""
    total = s.by_rater.sum(axis=2, keepdims=True)
    p = np.divide(s.by_rater, total, out=np.zeros_like(s.by_rater), where=total > 0)
    there = (total[:, :, 0] > 0).sum(axis=1)
    together = p.sum(axis=1)
    all_pairs = np.einsum("rc,ck,rk->r", together, w, together)
    alone = np.einsum("rgk,rgk->r", p @ w, p)
    return above(observed(s, w), (all_pairs - alone) / (there * (there - 1)))


def fleiss(s: Sums, w: Floats) -> Floats:
    share = s.shares / s.judged[:, None]
    return above(observed(s, w), np.einsum("rc,ck,rk->r", share, w, share))


def gwet(s: Sums, w: Floats) -> Floats:
    """AC1 where w is the identity, else AC2."""
    q = w.shape[0]
    share = s.shares / s.judged[:, None]
    return above(observed(s, w), w.sum() / (q * (q - 1)) * (share * (1 - share)).sum(axis=1))


def krippendorff(s: Sums, metric: str, values: Sequence[float] = ()) -> Floats:
    """metric: nominal, ordinal (the order of categories), or interval (by `values`)."""
    n_c = s.coincidences.sum(axis=2)
    n = n_c.sum(axis=1)
    if metric == "nominal":
        delta = 1 - np.eye(n_c.shape[1])[None]
    else:
        at = np.cumsum(n_c, axis=1) - n_c / 2 if metric == "ordinal" else np.asarray(values, dtype=np.float64)[None]
        delta = (at[:, :, None] - at[:, None, :]) ** 2
    seen = (s.coincidences * delta).sum(axis=(1, 2)) / n
    by_chance = (n_c[:, :, None] * n_c[:, None, :] * delta).sum(axis=(1, 2)) / (n * (n - 1))
    return np.asarray(1 - seen / np.where(by_chance < 1e-12, np.nan, by_chance))


def coefficients(q: int, values: Sequence[float] | None) -> dict[str, Callable[[Sums], Floats]]:
    """By name; those of a scale only where categories have values, in their order."""
    same = np.eye(q)
    found: dict[str, Callable[[Sums], Floats]] = {
        "percent": lambda s: observed(s, same),
        "cohen": lambda s: cohen(s, same),
        "fleiss": lambda s: fleiss(s, same),
        "alpha_nominal": lambda s: krippendorff(s, "nominal"),
        "ac1": lambda s: gwet(s, same),
    }
    if values is None:
        return found
    w, v = quadratic(values), list(values)
    return found | {
        "weighted_kappa": lambda s: cohen(s, w),
        "alpha_ordinal": lambda s: krippendorff(s, "ordinal"),
        "alpha_interval": lambda s: krippendorff(s, "interval", v),
        "ac2": lambda s: gwet(s, w),
    }


def figure_of(coefficient: Callable[[Sums], Floats], q: int) -> Figure:
    return lambda flat: coefficient(unflat(flat, q))


def agreement(answers: Answers, values: Sequence[float] | None = None) -> dict[str, Estimate]:
    """Every coefficient with its interval over tasks. values: of the categories, where these are points of a scale."""
    q = max(answers.categories, 2)
    named = coefficients(q, values)
    if not len(answers.task):
        return dict.fromkeys(named, Estimate(None))
    sums = sums_of(replace(answers, categories=q))
    paired = np.bincount(answers.task) >= 2
    n = int(paired.sum()) if answers.drawn is None else len(np.unique(answers.drawn[paired]))
    found = bootstrap(sums.flat(), {name: figure_of(of, q) for name, of in named.items()}, n=n)
    if found["percent"].value is not None and found["percent"].low is None:
        found["percent"] = Estimate(found["percent"].value, *wilson(min(found["percent"].value, 1.0), n), n)
    return found


def tau_b(one: Sequence[int], other: Sequence[int]) -> float | None:
    """Kendall's tau-b (1945) of two orders with ties, each as the place of every answer; None where one is all ties."""
    x, y = (np.sign(np.subtract.outer(np.asarray(places), np.asarray(places))) for places in (one, other))
    size = float(np.sqrt((x**2).sum() * (y**2).sum()))
    return float((x * y).sum() / size) if size else None


def kendall(task: Sequence[int], places: Sequence[Sequence[int]], weight: Sequence[float] | None = None) -> Estimate:
    """Mean over tasks of the mean tau-b over pairs of people. places: of each answer, by judgement. weight: of each
    answer's task."""
    by_task: dict[int, list[Sequence[int]]] = {}
    for number, order in zip(task, places, strict=True):
        by_task.setdefault(number, []).append(order)
    of_task = dict(zip(task, weight or [1.0] * len(task), strict=True))
    means, weights = [], []
    for number, orders in by_task.items():
        taus = [tau_b(a, b) for i, a in enumerate(orders) for b in orders[i + 1 :]]
        known = [tau for tau in taus if tau is not None]
        if known:
            means.append(sum(known) / len(known))
            weights.append(of_task[number])
    found = share_of(np.arange(len(means)), np.asarray(means), np.asarray(weights))
    lacks = len(means) < 2 or max(means) - min(means) < 1e-12
    return Estimate(found.value, n=found.n) if lacks else found
