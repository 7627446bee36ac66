"""Comparison: which of two is better and how much; or which of several is best, and perhaps which is worst."""

from collections.abc import Collection
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from app.projects.protocols.asked import MOST, Asked, is_empty
from app.projects.protocols.conditions import meant_for
from app.projects.protocols.rating import Label, Slug, Tag, repeated
from app.projects.rules import Body
from app.translation import _


class Point(Body):
    """One choice on the scale. side: which of the two answers on the screen it prefers; None is the tie.

    strength: 1 (slightly better) … the protocol's `levels` (much better); None for the tie.
    """

    number: int
    side: Literal["first", "second"] | None
    strength: int | None
    words: str


class SideCriterion(Body):
    """One point of view from which the answers are compared as well: one of them is ahead, or they are equal.

    tags: asked only where the prompt carries one of them; none: always.
    """

    key: Slug
    label: Label
    hint: Annotated[str, StringConstraints(max_length=300)] = ""
    required: bool = True
    tags: tuple[Tag, ...] = Field(default=(), max_length=50)


class ComparisonProtocol(Asked):
    """Two answers are compared on a scale; of more than two, the best is chosen, or the best and the worst.

    scale: points from "A much better" to "B much better"; the middle of an odd scale is the tie. With an even scale
    and ties, the tie is a choice beside the scale. both_bad and neither_valid are choices beside it as well; of more
    than two answers they say that all are bad, and that none is valid.
    choose: what is asked of more than two.
    criteria: from each of these points of view, which answer is ahead; asked before the judgement as a whole.
    """

    kind: Literal["comparison"] = "comparison"
    completions: int = Field(default=2, ge=2, le=MOST)
    scale: int = Field(default=7, ge=2, le=9)
    choose: Literal["best", "best_and_worst"] = "best"
    ties: bool = True
    both_bad: bool = True
    neither_valid: bool = False
    criteria: tuple[SideCriterion, ...] = Field(default=(), max_length=12, exclude_if=is_empty)
    name: ClassVar[str] = _("comparison")

    @model_validator(mode="after")
    def the_middle_is_a_tie(self) -> Self:
        if self.scale % 2 and not self.ties:
            raise ValueError(_("a scale with an odd number of points has a middle, which is the tie: allow ties"))
        return self

    @model_validator(mode="after")
    def keys_are_different(self) -> Self:
        if twice := repeated([one.key for one in self.criteria]):
            raise ValueError(_("“{key}” is there twice").format(key=twice))
        return self

    @property
    def tags_that_tell(self) -> frozenset[str]:
        return frozenset(tag for one in self.criteria for tag in one.tags)

    def of_prompt(self, tags: Collection[str]) -> Self:
        return self.model_copy(update={"criteria": tuple(one for one in self.criteria if meant_for(tags, one.tags))})

    @property
    def levels(self) -> int:
        """How many strengths a preference can have."""
        return self.scale // 2

    @property
    def tie_on_scale(self) -> bool:
        return bool(self.scale % 2)

    def point(self, number: int) -> Point:
        """What point `number` (1 on A's end … `scale` on B's end) says.

        :raises ValueError: no such point.
        """
        if not 1 <= number <= self.scale:
            raise ValueError(
                _("the scale has points 1 to {scale}, not {number}").format(scale=self.scale, number=number)
            )
        beyond = number - (self.scale - self.levels)
        if number <= self.levels:
            strength = self.levels - number + 1
            return Point(
                number=number,
                side="first",
                strength=strength,
                words=_("{letter} {how}").format(letter="A", how=self.words(strength)),
            )
        if beyond >= 1:
            return Point(
                number=number,
                side="second",
                strength=beyond,
                words=_("{letter} {how}").format(letter="B", how=self.words(beyond)),
            )
        return Point(number=number, side=None, strength=None, words=_("about the same"))

    @property
    def points(self) -> list[Point]:
        """The scale from A's end to B's."""
        return [self.point(number) for number in range(1, self.scale + 1)]

    def words(self, strength: int) -> str:
        """How a preference of this strength is called."""
        return _(STRENGTH_WORDS[self.levels][strength - 1])


STRENGTH_WORDS = {
    1: (_("better"),),
    2: (_("slightly better"), _("much better")),
    3: (_("slightly better"), _("better"), _("much better")),
    4: (_("barely better"), _("slightly better"), _("better"), _("much better")),
}
