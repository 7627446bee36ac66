"""Error spans: pieces of an answer's text that are wrong.

Offsets count Unicode code points of the completion's source text: its text parts as they were written, joined by blank
lines, Markdown and all. `start` is the first that belongs to the span, `end` the first that does not. The page shows
that source while spans are marked, so no offset is ever guessed from rendered text.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Any

from pydantic import AfterValidator, Field, StrictInt, StringConstraints

from app.annotations.kinds.base import Form, refuse
from app.projects.forms import without_nul
from app.projects.protocols.rating import Errors
from app.translation import _

MOST = 200  # spans in one answer
Named = Annotated[str, StringConstraints(min_length=1, max_length=40)]
Note = Annotated[  # on one line, because a browser's field has a line for each span
    str,
    StringConstraints(strip_whitespace=True, max_length=500, pattern=r"^[^\r\n]*$"),
    AfterValidator(without_nul),
]


class Span(Form):
    """start, end: code points of the source text. Spans may overlap; the same one twice is one."""

    start: StrictInt = Field(ge=0)
    end: StrictInt = Field(ge=1)
    category: Named
    severity: Named
    note: Note = ""


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of a text over which the same spans lie. spans: their numbers."""

    text: str
    spans: tuple[int, ...]


def fitting(spans: Iterable[Span], errors: Errors | None) -> tuple[Span, ...]:
    """The spans in their order in the text, each once.

    :raises AgainstTheProtocol: one is empty, or of a kind that the protocol does not have.
    """
    found = sorted(set(spans), key=lambda one: (one.start, one.end, one.category, one.severity, one.note))
    if found and errors is None:
        raise refuse("ratings.errors", _("this project marks no errors"))
    for span in found:
        assert errors is not None
        for name, offered in (("category", errors.categories), ("severity", errors.severities)):
            said = getattr(span, name)
            if said not in {one.key for one in offered}:
                raise refuse(f"ratings.errors.{name}", _("this project does not offer “{key}”").format(key=said))
        if span.start >= span.end:
            raise refuse("ratings.errors", _("an error has at least one character"))
    return tuple(found)


def check_inside(spans: Iterable[Span], text: str) -> None:
    """:raises AgainstTheProtocol: a span ends behind the text."""
    for span in spans:
        if span.end > len(text):
            reason = _("an error ends at character {end}, but the answer has {length}")
            raise refuse("ratings.errors", reason.format(end=span.end, length=len(text)))


def pieces_of(text: str, spans: Sequence[Span]) -> list[Piece]:
    """The text cut wherever a span begins or ends; put together again it is the text."""
    cuts = sorted({0, len(text), *(span.start for span in spans), *(span.end for span in spans)})
    return [
        Piece(text[start:end], tuple(n for n, span in enumerate(spans) if span.start <= start and end <= span.end))
        for start, end in pairwise(cuts)
    ]


def as_lines(spans: Iterable[Span]) -> str:
    """A browser's field: a line for each span: start, end, category, severity, and whatever is noted."""
    return "\n".join(f"{one.start} {one.end} {one.category} {one.severity} {one.note}".rstrip(" ") for one in spans)


def from_lines(text: str) -> list[dict[str, Any]]:
    """What `as_lines` wrote, as the form wants it; a line that is none of these is refused by the form."""
    found = []
    for line in filter(str.strip, re.split(r"\r\n|\r|\n", text)):
        said = [*line.strip(" ").split(" ", 4), "", "", "", ""]
        start, end, category, severity, note = said[:5]
        numbers = {
            name: int(one) if one.isascii() and one.isdigit() else one for name, one in (("start", start), ("end", end))
        }
        found.append(numbers | {"category": category, "severity": severity, "note": note})
    return found


def in_words(spans: Sequence[Span], errors: Errors | None) -> list[str]:
    """Each span as its category and severity; nothing where there is none."""
    if errors is None:
        return []
    labels = {one.key: one.label for one in (*errors.categories, *errors.severities)}
    return [f"{labels[span.category]} ({labels[span.severity]})" for span in spans]
