"""What a project fixes: its protocol, which answers face which, how prompts are split, and where a day begins."""

from datetime import date, datetime
from functools import cache
from hashlib import sha256
from typing import Any, Literal, Self
from uuid import UUID
from zoneinfo import ZoneInfo, available_timezones

from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.translation import _


class Body(BaseModel):
    """JSON that lasts: unknown fields are refused, names in JSON are the aliases."""

    model_config = ConfigDict(frozen=True, extra="forbid", serialize_by_alias=True, validate_by_name=True)

    def as_json(self) -> dict[str, Any]:
        return self.model_dump(mode="json")


class ProtocolSchema(Body):
    name: Literal["hone.protocol"] = "hone.protocol"
    version: Literal[1] = 1


class Point(Body):
    """One choice on the scale. side: which of the two answers on the screen it prefers; None is the tie.

    strength: 1 (slightly better) … the protocol's `levels` (much better); None for the tie.
    """

    number: int
    side: Literal["first", "second"] | None
    strength: int | None
    words: str


class ProtocolBody(Body):
    """What is asked of people and on which scale.

    scale: points from "A much better" to "B much better"; the middle of an odd scale is the tie. With an even scale
    and ties, the tie is a choice beside the scale. both_bad and neither_valid are choices beside it as well.
    """

    schema_: ProtocolSchema = Field(default=ProtocolSchema(), alias="schema")
    kind: Literal["comparison"] = "comparison"
    completions: Literal[2] = 2
    scale: int = Field(default=7, ge=2, le=9)
    ties: bool = True
    both_bad: bool = True
    neither_valid: bool = False

    @model_validator(mode="after")
    def the_middle_is_a_tie(self) -> Self:
        if self.scale % 2 and not self.ties:
            raise ValueError(_("a scale with an odd number of points has a middle, which is the tie: allow ties"))
        return self

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
            return Point(number=number, side="first", strength=strength, words="A " + self.words(strength))
        if beyond >= 1:
            return Point(number=number, side="second", strength=beyond, words="B " + self.words(beyond))
        return Point(number=number, side=None, strength=None, words=_("about the same"))

    @property
    def points(self) -> list[Point]:
        """The scale from A's end to B's."""
        return [self.point(number) for number in range(1, self.scale + 1)]

    def words(self, strength: int) -> str:
        """How a preference of this strength is called."""
        return STRENGTH_WORDS[self.levels][strength - 1]


STRENGTH_WORDS = {
    1: (_("better"),),
    2: (_("slightly better"), _("much better")),
    3: (_("slightly better"), _("better"), _("much better")),
    4: (_("barely better"), _("slightly better"), _("better"), _("much better")),
}


class Sampling(Body):
    """How an answer is drawn. temperature 0 always takes the likeliest token; top_p 1 cuts nothing off."""

    temperature: float = Field(default=1.0, ge=0, le=5)
    top_p: float = Field(default=1.0, gt=0, le=1)
    max_tokens: int = Field(default=256, ge=1, le=8192)


class Origin(Body):
    """Where a completion comes from, as far as pairing asks. author: of an imported one."""

    checkpoint: UUID | None = None
    author: str | None = None
    sampling: dict[str, Any] = {}


class Source(Body):
    """Which completions may stand on one side of a pair; whatever is empty does not matter."""

    checkpoint: UUID | None = None
    author: str | None = None
    sampling: Sampling | None = None

    def offers(self, origin: Origin) -> bool:
        """Whether a completion of this origin is one of ours."""
        if self.checkpoint is not None and self.checkpoint != origin.checkpoint:
            return False
        if self.author is not None and self.author != origin.author:
            return False
        return self.sampling is None or self.sampling.as_json() == origin.sampling


class Entry(Body):
    """One line of a recipe: completions of `a` face completions of `b`, `weight` times as often as of weight 1.

    same_checkpoint: both must come from one checkpoint (two samples of it); imported ones, which have none, may face
    each other whoever wrote them.
    """

    a: Source = Source()
    b: Source = Source()
    same_checkpoint: bool = True
    weight: float = Field(default=1.0, gt=0, le=1000)

    @model_validator(mode="after")
    def can_match(self) -> Self:
        named = {self.a.checkpoint, self.b.checkpoint} - {None}
        if self.same_checkpoint and len(named) > 1:
            raise ValueError(_("two different checkpoints cannot be one: set same_checkpoint to false"))
        return self

    def joins(self, one: Origin, other: Origin) -> bool:
        """Whether these two may face each other, either way round."""
        if self.same_checkpoint and one.checkpoint != other.checkpoint:
            return False
        straight = self.a.offers(one) and self.b.offers(other)
        return straight or (self.a.offers(other) and self.b.offers(one))


class RecipeSchema(Body):
    name: Literal["hone.recipe"] = "hone.recipe"
    version: Literal[1] = 1


class Recipe(Body):
    """Which answers face which in a batch; by default any two samples of one checkpoint.

    max_similarity: two answers more alike than this (share of common word triples, 0 … 1) are not shown as a pair.
    """

    schema_: RecipeSchema = Field(default=RecipeSchema(), alias="schema")
    entries: tuple[Entry, ...] = Field(default=(Entry(),), min_length=1, max_length=64)
    max_similarity: float = Field(default=0.9, ge=0, le=1)


class Shares(Body):
    """How roots that no file assigns are split, in per cent."""

    label: int = Field(default=80, ge=0, le=100)
    train: int = Field(default=0, ge=0, le=100)
    heldout: int = Field(default=20, ge=0, le=100)

    @model_validator(mode="after")
    def sum_is_all(self) -> Self:
        if self.label + self.train + self.heldout != 100:
            raise ValueError(_("the three shares must sum to 100"))
        return self

    def draw(self, key: str) -> Literal["label", "train", "heldout"]:
        """The use of the root with this key: the same on every machine and on every day."""
        place = int.from_bytes(sha256(b"hone.split:" + key.encode()).digest()[:8], "big") % 100
        if place < self.label:
            return "label"
        return "train" if place < self.label + self.train else "heldout"


@cache
def zones() -> frozenset[str]:
    return frozenset(available_timezones())


def checked_zone(zone: str) -> str:
    """`zone` if it is an IANA name.

    :raises ValueError: it is not.
    """
    if zone not in zones():
        raise ValueError(_("“{zone}” is not a time zone; write an IANA name such as Europe/Berlin").format(zone=zone))
    return zone


def local_day(now: datetime, zone: str) -> date:
    """The day it is in `zone` at the instant `now`: where daily limits begin anew."""
    return now.astimezone(ZoneInfo(zone)).date()
