"""JSONL and JSON arrays as they come from other people: one object at a time, in bounded memory, every fault told
with the number of its line.

Held off here, before anything else looks at a value: other encodings, lines over 4 MB, nesting over 64, a key that
stands twice, NaN and Infinity, numbers beyond 64 bits, NUL and halves of surrogate pairs (Postgres and UTF-8 hold
neither).
"""

import codecs
import json
import math
import pickle
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from tempfile import SpooledTemporaryFile
from typing import IO, Any, BinaryIO

from app.translation import _

LONGEST_LINE = 4_000_000  # bytes
LARGEST_ARRAY = 64_000_000  # bytes; a JSON array is read whole, JSONL has no such bound
DEEPEST = 64
UNSTORABLE = re.compile("[\0\ud800-\udfff]")
SPACE = " \t\r\n"
CHUNK = 500  # lines written at once, and no more than this many letters:
CHUNK_LETTERS = 1_000_000
IN_MEMORY = 16_000_000  # bytes of a file that has been read; more lie on disk until they are written


@dataclass(frozen=True)
class Row:
    """number: of the line in a JSONL file (from 1), of the entry in an array."""

    number: int
    value: dict[str, Any]


@dataclass(frozen=True)
class Unreadable:
    number: int
    reason: str


def read_rows(stream: BinaryIO) -> Iterator[Row | Unreadable]:
    """Every object of a JSONL file or JSON array, and what could not be read. The stream must be seekable."""
    head = stream.read(4096)
    if foreign := foreign_encoding(head):
        yield Unreadable(1, _("the file is {encoding}; save it as UTF-8").format(encoding=foreign))
        return
    start = len(codecs.BOM_UTF8) if head.startswith(codecs.BOM_UTF8) else 0
    stream.seek(start)
    rows = _array(stream) if head[start:].lstrip()[:1] == b"[" else _lines(stream)
    empty = True
    for row in rows:
        empty = False
        yield row
    if empty:
        yield Unreadable(1, _("the file is empty"))


def spooled(lines: Iterable[Any], letters: Callable[[Any], int]) -> IO[bytes]:
    """All lines of a file, made ready for the database, as a file of chunks; the caller closes it.

    letters: of one line. For a thread, before the first statement: to read a long file takes longer than a transaction
    may wait for it.
    """
    spool = SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115  (the caller closes it)
    chunk, size = list[Any](), 0
    for line in lines:
        chunk.append(line)
        size += letters(line)
        if len(chunk) == CHUNK or size > CHUNK_LETTERS:
            pickle.dump(chunk, spool)
            chunk, size = [], 0
    if chunk:
        pickle.dump(chunk, spool)
    spool.seek(0)
    return spool


def next_chunk(spool: IO[bytes]) -> list[Any]:
    """The next chunk of what `spooled` wrote; empty at the end."""
    try:
        return pickle.load(spool)  # type: ignore[no-any-return]  # noqa: S301  (our own file, and it has no name)
    except EOFError:
        return []


def foreign_encoding(head: bytes) -> str | None:
    """The name of a UTF-16 or UTF-32 encoding, by its mark or by the NULs that ASCII leaves in it."""
    if head.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return "UTF-32"
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "UTF-16"
    first = head[:64]
    return "UTF-16" if len(first) >= 4 and first.count(0) >= len(first) // 3 else None


def _lines(stream: BinaryIO) -> Iterator[Row | Unreadable]:
    number = 0
    while line := stream.readline(LONGEST_LINE + 2):
        number += 1
        if len(line) > LONGEST_LINE and not line.endswith(b"\n"):
            _skip_line(stream)
            yield Unreadable(number, _("the line is longer than 4 MB"))
        elif line.strip():
            yield _one(number, line)


def _skip_line(stream: BinaryIO) -> None:
    while (rest := stream.readline(1 << 20)) and not rest.endswith(b"\n"):
        pass


def _one(number: int, line: bytes) -> Row | Unreadable:
    try:
        return Row(number, checked(parse(decoded(line.rstrip(b"\r\n")))))
    except ValueError as error:
        return Unreadable(number, str(error))


