"""Ratings and questions as flat rows: one for each rater and answer, a column for each thing that was asked.

Columns of ours have a dot in their names, which no key has; all the others are the project's keys. A column always
holds its own type (a number, true or false, a text, a list) or null.
"""

from collections.abc import Iterator, Mapping
from typing import Any

Line = dict[str, Any]


def as_flat(line: Line) -> list[Line]:
    """Rows of a line; lines of other kinds have none."""
    rows = {"rating": rated_rows, "questions": answered_rows}.get(line["kind"])
    return list(rows(line)) if rows else []


def start_of(line: Line, vote: Mapping[str, Any], answer: Mapping[str, Any] | None) -> Line:
    return {
        "line.id": line["id"],
        "line.group": line["group"],
        "line.split": line["split"],
        "vote.rater": vote["rater"],
        "vote.weight": vote["weight"],
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
