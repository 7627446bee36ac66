import io
import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.lines import DEEPEST, LONGEST_LINE, Row, Unreadable, read_rows

GOOD = b'{"prompt": "good"}'


def read(content: bytes) -> list[Row | Unreadable]:
    return list(read_rows(io.BytesIO(content)))


def reason(content: bytes) -> str:
    found = read(content)[-1]
    assert isinstance(found, Unreadable), found
    return found.reason


@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_lines_may_end_as_on_any_system_and_a_byte_order_mark_is_passed_over(newline: bytes, mark: bytes) -> None:
    rows = read(mark + GOOD + newline + newline + b"   " + newline + GOOD)
    assert rows == [Row(1, {"prompt": "good"}), Row(4, {"prompt": "good"})]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"", "the file is empty"),
        (b" \n\n", "the file is empty"),
        (GOOD + b",", "there is a comma after the object (character 19)"),
        (GOOD + b" " + GOOD, "a second value begins at character 20; write one object a line"),
        (b'{"prompt": "cut of', "it ends in the middle of an object: is the file cut off?"),
        (b'{"prompt": "cut"', "it ends in the middle of an object: is the file cut off?"),
        (b'{"prompt": "x",}', "not JSON at character 1"),
        (b"{'prompt': 'x'}", "not JSON at character 2"),
        ('{"prompt": "é"}'.encode("latin-1"), "byte 13 (E9) is not UTF-8; is the file Latin-1?"),
        ('{"prompt": "x"}'.encode("utf-16"), "the file is UTF-16; save it as UTF-8"),
        ('{"prompt": "x"}'.encode("utf-16-le"), "the file is UTF-16; save it as UTF-8"),
        ('{"prompt": "x"}'.encode("utf-32"), "the file is UTF-32; save it as UTF-8"),
        (b'{"prompt": "a\\u0000b"}', "prompt: character 2 (U+0000) cannot be stored"),
        (b'{"a": {"b": ["x", "\\ud800"]}}', "a.b[1]: character 1 (U+D800) cannot be stored"),
        (b'{"\\u0000": 1}', "a key: character 1 (U+0000) cannot be stored"),
        (b'{"a": NaN}', "NaN is not a number in JSON"),
        (b'{"a": -Infinity}', "-Infinity is not a number in JSON"),
        (b'{"a": 1e999}', "the number 1e999 is too large"),
        (b'{"a": 99999999999999999999}', "the number 99999999999999999999 is too large"),
        (b'{"a": ' + b"9" * 5000 + b"}", "is too large"),
        (b'{"a": 1, "a": 2}', "the key “a” stands twice"),
        (b'{"\\u0000\\ud800": 1, "\\u0000\\ud800": 2}', "the key “��” stands twice"),
        (b'"text"', "this is not an object in braces"),
        (b"17", "this is not an object in braces"),
        (b'{"a": ' + b"[" * 100 + b"]" * 100 + b"}", "it is nested deeper than 64"),
        (b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "it is nested deeper than 64"),
        (b'{"a": "' + b"x" * LONGEST_LINE + b'"}', "the line is longer than 4 MB"),
    ],
)
def test_every_fault_is_told_in_words(line: bytes, words: str) -> None:
    assert words in reason(line)


def test_a_bad_line_keeps_its_number_and_its_neighbours() -> None:
    rows = read(GOOD + b"\n" + b"x" * (LONGEST_LINE + 10) + b"\n" + GOOD)
    assert [(type(row).__name__, row.number) for row in rows] == [("Row", 1), ("Unreadable", 2), ("Row", 3)]


def test_the_deepest_nesting_that_is_allowed_is_read() -> None:
    inner = DEEPEST - 1
    assert isinstance(read(b'{"a": ' + b"[" * inner + b"]" * inner + b"}")[0], Row)


def test_a_line_of_a_gigabyte_takes_no_gigabyte() -> None:
    class Endless(io.RawIOBase):
        left = 300_000_000

        def readinto(self, buffer) -> int:
            size = min(len(buffer), self.left)
            buffer[:size] = b"x" * size
            self.left -= size
            return size

        def seekable(self) -> bool:
            return True

        def seek(self, place: int, whence: int = 0) -> int:
            return place

        def readable(self) -> bool:
            return True

    tracemalloc.start()
    rows = list(read_rows(io.BufferedReader(Endless())))
    _now, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [row.number for row in rows] == [1]
    assert most < 40_000_000


@pytest.mark.parametrize(
    ("content", "numbers", "words"),
    [
        (b'[{"a": 1}, {"a": 2}]', [1, 2], None),
        (b'\n [\n{"a": 1}\n,\n{"a": 2}\n]\n', [1, 2], None),
        (b'[{"a": 1}, 5, {"a": 2}]', [1, 2, 3], None),
        (b"[]", [1], "the file is empty"),
        (b'[{"a": 1}, {"a"', [1, 2], "it ends in the middle of an object: is the file cut off?"),
        (b'[{"a": 1}', [1, 2], "the array ends in the middle: is the file cut off?"),
        (b'[{"a": 1},]', [1, 2], "not JSON"),
        (b'[{"a": 1}] {}', [1, 2], "there is more after the end of the array"),
    ],
)
def test_an_array_is_read_entry_by_entry(content: bytes, numbers: list[int], words: str | None) -> None:
    rows = read(content)
    assert [row.number for row in rows] == numbers
    if words:
        assert words in rows[-1].reason


KEYS = st.characters(min_codepoint=32, max_codepoint=999)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\0")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(KEYS), inner, max_size=3),
    max_leaves=10,
)  # fmt: skip


@given(st.lists(st.dictionaries(st.sampled_from("abc"), VALUES), min_size=1, max_size=5), st.booleans())
def test_what_is_json_comes_back_as_it_was(rows: list[dict], as_array: bool) -> None:
    content = json.dumps(rows) if as_array else "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    assert [row.value for row in read(content.encode())] == rows


@given(st.binary(max_size=300))
def test_no_bytes_whatever_raise(content: bytes) -> None:
    assert read(content)
