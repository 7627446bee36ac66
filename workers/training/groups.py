"""Several answers to one prompt, judged together: orders, choices and ratings as the reward network reads them.

Each answer is read once, however many pairs follow from what was said (K forwards, not K (K - 1)), and all that was
said of one prompt stands in one optimizer step.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Literal

from app.datasets.records import (
    ChoiceRecord,
    ChoiceVote,
    Outcome,
    QuestionsRecord,
    RankingRecord,
    RankingVote,
    RatingRecord,
    Vote,
)
from app.preferences.groups import pairs_of_tiers, tiers_of_choice
from app.training.configs import RewardConfig
from workers.training.batches import Pair, maker_of
from workers.training.checkpoints import Opened
from workers.training.lines import read_records, turns

MOST_LEVELS = 11  # a scale with more is read as a number
OVERALL = "overall"  # the subject of what was said of answers as a whole


@dataclass(frozen=True)
class Order:
    """One rater's order. tiers: numbers of answers, best first. kind: of a choice only its best, or best and worst,
    are known. shown: the numbers in the order of the rater's screen. subject: the point of view."""

    rater: str
    tiers: tuple[tuple[int, ...], ...]
    kind: Literal["order", "best", "both"]
    shown: tuple[int, ...]
    weight: float
    subject: str = OVERALL

    @property
    def flat(self) -> tuple[int, ...]:
        return tuple(number for tier in self.tiers for number in tier)


@dataclass(frozen=True)
class Grade:
    """One rater's value of one answer by one criterion: its level from 0, or a number from 0 to 1."""

    rater: str
    answer: int
    scale: str
    value: float
    weight: float


@dataclass(frozen=True)
class Group:
    """A record in tokens. scales: levels by name, 0 for a number; ranges: their least and most values."""

    id: str
    group: str
    split: str
    prompt: list[int]
    answers: tuple[list[int], ...]
    orders: tuple[Order, ...]
    grades: tuple[Grade, ...]
    scales: dict[str, int]
    weight: float
    makers: tuple[str, ...]
    ranges: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    votes: tuple[Vote, ...] = ()

    @property
    def longest(self) -> int:
        return len(self.prompt) + max(map(len, self.answers))


Item = Pair | Group
Judged = RankingRecord | ChoiceRecord | RatingRecord | QuestionsRecord


def read_groups(file: Path, opened: Opened, config: RewardConfig, left_out: Counter[str]) -> list[Group]:
    """Rankings, choices and ratings that can teach or measure, and a project's own questions where each has a head; the
    rest is counted in `left_out` by reason."""
    kinds: list[type[Judged]] = [RankingRecord, ChoiceRecord]
    kinds += [] if config.ratings == "ignore" else [RatingRecord]
    kinds += [] if config.ratings == "ignore" or config.heads == "one" else [QuestionsRecord]
    longest = min(config.max_tokens, opened.context)
    found = []
    for record in read_records(file, kinds, Counter(), config.heldout_share):
        left_out[f"lines_{record.kind}"] -= 1  # counted as another kind by whoever read the pairs
        group = encode_group(record, opened, config)
        if not (group.orders or group.grades) or group.weight == 0:
            left_out[f"{record.kind.removesuffix('s')}s_without_votes"] += 1
        elif group.longest > longest:
            left_out[f"{record.kind.removesuffix('s')}s_too_long"] += 1
        else:
            found.append(group)
    return found


def encode_group(record: Judged, opened: Opened, config: RewardConfig) -> Group:
    orders: Sequence[Order] = ()
    grades: Sequence[Grade] = ()
    ranges: dict[str, tuple[int, int]] = {}
    if isinstance(record, RatingRecord | QuestionsRecord):
        ranges = ranges_of(record, config)
        grades = list(grades_of(record, ranges, config))
    else:
        orders = list(orders_of(record, config))
    return Group(
        id=record.id,
        group=record.group,
        split=record.split,
        prompt=opened.prompt_ids(turns(record.prompt)),
        answers=tuple(opened.answer_ids(answer.text) for answer in record.answers),
        orders=tuple(orders),
        grades=tuple(grades),
        scales={name: levels_of(*ends, config) for name, ends in ranges.items()},
        weight=record.weight,
        makers=tuple(maker_of(answer) for answer in record.answers),
        ranges=ranges,
    )


