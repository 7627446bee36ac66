"""Which media some parts name, and the parts once these are known. Pure arithmetic."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from app.translation import _

Parts = Sequence[dict[str, Any]]
IN_TEXT = re.compile(r"\]\(<?media:([0-9a-f]{64})")  # ![words](media:<sha256>) in Markdown


class Known(NamedTuple):
    """A medium as lines see it. ready: it may be shown; reason: why it never will be."""

    id: int
    kind: str | None
    sha256: str | None
    media_type: str | None
    width: int | None
    height: int | None
    ready: bool
    reason: str | None

    @property
    def waits(self) -> bool:
        return not self.ready and self.reason is None


class CannotStand(ValueError):
    """A line whose medium is not to be had; the text says why."""


def is_medium(part: Mapping[str, Any]) -> bool:
    return part.get("type") != "text"


def has_media(parts: Parts) -> bool:
    """Whether parts hold a medium, or a text of them names one."""
    return any(is_medium(part) or IN_TEXT.search(part["text"]) for part in parts)


def references(parts: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Addresses and hashes of the parts that are media; without those in texts, which nobody has to wait for."""
    return (part.get("url") or part["sha256"] for part in parts if is_medium(part))


def mentions(parts: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Hashes that stand in texts."""
    return (found for part in parts if not is_medium(part) for found in IN_TEXT.findall(part["text"]))


def filled(parts: Parts, known: Mapping[str, Known]) -> list[dict[str, Any]]:
    """The parts with each medium by the hash of what is kept, as they are stored and hashed.

    :raises CannotStand: a medium is unknown, was refused, or is of another type. All must be ready or refused.
    """
    return [_filled(part, known) if is_medium(part) else dict(part) for part in parts]


def _filled(part: Mapping[str, Any], known: Mapping[str, Known]) -> dict[str, Any]:
    name = part.get("url") or part["sha256"]
    found = known.get(name)
    if found is None:
        raise CannotStand(_("no file with the SHA-256 {name} was uploaded here").format(name=name))
    if found.reason is not None:
        raise CannotStand(_("{name}: {reason}").format(name=name, reason=found.reason))
    if found.kind != part["type"]:
        told = {"name": name, "found": found.kind, "said": part["type"]}
        raise CannotStand(_("{name} is of type {found}, not {said}").format(**told))
    return {"type": part["type"], "sha256": found.sha256} | ({"alt": part["alt"]} if "alt" in part else {})
