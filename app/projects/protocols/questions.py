"""Questions of the project's own, about each answer or about the task as a whole."""

from collections.abc import Collection
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, PrivateAttr, StringConstraints, model_validator

from app.projects.protocols.asked import MOST, Asked
from app.projects.protocols.conditions import Condition, meant_for
from app.projects.protocols.rating import End, Label, Slug, Tag, repeated
from app.projects.rules import Body
from app.translation import _

Type = Literal["choice", "choices", "number", "scale", "yes_no", "text"]
CHOOSES: tuple[Type, ...] = ("choice", "choices", "yes_no")
COUNTS: tuple[Type, ...] = ("number", "scale")
LARGEST = 1e15  # up to here a whole number is exact in JSON
Wording = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]


class Option(Body):
    """One of the answers that a choice offers."""

    key: Slug
    label: Label


class Question(Body):
    """One question of the project's own.

    about: each `answer` by itself, or the `task` as a whole. options: of one choice or several. points: of a scale,
    from 1; low, high: words at its ends, or what no and yes are called. least, most, whole: of a number. longest: of a
    text, in characters. tags: asked only where the prompt carries one of them; none: always. only_if: asked only when
    all of these hold.
    """

    key: Slug
    label: Wording
    hint: Annotated[str, StringConstraints(max_length=300)] = ""
    type: Type = "yes_no"
    about: Literal["answer", "task"] = "task"
    required: bool = True
    options: tuple[Option, ...] = Field(default=(), max_length=30)
    points: int = Field(default=5, ge=2, le=10)
    low: End = ""
    high: End = ""
    least: float | None = Field(default=None, ge=-LARGEST, le=LARGEST)
    most: float | None = Field(default=None, ge=-LARGEST, le=LARGEST)
    whole: bool = False
    longest: int = Field(default=2000, ge=1, le=20_000)
    tags: tuple[Tag, ...] = Field(default=(), max_length=50)
    only_if: tuple[Condition, ...] = Field(default=(), max_length=5)

    @model_validator(mode="after")
    def can_be_answered(self) -> Self:
        if self.type in ("choice", "choices") and len(self.options) < 2:
            raise ValueError(_("“{label}” needs two options or more").format(label=self.label))
        if twice := repeated([one.key for one in self.options]):
            raise ValueError(_("“{key}” is there twice").format(key=twice))
        if self.least is not None and self.most is not None and self.least > self.most:
            raise ValueError(_("“{label}”: the least is more than the most").format(label=self.label))
        return self

    @property
    def keys(self) -> frozenset[str]:
        """What a condition may ask of it."""
        return frozenset(("yes", "no") if self.type == "yes_no" else (one.key for one in self.options))


DEFAULT = Question(key="remark", label=_("What do you notice?"), type="text", required=False)


class QuestionsProtocol(Asked):
    """questions, in the order they are asked. completions: None: whatever the other parts show; alone, one."""

    kind: Literal["questions"] = "questions"
    completions: int | None = Field(default=None, ge=0, le=MOST)
    questions: tuple[Question, ...] = Field(default=(DEFAULT,), min_length=1, max_length=40)
    name: ClassVar[str] = _("questions")
    _elsewhere: frozenset[str] = PrivateAttr(default=frozenset())  # keys that this prompt's tags leave out

    @model_validator(mode="after")
    def conditions_look_back(self) -> Self:
        if twice := repeated([one.key for one in self.questions]):
            raise ValueError(_("“{key}” is there twice").format(key=twice))
        if not self.completions and self.completions is not None and self.about_answers:
            raise ValueError(_("a task without answers has no questions about them: ask about the task"))
        earlier: dict[str, Question] = {}
        for question in self.questions:
            for condition in question.only_if:
                fits(question, condition, earlier)
            earlier[question.key] = question
        return self

    @property
    def about_answers(self) -> list[Question]:
        return [one for one in self.questions if one.about == "answer"]

    @property
    def about_task(self) -> list[Question]:
        return [one for one in self.questions if one.about == "task"]

    @property
    def elsewhere(self) -> frozenset[str]:
        """Keys of questions that are asked of other prompts: an answer to one of them is dropped."""
        return self._elsewhere

    @property
    def tags_that_tell(self) -> frozenset[str]:
        return frozenset(tag for one in self.questions for tag in one.tags)

    def of_prompt(self, tags: Collection[str]) -> Self:
        asked = tuple(one for one in self.questions if meant_for(tags, one.tags))
        narrowed = self.model_copy(update={"questions": asked})
        narrowed._elsewhere = frozenset(one.key for one in self.questions) - {one.key for one in asked}
        return narrowed


def fits(question: Question, condition: Condition, earlier: dict[str, Question]) -> None:
    """:raises ValueError: the condition can never hold, or asks what a question of its type does not tell."""
    named = earlier.get(condition.question)
    if named is None:
        reason = _("“{label}” depends on “{key}”, which is no earlier question")
        raise ValueError(reason.format(label=question.label, key=condition.question))
    if named.about == "answer" and question.about == "task":
        reason = _("“{label}” is asked once and cannot depend on “{other}”, which is asked of each answer")
        raise ValueError(reason.format(label=question.label, other=named.label))
    bounds = condition.least is not None or condition.most is not None
    if condition.values and (named.type not in CHOOSES or not named.keys.issuperset(condition.values)):
        reason = _("“{label}” depends on an answer that “{other}” does not offer")
        raise ValueError(reason.format(label=question.label, other=named.label))
    if bounds and (named.type not in COUNTS or condition.values):
        reason = _("“{label}” depends on a number, which “{other}” is not")
        raise ValueError(reason.format(label=question.label, other=named.label))