def _array(stream: BinaryIO) -> Iterator[Row | Unreadable]:
    """The entries of a JSON array, one at a time; after a fault in its grammar nothing more can be told apart."""
    raw = stream.read(LARGEST_ARRAY + 1)
    number = 1
    try:
        if len(raw) > LARGEST_ARRAY:
            raise ValueError(_("a JSON array may have 64 MB; write one object a line (JSONL) for more"))
        text = decoded(raw)
        at, first = _after_space(text, text.index("[") + 1), True
        while text[at : at + 1] != "]" or not first:
            value, at = _decode(text, at)
            yield _entry(number, value)
            at, first, number = _after_space(text, at), False, number + 1
            if text[at : at + 1] == "]":
                break
            if text[at : at + 1] != ",":
                raise ValueError(_("the array ends in the middle: is the file cut off?"))
            at = _after_space(text, at + 1)
        if _after_space(text, at + 1) < len(text):
            raise ValueError(_("there is more after the end of the array"))
    except ValueError as error:
        yield Unreadable(number, str(error))


def _entry(number: int, value: object) -> Row | Unreadable:
    try:
        return Row(number, checked(value))
    except ValueError as error:
        return Unreadable(number, str(error))


def _after_space(text: str, at: int) -> int:
    while at < len(text) and text[at] in SPACE:
        at += 1
    return at


def decoded(line: bytes) -> str:
    """:raises ValueError: not UTF-8, with the place of the first wrong byte."""
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        found = {"position": error.start + 1, "byte": f"{line[error.start]:02X}"}
        raise ValueError(_("byte {position} ({byte}) is not UTF-8; is the file Latin-1?").format(**found)) from None


def parse(text: str) -> object:
    """The one JSON value of a line.

    :raises ValueError: a sentence about what is wrong with it.
    """
    start = _after_space(text, 0)
    value, end = _decode(text, start)
    rest = _after_space(text, end)
    if rest == len(text):
        return value
    if text[rest] == ",":
        raise ValueError(_("there is a comma after the object (character {at})").format(at=rest + 1))
    raise ValueError(_("a second value begins at character {at}; write one object a line").format(at=rest + 1))


def _decode(text: str, at: int) -> tuple[Any, int]:
    try:
        return _decoder.raw_decode(text, at)
    except json.JSONDecodeError as error:
        if error.pos >= len(text.rstrip()) or "Unterminated" in error.msg:
            raise ValueError(_("it ends in the middle of an object: is the file cut off?")) from None
        raise ValueError(
            _("not JSON at character {at}: {what}").format(at=error.pos + 1, what=error.msg.lower())
        ) from None
    except RecursionError:
        raise ValueError(_("it is nested deeper than {deepest}").format(deepest=DEEPEST)) from None


def checked(value: object) -> dict[str, Any]:
    """`value` if it is an object whose texts can be stored.

    :raises ValueError: naming the field and the character.
    """
    if not isinstance(value, dict):
        raise ValueError(_("this is not an object in braces"))
    waiting: list[tuple[str, object, int]] = [("", value, 1)]
    while waiting:
        path, found, depth = waiting.pop()
        if isinstance(found, str):
            _must_be_storable(path, found)
        elif isinstance(found, dict | list):
            if depth > DEEPEST:
                raise ValueError(_("it is nested deeper than {deepest}").format(deepest=DEEPEST))
            waiting.extend(_inside(path, found, depth + 1))
    return value


def _inside(path: str, found: dict[str, Any] | list[Any], depth: int) -> Iterator[tuple[str, object, int]]:
    if isinstance(found, list):
        yield from ((f"{path}[{place}]", inner, depth) for place, inner in enumerate(found))
        return
    for name, inner in found.items():
        _must_be_storable(_("a key"), name)
        yield f"{path}.{name}" if path else name, inner, depth


def storable(said: str) -> str:
    """`said` as Postgres and UTF-8 can hold it: NUL and halves of surrogate pairs become �."""
    return UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", said)


def _must_be_storable(path: str, text: str) -> None:
    if bad := UNSTORABLE.search(text):
        found = {"path": path, "at": bad.start() + 1, "code": f"{ord(bad.group()):04X}"}
        raise ValueError(_("{path}: character {at} (U+{code}) cannot be stored").format(**found))


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _value in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(_("the key “{name}” stands twice").format(name=storable(twice)))
    return made


def _no_constant(name: str) -> object:
    raise ValueError(_("{name} is not a number in JSON").format(name=name))


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(_("the number {number} is too large").format(number=text[:40]))
    return number


def _bounded(text: str) -> int:
    if len(text) > 20 or not -(1 << 63) <= (number := int(text)) < 1 << 63:
        raise ValueError(_("the number {number} is too large").format(number=text[:40]))
    return number


_decoder = json.JSONDecoder(
    object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite, parse_int=_bounded
)
