"""Whether an answer is the argued one: by what it decides, not by how strongly or in which words."""

from collections.abc import Iterable, Mapping
from typing import Any

ARGUABLE = frozenset({"comparison", "ranking", "rating", "questions"})
WORDS = frozenset({"justification", "schema", "strength", "errors"})


def is_arguable(body: Mapping[str, Any]) -> bool:
    """Whether a kept body says something that another one can say as well: nobody writes the same text twice."""
    if body["kind"] == "combined":
        return all(is_arguable(part) for part in body["parts"])
    return body["kind"] in ARGUABLE


def decision(body: Mapping[str, Any]) -> dict[str, Any]:
    """What a kept body decides. Two that decide the same are equal, however sure they are and whatever they remark."""
    if body["kind"] == "combined":
        return {"kind": "combined", "parts": [decision(part) for part in body["parts"]]}
    if body["kind"] == "comparison":
        said = {name: body.get(name) for name in ("outcome", "preferred", "worst")}
        return {"kind": "comparison"} | said
    if body["kind"] == "rating":
        rated = sorted(body["ratings"], key=lambda one: one["completion"])
        kept = ("completion", "criteria", "flags")
        return {"kind": "rating", "ratings": [{name: one.get(name) for name in kept} for one in rated]}
    return {name: value for name, value in body.items() if name not in WORDS}


def hits(body: Mapping[str, Any], accepted: Iterable[Mapping[str, Any]]) -> bool:
    """Whether a kept body decides what one of the accepted ones does."""
    return any(decision(body) == decision(one) for one in accepted)


def doubtful(task: int, said: Mapping[int, Mapping[int, bool]]) -> bool:
    """Whether an argued answer is doubted: of at least four people who are usually right, more than half are not here.

    said: for each argued task whether each person was right. Usually right is, elsewhere, seven of ten, from five on.
    """
    here = [is_right for person, is_right in said.get(task, {}).items() if _usually_right(person, task, said)]
    return len(here) >= 4 and 2 * sum(here) < len(here)


def _usually_right(person: int, but: int, said: Mapping[int, Mapping[int, bool]]) -> bool:
    elsewhere = [rights[person] for task, rights in said.items() if task != but and person in rights]
    return len(elsewhere) >= 5 and 10 * sum(elsewhere) >= 7 * len(elsewhere)
