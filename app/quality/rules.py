"""Whether an answer is the argued one: by what it decides, not by how strongly or in which words."""

from collections import Counter
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


def doubtful(said: Mapping[int, Mapping[int, bool]]) -> set[int]:
    """Tasks whose argued answer is doubted: of at least four people who are usually right, more than half are not here.

    said: for each argued task whether each person was right. Usually right is, elsewhere, seven of ten, from five on.
    """
    given: Counter[int] = Counter()
    right: Counter[int] = Counter()
    for rights in said.values():
        given.update(rights.keys())
        right.update(person for person, is_right in rights.items() if is_right)
    found = set()
    for task, rights in said.items():
        here = [
            is_right
            for person, is_right in rights.items()
            if given[person] > 5 and 10 * (right[person] - is_right) >= 7 * (given[person] - 1)
        ]
        if len(here) >= 4 and 2 * sum(here) < len(here):
            found.add(task)
    return found
