"""Code is coloured by classes of our own, and comes out as it went in."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.highlighting import CLASSES, LANGUAGES, LONGEST, highlighted
from tests.app.test_markup import Seen

PIECES = [
    "def ",
    "class A {",
    "}",
    '"',
    "'",
    "\\",
    "#",
    "//",
    "/*",
    "*/",
    "<",
    ">",
    "&",
    "\n",
    " ",
    "1.5e3",
    "@x",
    "$a",
    "`",
]


def test_the_parts_of_a_language_get_their_classes() -> None:
    drawn = highlighted("@cached\ndef f(x: int) -> str:\n    return 'a'  # why\n", "python")
    for kind, text in [
        ("name", "@cached"),
        ("keyword", "def "),
        ("type", "int"),
        ("string", "'a'"),
        ("comment", "# why"),
    ]:
        assert any(f'<span class="code-{kind}">{start}' in drawn for start in (text, text.replace("'", "&#x27;"))), kind


@pytest.mark.parametrize("language", ["js", "JavaScript", "C++", "py3", "sh"])
def test_a_language_has_several_names(language: str) -> None:
    assert ("<span" in highlighted("if (a) { return 1 }", language)) == (language != "py3")


@pytest.mark.parametrize("language", ["html", "diff", *sorted(LANGUAGES)])
@settings(max_examples=20)
@given(pieces=st.lists(st.sampled_from(PIECES), max_size=40))
def test_no_character_is_lost_in_any_language(language: str, pieces: list[str]) -> None:
    code = "".join(pieces)
    seen = Seen(highlighted(code, language.split()[0]))
    assert seen.words == code
    assert {at["class"] for _tag, at in seen.tags} <= CLASSES


def test_long_or_unknown_code_stays_plain() -> None:
    assert "<span" not in highlighted("if x" * LONGEST, "python")
    assert "<span" not in highlighted("if x", "klingon")
    assert highlighted("a < b\u202e", "") == 'a &lt; b<bdi class="sign" title="U+202E">\u202e</bdi>'


SIGNS = [
    '"',
    "'",
    '"""',
    "\\",
    "(",
    "<",
    "</",
    "<a ",
    "<!--",
    "/*",
    "//",
    "#",
    "`",
    "${",
    "a",
    "a.",
    "a b",
    "1",
    "0x",
    "1e",
]
SIGNS += [" ", "\n", "@", "&", "&#", "=", "a=", "--", "{-", "--[[", "=begin", "\\begin{", "1.", "_", "'\\", "*"]


@pytest.mark.timeout(120)
def test_nothing_that_repeats_keeps_a_lexer_busy() -> None:
    """Seconds in all; a search that goes back over what it has read takes minutes for a single one of these."""
    for name in ["html", "diff", *(names.split()[0] for names in LANGUAGES)]:
        for sign in SIGNS:
            highlighted(sign * (6_000 // len(sign)), name)
