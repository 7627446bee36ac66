"""A person's error spans shown back in the texts that they lie in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.annotations.kinds.base import OnScreen
from app.annotations.kinds.combined import KeptCombined
from app.annotations.kinds.rating import KeptRating
from app.annotations.kinds.spans import Piece, Span, in_words, pieces_of
from app.annotations.kinds.union import read_kept
from app.projects.protocols import CombinedProtocol, ProtocolBody, RatingProtocol
from app.projects.protocols.rating import Errors


@dataclass(frozen=True, slots=True)
class Marked:
    """One answer's text with the errors in it.

    pieces: the text, cut where an error begins or ends; worst: of each piece, the place of the gravest severity that
    lies over it. spans: each with its category and severity in words.
    """

    letter: str
    text: str
    pieces: list[Piece]
    worst: list[int]
    spans: list[tuple[Span, str]]


def marked_in(
    body: Mapping[str, Any], sides: Sequence[int], shown: Sequence[OnScreen], protocol: ProtocolBody
) -> list[Marked]:
    """Every answer of the screen in which errors were marked. sides: as the annotation keeps them; shown: in the order
    of the screen, with their texts."""
    kept = read_kept(body)
    parts = kept.read() if isinstance(kept, KeptCombined) else [kept]
    protocols: Sequence[Any] = protocol.parts if isinstance(protocol, CombinedProtocol) else [protocol]
    found = []
    for part, asked in zip(parts, protocols, strict=True):
        if isinstance(part, KeptRating) and isinstance(asked, RatingProtocol) and asked.errors:
            spans = {rated.completion: rated.errors for rated in part.ratings}
            in_order = [(one, spans.get(number, ())) for one, number in zip(shown, sides, strict=True)]
            found += [marked(one, errors, asked.errors) for one, errors in in_order if errors]
    return found


def marked(answer: OnScreen, spans: Sequence[Span], errors: Errors) -> Marked:
    text, ranks = answer.blinded, [one.key for one in errors.severities]
    pieces = pieces_of(text, spans)
    worst = [max((ranks.index(spans[number].severity) for number in piece.spans), default=0) for piece in pieces]
    words = list(zip(spans, in_words(spans, errors), strict=True))
    return Marked(answer.letter, text, pieces, worst, words)
