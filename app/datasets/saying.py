"""What one person said about a task, on its way into lines of a dataset: with its protocol, what stands beside it, and
the weight that it has where a reviewer settled the task."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from pydantic import BaseModel

from app.datasets.rules import Line
from app.preferences.votes import Given
from app.projects.protocols import CombinedProtocol, ProtocolBody

BESIDE = {"at", "comment", "overall", "flags"}  # fields of votes that `beside` tells, and only where they say something
V = TypeVar("V", bound=Given)
T = TypeVar("T")


@dataclass(frozen=True)
class Said:
    """One rater's body of one kind, with the protocol it was given under. beside: what its vote carries besides.
    version: of the protocol; later ones have the words that hold. adjudicated: a reviewer settled the task by it;
    is_settled: somebody did."""

    body: Mapping[str, Any]
    rater: str
    sides: Sequence[int]
    protocol: Any
    beside: Line
    version: int = 0
    adjudicated: bool = False
    is_settled: bool = False

    @property
    def weight(self) -> float:
        """Of its vote: what a reviewer settled counts alone."""
        return float(self.adjudicated or not self.is_settled)


def is_adjudicated(vote: Mapping[str, Any]) -> bool:
    return bool(vote.get("adjudicated"))


def weighed(votes: Sequence[V], said: Sequence[Said]) -> list[V]:
    """Votes with their weights. said: in their order."""
    if not any(one.is_settled for one in said):
        return list(votes)
    told = [{"weight": one.weight, "adjudicated": one.adjudicated} for one in said]
    return [vote.model_copy(update=beside) for vote, beside in zip(votes, told, strict=True)]


def heavy(things: Sequence[T], said: Sequence[Said]) -> list[T]:
    """Those that belong to votes with a weight. said: in their order."""
    return [one for one, whose in zip(things, said, strict=True) if whose.weight]


def parts_of(body: Mapping[str, Any], protocol: ProtocolBody) -> list[tuple[Mapping[str, Any], Any]]:
    """A body, or the parts of a combined one, each with its protocol."""
    if not isinstance(protocol, CombinedProtocol):
        return [(body, protocol)]
    return list(zip(body["parts"], protocol.parts, strict=True))


def beside(body: Mapping[str, Any], at: str, overall: str) -> Line:
    """What stands with every vote; texts and flags only where there are some. overall: what was said about the whole
    that this body is a part of."""
    said = {"comment": body.get("justification", ""), "overall": overall, "flags": body.get("flags", ())}
    return {"at": datetime.fromisoformat(at).isoformat()} | {name: value for name, value in said.items() if value}


def with_beside(votes: Sequence[BaseModel], said: Sequence[Said]) -> list[Line]:
    """Votes as they stand in a line. said: in their order."""
    told = (vote.model_dump(mode="json", exclude=BESIDE) for vote in votes)
    return [vote | one.beside for vote, one in zip(told, said, strict=True)]
