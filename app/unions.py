"""Unions told apart by `kind`: the kind is read first, and only its own class looks at the rest."""

from typing import Any

from pydantic import Discriminator, Tag

from app.translation import _

MARK = "kind:"


def tag(kind: str) -> Tag:
    """Marks a member of a union: `Annotated[RankingForm, tag("ranking")]`."""
    return Tag(MARK + kind)


def by_kind(otherwise: str | None = None) -> Discriminator:
    """Tells members apart by the field `kind`. otherwise: the kind of JSON that names none."""

    def told(value: Any) -> str:
        kind = value.get("kind", otherwise) if isinstance(value, dict) else getattr(value, "kind", None)
        return f"{MARK}{kind}"

    return Discriminator(
        told, custom_error_type="kind_unknown", custom_error_message=_("`kind` is none of those that exist")
    )


def steps_to(found: Any) -> list[int | str]:
    """Where a finding of pydantic is, without the tags of unions on the way."""
    steps = [step for step in found["loc"] if not (isinstance(step, str) and step.startswith(MARK))]
    return [*steps, "kind"] if found["type"] == "kind_unknown" else steps
