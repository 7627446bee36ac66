"""How many answers it takes to learn what people prefer: asked at random, and the most informative first.

    make bench ARGS=informative

Answers differ in 24 features, of which few matter much. People prefer by Bradley and Terry's model. Pairs are asked in
lots of 40; after each the same fit that orders rounds is made anew, and the rest of the pairs put in order by it, with
a fifth drawn at random as everywhere. Counted are the labels after which held-out pairs are told as often as TARGET of
the best that can be; the mean over ten worlds.
"""

import json
from statistics import mean

import numpy as np

from app.quality.statistics.information import fit, of_fit, places
from app.quality.statistics.intervals import Floats
from app.quality.statistics.raters import logistic
from app.tasks.rules import DRAWN

WORLDS, POOL, HELDOUT, FEATURES, LOT, MOST, TARGET = 10, 3000, 4000, 24, 40, 1600, 0.93


def labels_needed(seed: int, *, chooses: bool) -> int:
    """Until the fit names the better answer of held-out pairs in TARGET of all; MOST where it never does."""
    draw = np.random.default_rng(seed)
    matters = draw.normal(0, 1, FEATURES) * np.geomspace(2.0, 0.1, FEATURES)
    spread = draw.permutation(np.geomspace(0.2, 2.0, FEATURES))  # some features seldom differ much
    pool, heldout = (draw.normal(0, 1, (size, FEATURES)) * spread for size in (POOL, HELDOUT))
    said = (draw.random(POOL) < logistic(pool @ matters)).astype(float)
    is_drawn = draw.random(POOL) < DRAWN
    asked: list[int] = []
    left = set(range(POOL))
    beta, covariance = fit(pool[:0], said[:0])
    while len(asked) < MOST:
        lot = order(sorted(left), pool, is_drawn, (beta, covariance)) if chooses else sorted(left)
        asked += lot[:LOT]
        left -= set(lot[:LOT])
        beta, covariance = fit(pool[asked], said[asked])
        if ((heldout @ beta > 0) == (heldout @ matters > 0)).mean() >= TARGET:
            return len(asked)
    return MOST


def order(left: list[int], pool: Floats, is_drawn: Floats, found: tuple[Floats, Floats]) -> list[int]:
    """As a round would ask them. The pool is in random order already."""
    chosen = [pair for pair in left if not is_drawn[pair]]
    gains = dict(zip(chosen, of_fit(pool[chosen], *found).tolist(), strict=True))
    place = places(gains, {pair: float(pair) for pair in left if is_drawn[pair]})
    return sorted(left, key=lambda pair: place[pair])


def measure() -> dict[str, float]:
    at_random = mean(labels_needed(seed, chooses=False) for seed in range(WORLDS))
    chosen = mean(labels_needed(seed, chooses=True) for seed in range(WORLDS))
    return {
        "informative.accuracy": TARGET,
        "informative.labels_random": at_random,
        "informative.labels_chosen": chosen,
        "informative.share_of_random": round(chosen / at_random, 3),
    }


if __name__ == "__main__":
    print(json.dumps(measure(), indent=2))
