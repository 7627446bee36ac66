"""Records for training tests: answers of random words, votes by a rule."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from pathlib import Path

from pydantic import BaseModel

from app.datasets.records import Answer, ComparisonRecord, Message, Outcome, PromptRecord, TextPart, Vote
from tests.training.conftest import WORDS

GOOD = {"good", "fine", "happy", "sure"}


def message(text: str) -> tuple[Message, ...]:
    return (Message(role="user", parts=(TextPart(text=text),)),)


def words(chance: random.Random, count: int) -> str:
    return " ".join(chance.choices(WORDS, k=count))


def goodness(text: str) -> float:
    """Share of words that the rule likes."""
    return sum(word in GOOD for word in text.split()) / max(1, len(text.split()))


def make_vote(
    outcome: Outcome | str,
    *,
    rater: str = "r1",
    strength: int = 1,
    levels: int = 1,
    first: str = "a",
    weight: float = 1.0,
) -> Vote:
    chosen = outcome in ("a", "b")
    return Vote(
        rater=rater,
        outcome=Outcome(outcome),
        strength=strength if chosen else None,
        levels=levels,
        shown_first=first,
        weight=weight,
    )


def make_comparison(
    number: int, a: str, b: str, votes: list[Vote], *, split: str = "train", prompt: str = "the day"
) -> ComparisonRecord:
    return ComparisonRecord(
        id=f"c{number}",
        group=f"g{number}",
        split=split,
        prompt=message(prompt),
        a=Answer(id=f"a{number}", parts=(TextPart(text=a),)),
        b=Answer(id=f"b{number}", parts=(TextPart(text=b),)),
        conclusion=next(iter(votes)).outcome,
        votes=tuple(votes),
    )


def make_comparisons(
    count: int, *, seed: int = 0, split: str = "train", raters: dict[str, float] | None = None, levels: int = 3
) -> list[ComparisonRecord]:
    """Pairs judged by share of good words; raters maps a name to the chance that it says what it sees."""
    chance = random.Random(f"{seed}{split}")
    raters = raters or {"careful": 1.0}
    found = []
    for number in range(count):
        a, b = (planted(chance) for _ in "ab")
        gap = goodness(a) - goodness(b)
        votes = []
        for rater, care in raters.items():
            better = "a" if gap > 0 else "b"
            said = better if chance.random() < care else chance.choice("ab")
            outcome = "tie" if gap == 0 and chance.random() < care else said
            strength = 1 + min(levels - 1, int(abs(gap) * 6))
            votes.append(make_vote(outcome, rater=rater, strength=strength, levels=levels, first=chance.choice("ab")))
        found.append(make_comparison(number, a, b, votes, split=split, prompt=words(chance, 4)))
    return found


def uneven(count: int = 25) -> list[ComparisonRecord]:
    """Pairs of very different lengths, ten of them about one thing, which so stand in one fold."""
    chance, found = random.Random(count), []
    for number in range(count):
        a, b = words(chance, 1 + number * 7 % 40), words(chance, 1 + number * 3 % 11)
        pair = make_comparison(number, a, b, [make_vote(chance.choice("ab"))])
        found.append(pair.model_copy(update={"group": "one" if number % 5 < 2 else f"g{number}"}))
    return found


def planted(chance: random.Random) -> str:
    share = chance.random() * 0.6
    return " ".join(
        chance.choice(sorted(GOOD)) if chance.random() < share else chance.choice(WORDS)
        for _ in range(chance.randint(4, 10))
    )


def make_prompts(count: int, seed: int = 0) -> list[PromptRecord]:
    chance = random.Random(seed)
    return [
        PromptRecord(id=f"p{i}", group=f"p{i}", prompt=message(words(chance, chance.randint(2, 6))))
        for i in range(count)
    ]


def write(file: Path, records: Iterable[BaseModel]) -> Path:
    file.write_text("".join(record.model_dump_json() + "\n" for record in records))
    return file


Rule = Callable[[str], float]
