"""Judgements as flat rows: of ratings and questions one for each rater and answer, of comparisons one for each rater; a
column for each thing that was asked.

Columns of ours have a dot in their names, which no key has; all the others are the project's keys. A column always
holds its own type (a number, true or false, a text, a list) or null.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

Line = dict[str, Any]


def as_flat(line: Line) -> list[Line]:
    """Rows of a line; lines of other kinds have none."""
    rows = FLAT.get(line["kind"])
    return list(rows(line)) if rows else []


def start_of(line: Line, vote: Mapping[str, Any], answer: Mapping[str, Any] | None) -> Line:
    return {
        "line.id": line["id"],
        "line.group": line["group"],
        "line.split": line["split"],
        "vote.rater": vote["rater"],
        "vote.weight": vote["weight"],
        "vote.adjudicated": vote.get("adjudicated", False),
        "answer.id": answer["id"] if answer else None,
        "answer.checkpoint": answer["checkpoint"] if answer else None,
    }


def rated_rows(line: Line) -> Iterator[Line]:
    for vote in line["votes"]:
        for rated in vote["ratings"]:
            row = start_of(line, vote, line["answers"][rated["answer"]])
            row |= {scale["key"]: rated["criteria"].get(scale["key"]) for scale in line["criteria"]}
            row |= {f"flag.{key}": key in rated["flags"] for key in line.get("flags", ())}
            if line.get("error_categories"):
                row |= {"error.count": len(rated.get("errors", ())), "error.spans": rated.get("errors", [])}
            yield row | {"vote.score": rated.get("score")}


def compared_rows(line: Line) -> Iterator[Line]:
    """Criteria say `a`, `b` or `equal`."""
    for vote in line["votes"]:
        row = start_of(line, vote, None) | {"a.id": line["a"]["id"], "b.id": line["b"]["id"]}
        row |= {"vote.outcome": vote["outcome"], "vote.strength": vote["strength"], "vote.levels": vote["levels"]}
        yield row | ahead(line, vote)


def chosen_rows(line: Line) -> Iterator[Line]:
    """Criteria say an answer's id, or `equal`."""
    ids = [answer["id"] for answer in line["answers"]]
    for vote in line["votes"]:
        row = start_of(line, vote, None) | {"vote.outcome": vote["outcome"]}
        row |= {f"{name}.id": None if vote[name] is None else ids[vote[name]] for name in ("best", "worst")}
        yield row | {key: side if side in (None, "equal") else ids[side] for key, side in ahead(line, vote).items()}


def ahead(line: Line, vote: Mapping[str, Any]) -> Line:
    """Who is ahead from each point of view that was asked; None: nothing was said."""
    return {one["key"]: vote.get("criteria", {}).get(one["key"]) for one in line.get("criteria", ())}


def answered_rows(line: Line) -> Iterator[Line]:
    """What is about the task stands in each of its rows; a task without answers has one row a rater."""
    asked = {about: [one["key"] for one in line["questions"] if one["about"] == about] for about in ("task", "answer")}
    for vote in line["votes"]:
        about_task = {key: vote["task"].get(key) for key in asked["task"]}
        rows = vote["answers"] if asked["answer"] else [None]
        for answered in rows:
            answer = line["answers"][answered["answer"]] if answered else None
            said = answered["said"] if answered else {}
            yield start_of(line, vote, answer) | about_task | {key: said.get(key) for key in asked["answer"]}


# rows of each kind of line
FLAT: dict[str, Callable[[Line], Iterator[Line]]] = {
    "rating": rated_rows,
    "questions": answered_rows,
    "comparison": compared_rows,
    "choice": chosen_rows,
}
