"""Conversation: turns that a person led with checkpoints, each judged as a comparison or by scores.

The turns are kept one by one while the conversation goes on (`annotations.actions.conversing`). What ends it says only
how many turns it has; they become part of what is stored here, so that the annotation needs nothing else to be read.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, PrivateAttr, StrictInt

from app.annotations.kinds.base import BodyForm, Fields, Form, Kept, OnScreen, Schema, one, refuse
from app.annotations.kinds.comparison import ComparisonBody, KeptComparison
from app.annotations.kinds.rating import KeptRating, RatingForm
from app.projects.protocols import ConversationProtocol
from app.translation import _, ngettext

JUDGEMENTS: dict[str, type[ComparisonBody] | type[RatingForm]] = {"comparison": ComparisonBody, "rating": RatingForm}


class ConversationSchema(Schema):
    name: Literal["hone.conversation"] = "hone.conversation"
    version: Literal[1] = 1


class KeptReply(Form):
    """One answer of a turn."""

    id: str
    checkpoint: str
    text: str


class KeptTurn(Form):
    """replies: in their own order; sides: in the order of the screen. asked: the protocol of the turn's judgement,
    said: the judgement as its kind keeps it. chosen: number of the reply that went on; None: none was good."""

    id: str
    words: str
    replies: tuple[KeptReply, ...]
    sides: tuple[int, ...]
    asked: dict[str, Any]
    said: dict[str, Any]
    chosen: int | None


@dataclass(frozen=True)
class Led:
    """A conversation as it stands. root: that its first words stand under, by its key.

    turns: those that are judged. is_open: answers to a later one are on the screen, and nothing is said about them.
    """

    root: str
    system: str
    turns: tuple[KeptTurn, ...]
    is_open: bool


class KeptConversation(Kept):
    schema_: ConversationSchema = Field(default=ConversationSchema(), alias="schema")
    kind: Literal["conversation"] = "conversation"
    root: str = ""
    system: str = ""
    turns: tuple[KeptTurn, ...] = ()
    _counted: int = PrivateAttr(default=0)  # turns that the person saw when they ended it

    def with_turns(self, protocol: ConversationProtocol, led: Led) -> Self:
        """The same with the turns in it.

        :raises AgainstTheProtocol: the conversation cannot end yet, or has gone on meanwhile.
        """
        turns = len(led.turns)
        if led.is_open:
            raise refuse("turns", _("the answers to your last message are still to be judged"))
        if turns != self._counted:
            reason = _("turns by now: {turns}; look at the conversation again before you finish it")
            raise refuse("turns", reason.format(turns=turns))
        if turns < protocol.least:
            reason = _("turns needed at least: {least}, so far: {turns}")
            raise refuse("turns", reason.format(least=protocol.least, turns=turns))
        return self.model_copy(update={"root": led.root, "system": led.system, "turns": led.turns})

    def words(self, letters: Sequence[str], protocol: ConversationProtocol) -> str:
        count = len(self.turns)
        return ngettext("A conversation of {turns} turn", "A conversation of {turns} turns", count).format(turns=count)

    def written(self) -> list[str]:
        return [turn.words for turn in self.turns]

    def fields(self, handles: Sequence[str]) -> dict[str, list[str]]:
        return {"turns": [str(len(self.turns))]}

    def told(self, ids: Sequence[str]) -> dict[str, Any]:
        return self.model_dump(mode="json")


class ConversationForm(BodyForm):
    """turns: how many turns the conversation has that are judged; it ends with them."""

    keeps: ClassVar[type[Kept]] = KeptConversation
    kind: Literal["conversation"]
    turns: StrictInt = Field(ge=0, le=1000, description="how many judged turns the conversation has when it ends")

    @classmethod
    def posted(cls, fields: Fields) -> dict[str, Any]:
        turns = one(fields, "turns", "0")
        told = {"kind": "conversation", "justification": one(fields, "justification")}
        return told | {"turns": int(turns) if turns.isascii() and turns.isdigit() and len(turns) < 5 else turns}

    def kept(self, protocol: ConversationProtocol, numbers: Mapping[str, int]) -> KeptConversation:
        kept = KeptConversation(justification=self.justification)
        kept._counted = self.turns
        return kept

    @classmethod
    def screen(cls, protocol: ConversationProtocol, shown: Sequence[OnScreen], *, is_alone: bool) -> dict[str, Any]:
        return {"title": _("Talk with the assistant")}


def judged(
    protocol: ConversationProtocol, body: BodyForm, numbers: Mapping[str, int]
) -> tuple[KeptComparison | KeptRating, dict[str, Any]]:
    """What is said about the answers of a turn, and the protocol it is said under. numbers: by the answers' handles.

    :raises AgainstTheProtocol: it is of another kind, or what its kind refuses. :raises NotOneOfThese: as its kind.
    """
    asked = protocol.asked_of(len(numbers))
    if not isinstance(body, JUDGEMENTS[asked.kind]):
        raise refuse("kind", _("the answers of a turn are judged by a body of kind “{kind}”").format(kind=asked.kind))
    said = body.kept(asked, numbers)  # type: ignore[arg-type]  # each form has the protocol of its kind
    return said, asked.as_json()


def going_on(said: KeptComparison | KeptRating, sides: Sequence[int]) -> int | None:
    """Number of the answer that goes on: the preferred or highest; of equals the first on the screen, whose order was
    drawn. None: none is good."""
    if isinstance(said, KeptRating):
        scores = {rated.completion: rated.criteria["score"] for rated in said.ratings}
        return max(sides, key=lambda number: scores[number])
    if said.outcome in ("both_bad", "neither_valid"):
        return None
    return sides[0] if said.preferred is None else said.preferred


def said_of_turn(said: Mapping[str, Any]) -> KeptComparison | KeptRating:
    """A turn's stored judgement as what it is."""
    return JUDGEMENTS[said["kind"]].keeps.model_validate(said)  # type: ignore[return-value]
