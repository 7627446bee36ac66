"""What people said, as DPO and KTO read it: pairs with the share of the votes, and single answers, liked or not."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from statistics import median

from app.datasets.records import (
    ChoiceRecord,
    ComparisonRecord,
    Message,
    Outcome,
    RankingRecord,
    RankingVote,
    Rated,
    RatingRecord,
    Vote,
)
from app.preferences.groups import pairs_of_tiers, tiers_of_choice
from app.training.configs import DPOConfig
from workers.training.checkpoints import Opened
from workers.training.lines import read_records, turns
from workers.training.packing import Text

Weights = dict[tuple[int, int], float]  # by pair of answers
Judged = ComparisonRecord | RankingRecord | ChoiceRecord | RatingRecord
KINDS: tuple[type[Judged], ...] = (ComparisonRecord, RankingRecord, ChoiceRecord, RatingRecord)


@dataclass(frozen=True)
class Opinion:
    """Answers by their numbers: of those who told a from b, `share` (0.5 to 1) preferred a. weight: in a loss."""

    a: int
    b: int
    share: float
    weight: float


@dataclass(frozen=True)
class Example:
    """row: its place among all that were read."""

    row: int
    weight: float
    split: str


@dataclass(frozen=True)
class Preferred(Example):
    """An opinion in tokens."""

    a: Text
    b: Text
    share: float


@dataclass(frozen=True)
class Liked(Example):
    """One answer that people liked, or did not. other: the same prompt with the answer to another one."""

    text: Text
    other: Text
    liked: bool


def read_preferred(files: Sequence[Path], opened: Opened, config: DPOConfig) -> tuple[list[Preferred], Counter[str]]:
    """All pairs of all files that say something, and what was left out by reason."""
    left_out: Counter[str] = Counter()
    found: list[Preferred] = []
    longest = min(config.max_tokens, opened.context)
    for record in read_judged(files, config, left_out):
        said = opinions_of(record, config)
        if not said:
            left_out[f"lines_{record.kind}_without_opinion"] += 1
            continue
        texts = encode(record, opened)
        for one in said:
            a, b = texts[one.a], texts[one.b]
            if max(len(a), len(b)) > longest or a.answer == b.answer:
                left_out["pairs_identical" if a.answer == b.answer else "pairs_too_long"] += 1
                continue
            found.append(Preferred(len(found), one.weight * record.weight, record.split, a, b, one.share))
    return found, left_out


def read_judged(files: Sequence[Path], config: DPOConfig, left_out: Counter[str]) -> Iterator[Judged]:
    others: Counter[str] = Counter()
    for file in files:
        for record in read_records(file, KINDS, others, config.heldout_share):
            if record.weight > 0:
                yield record
            else:
                left_out["lines_without_weight"] += 1
    left_out.update({f"lines_{kind}": lines for kind, lines in others.items()})


def encode(record: Judged, opened: Opened) -> list[Text]:
    """The record's answers, in its order (a, then b), each with the prompt."""
    answers = (record.a, record.b) if isinstance(record, ComparisonRecord) else record.answers
    prompt = prompt_ids(record.prompt, opened)
    return [Text(prompt, opened.answer_ids(answer.text)) for answer in answers]


def prompt_ids(messages: Sequence[Message], opened: Opened) -> list[int]:
    return opened.prompt_ids(turns(messages))


def opinions_of(record: Judged, config: DPOConfig) -> list[Opinion]:
    """What a record says of pairs of its answers. Those of one record weigh as much together as one comparison, since
    they come from the same judgement (InstructGPT weighs them so)."""
    if isinstance(record, ComparisonRecord):
        found = [opinion(0, 1, *counted(record.votes, config), strength_of(record.votes, config), config)]
        return [one for one in found if one is not None]
    if isinstance(record, RatingRecord):
        return []
    above, level = told_apart(record)
    pairs = list(combinations(range(len(record.answers)), 2))
    told = [
        opinion(a, b, above[a, b], above[b, a], level[a, b] * (config.ties == "half"), 1.0 / len(pairs), config)
        for a, b in pairs
    ]
    return [one for one in told if one is not None]


def counted(votes: Sequence[Vote], config: DPOConfig) -> tuple[float, float, float]:
    """Weights of the votes for a, for b and for neither."""
    weight = {outcome: sum(vote.weight for vote in votes if vote.outcome is outcome) for outcome in Outcome}
    return weight[Outcome.a], weight[Outcome.b], weight[Outcome.tie] * (config.ties == "half")


def strength_of(votes: Sequence[Vote], config: DPOConfig) -> float:
    """Mean of 2 s / (levels + 1) over votes for a side: 1 on average over a protocol's levels."""
    said = [2 * vote.strength / (vote.levels + 1) for vote in votes if vote.strength]
    return sum(said) / len(said) if said and config.strength == "weight" else 1.0


