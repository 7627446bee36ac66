"""Sound files taken apart and put together again without what they say of their makers.

The frames themselves are copied, not decoded: a file may be whole by its structure and still hold noise.
"""

import struct
from collections.abc import Iterator

from app.translation import _
from workers.media.found import Found, Unfit

PLAYABLE = {1, 3, 6, 7, 0xFFFE}  # WAVE formats: PCM, float, A-law, µ-law, extensible
KEPT_OF_FLAC = {0, 3}  # STREAMINFO and SEEKTABLE
RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}
BITRATES = {  # of layer III in kbit/s, by whether it is MPEG 1
    True: (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    False: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
FEWEST_FRAMES = 3


def clean_wav(data: bytes) -> tuple[Found, bytes]:
    """Format and samples; chunks with names, notes, broadcast data and pictures go."""
    chunks = dict(_chunks(data))
    shape, samples = chunks.get(b"fmt ", b""), chunks.get(b"data", b"")
    if len(shape) < 16 or struct.unpack_from("<H", shape)[0] not in PLAYABLE or not samples:
        raise Unfit(_("this WAV file has no sound that browsers play"))
    kept = [(b"fmt ", shape), *([(b"fact", chunks[b"fact"])] if b"fact" in chunks else []), (b"data", samples)]
    body = b"".join(name + struct.pack("<I", len(part)) + part + b"\0" * (len(part) % 2) for name, part in kept)
    return Found("audio", "audio/wav"), b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WAVE" + body


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 12
    while at + 8 <= len(data):
        name, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        yield name, data[at + 8 : at + 8 + size]  # a stream that never learnt its length says more than there is
        at += 8 + size + size % 2


def clean_flac(data: bytes) -> tuple[Found, bytes]:
    """Stream information, seek points and frames; comments, pictures and application data go."""
    at, kept, last = 4, list[tuple[int, bytes]](), False
    while not last and at + 4 <= len(data):
        kind, size = data[at] & 0x7F, int.from_bytes(data[at + 1 : at + 4], "big")
        last = bool(data[at] & 0x80)
        if kind in KEPT_OF_FLAC:
            kept.append((kind, data[at + 4 : at + 4 + size]))
        at += 4 + size
    frames = data[at:]
    if not kept or kept[0][0] != 0 or len(kept[0][1]) != 34 or frames[:2] not in (b"\xff\xf8", b"\xff\xf9"):
        raise Unfit(_("this FLAC file is broken"))
    blocks = b"".join(
        bytes([kind | (0x80 if place == len(kept) - 1 else 0)]) + len(part).to_bytes(3, "big") + part
        for place, (kind, part) in enumerate(kept)
    )
    return Found("audio", "audio/flac"), b"fLaC" + blocks + frames


def clean_mp3(data: bytes) -> tuple[Found, bytes]:
    """The frames, one after the other; tags before, behind and between them go."""
    at, frames = _after_tags(data), list[bytes]()
    while at + 4 <= len(data):
        size = _frame_size(data, at)
        if size is None:
            found = data.find(b"\xff", at + 1, at + 65_536)  # a tag in between, or the end
            if found < 0:
                break
            at = found
            continue
        frames.append(data[at : at + size])
        at += size
    if len(frames) < FEWEST_FRAMES:
        raise Unfit(_("this MP3 file has no sound in it"))
    return Found("audio", "audio/mpeg"), b"".join(frames)


def _after_tags(data: bytes) -> int:
    at = 0
    while data[at : at + 3] == b"ID3" and at + 10 <= len(data):
        size = 0
        for byte in data[at + 6 : at + 10]:
            size = size << 7 | byte & 0x7F
        at += 10 + size + (10 if data[at + 5] & 0x10 else 0)
    return at


def _frame_size(data: bytes, at: int) -> int | None:
    """Bytes of the layer III frame that begins here and is followed by another, a tag or the end; None: no frame."""
    size = _size_by_header(data[at : at + 4])
    if size is None or at + size > len(data):
        return None
    rest = data[at + size : at + size + 4]
    follows = len(rest) < 4 or rest[:3] in (b"TAG", b"ID3", b"APE", b"LYR") or _size_by_header(rest) is not None
    return size if follows else None


def _size_by_header(header: bytes) -> int | None:
    word = int.from_bytes(header, "big")
    version, layer, bitrate, rate, padded = (
        word >> 19 & 3,
        word >> 17 & 3,
        word >> 12 & 15,
        word >> 10 & 3,
        word >> 9 & 1,
    )
    if len(header) < 4 or word >> 21 != 0x7FF or version == 1 or layer != 1 or bitrate in (0, 15) or rate == 3:
        return None
    is_first = version == 3
    return (144_000 if is_first else 72_000) * BITRATES[is_first][bitrate - 1] // RATES[version][rate] + padded
