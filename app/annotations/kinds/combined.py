"""Combined: one body for each part of the protocol, in its order."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, PrivateAttr

from app.annotations.kinds.base import AgainstTheProtocol, BodyForm, Fields, Kept, OnScreen, Schema, one, refuse
from app.annotations.kinds.parts import PARTS, PartBody
from app.projects.protocols import CombinedProtocol
from app.translation import _


class CombinedSchema(Schema):
    name: Literal["hone.combined"] = "hone.combined"
    version: Literal[1] = 1


class KeptCombined(Kept):
    """parts: bodies as their kinds keep them, in the protocol's order."""

    schema_: CombinedSchema = Field(default=CombinedSchema(), alias="schema")
    kind: Literal["combined"] = "combined"
    parts: tuple[dict[str, Any], ...]
    _said: tuple[Kept, ...] = PrivateAttr(default=())  # the same before it was JSON

    def read(self) -> list[Kept]:
        """The parts as what they are."""
        return [PARTS[part["kind"]].keeps.model_validate(part) for part in self.parts]

    def check(self, texts: Sequence[str]) -> None:
        for part in self.read():
            with naming(part.kind):
                part.check(texts)

    def with_turns(self, protocol: CombinedProtocol, led: Any) -> Self:
        said: list[dict[str, Any]] = []
        for part, given, asked in zip(self._said, self.parts, protocol.parts, strict=True):
            with naming(part.kind):
                said.append(part.with_turns(asked, led).model_dump(mode="json") if asked.needs_turns else given)
        return self.model_copy(update={"parts": tuple(said)})

    def written(self) -> list[str]:
        return [text for part in self.read() for text in part.written()]

    def words(self, letters: Sequence[str], protocol: CombinedProtocol) -> str:
        asked: dict[str, Any] = {part.kind: part for part in protocol.parts}
        return " · ".join(part.words(letters, asked[part.kind]) for part in self.read())

    def fields(self, handles: Sequence[str]) -> dict[str, list[str]]:
        return {f"{part.kind}.{name}": value for part in self.read() for name, value in part.fields(handles).items()}

    def told(self, ids: Sequence[str]) -> dict[str, Any]:
        return self.model_dump(mode="json") | {"parts": [part.told(ids) for part in self.read()]}


class CombinedForm(BodyForm):
    """parts: one body for each part that the protocol asks, in its order."""

    keeps: ClassVar[type[Kept]] = KeptCombined
    kind: Literal["combined"]
    parts: tuple[PartBody, ...] = Field(min_length=2, max_length=6)

    def canonical(self) -> dict[str, Any]:
        return super().canonical() | {"parts": [part.canonical() for part in self.parts]}

    @classmethod
    def posted(cls, fields: Fields) -> dict[str, Any]:
        """Fields of a part begin with its kind and a dot; `parts` names the parts in their order."""
        parts = []
        for kind in fields.get("parts", ()):
            if kind in PARTS:
                start = kind + "."
                own = {name.removeprefix(start): value for name, value in fields.items() if name.startswith(start)}
                parts.append(PARTS[kind].posted(own) | {"kind": kind})
        return {"kind": "combined", "parts": parts, "justification": one(fields, "justification")}

    def kept(self, protocol: CombinedProtocol, numbers: Mapping[str, int]) -> KeptCombined:
        asked, said = [part.kind for part in protocol.parts], [part.kind for part in self.parts]
        if asked != said:
            reason = _("this project asks for {asked}, in this order").format(asked=", ".join(asked))
            raise refuse("parts", reason)
        parts = tuple(kept_part(body, part, numbers) for body, part in zip(self.parts, protocol.parts, strict=True))
        told = tuple(part.model_dump(mode="json") for part in parts)
        kept = KeptCombined(parts=told, justification=self.justification)
        kept._said = parts
        return kept

    @classmethod
    def screen(cls, protocol: CombinedProtocol, shown: Sequence[OnScreen], *, is_alone: bool) -> dict[str, Any]:
        if protocol.needs_turns:
            return {"title": _("Talk with the assistant")}
        return {"title": _("Judge the answers") if len(shown) > 1 else _("Judge the answer")}


def kept_part(body: BodyForm, protocol: Any, numbers: Mapping[str, int]) -> Kept:
    """:raises AgainstTheProtocol: naming the part as well."""
    with naming(body.kind):
        return body.kept(protocol, numbers)


@contextmanager
def naming(kind: str) -> Iterator[None]:
    """A refusal from inside also says which part it is about."""
    try:
        yield
    except AgainstTheProtocol as refusal:
        field = f"parts.{kind}.{refusal.fields['field']}"
        raise AgainstTheProtocol(field=field, reason=refusal.fields["reason"]) from None
