"""What people and programs may say about a task: a tagged union by `kind`, each with its own rule."""

import hashlib
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self
from uuid import UUID

import orjson
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StrictInt,
    StringConstraints,
    ValidationError,
    model_validator,
)

from app.errors import Invalid
from app.projects.forms import without_nul
from app.projects.rules import ProtocolBody
from app.translation import _

Words = Annotated[str, StringConstraints(max_length=20_000), AfterValidator(without_nul)]
Flag = Annotated[str, StringConstraints(min_length=1, max_length=60), AfterValidator(without_nul)]
OutcomeWord = Literal["preferred", "tie", "both_bad", "neither_valid"]


class Form(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ComparisonBody(Form):
    """One person's judgement between two completions.

    preferred: the handle under which this task showed the completion; strength: 1 (slightly better) … the protocol's
    number of levels. Both are given exactly when the outcome is `preferred`.
    """

    kind: Literal["comparison"] = "comparison"
    outcome: OutcomeWord = Field(description="preferred, tie, both_bad or neither_valid, as far as the protocol asks")
    preferred: str | None = Field(default=None, max_length=64, description="handle of the better completion")
    strength: StrictInt | None = Field(default=None, ge=1, le=9, description="1 = slightly better")
    justification: Words = ""
    flags: tuple[Flag, ...] = Field(default=(), max_length=20)

    @model_validator(mode="after")
    def does_not_contradict_itself(self) -> Self:
        chosen = self.outcome == "preferred"
        if chosen and self.preferred is None:
            raise ValueError(_("the outcome is “preferred”, so `preferred` must name a completion"))
        if chosen and self.strength is None:
            raise ValueError(_("the outcome is “preferred”, so `strength` must say how much better"))
        if not chosen and self.preferred is not None:
            raise ValueError(
                _("the outcome is “{outcome}”, so no completion is preferred").format(outcome=self.outcome)
            )
        if not chosen and self.strength is not None:
            raise ValueError(_("the outcome is “{outcome}”, so there is no strength").format(outcome=self.outcome))
        return self

    def digest(self) -> bytes:
        """Tells a repeated submission from another one under the same key: SHA-256 of canonical JSON."""
        return hashlib.sha256(orjson.dumps(self.model_dump(mode="json"), option=orjson.OPT_SORT_KEYS)).digest()


# Later kinds (ranking, rating, rewrite …) join this union; `kind` tells them apart.
Body = ComparisonBody


class NotOneOfThese(Invalid):
    code = "not-one-of-these"
    sentence = _("That answer is not one of this task's answers.")


class AgainstTheProtocol(Invalid):
    code = "against-the-protocol"


class KeptSchema(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    name: Literal["hone.comparison"] = "hone.comparison"
    version: Literal[1] = 1


class KeptComparison(BaseModel):
    """A comparison as it is stored. preferred: number of the completion in its task (`task_completions.number`)."""

    model_config = ConfigDict(frozen=True, extra="forbid", serialize_by_alias=True, validate_by_name=True)
    schema_: KeptSchema = Field(default=KeptSchema(), alias="schema")
    kind: Literal["comparison"] = "comparison"
    outcome: Literal["preferred", "tie", "both_bad", "neither_valid"]
    preferred: int | None = None
    strength: int | None = None
    justification: str = ""
    flags: tuple[str, ...] = ()


def kept(body: ComparisonBody, protocol: ProtocolBody, numbers: Mapping[str, int]) -> dict[str, Any]:
    """The body to store. numbers: completion number by the handle of this slot.

    :raises NotOneOfThese: it prefers a completion that the task did not show.
    :raises AgainstTheProtocol: an outcome or strength that the protocol does not offer.
    """
    allowed = {"tie": protocol.ties, "both_bad": protocol.both_bad, "neither_valid": protocol.neither_valid}
    if not allowed.get(body.outcome, True):
        raise AgainstTheProtocol(
            field="outcome", reason=_("this project does not offer “{outcome}”").format(outcome=body.outcome)
        )
    if body.strength is not None and body.strength > protocol.levels:
        reason = _("{strength} is beyond the {levels} levels of this project's scale")
        raise AgainstTheProtocol(field="strength", reason=reason.format(strength=body.strength, levels=protocol.levels))
    if body.preferred is not None and body.preferred not in numbers:
        raise NotOneOfThese
    preferred = None if body.preferred is None else numbers[body.preferred]
    said = body.model_dump(exclude={"kind", "preferred"})
    return KeptComparison(preferred=preferred, **said).model_dump(mode="json")


class NewAnnotation(Form):
    """An answer. key: the one that came with the task; sending it again with the same body changes nothing."""

    key: UUID
    body: Body


class EditedAnnotation(Form):
    """version: of the answer that is being edited, as it was seen."""

    version: StrictInt = Field(ge=1)
    body: Body


def storable(value: Any) -> Any:
    """Any JSON whose texts the database can hold; :raises ValueError: naming the character that it cannot."""
    if isinstance(value, str):
        without_nul(value)
    elif isinstance(value, dict):
        storable([*value, *value.values()])
    elif isinstance(value, list):
        for part in value:
            storable(part)
    return value


class NewDraft(Form):
    """What was typed so far. rev rises with each change; a late packet never overwrites newer words."""

    key: UUID
    rev: StrictInt = Field(ge=1, le=2**53)
    body: Annotated[dict[str, Any], AfterValidator(storable)]


class ChosenForm(Form):
    """The browser's one-button answer: `tie`, `both_bad`, `neither_valid`, or `<handle>.<strength>` of the better one.

    key: of a first answer. version: of the answer that an edit was made from. seen: version of the guidelines that
    stand on the page.
    """

    choice: Annotated[str, StringConstraints(max_length=100)]
    justification: Words = ""
    key: UUID | None = None
    version: int | None = None
    seen: int = 0

    def the_key(self) -> UUID:
        """:raises Invalid: it is not there."""
        if self.key is None:
            raise Invalid(field="key", reason=_("the key that came with the task is missing"))
        return self.key

    def body(self) -> Body:
        """:raises Invalid: it contradicts itself."""
        handle, dot, strength = self.choice.rpartition(".")
        said: dict[str, Any] = {"outcome": self.choice}
        if dot:
            said = {
                "outcome": "preferred",
                "preferred": handle,
                "strength": int(strength) if strength.isascii() and strength.isdigit() else 0,
            }
        try:
            return ComparisonBody(justification=self.justification, **said)
        except ValidationError as wrong:
            found = wrong.errors()[0]
            field = ".".join(str(step) for step in found["loc"]) or "body"
            raise Invalid(field=field, reason=found["msg"]) from None


class Reason(Form):
    reason: Annotated[str, StringConstraints(min_length=1, max_length=500), AfterValidator(without_nul)]


class SkipForm(Form):
    """Comes from the same form as an answer; what was typed there is left alone."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    key: UUID
    seen: int = 0
    reason: Annotated[str, StringConstraints(max_length=500), AfterValidator(without_nul)] | None = None
