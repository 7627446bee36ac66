"""What cannot be seen is marked where it could mislead, and no character is lost by it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.markup import render_markdown, render_source
from app.signs import in_prose, in_source
from tests.app.test_markup import Seen

FAMILY = "👨‍👩‍👧"  # three people and two joiners
PERSIAN = "می‌روم"  # a non-joiner inside a word
SCOTLAND = "🏴󠁧󠁢󠁳󠁣󠁴󠁿"


@pytest.mark.parametrize("sign", ["\u202e", "\u202d", "\u2067", "\x07", "\x9f", "\u2028", "\U000e0041"])
def test_what_steers_its_neighbours_is_marked_and_kept_to_itself(sign: str) -> None:
    for drawn in (in_prose(f"a{sign}b"), in_source(f"a{sign}b"), render_markdown(f"a{sign}b *c*")):
        assert f'<bdi class="sign" title="U+{ord(sign):04X}">{sign}</bdi>' in drawn


@pytest.mark.parametrize("sign", ["\u200b", "\u00ad", "\ufeff", "\u200e", "\u3164", "\u200d"])
def test_what_has_no_width_is_marked_in_sources_only(sign: str) -> None:
    assert in_prose(f"a{sign}b") == f"a{sign}b"
    assert f'title="U+{ord(sign):04X}"' in in_source(f"a{sign}b")
    assert f'title="U+{ord(sign):04X}"' in render_markdown(f"`a{sign}b`")


@pytest.mark.parametrize("text", [FAMILY, PERSIAN, SCOTLAND, "❤️", "नमस्ते", "é\n\tç"])
def test_what_letters_and_emoji_need_is_left_alone(text: str) -> None:
    assert in_prose(text) == in_source(text) == text


def test_a_run_is_one_mark() -> None:
    marked = in_prose("\u202e" * 900)
    assert marked.count("<bdi") == 1
    assert 'title="U+202E U+202E U+202E U+202E +896"' in marked


@given(st.text(max_size=200))
def test_a_source_keeps_every_character(text: str) -> None:
    assert Seen(render_source(text)).words == text.replace("\0", "\ufffd")
