"""The union of all kinds, and what is done with a judgement whatever its kind."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import ValidationError

from app.annotations.kinds.base import LETTERS, BodyForm, Fields, Kept, NotOneOfThese, OnScreen
from app.annotations.kinds.combined import CombinedForm
from app.annotations.kinds.conversation import Led
from app.annotations.kinds.parts import PARTS, Single
from app.errors import Invalid
from app.findings import reason_of
from app.projects.protocols import CombinedProtocol, ProtocolBody
from app.translation import _
from app.unions import by_kind, steps_to, tag

Body = Annotated[Single | Annotated[CombinedForm, tag("combined")], by_kind(otherwise="comparison")]
FORMS: dict[str, type[BodyForm]] = {**PARTS, "combined": CombinedForm}


def from_fields(kind: str, fields: Fields) -> BodyForm:
    """A judgement from what a browser's form sent.

    :raises Invalid: naming the field; there is no such kind, or the judgement contradicts itself.
    """
    if kind not in FORMS:
        raise Invalid(field="kind", reason=_("there is no such kind of judgement"))
    try:
        return FORMS[kind].from_fields(fields)
    except ValidationError as wrong:
        found = wrong.errors()[0]
        reason = reason_of(found)
        raise Invalid(field=".".join(map(str, steps_to(found))) or "body", reason=reason) from None


def to_keep(
    body: BodyForm,
    protocol: ProtocolBody,
    numbers: Mapping[str, int],
    texts: Sequence[str] = (),
    led: Led | None = None,
) -> dict[str, Any]:
    """The body to store. numbers: completion number by the handle of this slot. texts: of each completion, by its
    number, where the protocol `needs_texts`. led: the conversation, where it `needs_turns`.

    :raises NotOneOfThese: it is of another kind, or names a completion that the task did not show.
    :raises AgainstTheProtocol: it says what the protocol does not offer, or what does not fit the texts.
    """
    if body.kind != protocol.kind:
        raise NotOneOfThese
    kept = body.kept(protocol, numbers)
    if protocol.needs_texts:
        kept.check(texts)
    if protocol.needs_turns:
        kept = kept.with_turns(protocol, led)
    return kept.model_dump(mode="json")


def read_kept(body: Mapping[str, Any]) -> Kept:
    """A stored body as what it is."""
    return FORMS[body["kind"]].keeps.model_validate(body)


def in_words(body: Mapping[str, Any], sides: Sequence[int], protocol: ProtocolBody) -> str:
    """What was said, as it stood on the screen: “A much better”, “A › B = C”."""
    letters = dict(zip(sides, LETTERS, strict=False))
    return read_kept(body).words([letters[number] for number in sorted(letters)], protocol)


def fields_of(body: Mapping[str, Any], sides: Sequence[int], shown: Sequence[OnScreen]) -> dict[str, list[str]]:
    """The browser's fields that say what `body` says. shown: in the order of the screen, as `sides`."""
    handles = {number: shown[place].handle for place, number in enumerate(sides)}
    said = read_kept(body).fields([handles[number] for number in sorted(handles)])
    return said | {"justification": [str(body.get("justification", ""))]}


def fields_from(draft: Any) -> dict[str, list[str]]:
    """A draft as fields: whatever in it is no text, or no list of texts, belongs to somebody else's program."""
    said = {}
    for name, value in draft.items() if isinstance(draft, dict) else ():
        values = value if isinstance(value, list) else [value]
        if all(isinstance(one, str) for one in values):
            said[str(name)] = [str(one) for one in values]
    return said


def blocks_of(protocol: ProtocolBody, shown: Sequence[OnScreen]) -> tuple[str, list[dict[str, Any]]]:
    """The question over a task, and what the template of each kind in it needs. prefix: of its fields' names."""
    whole = FORMS[protocol.kind].screen(protocol, shown, is_alone=True)
    if not isinstance(protocol, CombinedProtocol):
        return whole["title"], [block_of(protocol, "") | whole]
    blocks = [
        block_of(part, f"{part.kind}.") | FORMS[part.kind].screen(part, shown, is_alone=False)
        for part in protocol.parts
    ]
    return whole["title"], blocks


def block_of(protocol: Any, prefix: str) -> dict[str, Any]:
    return {"kind": protocol.kind, "protocol": protocol, "prefix": prefix, "decides": False, "decides_last": False}
