"""One line of a dataset. Torch-free and SQL-free: the trainers read these classes too.

A line carries its own schema name and number, so that an old file stays readable when the shape grows.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.preferences.votes import ChoiceVote, Instant, Outcome, QuestionsVote, RankingVote, Rated, RatingVote, Vote

SCHEMA_VERSION = 1

__all__ = [
    "Answer",
    "Asked",
    "ChoiceRecord",
    "ChoiceVote",
    "ComparisonRecord",
    "DatasetRecord",
    "DemonstrationRecord",
    "MediumPart",
    "Message",
    "Outcome",
    "PointOfView",
    "PromptRecord",
    "QuestionsRecord",
    "QuestionsVote",
    "RankingRecord",
    "RankingVote",
    "Rated",
    "RatingRecord",
    "RatingVote",
    "SampleRecord",
    "Scale",
    "TextPart",
    "Vote",
]


class Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TextPart(Record):
    type: Literal["text"] = "text"
    text: str


class MediumPart(Record):
    """A picture, sound or film by the SHA-256 of its file, which the project's media hold. alt: it in words."""

    type: Literal["image", "audio", "video"]
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    alt: str = ""


Part = Annotated[TextPart | MediumPart, Field(discriminator="type")]


class Message(Record):
    """One turn of a prompt. text: what its parts of text say; trainers that read text see no media."""

    role: Literal["system", "user", "assistant"]
    parts: tuple[Part, ...] = Field(min_length=1)

    @property
    def text(self) -> str:
        return "\n\n".join(part.text for part in self.parts if isinstance(part, TextPart))


class Answer(Record):
    """A completion as it stands in a record; checkpoint: None for an imported one. author: what made it, by name."""

    id: str
    checkpoint: str | None = None
    author: str | None = None
    parts: tuple[Part, ...]

    @property
    def text(self) -> str:
        return "\n\n".join(part.text for part in self.parts if isinstance(part, TextPart))


class PointOfView(Record):
    """A criterion from which answers were compared besides; votes say by its key which one is ahead."""

    key: str
    label: str


class ComparisonRecord(Record):
    """Two answers to one prompt and every vote on them.

    group: all prompts that are near to this one (its root's component); they stand on one side of a split.
    split: train, or heldout for measuring the reward model.
    conclusion: what the votes come to together; trainers learn from the votes, exports for others from this.
    weight: of the line in a loss, after the dataset's aggregation. tags: of the prompt.
    criteria: points of view from which they were compared besides, as they were asked last.
    """

    kind: Literal["comparison"] = "comparison"
    schema_version: int = SCHEMA_VERSION
    id: str
    group: str
    split: Literal["train", "heldout"]
    tags: tuple[str, ...] = ()
    prompt: tuple[Message, ...] = Field(min_length=1)
    a: Answer
    b: Answer
    conclusion: Outcome
    votes: tuple[Vote, ...] = Field(min_length=1)
    criteria: tuple[PointOfView, ...] = ()
    weight: float = Field(default=1.0, ge=0)


class DemonstrationRecord(Record):
    """One person's own answer to a prompt; several people's are several lines. group, split, weight, tags as in a
    comparison.

    writer: pseudonym. rewritten_from: id of the completion that it was made from, None where it was written from
    nothing. Its `answer.id` is the line's. at, comment, overall: as of a vote.
    """

    kind: Literal["demonstration"] = "demonstration"
    schema_version: int = SCHEMA_VERSION
    id: str
    group: str
    split: Literal["train", "heldout"]
    tags: tuple[str, ...] = ()
    prompt: tuple[Message, ...] = Field(min_length=1)
    answer: Answer
    writer: str
    rewritten_from: str | None = None
    at: Instant | None = None
    comment: str = ""
    overall: str = ""
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


class GroupRecord(Record):
    """Several answers to one prompt, judged together by each rater; votes name answers by their place in `answers`.

    group, split, weight and tags as in a comparison. All pairs that follow from one record belong together.
    """

    schema_version: int = SCHEMA_VERSION
    id: str
    group: str
    split: Literal["train", "heldout"]
    tags: tuple[str, ...] = ()
    prompt: tuple[Message, ...] = Field(min_length=1)
    answers: tuple[Answer, ...] = Field(min_length=1)
    weight: float = Field(default=1.0, ge=0)


class RankingRecord(GroupRecord):
    """Answers in tiers, best first, as every rater ordered them."""

    kind: Literal["ranking"] = "ranking"
    votes: tuple[RankingVote, ...] = Field(min_length=1)


class ChoiceRecord(GroupRecord):
    """The best of more than two answers, and the worst where it was asked, as every rater chose. criteria: as in a
    comparison."""

    kind: Literal["choice"] = "choice"
    criteria: tuple[PointOfView, ...] = ()
    votes: tuple[ChoiceVote, ...] = Field(min_length=1)


class Scale(Record):
    """A criterion as it was asked: whole numbers from least to most, with words at the ends."""

    key: str
    label: str
    scale: str
    least: int
    most: int
    low: str = ""
    high: str = ""


class RatingRecord(GroupRecord):
    """Each answer by itself, by criteria and flags, as every rater rated it. criteria: as they were asked last.

    flags, error_categories, error_severities: what could be said besides, words by key.
    """

    kind: Literal["rating"] = "rating"
    criteria: tuple[Scale, ...]
    flags: dict[str, str] = {}
    error_categories: dict[str, str] = {}
    error_severities: dict[str, str] = {}
    votes: tuple[RatingVote, ...] = Field(min_length=1)


class Asked(Record):
    """A question of the project's own, and the type of its values.

    type: choice (key of an option), choices (list of keys), number, scale (1 … points), yes_no (true or false), text.
    about: each answer, or the task as a whole. options: words by key.
    """

    key: str
    label: str
    type: Literal["choice", "choices", "number", "scale", "yes_no", "text"]
    about: Literal["answer", "task"]
    options: dict[str, str] = {}
    points: int | None = None
    low: str = ""
    high: str = ""


class QuestionsRecord(GroupRecord):
    """What every rater answered to the project's own questions, as they were asked last. A task may show no answer."""

    kind: Literal["questions"] = "questions"
    answers: tuple[Answer, ...] = ()
    questions: tuple[Asked, ...]
    votes: tuple[QuestionsVote, ...] = Field(min_length=1)


# A new kind of record is a line here; readers dispatch on `kind` and leave those alone that they do not know.
DatasetRecord = ComparisonRecord | RankingRecord | ChoiceRecord | RatingRecord | QuestionsRecord | DemonstrationRecord