def orders_of(record: RankingRecord | ChoiceRecord, config: RewardConfig) -> Iterator[Order]:
    """What each rater's vote says of the order; nothing where it says none."""
    everyone = tuple(range(len(record.answers)))
    if len(everyone) < 2:
        return
    for vote in record.votes:
        kind: Literal["order", "best", "both"] = "order"
        tiers: tuple[tuple[int, ...], ...]
        if isinstance(vote, RankingVote):
            tiers = vote.tiers
        elif vote.best is not None:
            kind = "best" if vote.worst is None else "both"
            tiers = tuple(map(tuple, tiers_of_choice(vote.best, vote.worst, len(everyone))))
        else:
            equal = vote.outcome == "tie" or (vote.outcome == "both_bad" and config.both_bad == "tie")
            tiers = (everyone,) if equal else ()
        is_tied = kind == "order" and any(len(tier) > 1 for tier in tiers)
        if tiers and vote.weight > 0 and not (is_tied and config.ties == "ignore"):
            yield Order(vote.rater, tiers, kind, vote.shown, vote.weight)
        if config.heads == "criteria" and not isinstance(vote, RankingVote):
            yield from besides_of(vote, len(everyone), config)


def besides_of(vote: ChoiceVote, answers: int, config: RewardConfig) -> Iterator[Order]:
    """What a choice says from each point of view; all of them weigh as one vote."""
    for key, ahead in vote.criteria.items():
        tiers = (
            (tuple(range(answers)),) if ahead == "equal" else tuple(map(tuple, tiers_of_choice(ahead, None, answers)))
        )
        if vote.weight > 0 and not (ahead == "equal" and config.ties == "ignore"):
            kind: Literal["order", "best"] = "order" if ahead == "equal" else "best"
            yield Order(vote.rater, tiers, kind, vote.shown, vote.weight / len(vote.criteria), key)


def ranges_of(record: RatingRecord | QuestionsRecord, config: RewardConfig) -> dict[str, tuple[int, int]]:
    """Least and most of everything that answers were rated by; flags and yes-or-no questions, which are rules that hold
    or not, only where each has a head: nobody knows whether they are good."""
    if isinstance(record, QuestionsRecord):
        asked = [one for one in record.questions if one.about == "answer" and one.type in ("yes_no", "scale")]
        return {one.key: (0, 1) if one.type == "yes_no" else (1, one.points or 2) for one in asked}
    rules = dict.fromkeys(record.flags, (0, 1)) if config.heads == "criteria" else {}
    return {one.key: (one.least, one.most) for one in record.criteria if one.most > one.least} | rules


def levels_of(least: int, most: int, config: RewardConfig) -> int:
    """Of a scale; 0 where it is read as a number."""
    count = most - least + 1
    return 0 if config.ratings == "regression" or count > MOST_LEVELS else count


def grades_of(
    record: RatingRecord | QuestionsRecord, ranges: Mapping[str, tuple[int, int]], config: RewardConfig
) -> Iterator[Grade]:
    """One rating of one answer weighs as one vote, however many criteria it has."""
    for rater, answer, said, weight in ratings_in(record):
        told = {key: value for key, value in said.items() if key in ranges}
        for key, value in told.items():
            least, most = ranges[key]
            above = value - least
            worth = float(above) if levels_of(least, most, config) else above / (most - least)
            if weight > 0:
                yield Grade(rater, answer, key, worth, weight / len(told))


def ratings_in(record: RatingRecord | QuestionsRecord) -> Iterator[tuple[str, int, dict[str, int], float]]:
    """(rater, number of an answer, values by key, weight)"""
    if isinstance(record, QuestionsRecord):
        for vote in record.votes:
            for one in vote.answers:
                values = {key: int(value) for key, value in one.said.items() if isinstance(value, bool | int)}
                yield vote.rater, one.answer, values, vote.weight
        return
    for rating in record.votes:
        for rated in rating.ratings:
            flags = {key: int(key in rated.flags) for key in record.flags}
            yield rating.rater, rated.answer, flags | rated.criteria, rating.weight


