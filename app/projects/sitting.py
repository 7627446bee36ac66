"""What may come in when a project is made in one sitting, and the values its page begins with."""

import json
from collections.abc import Mapping
from typing import Annotated, Any
from uuid import UUID

from pydantic import BeforeValidator, Field, field_validator

from app.accounts.forms import Email, as_addresses
from app.projects.forms import Form, Line, Markdown, NewProject, Text
from app.projects.presets import PRESETS
from app.projects.purposes import PURPOSES, start_of
from app.translation import _

FIRST = "support"
FOLLOW_THE_PURPOSE = ("name", "k", "guidelines")


def as_people(value: object) -> object:
    """A text field with addresses; left empty, nobody is invited."""
    return () if isinstance(value, str) and not value.strip() else as_addresses(value)


class Sitting(Form):
    """The page's fields, beside its two files. prompts: one a line, or JSONL. checkpoint empty: nothing answers yet."""

    name: Line
    purpose: str
    prompts: Annotated[str, Field(max_length=1_000_000)] = ""
    checkpoint: UUID | None = None
    k: int = Field(default=1, ge=1, le=50)
    guidelines: Markdown = ""
    people: Annotated[tuple[Email, ...], BeforeValidator(as_people), Field(max_length=500)] = ()

    @field_validator("purpose")
    @classmethod
    def purpose_exists(cls, key: str) -> str:
        if start_of(key) is None:
            raise ValueError(_("choose one of the purposes or studies in the list"))
        return key

    def project(self, zone: str) -> NewProject:
        """The project as everybody else may ask for it."""
        found = start_of(self.purpose)
        assert found is not None, "checked above"
        preset, _example = found
        told: dict[str, Any] = {"name": self.name, "k": self.k, "guidelines": self.guidelines, "zone": zone}
        return NewProject(
            protocol=preset.protocol, mixed=preset.mixed, preset=preset.key, checkpoint=self.checkpoint, **told
        )


def defaults_of(purpose: str) -> dict[str, str]:
    """What the fields that follow the purpose say before anybody has touched them."""
    found = start_of(purpose) or start_of(FIRST)
    assert found is not None, "the first purpose is there"
    preset, _example = found
    name = _(PURPOSES[purpose].name) if purpose in PURPOSES else preset.name
    return {"name": name, "k": str(preset.k), "guidelines": preset.guidelines}


def turned_to(sent: Mapping[str, str]) -> dict[str, str]:
    """The page's values under the purpose that is chosen now. What was written by hand since it began with another
    purpose (`began`) stays; what still says that purpose's own words follows."""
    purpose = sent.get("purpose", FIRST)
    old, new = defaults_of(sent.get("began", FIRST)), defaults_of(purpose)
    kept = {
        name: new[name] if same(sent.get(name, ""), old[name]) or not sent.get(name, "").strip() else sent[name]
        for name in FOLLOW_THE_PURPOSE
    }
    return dict(sent) | kept | {"purpose": purpose, "began": purpose}


def same(one: str, other: str) -> bool:
    """Whether two texts are the same to people: browsers send their own line ends."""
    return one.replace("\r\n", "\n").strip() == other.strip()


def choices() -> list[tuple[str, list[tuple[str, str]]]]:
    """The purposes, each naming the study under it; then the studies as they are."""
    by_purpose = [
        (one.key, _("{purpose} (after {study})").format(purpose=_(one.name), study=one.preset.key))
        for one in PURPOSES.values()
    ]
    studies = [(one.key, f"{one.key}: {_(one.name)}") for one in PRESETS.values()]
    return [(_("By purpose"), by_purpose), (_("A study as it was published"), studies)]


def as_lines(pasted: Text) -> bytes:
    """Pasted prompts as a file: JSONL and JSON arrays as they are, else every line that says something is a prompt."""
    if pasted.lstrip()[:1] in ("{", "["):
        return pasted.encode()
    said = (line.strip() for line in pasted.splitlines())
    return "\n".join(json.dumps({"prompt": line}) for line in said if line).encode()
