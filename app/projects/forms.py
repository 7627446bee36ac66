"""What may come in about a project."""

from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Any, TypeVar
from uuid import UUID

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

from app.findings import reason_of
from app.projects.presets import PRESETS
from app.projects.protocols import ComparisonProtocol, ProtocolBody
from app.projects.rules import Shares, checked_zone
from app.projects.tables import Change, ProjectState
from app.translation import _
from app.unions import steps_to


def without_nul(text: str) -> str:
    """Postgres cannot hold NUL, and UTF-8 no half of a surrogate pair: both are refused with their position."""
    for position, letter in enumerate(text):
        if letter == "\0" or "\ud800" <= letter <= "\udfff":
            raise ValueError(
                _("character {position} (U+{code}) cannot be stored").format(
                    position=position + 1, code=f"{ord(letter):04X}"
                )
            )
    return text


Line = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), AfterValidator(without_nul)
]
Text = Annotated[str, StringConstraints(max_length=20_000), AfterValidator(without_nul)]
Markdown = Annotated[str, StringConstraints(max_length=200_000), AfterValidator(without_nul)]
Zone = Annotated[str, AfterValidator(checked_zone)]


F = TypeVar("F", bound=BaseModel)


class Form(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class NewProject(Form):
    """A project needs a name; the rest has defaults that work.

    preset: a published protocol (docs/protocols.md) that stands for protocol, k, mixed and guidelines where these are
    not given. mixed: answers of different checkpoints face each other, not only samples of one.
    """

    name: Line
    preset: str | None = None
    description: Text = ""
    zone: Zone = "UTC"
    k: int = Field(default=1, ge=1, le=50)
    daily_limit: int = Field(default=2000, ge=1, le=100_000)
    edit_minutes: int = Field(default=60, ge=0, le=100_000)
    low_water: int = Field(default=40, ge=0, le=100_000)
    generation_limit: int = Field(default=2000, ge=0, le=10_000_000)
    split: Shares = Shares()
    checkpoint: UUID | None = None
    protocol: ProtocolBody = ComparisonProtocol()
    mixed: bool = False
    guidelines: Markdown = ""

    @model_validator(mode="before")
    @classmethod
    def filled_from_the_preset(cls, given: Any) -> Any:
        preset = PRESETS.get(str(given.get("preset"))) if isinstance(given, dict) else None
        if preset is None:
            return given
        return {name: getattr(preset, name) for name in ("protocol", "k", "mixed", "guidelines")} | given

    @field_validator("preset")
    @classmethod
    def preset_exists(cls, key: str | None) -> str | None:
        if key is not None and key not in PRESETS:
            raise ValueError(_("there is no preset “{key}”; there are {all}").format(key=key, all=", ".join(PRESETS)))
        return key


class ProjectEdit(Form):
    """Fields that are left out stay as they are. version: of the project that the editor saw."""

    version: int
    name: Line | None = None
    description: Text | None = None
    state: ProjectState | None = None
    zone: Zone | None = None
    k: int | None = Field(default=None, ge=1, le=50)
    daily_limit: int | None = Field(default=None, ge=1, le=100_000)
    edit_minutes: int | None = Field(default=None, ge=0, le=100_000)
    low_water: int | None = Field(default=None, ge=0, le=100_000)
    generation_limit: int | None = Field(default=None, ge=0, le=10_000_000)
    split: Shares | None = None
    checkpoint: UUID | None = None


def filled(kind: type[F], sent: Mapping[str, Any], texts: Collection[str] = ()) -> tuple[F | None, dict[str, str]]:
    """A browser's fields as a form, else what is wrong by field.

    Fields left empty take their defaults, except `texts`, which may be empty on purpose. A dot in a name leads inside:
    `split.label`.
    """
    nested: dict[str, Any] = {}
    for name, value in sent.items():
        if value == "" and name not in texts:
            continue
        *outer, last = name.split(".")
        inner = nested
        for step in outer:
            inner = inner.setdefault(step, {})
        inner[last] = value
    try:
        return kind.model_validate(nested), {}
    except ValidationError as error:
        return None, {named(steps_to(found)): reason(found) for found in reversed(error.errors())}


def named(place: Sequence[int | str]) -> str:
    """The field of a finding; "" when it is about the whole form."""
    return ".".join(str(step) for step in place if not isinstance(step, int))


def reason(found: Any) -> str:
    """What is wrong, as a sentence without pydantic's preamble."""
    said = reason_of(found)
    return said[:1].upper() + said[1:]


class TextEdit(Form):
    """version: of the text that the editor saw."""

    version: int
    markdown: Markdown


class GuidelinesEdit(TextEdit):
    """change: what the new version is to those who judge by it."""

    change: Change = Change.clarification


class VersionRead(Form):
    """version: of the guidelines that were read."""

    version: int


class ConsentGiven(Form):
    """version: of the text that was read."""

    version: int


class ProtocolEdit(Form):
    """version: of the protocol that the editor saw."""

    version: int
    body: ProtocolBody
