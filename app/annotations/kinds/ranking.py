"""Ranking: all answers of a task in tiers, best first; answers of one tier are equally good."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from app.annotations.kinds.base import BodyForm, Fields, Handle, Kept, OnScreen, Schema, number_of, one, refuse
from app.projects.protocols import RankingProtocol
from app.translation import _

FIELD = "tier."  # tier.<handle>=1 … K in the browser's form
NOT_RANKABLE = "not_rankable"


class RankingSchema(Schema):
    name: Literal["hone.ranking"] = "hone.ranking"
    version: Literal[1] = 1


class KeptRanking(Kept):
    """tiers: numbers of completions, best tier first, rising inside a tier; empty exactly when not rankable."""

    schema_: RankingSchema = Field(default=RankingSchema(), alias="schema")
    kind: Literal["ranking"] = "ranking"
    outcome: Literal["ranked", "not_rankable"]
    tiers: tuple[tuple[int, ...], ...] = ()

    def words(self, letters: Sequence[str], protocol: RankingProtocol) -> str:
        if not self.tiers:
            return _("Not rankable")
        return " › ".join(" = ".join(sorted(letters[number] for number in tier)) for tier in self.tiers)

    def fields(self, handles: Sequence[str]) -> dict[str, list[str]]:
        if not self.tiers:
            return {NOT_RANKABLE: ["yes"]}
        return {FIELD + handles[number]: [str(place)] for place, tier in enumerate(self.tiers, 1) for number in tier}

    def told(self, ids: Sequence[str]) -> dict[str, Any]:
        return self.model_dump(mode="json") | {"tiers": [[ids[number] for number in tier] for tier in self.tiers]}


class RankingForm(BodyForm):
    """tiers: handles, best first; answers of one tier are equally good. Every answer stands in exactly one tier.

    outcome `not_rankable`: they cannot be put in order, and there are no tiers.
    """

    keeps: ClassVar[type[Kept]] = KeptRanking
    kind: Literal["ranking"]
    outcome: Literal["ranked", "not_rankable"] = "ranked"
    tiers: tuple[Annotated[tuple[Handle, ...], Field(min_length=1, max_length=9)], ...] = Field(
        default=(), max_length=9, description="handles of the completions, best tier first"
    )

    @model_validator(mode="after")
    def does_not_contradict_itself(self) -> Self:
        if self.outcome == "not_rankable" and self.tiers:
            raise ValueError(_("what is not rankable has no tiers"))
        if self.outcome == "ranked" and not self.tiers:
            raise ValueError(_("nothing is in order yet: `tiers` is empty"))
        return self

    @classmethod
    def posted(cls, fields: Fields) -> dict[str, Any]:
        said: dict[str, Any] = {"kind": "ranking", "justification": one(fields, "justification")}
        if one(fields, NOT_RANKABLE):
            return said | {"outcome": "not_rankable"}
        places: dict[int, list[str]] = {}
        for name in fields:
            place = one(fields, name)
            if name.startswith(FIELD) and place.isascii() and place.isdigit():
                places.setdefault(int(place), []).append(name.removeprefix(FIELD))
        return said | {"tiers": [places[place] for place in sorted(places)]}

    def kept(self, protocol: RankingProtocol, numbers: Mapping[str, int]) -> KeptRanking:
        if len(set(numbers.values())) < 2:
            raise refuse("tiers", _("this task shows fewer than two answers, so there is nothing to compare"))
        if self.outcome == "not_rankable" and not protocol.not_rankable:
            raise refuse("outcome", _("this project does not offer “{outcome}”").format(outcome=self.outcome))
        tiers = tuple(tuple(sorted(number_of(handle, numbers) for handle in tier)) for tier in self.tiers)
        named = [number for tier in tiers for number in tier]
        if len(named) != len(set(named)):
            raise refuse("tiers", _("an answer stands in two places"))
        if tiers and set(named) != set(numbers.values()):
            missing = len(set(numbers.values()) - set(named))
            raise refuse("tiers", _("answers without a place yet: {missing}").format(missing=missing))
        if not protocol.ties and any(len(tier) > 1 for tier in tiers):
            raise refuse("tiers", _("this project asks for an order without ties"))
        return KeptRanking(outcome=self.outcome, tiers=tiers, justification=self.justification)

    @classmethod
    def screen(cls, protocol: RankingProtocol, shown: Sequence[OnScreen], *, is_alone: bool) -> dict[str, Any]:
        return {"title": _("Put the answers in order, best first"), "ties": protocol.ties, "most": len(shown)}
