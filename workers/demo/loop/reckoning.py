"""What the server said it had kept, held against what it has: no answer lost, none doubled, each as it was given."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.preferences.votes import Outcome

KEPT = ("live", "surplus")  # surplus: kept beside the task's own answers, because it came late


@dataclass(frozen=True)
class Acknowledged:
    """An answer that the server said it had kept. id: the annotation's. outcome: a is the answer shown first."""

    id: str
    task: str
    outcome: Outcome
    strength: int | None


def said(annotation: Mapping[str, Any]) -> tuple[Outcome, int | None]:
    """Outcome and strength of an annotation as REST gives it."""
    body = annotation["body"]
    if body["outcome"] != "preferred":
        return Outcome(body["outcome"]), None
    return (Outcome.a if body["preferred"] == annotation["shown"][0] else Outcome.b), body["strength"]


def reckoned(acknowledged: Sequence[Acknowledged], there: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Counts of answers. there: the project's annotations, all states.

    lost: acknowledged and not there. changed: there, saying something else. doubled: there beside another one of the
    same person to the same task, or acknowledged twice under one id. unacknowledged: there, and nobody was told.
    """
    kept = {one["id"]: one for one in there if one["state"] in KEPT}
    found = [(one, kept[one.id]) for one in acknowledged if one.id in kept]
    told = Counter(one.id for one in acknowledged)
    given = Counter((one["task"], one["rater"]) for one in kept.values())
    as_given = [one for one, row in found if (one.task, one.outcome, one.strength) == (row["task"], *said(row))]
    return {
        "acknowledged": len(acknowledged),
        "found": len(as_given),
        "lost": len(acknowledged) - len(found),
        "changed": len(found) - len(as_given),
        "doubled": sum(count - 1 for counts in (told, given) for count in counts.values()),
        "unacknowledged": len(kept.keys() - told.keys()),
        "surplus": sum(one["state"] == "surplus" for one in kept.values()),
    }
