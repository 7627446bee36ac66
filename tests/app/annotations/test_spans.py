"""Error spans: offsets of the source text that come back exactly, whatever the text holds."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from app.annotations.kinds import AgainstTheProtocol, KeptRating, OnScreen, from_fields, to_keep
from app.annotations.kinds.marked import marked_in
from app.annotations.kinds.spans import Span, as_lines, from_lines, pieces_of
from app.errors import Invalid
from app.projects.protocols import RatingProtocol, protocol_of

ERRORS = {"categories": [{"key": "fact", "label": "Wrong fact"}, {"key": "style", "label": "Style"}]}
PROTOCOL = {"kind": "rating", "criteria": [], "errors": ERRORS}
TEXT = "**Fold** the paper 🗞️ twice,\r\nthen\u2028שלום `x`.\n\nA second part."


def protocol(**values: Any) -> RatingProtocol:
    read = protocol_of(PROTOCOL | values)
    assert isinstance(read, RatingProtocol)
    return read


@st.composite
def spans(draw: st.DrawFn, longest: int = len(TEXT)) -> Span:
    start = draw(st.integers(0, longest - 1))
    return Span(
        start=start,
        end=draw(st.integers(start + 1, longest)),
        category=draw(st.sampled_from(["fact", "style"])),
        severity=draw(st.sampled_from(["minor", "major", "critical"])),
        note=draw(
            st.sampled_from(["", "not so", "12 13 fact minor", "wäre “falsch”", "a\u2028line\x85of\x1cits own\x1c"])
        ),
    )


def kept(text: str, found: list[Span]) -> dict[str, Any]:
    form = from_fields("rating", {"errors.x": [as_lines(found)], "flag.x": [""]})
    return to_keep(form, protocol(), {"x": 0}, [text])


@given(st.lists(spans(), max_size=8))
def test_spans_are_kept_in_order_each_once_and_come_back_as_they_were(found: list[Span]) -> None:
    body = kept(TEXT, found)
    read = KeptRating.model_validate(body)
    assert set(read.ratings[0].errors) == set(found)
    assert len(read.ratings[0].errors) == len(set(found))
    assert [(one.start, one.end) for one in read.ratings[0].errors] == sorted(
        (one.start, one.end) for one in set(found)
    )
    again = read.fields(["x"])
    assert to_keep(from_fields("rating", again), protocol(), {"x": 0}, [TEXT]) == body
    crlf = {name: [value.replace("\n", "\r\n") for value in values] for name, values in again.items()}
    assert to_keep(from_fields("rating", crlf), protocol(), {"x": 0}, [TEXT]) == body, "a browser sends CR LF"


@given(st.text(min_size=1, max_size=40), st.data())
def test_pieces_are_the_text_again_and_each_lies_wholly_in_its_spans(text: str, data: st.DataObject) -> None:
    found = data.draw(st.lists(spans(len(text)), max_size=5))
    pieces = pieces_of(text, found)
    assert "".join(piece.text for piece in pieces) == text
    for number, span in enumerate(found):
        assert "".join(piece.text for piece in pieces if number in piece.spans) == text[span.start : span.end]


def test_errors_are_shown_back_in_the_text_that_they_lie_in() -> None:
    found = [
        Span(start=2, end=6, category="fact", severity="major", note="Fold"),
        Span(start=4, end=18, category="style", severity="minor"),
    ]
    shown = [OnScreen("A", "other", "", "Fine."), OnScreen("B", "x", "", TEXT)]
    form = from_fields("rating", {"errors.x": [as_lines(found)], "errors.other": [""]})
    body = to_keep(form, protocol(completions=2), {"x": 0, "other": 1}, [TEXT, "Fine."])
    (marked,) = marked_in(body, [1, 0], shown, protocol(completions=2))
    assert marked.letter == "B"
    told = [(piece.text, piece.spans, worst) for piece, worst in zip(marked.pieces, marked.worst, strict=True)]
    assert told[:4] == [("**", (), 0), ("Fo", (0,), 1), ("ld", (0, 1), 1), ("** the paper", (1,), 0)]
    assert [words for _span, words in marked.spans] == ["Wrong fact (major)", "Style (minor)"]
    assert KeptRating.model_validate(body).words(["B", "A"], protocol()) == (
        "A: nothing; B: Wrong fact (major), Style (minor)"
    )


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (f"0 {len(TEXT) + 1} fact minor", f"ends at character {len(TEXT) + 1}, but the answer has {len(TEXT)}"),
        ("3 3 fact minor", "at least one character"),
        ("4 3 fact minor", "at least one character"),
        ("0 3 taste minor", "does not offer “taste”"),
        ("0 3 fact dire", "does not offer “dire”"),
    ],
)
def test_a_span_that_does_not_fit_is_refused(line: str, reason: str) -> None:
    with pytest.raises(AgainstTheProtocol, match=reason):
        to_keep(from_fields("rating", {"errors.x": [line]}), protocol(), {"x": 0}, [TEXT])


@pytest.mark.parametrize("line", ["x 3 fact minor", "0", "-1 3 fact minor", "0 3 fact", "0 3", "٣ 4 fact minor"])
def test_a_line_that_is_no_span_is_refused_and_never_an_accident(line: str) -> None:
    with pytest.raises(Invalid):
        from_fields("rating", {"errors.x": [line]})


def test_the_last_character_may_be_wrong_and_a_project_without_errors_takes_none() -> None:
    last = f"{len(TEXT) - 1} {len(TEXT)} fact minor"
    assert to_keep(from_fields("rating", {"errors.x": [last]}), protocol(), {"x": 0}, [TEXT])
    plain = protocol_of({"kind": "rating", "flags": [{"key": "rude", "label": "Rude"}], "criteria": []})
    with pytest.raises(AgainstTheProtocol, match="marks no errors"):
        to_keep(from_fields("rating", {"errors.x": [last]}), plain, {"x": 0}, [TEXT])
    assert plain.needs_texts is False
    assert protocol().needs_texts is True


def test_a_rating_without_errors_is_stored_as_before_there_were_any() -> None:
    body = to_keep(from_fields("rating", {"flag.x": [""], "errors.x": [""]}), protocol(), {"x": 0}, [TEXT])
    assert body["ratings"] == [{"completion": 0, "criteria": {}, "flags": []}]
    assert KeptRating.model_validate(body).fields(["x"]) == {"flag.x": []}


def test_saying_nothing_about_errors_leaves_the_digest_as_it_was() -> None:
    with_field = from_fields("rating", {"value.x.quality": ["3"], "errors.x": [""]})
    assert with_field.digest() == from_fields("rating", {"value.x.quality": ["3"]}).digest()
    assert (
        from_fields("rating", {"value.x.quality": ["3"], "errors.x": ["0 1 fact minor"]}).digest()
        != with_field.digest()
    )


@pytest.mark.parametrize("note", ["two\nlines", "two\rlines", "a NUL \0", "x" * 501])
def test_a_note_is_one_line(note: str) -> None:
    with pytest.raises(ValidationError):
        Span(start=0, end=1, category="fact", severity="minor", note=note)


def test_a_category_and_a_severity_have_different_keys() -> None:
    with pytest.raises(ValidationError, match="“minor” is there twice"):
        protocol(errors={"categories": [{"key": "minor", "label": "Minor points"}]})
    assert from_lines("  \n\n") == []
