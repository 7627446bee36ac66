"""How sure a figure is: 95 % intervals from tasks drawn anew with replacement (Efron 1979), with all their answers.

Answers to one task are not independent of each other, so tasks are drawn and never answers. Nearly every figure of this
chapter is a function of sums over tasks; then a thousand resamples are one product of matrices.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Figure = Callable[[Floats], Floats]  # from sums (r, m) to r values, NaN where it is not defined

RESAMPLES = 1000
BLOCKS = 2000  # more tasks than these are first thrown together at random: sums of blocks vary as sums of tasks do
Z_95 = 1.959964


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval over n tasks. value None: it is not defined; low, high None: nothing can be said,
    because there are too few tasks or all are alike."""

    value: float | None
    low: float | None = None
    high: float | None = None
    n: int = 0


def finite(value: object) -> float | None:
    """As a plain number; None where it is none."""
    number = float(value)  # type: ignore[arg-type]
    return number if math.isfinite(number) else None


def added(place: Ints, weight: Floats, places: int = 0) -> Floats:
    """(places,) sums of weights by place."""
    return np.bincount(place, weights=weight, minlength=places).astype(np.float64)


def blocks_of(tasks: int, seed: int = 0) -> Ints:
    """(tasks,): the block that each task is in: one of its own, or of BLOCKS that are drawn."""
    if tasks <= BLOCKS:
        return np.arange(tasks, dtype=np.int64)
    return np.random.default_rng(seed).permutation(np.arange(tasks, dtype=np.int64) % BLOCKS)


def resampled(sums: Floats, seed: int = 0, resamples: int = RESAMPLES) -> Floats:
    """(resamples, m) sums over blocks drawn with replacement. sums: (blocks, m)."""
    return times_drawn(len(sums), seed, resamples) @ sums


@lru_cache(maxsize=1)  # the figures of one page mostly have BLOCKS
def times_drawn(blocks: int, seed: int, resamples: int) -> Floats:
    """(resamples, blocks) how often each was drawn; counting draws takes a fifth of the time of drawing the counts."""
    each = np.random.default_rng(seed).integers(blocks, size=(resamples, blocks))
    each += blocks * np.arange(resamples)[:, None]
    counts = np.bincount(each.ravel(), minlength=resamples * blocks).reshape(resamples, blocks).astype(np.float64)
    counts.setflags(write=False)
    return counts


def bootstrap(sums: Floats, figures: Mapping[str, Figure], *, n: int, seed: int = 0) -> dict[str, Estimate]:
    """Each figure with its interval, all from the same resamples. sums: (blocks, m). n: tasks behind the blocks."""
    again = resampled(sums, seed) if n > 1 else sums[:0]
    with np.errstate(divide="ignore", invalid="ignore"):
        values = {name: finite(figure(sums.sum(axis=0, keepdims=True))[0]) for name, figure in figures.items()}
        return {
            name: Estimate(value, n=n) if value is None or n < 2 else within(value, figures[name](again), n)
            for name, value in values.items()
        }


def within(value: float, drawn: Floats, n: int) -> Estimate:
    """The percentile interval of a figure's values in resamples."""
    drawn = drawn[np.isfinite(drawn)]
    if len(drawn) < 2 or np.ptp(drawn) < 1e-12:
        return Estimate(value, n=n)
    low, high = np.quantile(drawn, (0.025, 0.975))
    return Estimate(value, min(float(low), value), max(float(high), value), n)


def wilson(share: float, trials: float) -> tuple[float, float]:
    """Wilson's score interval of a share (1927, eq. 1): it has a width also where all trials ended alike."""
    z2 = Z_95**2
    middle = (share + z2 / (2 * trials)) / (1 + z2 / trials)
    half = Z_95 * math.sqrt(share * (1 - share) / trials + z2 / (4 * trials**2)) / (1 + z2 / trials)
    return max(0.0, middle - half), min(1.0, middle + half)


def share_of(task: Ints, hit: Floats, weight: Floats | None = None) -> Estimate:
    """The share of hits over answers. task: (answers,) numbers from 0 on; hit: (answers,) 0 … 1; weight: of answers.

    Where no task differs from another, Wilson's interval stands in, a task being one trial.
    """
    if not len(task):
        return Estimate(None)
    weight = np.ones(len(task)) if weight is None else weight
    _ids, task = np.unique(task, return_inverse=True)
    n = int(task.max()) + 1
    block = blocks_of(n)[task]
    sums = np.stack([added(block, weight * hit), added(block, weight)], axis=1)
    found = bootstrap(sums, {"share": lambda s: s[:, 0] / s[:, 1]}, n=n)["share"]
    if found.value is None or found.low is not None:
        return found
    return Estimate(found.value, *wilson(min(1.0, max(0.0, found.value)), n), n)
