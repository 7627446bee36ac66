"""MP4 and WebM: what a file says of its maker is blanked where it stands, so that everything else stays in its place.

Boxes with titles, places, devices and dates become empty space of the same length, and names of programs zeros. The
streams are not decoded: what an encoder wrote into the pictures themselves (SEI messages, marks in the sound) stays.
"""

from collections.abc import Iterator
from typing import NamedTuple

from app.translation import _
from workers.media.found import Found, Unfit

TOLD = {b"udta", b"meta", b"uuid", b"free", b"skip"}  # boxes that hold words about the film, or whatever is left over
HOLDERS = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"moof", b"traf"}
CODER = slice(42, 74)  # of a picture's sample entry, the program that coded it
DATED = {b"mvhd", b"tkhd", b"mdhd"}
DEEPEST = 6
VIDEO, AUDIO = 1, 2  # track types of WebM
CODECS = (b"V_VP8", b"V_VP9", b"V_AV1", b"A_OPUS", b"A_VORBIS")


class Box(NamedTuple):
    """A part of a file. start: of its header; inner: of its contents; end: behind it."""

    name: bytes
    start: int
    inner: int
    end: int


def clean_mp4(data: bytearray) -> Found:
    """Blank the words and dates of an MP4 in place, and tracks that are neither picture nor sound (GPS, subtitles).

    :raises Unfit: it is broken, or nothing in it can be shown.
    """
    tops = list(_boxes(data, 0, len(data)))
    films = [box for box in tops if box.name == b"moov"]
    if len(films) != 1 or not any(box.name in (b"mdat", b"moof") for box in tops):
        raise Unfit(_("this MP4 file is broken or cut off"))
    for box in tops:
        if box.name in TOLD:
            _empty(data, box)
        elif box.name == b"moof":
            _blank_told(data, box, 0)
    found = list(_tracks(data, films[0]))
    _blank_told(data, films[0], 0)
    kinds = {kind for kind, _width, _height in found}
    if not kinds:
        raise Unfit(_("this MP4 file has neither pictures nor sound"))
    if b"vide" not in kinds:
        return Found("audio", "audio/mp4")
    width, height = next((width, height) for kind, width, height in found if kind == b"vide")
    return Found("video", "video/mp4", width, height)


def _boxes(data: bytearray, at: int, end: int) -> Iterator[Box]:
    while at + 8 <= end:
        size, name, inner = int.from_bytes(data[at : at + 4], "big"), bytes(data[at + 4 : at + 8]), at + 8
        if size == 1:
            size, inner = int.from_bytes(data[at + 8 : at + 16], "big"), at + 16
        elif size == 0:
            size = end - at
        if size < inner - at or at + size > end:
            raise Unfit(_("this MP4 file is broken or cut off"))
        yield Box(name, at, inner, at + size)
        at += size


def _tracks(data: bytearray, film: Box) -> Iterator[tuple[bytes, int, int]]:
    """Type, width and height of each track that is kept; others are emptied."""
    for track in [box for box in _boxes(data, film.inner, film.end) if box.name == b"trak"]:
        inner = {box.name: box for box in _boxes(data, track.inner, track.end)}
        media = inner.get(b"mdia")
        below = {box.name: box for box in _boxes(data, media.inner, media.end)} if media else {}
        handler = below.get(b"hdlr")
        kind = bytes(data[handler.inner + 8 : handler.inner + 12]) if handler else b""
        if kind not in (b"vide", b"soun"):
            _empty(data, track)
            continue
        head = inner.get(b"tkhd")
        sizes = data[head.end - 8 : head.end] if head else bytes(8)  # 16.16 fixed point
        yield kind, int.from_bytes(sizes[:2], "big"), int.from_bytes(sizes[4:6], "big")


def _blank_told(data: bytearray, box: Box, depth: int, is_picture: bool = False) -> None:
    """is_picture: it is a part of a track of pictures."""
    boxes = list(_boxes(data, box.inner, box.end)) if depth < DEEPEST else []
    is_picture |= any(one.name == b"hdlr" and data[one.inner + 8 : one.inner + 12] == b"vide" for one in boxes)
    for inner in boxes:
        if inner.name in TOLD:
            _empty(data, inner)
        elif inner.name in DATED:
            length = 16 if data[inner.inner] == 1 else 8  # when it was made and changed
            data[inner.inner + 4 : inner.inner + 4 + length] = bytes(length)
        elif inner.name == b"hdlr":
            _zero(data, inner.inner + 24, inner.end)  # the handler's name
        elif inner.name == b"stsd":
            for entry in list(_boxes(data, inner.inner + 8, inner.end)) if is_picture else ():
                _zero(data, entry.inner + CODER.start, min(entry.inner + CODER.stop, entry.end))
        elif inner.name in HOLDERS:
            _blank_told(data, inner, depth + 1, is_picture)


def _zero(data: bytearray, begin: int, end: int) -> None:
    data[begin:end] = bytes(max(0, end - begin))


def _empty(data: bytearray, box: Box) -> None:
    data[box.start + 4 : box.start + 8] = b"free"
    data[box.inner : box.end] = bytes(box.end - box.inner)


# ---- WebM: elements with an id and a length, both of as many bytes as their first bits say ---------------------------

