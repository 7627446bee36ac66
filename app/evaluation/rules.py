"""The arithmetic of a blind comparison. Standard library only."""

import hashlib
import json
import math
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any

RESAMPLES = 2000
Z_95 = 1.959964  # 95 % of a normal distribution lie within so many deviations


class Verdict(StrEnum):
    """What one answer says about the candidate."""

    win = "win"
    tie = "tie"
    loss = "loss"
    invalid = "invalid"  # neither answer fits the question at all: says nothing about which is better


POINTS = {Verdict.win: 1.0, Verdict.tie: 0.5, Verdict.loss: 0.0}


@dataclass(frozen=True)
class WinRate:
    """rate: (wins + ties / 2) / valid, None where nothing is valid. low, high: its 95 % interval over prompts, by
    `interval`; None where nothing is valid."""

    wins: int
    ties: int
    losses: int
    invalid: int
    prompts: int
    rate: float | None
    low: float | None
    high: float | None
    interval: str | None = None

    @property
    def valid(self) -> int:
        return self.wins + self.ties + self.losses


def win_rate(verdicts_by_prompt: Iterable[Sequence[Verdict]], *, seed: int = 0) -> WinRate:
    """Win rate over all answers, its interval over prompts: answers to one prompt are not independent of each other.

    2 wins, 1 tie, 1 loss and 1 invalid: (2 + 0.5) / 4 = 0.625.
    """
    prompts = [list(verdicts) for verdicts in verdicts_by_prompt]
    counts = {verdict: sum(verdicts.count(verdict) for verdicts in prompts) for verdict in Verdict}
    sums = [_points_and_number(verdicts) for verdicts in prompts]
    judged = [one for one in sums if one[1]]
    rate = sum(points for points, _n in judged) / sum(n for _points, n in judged) if judged else None
    low, high, how = interval(judged, seed) if judged else (None, None, None)
    return WinRate(
        counts[Verdict.win],
        counts[Verdict.tie],
        counts[Verdict.loss],
        counts[Verdict.invalid],
        len(judged),
        rate,
        low,
        high,
        how,
    )


def _points_and_number(verdicts: Sequence[Verdict]) -> tuple[float, int]:
    valid = [POINTS[verdict] for verdict in verdicts if verdict is not Verdict.invalid]
    return sum(valid), len(valid)


def interval(sums: Sequence[tuple[float, int]], seed: int) -> tuple[float, float, str]:
    """low, high, and how they were found: `bootstrap`, or `wilson` where every prompt has the same rate.

    Drawing prompts that are all alike with replacement gives the same rate each time, and an interval without width,
    however few they are: three wins of three would be certain. Wilson's interval asks which true rate could have shown
    this one, so it has width at the ends and narrows as prompts come. A prompt counts as one trial however many people
    answered it: they may all agree for the same reason.
    """
    rates = {points / n for points, n in sums}
    if len(rates) > 1:
        return *bootstrap(sums, seed), "bootstrap"
    return *wilson(rates.pop(), len(sums)), "wilson"


def wilson(rate: float, trials: int) -> tuple[float, float]:
    """Wilson's 95 % score interval of a share (1927, eq. 1). 3 wins of 3: low 3 / (3 + 1.96²) = 0.4385, high 1."""
    z2 = Z_95**2
    middle = (rate + z2 / (2 * trials)) / (1 + z2 / trials)
    half = Z_95 * math.sqrt(rate * (1 - rate) / trials + z2 / (4 * trials**2)) / (1 + z2 / trials)
    return max(0.0, middle - half), min(1.0, middle + half)


def bootstrap(sums: Sequence[tuple[float, int]], seed: int, share: float = 0.95) -> tuple[float, float]:
    """Percentile interval of the mean: prompts are drawn with replacement, each with all its answers."""
    draw = random.Random(seed)  # noqa: S311  reproducible, not secret
    rates = []
    for _resample in range(RESAMPLES):
        drawn = draw.choices(sums, k=len(sums))
        rates.append(sum(points for points, _n in drawn) / sum(n for _points, n in drawn))
    rates.sort()
    tail = (1 - share) / 2
    return rates[int(tail * RESAMPLES)], rates[int((1 - tail) * RESAMPLES) - 1]


@dataclass(frozen=True)
class Said:
    """What is known of a comparison at one moment, all that its result is drawn from.

    people: verdicts by prompt (inside id). by_rule: verdicts on pairs that nobody is asked about, by prompt. k: answers
    wanted a pair. generated: no answer of a checkpoint was still to come.
    """

    people: Mapping[int, Sequence[Verdict]]
    by_rule: Mapping[str, str]
    k: int
    seed: int
    generated: bool

    @cached_property
    def told(self) -> str:
        """Changes exactly when what was said changes."""
        whole = [sorted((prompt, sorted(said)) for prompt, said in self.people.items()), sorted(self.by_rule.items())]
        return hashlib.sha256(json.dumps(whole).encode()).hexdigest()[:16]


def result_of(said: Said) -> dict[str, Any]:
    """people: what was answered. all: with the pairs that a rule decided, each as often as it would have been asked.
    told: of what was counted. Takes a second or more, so no transaction is open meanwhile.
    """
    ruled = [[Verdict(verdict)] * said.k for verdict in said.by_rule.values()]
    return {
        "schema": {"name": "hone.evaluation", "version": 1},
        "by_rule": dict(said.by_rule),
        "people": asdict(win_rate(said.people.values(), seed=said.seed)),
        "all": asdict(win_rate([*said.people.values(), *ruled], seed=said.seed)),
        "told": said.told,
    }
