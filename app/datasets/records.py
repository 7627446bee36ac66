"""One line of a dataset. Torch-free and SQL-free: the trainers read these classes too.

A line carries its own schema name and number, so that an old file stays readable when the shape grows.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

SCHEMA_VERSION = 1


class Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TextPart(Record):
    type: Literal["text"] = "text"
    text: str


class Message(Record):
    """One turn of a prompt. `parts` is a list so that media can stand beside text later."""

    role: Literal["system", "user", "assistant"]
    parts: tuple[TextPart, ...] = Field(min_length=1)

    @property
    def text(self) -> str:
        return "\n\n".join(part.text for part in self.parts)


class Outcome(StrEnum):
    """What one rater said about completions a and b of a record (the record's order, not the screen's)."""

    a = "a"
    b = "b"
    tie = "tie"
    both_bad = "both_bad"
    neither_valid = "neither_valid"


class Vote(Record):
    """One rater's judgement.

    rater: pseudonym, stable inside a project.
    strength: 1 (slightly better) … `levels` (much better); None unless the outcome is a or b.
    levels: how many strengths the protocol offered, so that strengths of two protocols can be compared.
    shown_first: which completion stood on the left or on top.
    """

    rater: str
    outcome: Outcome
    strength: int | None = Field(default=None, ge=1)
    levels: int = Field(default=1, ge=1)
    shown_first: Literal["a", "b"]
    weight: float = Field(default=1.0, ge=0)

    @model_validator(mode="after")
    def strength_belongs_to_a_choice(self) -> Self:
        chosen = self.outcome in (Outcome.a, Outcome.b)
        if chosen != (self.strength is not None):
            raise ValueError("strength is given exactly when one completion is preferred")
        if self.strength is not None and self.strength > self.levels:
            raise ValueError(f"strength {self.strength} is beyond the protocol's {self.levels} levels")
        return self


class Answer(Record):
    """A completion as it stands in a record; `checkpoint` is None for an imported one."""

    id: str
    checkpoint: str | None = None
    parts: tuple[TextPart, ...]

    @property
    def text(self) -> str:
        return "\n\n".join(part.text for part in self.parts)


class ComparisonRecord(Record):
    """Two answers to one prompt and every vote on them.

    group: the prompt's root; lines of one group stand on one side of a split.
    split: train, or heldout for measuring the reward model.
    conclusion: what the votes come to together; trainers learn from the votes, exports for others from this.
    weight: of the line in a loss, after the dataset's aggregation.
    """

    kind: Literal["comparison"] = "comparison"
    schema_version: int = SCHEMA_VERSION
    id: str
    group: str
    split: Literal["train", "heldout"]
    prompt: tuple[Message, ...] = Field(min_length=1)
    a: Answer
    b: Answer
    conclusion: Outcome
    votes: tuple[Vote, ...] = Field(min_length=1)
    weight: float = Field(default=1.0, ge=0)


# Later kinds (ranking, rating, demonstration) join this union; readers dispatch on `kind`.
DatasetRecord = ComparisonRecord