def told_apart(record: RankingRecord | ChoiceRecord) -> tuple[Weights, Weights]:
    """Weight of votes that put one answer above another, by (better, worse); and of those that call two equal.

    Answers of one tier of a ranking are equal. Those that a choice passed over were never told apart.
    """
    above: Weights = defaultdict(float)
    level: Weights = defaultdict(float)
    everyone = tuple(range(len(record.answers)))
    for vote in record.votes:
        tiers: Sequence[Sequence[int]]
        equal: Sequence[Sequence[int]]
        if isinstance(vote, RankingVote):
            tiers, equal = vote.tiers, vote.tiers
        elif vote.best is not None:
            tiers, equal = tiers_of_choice(vote.best, vote.worst, len(everyone)), ()
        else:
            tiers, equal = (), (everyone,) if vote.outcome == "tie" else ()
        for pair in pairs_of_tiers(tiers):
            above[pair] += vote.weight
        for pair in (pair for tier in equal for pair in combinations(sorted(tier), 2)):
            level[pair] += vote.weight
    return above, level


def opinion(
    a: int, b: int, for_a: float, for_b: float, tied: float, weight: float, config: DPOConfig
) -> Opinion | None:
    """The pair with the preferred answer first; None where nobody told them apart, or the majority names neither."""
    total = for_a + for_b + tied
    if not total:
        return None
    share = (for_a + tied / 2) / total
    if share < 0.5:
        a, b, share = b, a, 1 - share
    if config.smoothing != "votes":
        if share == 0.5:
            return None
        share = 1 - config.label_smoothing if config.smoothing == "fixed" else 1.0
    return Opinion(a, b, share, weight)


def read_liked(files: Sequence[Path], opened: Opened, config: DPOConfig) -> tuple[list[Liked], Counter[str]]:
    """Single answers, liked or not, and what was left out by reason."""
    left_out: Counter[str] = Counter()
    records = list(read_judged(files, config, left_out))
    middle = middle_of(records)
    longest = min(config.max_tokens, opened.context)
    told: list[tuple[Text, bool, float, str]] = []
    for record in records:
        said = likes_of(record, config, middle)
        if not said:
            left_out[f"lines_{record.kind}_without_opinion"] += 1
        texts = encode(record, opened) if said else []
        for number, (liked, weight) in said.items():
            if len(texts[number]) > longest:
                left_out["answers_too_long"] += 1
            else:
                told.append((texts[number], liked, weight * record.weight, record.split))
    return mismatched(told, longest), left_out


def middle_of(records: Sequence[Judged]) -> float:
    """The median of what a formula came to: it has no scale of its own. 0 where there was no formula."""
    votes = [vote for record in records if isinstance(record, RatingRecord) for vote in record.votes]
    scores = [rated.score for vote in votes for rated in vote.ratings if rated.score is not None]
    return median(scores) if scores else 0.0


def mismatched(told: list[tuple[Text, bool, float, str]], longest: int) -> list[Liked]:
    """Each answer with the next one of another prompt on its own side: what the batch's divergence is told by."""
    found = []
    for row, (text, liked, weight, split) in enumerate(told):
        following = (told[(row + step) % len(told)] for step in range(1, len(told)))
        other = next((one for one, _, _, side in following if side == split and one.prompt != text.prompt), text)
        strange = Text(text.prompt, other.answer[: max(1, longest - len(text.prompt))])
        found.append(Liked(row, weight, split, text, strange, liked))
    return found


def likes_of(record: Judged, config: DPOConfig, middle: float) -> dict[int, tuple[bool, float]]:
    """By number of the answer: whether people liked it, and with which weight (the share of them who say so, turned so
    that an even split weighs nothing)."""
    leaning: dict[int, float] = defaultdict(float)
    total: dict[int, float] = defaultdict(float)
    for number, value, weight in likings(record, config, middle):
        leaning[number] += value * weight
        total[number] += weight
    return {number: (leaning[number] > 0, abs(leaning[number]) / total[number]) for number in total if leaning[number]}


def likings(record: Judged, config: DPOConfig, middle: float) -> Iterator[tuple[int, int, float]]:
    """(number of an answer, +1 liked or -1 not, weight) of every vote that says so."""
    if isinstance(record, RatingRecord):
        for rating in record.votes:
            for rated in rating.ratings:
                if (above := beyond(rated, record, config, middle)) is not None:
                    yield rated.answer, above, rating.weight
        return
    everyone = range(2 if isinstance(record, ComparisonRecord) else len(record.answers))
    for vote in record.votes:
        if getattr(vote, "outcome", None) == "both_bad":
            yield from ((number, -1, vote.weight) for number in everyone)
    for one in opinions_of(record, config) if config.pairs_as_singles else ():
        if one.share > 0.5:
            yield one.a, 1, one.weight
            yield one.b, -1, one.weight


def beyond(rated: Rated, record: RatingRecord, config: DPOConfig, middle: float) -> int | None:
    """+1 above the threshold, -1 below it, None on it or where nothing was rated: by the formula's score, else by the
    mean of the criteria as shares of their scales."""
    if rated.score is not None:
        gap = rated.score - middle
    else:
        scales = {one.key: one for one in record.criteria if one.most > one.least and one.key in rated.criteria}
        shares = [(rated.criteria[key] - one.least) / (one.most - one.least) for key, one in scales.items()]
        gap = sum(shares) / len(shares) - config.threshold if shares else 0.0
    return None if abs(gap) < 1e-9 else 1 if gap > 0 else -1
