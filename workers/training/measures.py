"""How well scores foretell votes. Every vote counts by itself; a tie and an unusable vote choose no side."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.datasets.records import Outcome
from app.training.configs import RewardConfig
from workers.training.batches import Pair
from workers.training.progress import RunFailed

Numbers = NDArray[np.float64]
BINS = 10
LENGTH_GAPS = [(0.1, "≤ 10 %"), (0.5, "≤ 50 %"), (1.0, "≤ 100 %")]


@dataclass(frozen=True)
class Choices:
    """Votes that chose a side, (v,) each. won: 1 where the vote chose a. pair: the row of its pair."""

    pair: NDArray[np.int64]
    won: Numbers
    raters: list[str]
    strengths: list[str]
    lengths: list[str]
    makers: list[str]

    def __len__(self) -> int:
        return len(self.raters)


def choices_of(pairs: Sequence[Pair]) -> Choices:
    chosen = [(row, vote) for row, pair in enumerate(pairs) for vote in pair.votes if vote.strength is not None]
    return Choices(
        pair=np.array([row for row, _ in chosen], dtype=np.int64),
        won=np.array([float(vote.outcome is Outcome.a) for _, vote in chosen]),
        raters=[vote.rater for _, vote in chosen],
        strengths=[f"{vote.strength}/{vote.levels}" for _, vote in chosen],
        lengths=[length_gap(pairs[row]) for row, _ in chosen],
        makers=[" | ".join(sorted(pairs[row].makers)) if all(pairs[row].makers) else "" for row, _ in chosen],
    )


def length_gap(pair: Pair) -> str:
    """How much longer the longer answer is, in tokens, as a bin's name."""
    shorter, longer = sorted((len(pair.a), len(pair.b)))
    more = longer / max(shorter, 1) - 1
    return next((name for most, name in LENGTH_GAPS if more <= most), "> 100 %")


def measure(differences: Numbers, choices: Choices) -> dict[str, Any]:
    """Figures for score differences a - b (one per pair, calibrated: log-odds that a vote goes to a)."""
    gaps = differences[choices.pair]
    hits = right(gaps, choices.won)
    return {
        "votes": len(choices),
        "accuracy": mean(hits),
        "log_loss": log_loss(gaps, choices.won),
        "ece": calibration_error(gaps, choices.won),
        "accuracy_by_strength": by_key(hits, choices.strengths),
        "accuracy_by_rater": by_key(hits, choices.raters),
        "accuracy_by_length": by_key(hits, choices.lengths),
        "accuracy_by_makers": {key: value for key, value in by_key(hits, choices.makers).items() if key},
        "diagram": diagram(gaps, choices.won),
        "margins": margins(gaps, choices.won),
    }


def diagram(gaps: Numbers, won: Numbers) -> list[list[float]]:
    """Of votes in ten bins of the favourite's probability: its mean, the share of votes for it, their number."""
    confidence, hits = 1 / (1 + np.exp(-np.abs(gaps))), right(gaps, won)
    bins = np.minimum(((confidence - 0.5) * 2 * BINS).astype(int), BINS - 1)
    chosen = [bins == b for b in range(BINS) if (bins == b).any()]
    return [[float(confidence[one].mean()), float(hits[one].mean()), int(one.sum())] for one in chosen]


def margins(gaps: Numbers, won: Numbers) -> dict[str, Any] | None:
    """Votes by how far the score was on their side (negative: on the other), in twenty bins around 0."""
    if not len(gaps):
        return None
    sided = np.where(won > 0.5, gaps, -gaps)
    edge = max(float(np.quantile(np.abs(sided), 0.99)), 1e-3)
    counts, edges = np.histogram(np.clip(sided, -edge, edge), 2 * BINS, (-edge, edge))
    return {"from": float(edges[0]), "to": float(edges[-1]), "votes": counts.tolist()}


def right(gaps: Numbers, won: Numbers) -> Numbers:
    """1 where the sign of the gap agrees with the vote, 1/2 where there is no gap."""
    return np.where(gaps == 0, 0.5, (gaps > 0) == (won > 0.5))


def mean(values: Numbers) -> float:
    return float(values.mean()) if len(values) else math.nan


def by_key(hits: Numbers, keys: Iterable[str]) -> dict[str, dict[str, float]]:
    groups: dict[str, list[float]] = defaultdict(list)
    for key, hit in zip(keys, hits, strict=True):
        groups[key].append(float(hit))
    return {key: {"accuracy": sum(hit) / len(hit), "votes": len(hit)} for key, hit in sorted(groups.items())}


