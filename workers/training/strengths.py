"""The modular way: what was said becomes a strength of each answer first, and the score is fitted to the strengths.

Strengths of one prompt's answers come from all votes on them, by Bradley and Terry's model or by Elo's rule; ratings
are taken as they are. Raters, ties and strength of votes are settled before the network is asked, so it can neither
weigh raters nor share what it learned between prompts: the joint likelihood (`hearing`) is the default.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from app.datasets.records import Outcome
from app.training.configs import RewardConfig
from workers.training.batches import Pair
from workers.training.groups import Grade, Group, Item, implied, worths

STRENGTH = "strength"
PRIOR = 0.5  # votes imagined for each side of each pair: nobody is infinitely strong after one vote
STEP = 0.4  # of Elo's rule in log-odds; in chess 32 points of 400 / ln 10
Said = tuple[int, int, float, float]  # numbers of two answers, what the first one got (1, 1/2 or 0), weight


def as_strengths(items: Sequence[Item], config: RewardConfig) -> list[Item]:
    """The same items in the same order, each answer with one grade: its strength."""
    return [with_strengths(item, config) for item in items]


def with_strengths(item: Item, config: RewardConfig) -> Group:
    said = outcomes_of(item)
    rated = worths(item) if isinstance(item, Group) and item.grades else {}
    if rated:
        told = {number for of in rated.values() for number in of}
        means = {number: [of[number] for of in rated.values() if number in of] for number in sorted(told)}
        values = {number: sum(of) / len(of) - 0.5 for number, of in means.items()}
    else:
        found = (bradley_terry if config.way == "bradley_terry" else elo)(said, len(item.answers))
        values = dict(enumerate(found))
    grades = tuple(Grade("", number, STRENGTH, value, 1.0) for number, value in values.items())
    return Group(
        item.id, item.group, item.split, item.prompt, tuple(item.answers), (), grades, {STRENGTH: 0}, item.weight,
        item.makers,
    )  # fmt: skip


def outcomes_of(item: Item) -> list[Said]:
    """Every vote between two answers; a tie gives each of them half."""
    if isinstance(item, Pair):
        got = {Outcome.a: 1.0, Outcome.b: 0.0}
        return [(0, 1, got.get(vote.outcome, 0.5), vote.weight) for vote in item.votes]
    return [
        (a, b, 1.0 if vote.outcome is Outcome.a else 0.0, vote.weight)
        for (a, b), votes in implied(item).items()
        for vote in votes
    ]


def bradley_terry(said: Sequence[Said], answers: int) -> list[float]:
    """Log-strengths with mean 0, by Hunter's minorisation (2004); `PRIOR` votes for each side of each pair besides."""
    wins = [[0.0 if a == b else PRIOR for b in range(answers)] for a in range(answers)]
    for a, b, got, weight in said:
        wins[a][b] += got * weight
        wins[b][a] += (1 - got) * weight
    strengths = [1.0] * answers
    for _ in range(200):
        strengths = [
            sum(wins[a])
            / sum((wins[a][b] + wins[b][a]) / (strengths[a] + strengths[b]) for b in range(answers) if b != a)
            if answers > 1
            else 1.0
            for a in range(answers)
        ]
        middle = math.exp(sum(map(math.log, strengths)) / answers)
        strengths = [strength / middle for strength in strengths]
    return [math.log(strength) for strength in strengths]


def elo(said: Sequence[Said], answers: int) -> list[float]:
    """Ratings in log-odds, one vote after the other: each moves by STEP times what was not expected."""
    ratings = [0.0] * answers
    for a, b, got, weight in said:
        surprise = got - 1 / (1 + math.exp(ratings[b] - ratings[a]))
        ratings[a] += STEP * weight * surprise
        ratings[b] -= STEP * weight * surprise
    return ratings
