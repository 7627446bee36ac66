"""From what people said to what a trainer is told: bodies to votes, votes to a weight, an agreement and a conclusion.

Every vote is kept; a rule here weighs votes and never drops one.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from app.preferences.votes import Outcome, Vote

SIDES = (Outcome.a, Outcome.b)


def vote_of(body: Mapping[str, Any], *, rater: str, sides: Sequence[int], levels: int) -> Vote:
    """One annotation's body as a vote on (a, b) = completions number 0 and 1 of its task.

    sides: the order on the rater's screen, as completion numbers. levels: strengths of the protocol it was made under.
    """
    outcome = SIDES[body["preferred"]] if body["outcome"] == "preferred" else Outcome(body["outcome"])
    ahead = {key: side if side == "equal" else SIDES[side].value for key, side in body.get("criteria", {}).items()}
    return Vote(
        rater=rater,
        outcome=outcome,
        strength=body.get("strength") if outcome in SIDES else None,
        levels=levels,
        shown_first="a" if sides[0] == 0 else "b",
        criteria=ahead,
    )


def agreement(votes: Sequence[Vote]) -> float:
    """Share of pairs of votes that name the same outcome, between 0 and 1; a single vote agrees with itself.

    2 of a and 1 of b: 1 of 3 pairs agrees, so 1/3.
    """
    n = len(votes)
    if n < 2:
        return 1.0
    same = sum(count * (count - 1) for count in Counter(vote.outcome for vote in votes).values())
    return same / (n * (n - 1))


def lean(votes: Sequence[Vote]) -> float:
    """Mean signed strength from -1 (all: b, much better) to 1 (all: a, much better); anything else counts 0.

    Strength s of l levels counts s / l, so that protocols with different scales can be put together.
    """
    total = sum(vote.weight for vote in votes)
    if not total:
        return 0.0
    signed = {Outcome.a: 1.0, Outcome.b: -1.0}
    leaning = math.fsum(  # exact, so that the order of votes cannot decide a near tie
        vote.weight * signed[vote.outcome] * (vote.strength or 0) / vote.levels
        for vote in votes
        if vote.outcome in signed
    )
    return leaning / total


def conclusion(votes: Sequence[Vote]) -> Outcome:
    """What the votes come to, by their weight.

    Two questions in turn. Was a side chosen? No, when tie, both-bad or neither-valid (the heaviest of them, the first
    of equals) outweighs both sides together; or when the sides are equal and it weighs at least as much as each.
    Which side? The heavier one; of equal ones the one with more strength; with equal strength it is a tie.

    a 2, b 1, tie 3: 3 is not more than 2 + 1, so a side was chosen, and it is a. a 1, b 1, tie 1: a tie, however strong
    a is. a 2, b 2, tie 1: decided by strength.
    """
    weight = {outcome: math.fsum(vote.weight for vote in votes if vote.outcome is outcome) for outcome in Outcome}
    a, b = weight[Outcome.a], weight[Outcome.b]
    other = max((outcome for outcome in Outcome if outcome not in SIDES), key=lambda outcome: weight[outcome])
    most = weight[other]
    if most > a + b or (a == b and most >= a and most > 0):
        return other
    if a != b:
        return Outcome.a if a > b else Outcome.b
    leaning = lean(votes)
    return Outcome.tie if leaning == 0 else Outcome.a if leaning > 0 else Outcome.b