def log_loss(gaps: Numbers, won: Numbers) -> float:
    """Mean negative log-likelihood in nats; a coin scores ln 2 = 0.693."""
    return mean(np.logaddexp(0.0, np.where(won > 0.5, -gaps, gaps)))


def calibration_error(gaps: Numbers, won: Numbers) -> float:
    """Expected calibration error over 10 equal bins of the favourite's probability (0.5 to 1), votes as weights."""
    confidence = 1 / (1 + np.exp(-np.abs(gaps)))
    bins = np.minimum(((confidence - 0.5) * 2 * BINS).astype(int), BINS - 1)
    hits = right(gaps, won)
    total = sum(abs(float((hits[bins == b] - confidence[bins == b]).sum())) for b in range(BINS))
    return total / max(len(hits), 1)


def fit_slope(gaps: Numbers, won: Numbers, *, signed: bool = False) -> float:
    """The factor on the gaps with the least log loss (1 / temperature), by Newton with a weak pull to 0.

    A one-parameter logistic regression without intercept: its loss is convex, so a few dozen clipped steps suffice.
    """
    slope, sign = 0.0, np.where(won > 0.5, 1.0, -1.0)
    for _ in range(100):
        miss = 1 / (1 + np.exp(np.clip(sign * gaps * slope, -500, 500)))  # probability given to the other side
        gradient = float((sign * gaps * miss).sum()) - 1e-3 * slope
        curvature = float((gaps**2 * miss * (1 - miss)).sum()) + 1e-3
        step = gradient / curvature
        slope += max(-1.0 - abs(slope), min(1.0 + abs(slope), step))
        if abs(step) < 1e-9 * (1 + abs(slope)):
            break
    return slope if signed else max(slope, 1e-3)


def length_baseline(train: Sequence[Pair], heldout: Sequence[Pair]) -> dict[str, float]:
    """What knowing the answers' lengths alone is worth: a logistic on the difference in tokens, fitted on train."""
    chosen = choices_of(train)
    spread = float(np.std(lengths(train))) or 1.0
    slope = fit_slope(lengths(train)[chosen.pair] / spread, chosen.won, signed=True)
    seen = choices_of(heldout)
    gaps = slope * lengths(heldout)[seen.pair] / spread
    return {"accuracy": mean(right(gaps, seen.won)), "log_loss": log_loss(gaps, seen.won), "slope": slope / spread}


def lengths(pairs: Sequence[Pair]) -> Numbers:
    """len(a) - len(b) in tokens."""
    return np.array([len(pair.a) - len(pair.b) for pair in pairs], dtype=float)


def agreement_ceiling(pairs: Sequence[Pair]) -> dict[str, float] | None:
    """The best accuracy that raters' agreement allows: (1 + sqrt(2p - 1)) / 2 for pairwise agreement p.

    Assumes equal, independent noise of all raters. None where no pair has two votes for a side.
    """
    agreed = total = 0
    for pair in pairs:
        sides = [vote.outcome for vote in pair.votes if vote.strength is not None]
        for one, other in combinations(sides, 2):
            agreed, total = agreed + (one is other), total + 1
    if not total:
        return None
    share = agreed / total
    return {"agreement": share, "ceiling": (1 + math.sqrt(max(2 * share - 1, 0))) / 2, "votes_compared": total}


def require_votes(train: Sequence[Pair], config: RewardConfig) -> None:
    """Refuse to begin where there is nothing to learn, with the count that is needed."""
    choices = choices_of(train)
    if len(choices) < config.min_votes:
        raise RunFailed(
            f"{len(choices)} votes for training choose a side; {config.min_votes} are needed"
            f" (of {sum(len(pair.votes) for pair in train)} votes in all)."
        )
    firsts = sum(vote.outcome == vote.shown_first for pair in train for vote in pair.votes if vote.strength)
    fewest, needed = min(firsts, len(choices) - firsts), max(1, config.min_votes // 10)
    if fewest < needed:
        raise RunFailed(
            f"All but {fewest} of {len(choices)} votes chose the same place on the screen;"
            f" {needed} for the other place are needed to tell answers from places."
        )
    if len({pair.group for pair in train}) < config.members:
        raise RunFailed(f"The votes for training are on fewer than {config.members} prompts, the number of members.")
