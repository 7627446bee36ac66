"""One rater's judgement as it stands in a dataset. Torch-free and SQL-free."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    StrictBool,
    StrictFloat,
    StrictInt,
    model_validator,
)

Instant = Annotated[datetime, PlainSerializer(datetime.isoformat, return_type=str, when_used="json")]
Value = StrictBool | StrictInt | StrictFloat | str | tuple[str, ...]  # of a question, in its own type


def is_empty(value: object) -> bool:
    return not value


class Outcome(StrEnum):
    """What one rater said about completions a and b of a record (the record's order, not the screen's)."""

    a = "a"
    b = "b"
    tie = "tie"
    both_bad = "both_bad"
    neither_valid = "neither_valid"


class Given(BaseModel):
    """What every vote may carry beside its judgement.

    at: when it was given. comment: why, in the rater's own words; overall: the same about a whole task, where several
    kinds of judgement were asked in it. adjudicated: a reviewer settled the task by it; all other votes on it then have
    the weight 0.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    at: Instant | None = None
    comment: str = ""
    overall: str = ""
    adjudicated: bool = Field(default=False, exclude_if=is_empty)


class Vote(Given):
    """One rater's judgement.

    rater: pseudonym, stable inside a project.
    strength: 1 (slightly better) … `levels` (much better); None unless the outcome is a or b.
    levels: how many strengths the protocol offered, so that strengths of two protocols can be compared.
    shown_first: which completion stood on the left or on top. flags: short words that a program sent along.
    criteria: by key, which one is ahead from that point of view; only what was said.
    """

    rater: str
    outcome: Outcome
    strength: int | None = Field(default=None, ge=1)
    levels: int = Field(default=1, ge=1)
    shown_first: Literal["a", "b"]
    criteria: dict[str, Literal["a", "b", "equal"]] = Field(default={}, exclude_if=is_empty)
    weight: float = Field(default=1.0, ge=0)
    flags: tuple[str, ...] = ()

    @model_validator(mode="after")
    def strength_belongs_to_a_choice(self) -> Self:
        chosen = self.outcome in (Outcome.a, Outcome.b)
        if chosen != (self.strength is not None):
            raise ValueError("strength is given exactly when one completion is preferred")
        if self.strength is not None and self.strength > self.levels:
            raise ValueError(f"strength {self.strength} is beyond the protocol's {self.levels} levels")
        return self


class RankingVote(Given):
    """One rater's order of a record's answers. tiers: their numbers, best tier first; empty when not rankable.

    shown: the numbers in the order of the rater's screen.
    """

    rater: str
    tiers: tuple[tuple[int, ...], ...]
    shown: tuple[int, ...]
    weight: float = Field(default=1.0, ge=0)


class ChoiceVote(Given):
    """One rater's choice among more than two answers. outcome: chosen, tie, both_bad (all bad) or neither_valid.

    best, worst: numbers of answers; worst None where it was not asked. shown: as in a ranking. criteria: by key, the
    number of the answer that is ahead from that point of view, or equal.
    """

    rater: str
    outcome: Literal["chosen", "tie", "both_bad", "neither_valid"]
    best: int | None = None
    worst: int | None = None
    criteria: dict[str, int | Literal["equal"]] = Field(default={}, exclude_if=is_empty)
    shown: tuple[int, ...]
    weight: float = Field(default=1.0, ge=0)
    flags: tuple[str, ...] = ()

    @model_validator(mode="after")
    def best_belongs_to_a_choice(self) -> Self:
        if (self.outcome == "chosen") != (self.best is not None) or (self.best is None and self.worst is not None):
            raise ValueError("best is given exactly when something was chosen")
        return self


class ErrorSpan(BaseModel):
    """A piece of an answer's text that is wrong: from code point `start` up to before `end` of its text."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    start: int
    end: int
    category: str
    severity: str
    note: str = ""


class Rated(BaseModel):
    """What one rater said about one answer: its number, the value of each criterion, the flags that hold.

    score: what the dataset's reward formula comes to; None where it names something that was not said, divides by
    zero, or where the dataset has no formula.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    answer: int
    criteria: dict[str, int]
    flags: tuple[str, ...] = ()
    errors: tuple[ErrorSpan, ...] = ()
    score: float | None = None


class RatingVote(Given):
    """One rater's ratings of a record's answers."""

    rater: str
    ratings: tuple[Rated, ...]
    shown: tuple[int, ...]
    weight: float = Field(default=1.0, ge=0)


class Answered(BaseModel):
    """What one rater said about one answer: its number, and a value by each question's key."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    answer: int
    said: dict[str, Value]


class QuestionsVote(Given):
    """One rater's answers to a project's own questions. task: those about the task as a whole.

    A question that was not asked, or was left open, is not there.
    """

    rater: str
    task: dict[str, Value]
    answers: tuple[Answered, ...]
    shown: tuple[int, ...]
    weight: float = Field(default=1.0, ge=0)
