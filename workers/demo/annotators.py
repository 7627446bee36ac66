"""Simulated annotators: eight pseudonyms that share one hidden taste and differ in how reliably they follow it.

Each answer to a task is a pure function of the seed, the annotator, the prompt and the two texts, so a restarted
loop gets the same answers again.
"""

import math
import random
from collections.abc import Iterable
from dataclasses import dataclass

from app.preferences.votes import Outcome
from workers.demo.taste import utility


@dataclass(frozen=True)
class Annotator:
    """beta: how surely a difference of one in utility decides; near 0 is a coin.

    lean: pull, in the same unit times beta, towards what is shown first.
    tie: chance of calling two equal answers a tie; it falls off as they differ.
    """

    name: str
    beta: float
    lean: float
    tie: float


ANNOTATORS = (
    Annotator("annotator-1", beta=1.8, lean=0.0, tie=0.5),
    Annotator("annotator-2", beta=1.6, lean=0.1, tie=0.6),
    Annotator("annotator-3", beta=1.5, lean=0.1, tie=0.3),
    Annotator("annotator-4", beta=1.4, lean=0.0, tie=0.7),
    Annotator("annotator-5", beta=1.2, lean=0.2, tie=0.5),
    Annotator("annotator-6", beta=1.0, lean=0.1, tie=0.4),
    Annotator("annotator-7", beta=0.8, lean=0.2, tie=0.5),
    Annotator("annotator-8", beta=0.1, lean=0.4, tie=0.1),  # the careless one
)

TIE_WIDTH = 0.35  # utility at which calling it a tie has become 2.7 times rarer
BOTH_BAD_BELOW = 0.0  # utility under which an answer is of no use
BOTH_BAD = 0.4  # chance of saying so when both are


@dataclass(frozen=True)
class Choice:
    """What an annotator answers. a is the answer shown first; strength is set when a side is chosen."""

    outcome: Outcome
    strength: int | None = None


def choose(annotator: Annotator, prompt: str, a: str, b: str, *, levels: int = 3, seed: int = 0) -> Choice:
    """The annotator's judgement of `a`, shown first, against `b`; strengths run from 1 to `levels`."""
    rng = random.Random(f"{seed}/{annotator.name}/{prompt}/{a}/{b}")
    first, second = utility(prompt, a), utility(prompt, b)
    # every draw is made whatever comes of it, so no outcome shifts the next one
    bad, tied, side, sway = rng.random(), rng.random(), rng.random(), rng.gauss(0.0, 0.4)
    if max(first, second) < BOTH_BAD_BELOW and bad < BOTH_BAD:
        return Choice(Outcome.both_bad)
    if tied < annotator.tie * math.exp(-(((first - second) / TIE_WIDTH) ** 2)):
        return Choice(Outcome.tie)
    chosen = Outcome.a if side < chance(annotator, first - second) else Outcome.b
    return Choice(chosen, strength(annotator.beta * abs(first - second) + sway, levels))


def chance(annotator: Annotator, difference: float) -> float:
    """How likely the first answer is chosen when it is better by `difference` and a side is chosen at all."""
    return 1 / (1 + math.exp(-annotator.beta * difference - annotator.lean))


def strength(margin: float, levels: int) -> int:
    """The protocol's scale: the surer, the stronger; a margin of 4 or more is the strongest."""
    return 1 + min(levels - 1, max(0, int(margin / 4 * levels)))


def best_accuracy(annotator: Annotator, prompt: str, a: str, b: str) -> float:
    """How often the best guess, with the taste known, is what the annotator says of `a` shown first, of choices."""
    likely = chance(annotator, utility(prompt, a) - utility(prompt, b))
    return max(likely, 1 - likely)


def ceiling(votes: Iterable[tuple[str, str, str, str]]) -> float:
    """The best accuracy that anything can reach on votes (annotator's name, prompt, a shown first, b), on average."""
    known = {annotator.name: annotator for annotator in ANNOTATORS}
    reached = [best_accuracy(known[name], prompt, a, b) for name, prompt, a, b in votes]
    return sum(reached) / len(reached)
