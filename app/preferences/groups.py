"""Judgements of several answers at once: orders, choices and ratings as votes, and the pairs that follow from them.

All pairs of one record are one group: they come from the same judgement and are never told apart as independent ones.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any, Literal

from app.preferences.votes import Answered, ChoiceVote, Outcome, QuestionsVote, RankingVote, Rated, RatingVote, Vote

Pair = tuple[int, int]  # numbers of the better and of the worse answer


def ranking_of(body: Mapping[str, Any], *, rater: str, sides: Sequence[int]) -> RankingVote:
    """A ranking's body as a vote."""
    return RankingVote(rater=rater, tiers=body["tiers"], shown=tuple(sides))


def choice_of(body: Mapping[str, Any], *, rater: str, sides: Sequence[int]) -> ChoiceVote:
    """The body of a comparison among more than two as a vote."""
    outcome = "chosen" if body["outcome"] == "preferred" else body["outcome"]
    best, worst = body.get("preferred"), body.get("worst")
    ahead = body.get("criteria", {})
    return ChoiceVote(rater=rater, outcome=outcome, best=best, worst=worst, criteria=ahead, shown=tuple(sides))


def rating_of(body: Mapping[str, Any], *, rater: str, sides: Sequence[int]) -> RatingVote:
    """A rating's body as a vote."""
    rated = (
        Rated(
            answer=one["completion"], criteria=one["criteria"], flags=one["flags"], errors=tuple(one.get("errors", ()))
        )
        for one in body["ratings"]
    )
    return RatingVote(rater=rater, ratings=tuple(rated), shown=tuple(sides))


def questions_of(body: Mapping[str, Any], *, rater: str, sides: Sequence[int]) -> QuestionsVote:
    """Answers to a project's own questions as a vote."""
    answers = tuple(Answered(answer=one["completion"], said=one["said"]) for one in body["answers"])
    return QuestionsVote(rater=rater, task=body["task"], answers=answers, shown=tuple(sides))


def order_of_scores(vote: RatingVote) -> Vote | RankingVote | None:
    """What one rater's scores from 1 to 100 say of the order: of two answers a strength, how far apart they lie, of 99;
    of more their tiers. None where not every answer has a score."""
    scores = {rated.answer: rated.criteria["score"] for rated in vote.ratings if "score" in rated.criteria}
    if len(scores) < len(vote.shown):
        return None
    if len(scores) > 2:
        worth = sorted(set(scores.values()), reverse=True)
        tiers = tuple(tuple(number for number in sorted(scores) if scores[number] == value) for value in worth)
        return RankingVote(rater=vote.rater, tiers=tiers, shown=vote.shown)
    apart = scores[0] - scores[1]
    outcome = Outcome.tie if not apart else Outcome.a if apart > 0 else Outcome.b
    first: Literal["a", "b"] = "a" if vote.shown[0] == 0 else "b"
    return Vote(rater=vote.rater, outcome=outcome, strength=abs(apart) or None, levels=99, shown_first=first)


def pairs_of_tiers(tiers: Sequence[Sequence[int]]) -> Iterator[Pair]:
    """Every answer of a tier is better than every answer of a later one; inside a tier nothing follows."""
    for better, worse in combinations(tiers, 2):
        yield from ((one, other) for one in better for other in worse)


def tiers_of_choice(best: int, worst: int | None, answers: int) -> list[list[int]]:
    """The order that a choice says: the best, the others (of which nothing is said among themselves), the worst."""
    others = [number for number in range(answers) if number not in (best, worst)]
    return [tier for tier in ([best], others, [] if worst is None else [worst]) if tier]


def votes_for(orders: Sequence[tuple[Sequence[Sequence[int]], float]]) -> dict[Pair, float]:
    """Weight of the votes that put one answer above another, for each ordered pair. orders: (tiers, weight) a vote."""
    counted: dict[Pair, float] = {}
    for tiers, weight in orders:
        for pair in pairs_of_tiers(tiers):
            counted[pair] = counted.get(pair, 0.0) + weight
    return counted


def concluded_pairs(orders: Sequence[tuple[Sequence[Sequence[int]], float]]) -> list[tuple[Pair, float]]:
    """Pairs that more weight of votes says than denies, with the margin (0 … 1): the difference over all weight.

    Three raters say 0 › 1, 0 › 1 and 1 › 0: the pair (0, 1) with margin 1/3.
    """
    total = sum(weight for _tiers, weight in orders)
    counted = votes_for(orders)
    found = []
    for (better, worse), weight in sorted(counted.items()):
        against = counted.get((worse, better), 0.0)
        if weight > against:
            found.append(((better, worse), (weight - against) / total))
    return found


def agreement_of_orders(orders: Sequence[Sequence[Sequence[int]]]) -> float:
    """Share of pairs of answers on which two raters say the same (better, worse or neither), 0 … 1, over all pairs of
    raters; a single rater agrees with themselves."""
    said = [set(pairs_of_tiers(tiers)) for tiers in orders]
    numbers = sorted({number for tiers in orders for tier in tiers for number in tier})
    same = asked = 0
    for one, other in combinations(said, 2):
        for a, b in combinations(numbers, 2):
            asked += 1
            same += ((a, b) in one, (b, a) in one) == ((a, b) in other, (b, a) in other)
    return same / asked if asked else 1.0
