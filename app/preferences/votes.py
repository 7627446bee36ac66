"""One rater's judgement as it stands in a dataset. Torch-free and SQL-free."""

from enum import StrEnum
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Outcome(StrEnum):
    """What one rater said about completions a and b of a record (the record's order, not the screen's)."""

    a = "a"
    b = "b"
    tie = "tie"
    both_bad = "both_bad"
    neither_valid = "neither_valid"


class Vote(BaseModel):
    """One rater's judgement.

    rater: pseudonym, stable inside a project.
    strength: 1 (slightly better) … `levels` (much better); None unless the outcome is a or b.
    levels: how many strengths the protocol offered, so that strengths of two protocols can be compared.
    shown_first: which completion stood on the left or on top.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

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
