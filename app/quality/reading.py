"""What a kept body says, measure by measure, in a form that two people's answers can be held against each other. Pure.

A measure is one thing that is asked: the choice, its strength, a criterion, a question. Its values are words
(categories without an order) or numbers (points of a scale).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from app.projects.protocols import ProtocolBody

CHOICE, STRENGTH, RANKING = "choice", "strength", "ranking"
RATING, QUESTION = "rating:", "question:"  # before the key of a criterion or a question


@dataclass(frozen=True, slots=True)
class Said:
    """about: number of the completion, or -1 for the task as a whole. value: a word, or a point of a scale."""

    measure: str
    about: int
    value: str | float


def said_in(body: Mapping[str, Any], protocol: ProtocolBody) -> Iterator[Said]:
    """Everything in a body that somebody else can say as well; texts are left out."""
    asked: Any = protocol
    match body["kind"]:
        case "combined":
            for part, own in zip(body["parts"], asked.parts, strict=False):
                yield from said_in(part, own)
        case "comparison":
            yield from _chosen(body, asked.levels if asked.completions in (None, 2) else 0)
        case "rating":
            for rated in body["ratings"]:
                for key, value in rated["criteria"].items():
                    yield Said(RATING + key, rated["completion"], float(value))
        case "questions":
            types = {one.key: one.type for one in asked.questions}
            places = [(-1, body["task"]), *((one["completion"], one["said"]) for one in body["answers"])]
            for about, said in places:
                for key, value in said.items():
                    if types.get(key) in ("choice", "yes_no"):
                        yield Said(QUESTION + key, about, str(value))
                    elif types.get(key) == "scale":
                        yield Said(QUESTION + key, about, float(value))


def _chosen(body: Mapping[str, Any], levels: int) -> Iterator[Said]:
    """The strength is signed, as a share of the protocol's: 1 is `first much better`, -1 `second much better`."""
    chosen = body.get("preferred")
    yield Said(CHOICE, -1, body["outcome"] if chosen is None else f"{chosen}")
    if chosen is not None and body.get("strength") is not None:
        yield Said(STRENGTH, -1, (1 - 2 * chosen) * body["strength"] / max(levels, 1))
    elif body["outcome"] in ("tie", "both_bad") and levels:
        yield Said(STRENGTH, -1, 0.0)


def preferred_of_two(body: Mapping[str, Any]) -> float | None:
    """Points of the first of two answers: 1 preferred, ½ a tie or both bad, 0; None where nothing is said about
    that."""
    if body["kind"] == "combined":
        return next((found for part in body["parts"] if (found := preferred_of_two(part)) is not None), None)
    if body["kind"] != "comparison":
        return None
    if body.get("preferred") is not None:
        return 0.0 if body["preferred"] else 1.0
    return None if body["outcome"] == "neither_valid" else 0.5


def places_in(body: Mapping[str, Any]) -> list[int] | None:
    """The place of each answer in a ranking, by its number; None where the body ranks nothing."""
    if body["kind"] == "combined":
        return next((found for part in body["parts"] if (found := places_in(part)) is not None), None)
    if body["kind"] != "ranking" or not body["tiers"]:
        return None
    at = {number: place for place, tier in enumerate(body["tiers"]) for number in tier}
    return [at[number] for number in sorted(at)]
