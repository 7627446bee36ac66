"""One line of a dataset. Torch-free and SQL-free: the trainers read these classes too.

A line carries its own schema name and number, so that an old file stays readable when the shape grows.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from app.preferences.votes import Outcome, Vote

SCHEMA_VERSION = 1

__all__ = [
    "Answer",
    "ComparisonRecord",
    "DatasetRecord",
    "Message",
    "Outcome",
    "PromptRecord",
    "SampleRecord",
    "TextPart",
    "Vote",
]


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

    group: all prompts that are near to this one (its root's component); they stand on one side of a split.
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


class PromptRecord(Record):
    """A prompt alone: what PPO practises on, or is looked at with."""

    kind: Literal["prompt"] = "prompt"
    schema_version: int = SCHEMA_VERSION
    id: str
    group: str
    prompt: tuple[Message, ...] = Field(min_length=1)


class SampleRecord(Record):
    """One answer nobody judged: a reward network takes the zero and unit of its score from such lines."""

    kind: Literal["sample"] = "sample"
    schema_version: int = SCHEMA_VERSION
    id: str
    prompt: tuple[Message, ...] = Field(min_length=1)
    answer: Answer


# Later kinds (ranking, rating, demonstration) join this union; readers dispatch on `kind`.
DatasetRecord = ComparisonRecord
