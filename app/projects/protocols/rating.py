"""Rating: each answer by itself, by named criteria that each have a scale of their own."""

from collections.abc import Collection, Sequence
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, PrivateAttr, StringConstraints, model_validator

from app.projects.protocols.asked import MOST, Asked
from app.projects.protocols.conditions import meant_for
from app.projects.rules import Body
from app.translation import _

Slug = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
Label = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=60)]
Tag = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]
End = Annotated[str, StringConstraints(strip_whitespace=True, max_length=40)]


class Criterion(Body):
    """One question about one answer; the value is always a whole number.

    scale: `likert` has `points` points from 1; `grade` goes from 0 to 4; `slider` from 1 to 100; `yes_no` is 1 or 0.
    low, high: words at the ends (of yes_no: what 0 and what 1 is called). hint: a sentence beside the question.
    tags: asked only where the prompt carries one of them; none: always.
    """

    key: Slug
    label: Label
    scale: Literal["likert", "grade", "slider", "yes_no"] = "likert"
    points: int = Field(default=7, ge=2, le=10)
    low: End = ""
    high: End = ""
    hint: Annotated[str, StringConstraints(max_length=300)] = ""
    required: bool = True
    tags: tuple[Tag, ...] = Field(default=(), max_length=50)

    @property
    def least(self) -> int:
        return 1 if self.scale in ("likert", "slider") else 0

    @property
    def most(self) -> int:
        return {"likert": self.points, "grade": 4, "slider": 100, "yes_no": 1}[self.scale]


class Flag(Body):
    """Something an answer may have, or not: fails the instruction, denigrates …"""

    key: Slug
    label: Label


SEVERITIES = (
    Flag(key="minor", label=_("minor")),
    Flag(key="major", label=_("major")),
    Flag(key="critical", label=_("critical")),
)


class Errors(Body):
    """Pieces of an answer's text may be marked as wrong: each with a category and a severity."""

    categories: tuple[Flag, ...] = Field(min_length=1, max_length=12)
    severities: tuple[Flag, ...] = Field(default=SEVERITIES, min_length=1, max_length=5)

    @model_validator(mode="after")
    def keys_are_different(self) -> Self:
        if twice := repeated([one.key for one in (*self.categories, *self.severities)]):
            raise ValueError(_("“{key}” is there twice").format(key=twice))
        return self


class RatingProtocol(Asked):
    """criteria are asked of each answer in this order; flags may be set on each; errors may be marked in its text."""

    kind: Literal["rating"] = "rating"
    completions: int = Field(default=1, ge=1, le=MOST)
    criteria: tuple[Criterion, ...] = Field(
        default=(Criterion(key="quality", label=_("Quality"), low=_("very bad"), high=_("very good")),), max_length=20
    )
    flags: tuple[Flag, ...] = Field(default=(), max_length=20)
    errors: Errors | None = None
    name: ClassVar[str] = _("rating")
    _elsewhere: frozenset[str] = PrivateAttr(default=frozenset())  # criteria that this prompt's tags leave out

    @model_validator(mode="after")
    def keys_are_different(self) -> Self:
        for named in (self.criteria, self.flags):
            if twice := repeated([one.key for one in named]):
                raise ValueError(_("“{key}” is there twice").format(key=twice))
        if not self.criteria and not self.flags and self.errors is None:
            raise ValueError(_("a rating asks for something: name a criterion, a flag or a category of errors"))
        return self

    @property
    def needs_texts(self) -> bool:
        return self.errors is not None

    @property
    def elsewhere(self) -> frozenset[str]:
        """Keys of criteria that are asked of other prompts: a value for one of them is dropped."""
        return self._elsewhere

    @property
    def tags_that_tell(self) -> frozenset[str]:
        return frozenset(tag for one in self.criteria for tag in one.tags)

    def of_prompt(self, tags: Collection[str]) -> Self:
        asked = tuple(one for one in self.criteria if meant_for(tags, one.tags))
        narrowed = self.model_copy(update={"criteria": asked})
        narrowed._elsewhere = frozenset(one.key for one in self.criteria) - {one.key for one in asked}
        return narrowed


def repeated(keys: Sequence[str]) -> str | None:
    """The first that is there twice."""
    return next((key for place, key in enumerate(keys) if key in keys[:place]), None)
