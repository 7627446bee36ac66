"""Which answers face which, where a slot stands in the queue, and the names an answer goes by on one screen."""

import hashlib
import hmac
import random
import re
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

# A slot's rank is a priority band above 48 hashed bits: inside a band tasks come in no order of their making.
RANK_BITS = 48
DEFAULT_BAND = 4
BANDS = range(16)
WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Candidate:
    """A completion as far as pairing asks. flawed: empty or degenerate. digest: equal for identical answers."""

    id: int
    text: str
    digest: bytes
    flawed: bool = False


@dataclass(frozen=True)
class Pair:
    """first and second: the task's own order (the screen's is drawn per slot). entry: number of the recipe's line."""

    first: Candidate
    second: Candidate
    entry: int


Joins = Callable[[Candidate, Candidate], bool]


def pair_up(
    candidates: Sequence[Candidate],
    joins: Sequence[Joins],
    weights: Sequence[float],
    *,
    max_similarity: float,
    seed: str,
) -> list[Pair]:
    """Disjoint pairs of one prompt's answers; the same seed and answers always give the same pairs.

    joins: for each line of the recipe, whether two answers may face each other under it. Lines are drawn by weight
    among those that still have a pair. Flawed, identical and too similar answers never face each other.
    """
    draw = random.Random(seed)  # noqa: S311  (a reproducible draw, not a secret)
    left = sorted((one for one in candidates if not one.flawed), key=lambda one: one.id)
    draw.shuffle(left)
    worth = {
        (one.id, other.id)
        for one, other in combinations(left, 2)
        if one.digest != other.digest and similarity(one.text, other.text) <= max_similarity
    }
    pairs: list[Pair] = []
    while found := _offers(left, joins, worth):
        entry = draw.choices(list(found), [weights[line] for line in found])[0]
        first, second = found[entry]
        pairs.append(Pair(first, second, entry) if draw.random() < 0.5 else Pair(second, first, entry))
        left = [one for one in left if one is not first and one is not second]
    return pairs


def _offers(
    left: Sequence[Candidate], joins: Sequence[Joins], worth: set[tuple[int, int]]
) -> dict[int, tuple[Candidate, Candidate]]:
    """For each line of the recipe that still has one: its next pair."""
    offered = {}
    for line, may_join in enumerate(joins):
        for one, other in combinations(left, 2):
            if (one.id, other.id) in worth and may_join(one, other):
                offered[line] = one, other
                break
    return offered


def similarity(one: str, other: str) -> float:
    """Share of common word triples (Jaccard), 0 … 1; texts of fewer than three words are compared as a whole."""
    a, b = set(_triples(one)), set(_triples(other))
    return len(a & b) / len(a | b) if a | b else 1.0


def _triples(text: str) -> Iterator[tuple[str, ...]]:
    words = WORD.findall(text.lower()) or [text.strip()]
    width = min(3, len(words))
    return zip(*(words[start:] for start in range(width)), strict=False)


def rank_of(key: str, band: int = DEFAULT_BAND) -> int:
    """Where slots of the task `key` stand: lower ranks are handed out first, a lower band before a higher one."""
    if band not in BANDS:
        raise ValueError(f"band {band} is not in 0 … {BANDS[-1]}")
    return (band << RANK_BITS) | int.from_bytes(hashlib.sha256(key.encode()).digest()[:6], "big")


def sides_of(key: str, slot_number: int, completions: int) -> list[int]:
    """The order on the screen of one slot: drawn for the task, and turned round for every second slot of it.

    With an even number of answers each completion has stood on each side equally often.
    """
    order = list(range(completions))
    random.Random(f"sides:{key}").shuffle(order)  # noqa: S311  (drawn once and stored)
    return order[::-1] if slot_number % 2 else order


def handle_of(secret: bytes, slot_id: int, completion_id: int) -> str:
    """The name of a completion inside one slot: the same completion in two slots has two, and neither tells more."""
    digest = hmac.digest(secret, b"%d:%d" % (slot_id, completion_id), "sha256")
    return urlsafe_b64encode(digest[:15]).decode()
