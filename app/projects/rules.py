"""What a project fixes beside its protocol: which answers face which, how prompts are split, where a day begins."""

from datetime import UTC, date, datetime, time, timedelta
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

    In a task of more than two, each completion is of `a` or of `b`, and both are there.

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

    def joins(self, *origins: Origin) -> bool:
        """Whether these may face each other, in any order: with several, both `a` and `b` are there."""
        if not self.may_join(*origins):
            return False
        if len(origins) < 2:
            return True
        of_a = [place for place, one in enumerate(origins) if self.a.offers(one)]
        of_b = [place for place, one in enumerate(origins) if self.b.offers(one)]
        return any(one != other for one in of_a for other in of_b)

    def may_join(self, *origins: Origin) -> bool:
        """Whether these may stand in one task with others that are still to come."""
        if self.same_checkpoint and len({one.checkpoint for one in origins}) > 1:
            return False
        return all(self.a.offers(one) or self.b.offers(one) for one in origins)


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


def day_begins(day: date, zone: str) -> datetime:
    """The first instant of a local day, in UTC; where midnight is skipped by a change of clocks, the first after it."""
    return datetime.combine(day, time.min, ZoneInfo(zone)).astimezone(UTC)


def last_days(now: datetime, zone: str, count: int) -> list[date]:
    """`count` local days up to today, the newest first."""
    today = local_day(now, zone)
    return [today - timedelta(days=back) for back in range(count)]
