"""Arithmetic on single answers, on the turns of a conversation, and on what people wait for."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from random import Random
from typing import Any

FASTEST_READER = 120.0  # characters a second: about twice what skimming for a known word reaches
SHORTEST, LONGEST = 0.7, 10.0  # seconds


def active_of(measured: float | None, seconds: float) -> float | None:
    """Seconds that a person was at a task, as far as the server believes their page: no more than it was shown.

    measured: by the page; None where nothing measured. seconds: since it was shown, by the server's clock.
    """
    return None if measured is None else min(measured, max(seconds, 0.0))


def is_fast(seconds: float, characters: int) -> bool:
    """Whether an answer came quicker than its texts can be read. seconds: active ones where they were measured."""
    return seconds < min(LONGEST, max(SHORTEST, characters / FASTEST_READER))


def conclusion_of(body: Mapping[str, Any]) -> str | None:
    """What a body comes to: which answer is the best, or why none is. None where nothing of the kind is asked."""
    match body["kind"]:
        case "combined":
            return next((found for part in body["parts"] if (found := conclusion_of(part)) is not None), None)
        case "comparison":
            chosen = body.get("preferred")
            return str(body["outcome"]) if chosen is None else f"{chosen}"
        case "ranking":
            return " ".join(map(str, sorted(body["tiers"][0]))) if body["tiers"] else "not rankable"
    return None


def is_weak(body: Mapping[str, Any], levels: int) -> bool:
    """Whether one answer alone says little: a preference of the least strength, or none. levels: strengths there are;
    below two, a preference has none."""
    if body["kind"] == "combined":
        return any(is_weak(part, levels) for part in body["parts"])
    if body["kind"] != "comparison":
        return False
    if body.get("preferred") is None:
        return True
    return levels > 1 and body.get("strength") == 1


def agree(conclusions: Sequence[str], *, weak: bool) -> bool:
    """Whether these answers settle a task: two thirds of them say the same. weak: whether the only one says little."""
    if len(conclusions) < 2:
        return not weak
    (_said, most), *_others = Counter(conclusions).most_common(1)
    return 3 * most >= 2 * len(conclusions)


def minutes_left(coming: int, made: int, minutes: float) -> int | None:
    """About how many minutes until all that is coming is there, if it goes on as it did: `made` in the last `minutes`.

    None: nothing was made, so nobody knows.
    """
    return None if made <= 0 or minutes <= 0 else max(1, math.ceil(coming * minutes / made))


def messages_of(system: str, exchanges: Iterable[tuple[str, str | None]]) -> list[dict[str, Any]]:
    """A conversation so far as a prompt's messages. exchanges: a person's words, and the answer that went on.

    What has no such answer is left out, as if it had never been said; the words that are to be answered come last.
    """
    *past, (words, _answer) = exchanges
    told = [("system", system)] if system else []
    for said, answer in past:
        told += [("user", said), ("assistant", answer)] if answer is not None else []
    return [{"role": role, "parts": [{"type": "text", "text": text}]} for role, text in [*told, ("user", words)]]


def seats(pool: Sequence[int], answers: int, draw: Random) -> list[int]:
    """Who writes each answer of a turn: as many different ones of the pool as there are, in no order."""
    order = draw.sample(pool, len(pool))
    return [order[place % len(order)] for place in range(answers)]