def as_pairs(items: Sequence[Item]) -> tuple[list[Pair], list[tuple[int, int, int]]]:
    """Every pair that something was said of, for measuring, and where it stands: (row of its item, first, second)."""
    pairs: list[Pair] = []
    places: list[tuple[int, int, int]] = []
    for row, item in enumerate(items):
        if isinstance(item, Pair):
            pairs.append(item)
            places.append((row, 0, 1))
            continue
        for (a, b), votes in implied(item).items():
            makers = (item.makers[a], item.makers[b])
            sides = (item.prompt, item.answers[a], item.answers[b])
            pairs.append(Pair(f"{item.id}.{a}.{b}", item.group, item.split, *sides, tuple(votes), item.weight, makers))
            places.append((row, a, b))
    return pairs, places


def implied(group: Group) -> dict[tuple[int, int], list[Vote]]:
    """Votes for a side that follow from orders, and from ratings by one rater; answers with the lower number first."""
    found: dict[tuple[int, int], list[Vote]] = defaultdict(list)
    above = [
        (order.rater, pair, order.shown, order.weight) for order in group.orders for pair in pairs_of_tiers(order.tiers)
    ]
    for rater, worth in worths(group).items():
        for one, other in combinations(sorted(worth), 2):
            if worth[one] != worth[other]:
                better, worse = (one, other) if worth[one] > worth[other] else (other, one)
                above.append((rater, (better, worse), (), 1.0))
    for rater, (better, worse), shown, weight in above:
        a, b = sorted((better, worse))
        place = {number: at for at, number in enumerate(shown)}
        first: Literal["a", "b"] = "a" if place.get(a, a) < place.get(b, b) else "b"
        outcome = Outcome.a if better == a else Outcome.b
        vote = Vote(rater=rater, outcome=outcome, strength=1, levels=1, shown_first=first, weight=weight)
        found[a, b].append(vote)
    return found


def worths(group: Group) -> dict[str, dict[int, float]]:
    """Mean of each answer's grades as shares of their scales, by rater."""
    told: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for grade in group.grades:
        levels = group.scales[grade.scale]
        told[grade.rater][grade.answer].append(grade.value / (levels - 1) if levels else grade.value)
    return {rater: {one: sum(values) / len(values) for one, values in of.items()} for rater, of in told.items()}


def raters_in(items: Sequence[Item]) -> list[str]:
    """Everybody who said something, in order of name."""
    said = {vote.rater for item in items for vote in item.votes}
    groups = [item for item in items if isinstance(item, Group)]
    said |= {order.rater for group in groups for order in group.orders}
    return sorted(said | {grade.rater for group in groups for grade in group.grades})


def scales_in(items: Sequence[Item]) -> dict[str, int]:
    """Every scale's levels by name. One that was asked with fewer levels somewhere keeps the most."""
    found: dict[str, int] = {}
    for item in items:
        for name, levels in item.scales.items() if isinstance(item, Group) else ():
            found[name] = max(found.get(name, 0), levels)
    return dict(sorted(found.items()))


@dataclass(frozen=True)
class Ties:
    """votes: of pairs and orders, and grades; share: of ties among the former; most: the largest tier."""

    votes: int
    share: float
    most: int


def ties_in(items: Sequence[Item]) -> Ties:
    votes = [vote.outcome in (Outcome.tie, Outcome.both_bad) for item in items for vote in item.votes]
    groups = [item for item in items if isinstance(item, Group)]
    sizes = [max(map(len, order.tiers)) for group in groups for order in group.orders if order.kind == "order"]
    tied, heard = sum(votes) + sum(size > 1 for size in sizes), len(votes) + len(sizes)
    rest = sum(len(group.grades) + sum(order.kind != "order" for order in group.orders) for group in groups)
    most = max([*sizes, 2 if any(votes) else 1])
    return Ties(heard + rest, tied / heard if heard else 0.0, most)
