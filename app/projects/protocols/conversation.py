"""Conversation: a person talks with checkpoints, chooses among their answers, and the chosen one goes on."""

from typing import Annotated, ClassVar, Literal, Self
from uuid import UUID

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from app.projects.protocols.asked import MOST, Asked
from app.projects.protocols.comparison import ComparisonProtocol
from app.projects.protocols.prompt import Line
from app.projects.protocols.rating import Criterion, End, RatingProtocol
from app.projects.rules import Body, Sampling
from app.translation import _

Count = Annotated[int, Field(ge=2, le=MOST)]
UNTOLD = ("checkpoints", "mixed", "later", "system", "sampling")  # who answers and how
SCORE = _("Overall")  # what a score is called in the data, whoever reads it
Name = Annotated[str, StringConstraints(strip_whitespace=True), AfterValidator(lambda value: str(UUID(value)))]


class Opening(Body):
    """The card that a conversation begins from: what it is about, what the person wants to reach, and the rule that
    they try to make the assistant break, each as far as the study has it."""

    topic: Annotated[Line, StringConstraints(min_length=1)]
    aim: Line = ""
    rule: Line = ""

    @property
    def markdown(self) -> str:
        """A line for each that says something."""
        said = ((_("Topic"), self.topic), (_("Aim"), self.aim), (_("Rule to probe"), self.rule))
        return "\n".join(f"- **{name}:** {value}" for name, value in said if value)


class ConversationProtocol(Asked):
    """cards are drawn in turn. wanted: conversations of a round that has no target of its own.

    answers: how many the first, second … turn shows; the last number holds for all that follow. least, most: turns.
    asks: `preference`, a comparison as its kind has it (of two a strength, of more the best); `scores`, 1–100 of each
    answer, and the highest goes on. both_bad, neither_valid: nothing of the turn goes on, and the person writes anew.
    scale, ties: of two answers. low, high: words at the ends of a score.
    checkpoints: who may answer; none: the one that answers for the project, or where `mixed` every one that the project
    may use. later: who answers after the first turn.
    system: what every conversation begins with; the person does not see it.
    """

    kind: Literal["conversation"] = "conversation"
    completions: int = Field(default=0, ge=0, le=0)
    cards: tuple[Opening, ...] = Field(
        default=(Opening(topic=_("anything you would talk about"), aim=_("your own")),), min_length=1, max_length=500
    )
    wanted: int = Field(default=100, ge=1, le=100_000)
    answers: tuple[Count, ...] = Field(default=(2,), min_length=1, max_length=20)
    least: int = Field(default=2, ge=1, le=50)
    most: int = Field(default=10, ge=1, le=50)
    asks: Literal["preference", "scores"] = "preference"
    scale: int = Field(default=7, ge=2, le=9)
    ties: bool = True
    both_bad: bool = True
    neither_valid: bool = False
    low: End = ""
    high: End = ""
    checkpoints: tuple[Name, ...] = Field(default=(), max_length=50)
    mixed: bool = False
    later: Literal["anew", "winner"] = "anew"
    system: Annotated[str, StringConstraints(max_length=4000)] = ""
    sampling: Sampling = Sampling()
    name: ClassVar[str] = _("conversation")

    @model_validator(mode="after")
    def can_be_led(self) -> Self:
        if self.least > self.most:
            raise ValueError(_("turns at least ({least}) are more than turns at most ({most})").format(**vars(self)))
        for answers in set(self.answers):
            self.asked_of(answers)  # its rules are those of the kind that a turn is judged by
        return self

    @property
    def needs_turns(self) -> bool:
        return True

    def for_people(self) -> Self:
        return self.model_copy(update={name: type(self).model_fields[name].get_default() for name in UNTOLD})

    def answers_at(self, turn: int) -> int:
        """How many answers the turn shows; the first is 1."""
        return self.answers[min(turn, len(self.answers)) - 1]

    def asked_of(self, answers: int) -> ComparisonProtocol | RatingProtocol:
        """What is asked about a turn with so many answers."""
        if self.asks == "scores":
            score = Criterion(key="score", label=SCORE, scale="slider", low=self.low, high=self.high)
            return RatingProtocol(completions=answers, criteria=(score,))
        beside = {"both_bad": self.both_bad, "neither_valid": self.neither_valid}
        return ComparisonProtocol(completions=answers, scale=self.scale, ties=self.ties, **beside)
