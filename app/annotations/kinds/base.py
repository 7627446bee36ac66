"""What every kind of judgement is made of.

A kind is two classes: its form (what comes in, from a program or from the browser's fields) and what is kept of it.
The form's `kept` is the rule between them. See docs/kinds.md.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Self

import orjson
from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints

from app.completions.blinding import blinded
from app.errors import Invalid
from app.projects.forms import without_nul
from app.translation import _

LETTERS = "ABCDEFGHI"
Fields = Mapping[str, Sequence[str]]  # what a browser's form sends: the values of each name
Words = Annotated[str, StringConstraints(max_length=20_000), AfterValidator(without_nul)]
Handle = Annotated[str, StringConstraints(min_length=1, max_length=64)]


class NotOneOfThese(Invalid):
    code = "not-one-of-these"
    sentence = _("That answer is not one of this task's answers.")


class AgainstTheProtocol(Invalid):
    code = "against-the-protocol"


@dataclass(frozen=True, slots=True)
class OnScreen:
    """One answer as a person sees it: a letter for its side, a handle made for this slot, and the text.

    text: as it was written, where the protocol `needs_texts`; names: of who wrote it, which are never shown. cut_off:
    its writer was stopped at the length limit.
    """

    letter: str
    handle: str
    html: str
    text: str = ""
    cut_off: bool = False
    names: tuple[str, ...] = ()

    @property
    def blinded(self) -> str:
        """The text without the names it introduces itself by, and its own; places in it are those of the text."""
        return blinded(self.text, self.names, keep_places=True)


@dataclass(frozen=True, slots=True)
class Choice:
    """One button: what it sends, the key that presses it, its words, and the side it prefers (0, 1 … or None)."""

    value: str
    key: str
    words: str
    side: int | None = None


class Form(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Schema(BaseModel):
    """Name and version of what is stored; each kind narrows both."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str
    version: int


class Kept(BaseModel):
    """A judgement as it is stored: completions are numbers in their task (`task_completions.number`).

    Whatever is added later has a default, so that a body of today stays readable.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", serialize_by_alias=True, validate_by_name=True)
    kind: str
    justification: str = ""

    def check(self, texts: Sequence[str]) -> None:
        """The rule's second half, where the protocol `needs_texts`. texts: of each completion, by its number.

        :raises AgainstTheProtocol: what is said does not fit the texts.
        """

    def with_turns(self, protocol: Any, led: Any) -> Self:
        """The same with the turns of a conversation (`kinds.conversation.Led`) where it is one, if the protocol
        `needs_turns`.

        :raises AgainstTheProtocol: it cannot end yet.
        """
        return self

    def written(self) -> list[str]:
        """Texts of the person's own that are the answer, for the history."""
        return []

    def words(self, letters: Sequence[str], protocol: Any) -> str:
        """What was said, as it stood on the screen. letters: of each completion, by its number."""
        raise NotImplementedError

    def fields(self, handles: Sequence[str]) -> dict[str, list[str]]:
        """The browser's fields that say the same. handles: of each completion, by its number."""
        raise NotImplementedError

    def told(self, ids: Sequence[str]) -> dict[str, Any]:
        """The body as programs read it: completions named by their ids. ids: of each completion, by its number."""
        raise NotImplementedError


class BodyForm(Form):
    """One person's judgement as it comes in: completions are named by the handles that this slot showed them under."""

    keeps: ClassVar[type[Kept]]
    kind: str
    justification: Words = ""

    @classmethod
    def posted(cls, fields: Fields) -> dict[str, Any]:
        """The browser's fields as this form wants them."""
        raise NotImplementedError

    @classmethod
    def screen(cls, protocol: Any, shown: Sequence[OnScreen], *, is_alone: bool) -> dict[str, Any]:
        """What the kind's template needs besides; at least `title`. is_alone: nothing else is asked in this task."""
        raise NotImplementedError

    def kept(self, protocol: Any, numbers: Mapping[str, int]) -> Kept:
        """The rule: what is stored. numbers: completion number by handle.

        :raises NotOneOfThese: it names a completion that the task did not show.
        :raises AgainstTheProtocol: it says what the protocol does not offer, or leaves out what it asks for.
        """
        raise NotImplementedError

    def digest(self) -> bytes:
        """Tells a repeated submission from another one under the same key: SHA-256 of canonical JSON."""
        return hashlib.sha256(orjson.dumps(self.canonical(), option=orjson.OPT_SORT_KEYS)).digest()

    def canonical(self) -> dict[str, Any]:
        """What the digest is made from. A field that is added later is left out while it says nothing."""
        return self.model_dump(mode="json")

    @classmethod
    def from_fields(cls, fields: Fields) -> Self:
        """:raises ValidationError: it contradicts itself."""
        return cls.model_validate(cls.posted(fields))


def one(fields: Fields, name: str, otherwise: str = "") -> str:
    """The last value under a name."""
    values = fields.get(name) or (otherwise,)
    return values[-1]


def number_of(handle: str, numbers: Mapping[str, int]) -> int:
    """:raises NotOneOfThese: the task showed no such completion."""
    if handle not in numbers:
        raise NotOneOfThese
    return numbers[handle]


def refuse(field: str, reason: str) -> AgainstTheProtocol:
    return AgainstTheProtocol(field=field, reason=reason)