HEADER, DOCTYPE, SEGMENT, INFO, TRACKS = (
    b"\x1a\x45\xdf\xa3",
    b"\x42\x82",
    b"\x18\x53\x80\x67",
    b"\x15\x49\xa9\x66",
    b"\x16\x54\xae\x6b",
)
CLUSTER = b"\x1f\x43\xb6\x75"
IN_CLUSTER = {b"\xe7", b"\xa3", b"\xa0", b"\xa7", b"\xab", b"\xec", b"\xbf", b"\x58\x54"}
CUES, SEEK = b"\x1c\x53\xbb\x6b", b"\x11\x4d\x9b\x74"
SHOWS = {INFO, TRACKS, CLUSTER, CUES, SEEK}  # the rest of a film speaks of it: tags, attachments, chapters, left-overs
SAID_IN_INFO = {b"\x7b\xa9", b"\x44\x61", b"\x73\x84", b"\x73\xa4", b"\x3c\xb9\x23", b"\x3e\xb9\x23", b"\xbf"}
PROGRAMS = {b"\x4d\x80", b"\x57\x41"}  # which programs wrote it: must be there, may say nothing
ENTRY, KIND, CODEC, PICTURE, WIDTH, HEIGHT = b"\xae", b"\x83", b"\x86", b"\xe0", b"\xb0", b"\xba"
SAID_OF_TRACK = {b"\x53\x6e"}


def clean_webm(data: bytearray) -> Found:
    """Blank titles, dates, tags and attachments of a WebM in place.

    :raises Unfit: it is broken, another kind of Matroska, or coded as browsers do not play.
    """
    tops = list(_elements(data, 0, len(data)))
    head = next((bytes(data[one.inner : one.end]) for top in tops if top.name == HEADER
                 for one in _elements(data, top.inner, top.end) if one.name == DOCTYPE), b"")  # fmt: skip
    segment = next((top for top in tops if top.name == SEGMENT), None)
    if head.rstrip(b"\0") != b"webm" or segment is None:
        raise Unfit(_("this is a Matroska file, but no WebM"))
    for top in tops:
        if top.name != HEADER and top.start != segment.start:
            _void(data, top)
    kinds, sizes = set[int](), (0, 0)
    for part in _elements(data, segment.inner, segment.end):
        if part.name not in SHOWS:
            _void(data, part)
        elif part.name == INFO:
            _clean_info(data, part)
        elif part.name == TRACKS:
            for entry in [one for one in _elements(data, part.inner, part.end) if one.name == ENTRY]:
                kind, size = _clean_track(data, entry)
                kinds.add(kind)
                sizes = size if kind == VIDEO else sizes
    if VIDEO in kinds:
        return Found("video", "video/webm", *sizes)
    if AUDIO in kinds:
        return Found("audio", "audio/webm")
    raise Unfit(_("this WebM file has neither pictures nor sound"))


def _clean_info(data: bytearray, info: Box) -> None:
    for one in list(_elements(data, info.inner, info.end)):
        if one.name in SAID_IN_INFO:
            _void(data, one)
        elif one.name in PROGRAMS:
            data[one.inner : one.end] = b" " * (one.end - one.inner)


def _clean_track(data: bytearray, entry: Box) -> tuple[int, tuple[int, int]]:
    parts = {one.name: one for one in _elements(data, entry.inner, entry.end)}
    for name in SAID_OF_TRACK & parts.keys():
        _void(data, parts[name])
    kind = _number(data, parts.get(KIND))
    codec = bytes(data[parts[CODEC].inner : parts[CODEC].end]) if CODEC in parts else b""
    if kind in (VIDEO, AUDIO) and codec.rstrip(b"\0") not in CODECS:
        raise Unfit(_("this WebM file is coded as browsers do not play it"))
    picture = parts.get(PICTURE)
    inner = {one.name: one for one in _elements(data, picture.inner, picture.end)} if picture else {}
    return kind, (_number(data, inner.get(WIDTH)), _number(data, inner.get(HEIGHT)))


def _number(data: bytearray, element: Box | None) -> int:
    return int.from_bytes(data[element.inner : element.end], "big") if element else 0


def _elements(data: bytearray, at: int, end: int) -> Iterator[Box]:
    while at < end:
        name, inner = _id_at(data, at)
        size, inner, is_open = _size_at(data, inner)
        stop = _end_of_open(data, name, inner, end) if is_open else inner + size
        if stop > end:
            if name != CLUSTER:
                raise Unfit(_("this WebM file is broken or cut off"))
            stop = end  # a recording that was cut off plays up to there
        yield Box(name, at, inner, stop)
        at = stop


def _end_of_open(data: bytearray, name: bytes, inner: int, end: int) -> int:
    """Live recordings do not know their lengths: a cluster lasts as long as there are parts of clusters."""
    at = inner
    while name == CLUSTER and at < end:
        child, after = _id_at(data, at)
        if child not in IN_CLUSTER:
            return at
        size, after, _is_open = _size_at(data, after)
        at = after + size
    return end


def _id_at(data: bytearray, at: int) -> tuple[bytes, int]:
    length = _length_of(data, at, 4)
    return bytes(data[at : at + length]), at + length


def _size_at(data: bytearray, at: int) -> tuple[int, int, bool]:
    length = _length_of(data, at, 8)
    value = int.from_bytes(data[at : at + length], "big") & ((1 << 7 * length) - 1)
    return value, at + length, value == (1 << 7 * length) - 1


def _length_of(data: bytearray, at: int, most: int) -> int:
    length = 9 - data[at].bit_length() if at < len(data) else 9
    if length > most or at + length > len(data):
        raise Unfit(_("this WebM file is broken or cut off"))
    return length


def _void(data: bytearray, element: Box) -> None:
    """An empty element of the same length."""
    length = element.end - element.start
    wide = 1 if length <= 128 else 8
    left = length - 1 - wide
    size = (0x80 | left).to_bytes(1, "big") if wide == 1 else (1 << 56 | left).to_bytes(8, "big")
    data[element.start : element.end] = b"\xec" + size + bytes(left)
