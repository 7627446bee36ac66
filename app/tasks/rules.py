"""Which answers face which, where a slot stands in the queue, and the names an answer goes by on one screen."""

import hashlib
import hmac
import random
import re
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from app.projects.tables import Ordering

# A slot's rank is a priority band above 48 hashed bits: inside a band tasks come in no order of their making.
RANK_BITS = 48
NUMBER_BITS = 6
# Of a round that asks the most informative first so much is drawn at random all the same, for figures that mean
# something; a fifth, so that hardly ever less than 15 in 100 of what was answered is.
DRAWN = 0.2
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
class Group:
    """members: in the task's own order (the screen's is drawn per slot). entry: number of the recipe's line."""

    members: tuple[Candidate, ...]
    entry: int


# Whether answers may stand in one task; `whole` False: whether they may with others that are still to come.
Joins = Callable[[Sequence[Candidate], bool], bool]
MOST_TRIES = 20_000  # partial groups that are looked at for one task


def group_up(
    candidates: Sequence[Candidate],
    joins: Sequence[Joins],
    weights: Sequence[float],
    *,
    size: int = 2,
    max_similarity: float,
    seed: str,
) -> list[Group]:
    """Disjoint groups of `size` answers to one prompt; the same seed and answers always give the same groups.

    joins: for each line of the recipe, which answers may face each other under it. Lines are drawn by weight among
    those that still have a group. Flawed answers stand in none; identical and too similar ones never in the same.
    """
    draw = random.Random(seed)  # noqa: S311  (a reproducible draw, not a secret)
    left = sorted((one for one in candidates if not one.flawed), key=lambda one: one.id)
    draw.shuffle(left)
    worth = {
        (one.id, other.id)
        for one, other in combinations(left, 2)
        if one.digest != other.digest and similarity(one.text, other.text) <= max_similarity
    }
    groups: list[Group] = []
    while found := _offers(left, joins, worth, size):
        entry = draw.choices(list(found), [weights[line] for line in found])[0]
        members = list(found[entry])
        draw.shuffle(members)
        groups.append(Group(tuple(members), entry))
        used = {one.id for one in members}
        left = [one for one in left if one.id not in used]
    return groups


def _offers(
    left: Sequence[Candidate], joins: Sequence[Joins], worth: set[tuple[int, int]], size: int
) -> dict[int, tuple[Candidate, ...]]:
    """For each line of the recipe that still has one: its next group."""
    offered = {}
    for line, may_join in enumerate(joins):
        tries = iter(range(MOST_TRIES))
        found = next(_grown((), left, may_join, worth, size, tries), None)
        if found is not None:
            offered[line] = found
    return offered


def _grown(
    begun: tuple[Candidate, ...],
    after: Sequence[Candidate],
    may_join: Joins,
    worth: set[tuple[int, int]],
    size: int,
    tries: Iterator[int],
) -> Iterator[tuple[Candidate, ...]]:
    """Groups that begin with `begun` and go on with answers of `after`, in their order."""
    for place, one in enumerate(after):
        if next(tries, None) is None:
            return
        group = (*begun, one)
        if any((other.id, one.id) not in worth for other in begun) or not may_join(group, len(group) == size):
            continue
        if len(group) == size:
            yield group
        else:
            yield from _grown(group, after[place + 1 :], may_join, worth, size, tries)


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


def chance_of(key: str) -> float | None:
    """With which chance the task `key` of a round that asks the most informative first was drawn; None: it was not."""
    return DRAWN if random.Random(f"drawn:{key}").random() < DRAWN else None  # noqa: S311  (a reproducible draw)


def rank_in(
    ordering: Ordering, key: str, band: int, *, task_id: int, number: int, informative: float | None = None
) -> int:
    """Where the slot `number` of a task stands in its round's order; inside a band, as `rank_of` has it. informative:
    the task's place, where it is known."""
    if ordering is Ordering.informative and informative is not None:
        return (band << RANK_BITS) | int(informative * (1 << RANK_BITS))
    place = rank_of(key, band)
    if ordering is Ordering.oldest:
        return (band << RANK_BITS) | (task_id & ((1 << RANK_BITS) - 1))
    if ordering is Ordering.fewest:  # six bits hold the number: a task has at most fifty slots that count
        hashed = (place & ((1 << RANK_BITS) - 1)) >> NUMBER_BITS
        return (band << RANK_BITS) | (min(number, 63) << (RANK_BITS - NUMBER_BITS)) | hashed
    return place


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
