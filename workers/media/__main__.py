"""`python -m workers.media CAME MADE`: looks at one file and writes a clean copy, in a process that may die of it.

Decoders meet what strangers made. This one has a second of its own: bounded memory and time, and nothing to lose.
Prints one line of JSON: {"kind", "media_type", "width", "height"}, or {"refused": a sentence}.
"""

import json
import resource
import sys
from dataclasses import asdict
from pathlib import Path

from app.translation import _
from workers.media import films, images, sound
from workers.media.found import Found, Unfit

MEMORY = 3 << 30  # bytes of address space
SECONDS = 60
LARGEST = 512 << 20  # bytes that may be written
ACCEPTED = "PNG, JPEG, WebP, GIF; MP3, WAV, FLAC, M4A; MP4, WebM"


def clean(source: Path, target: Path) -> Found:
    """Write the clean copy of a file.

    :raises Unfit: none of ours, or broken.
    """
    try:
        return _clean(source, target)
    except (Unfit, MemoryError, FileNotFoundError):
        raise
    except Exception as error:  # decoders of broken files raise whatever they stumble over
        told = str(error).replace(str(source), "").strip() or type(error).__name__
        raise Unfit(_("this file is broken: {reason}").format(reason=told[:200])) from None


def _clean(source: Path, target: Path) -> Found:
    """By what its first bytes tell."""
    with source.open("rb") as file:
        head = file.read(16)
    if head.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a")) or _is(head, b"WEBP"):
        return images.rewrite(source, target)
    if head[4:8] == b"ftyp" and head[8:12] not in (b"avif", b"heic", b"mif1", b"qt  "):
        return _in_place(source, target, films.clean_mp4)
    if head.startswith(films.HEADER):
        return _in_place(source, target, films.clean_webm)
    found, made = _sound(source, head)
    target.write_bytes(made)
    return found


def _is(head: bytes, form: bytes) -> bool:
    return head.startswith(b"RIFF") and head[8:12] == form


def _sound(source: Path, head: bytes) -> tuple[Found, bytes]:
    if _is(head, b"WAVE"):
        return sound.clean_wav(source.read_bytes())
    if head.startswith(b"fLaC"):
        return sound.clean_flac(source.read_bytes())
    if head.startswith(b"ID3") or (head[:1] == b"\xff" and len(head) > 1 and head[1] & 0xE6 == 0xE2):
        return sound.clean_mp3(source.read_bytes())
    raise Unfit(_("its content is none of these: {accepted}").format(accepted=ACCEPTED))


def _in_place(source: Path, target: Path, blank: object) -> Found:
    data = bytearray(source.read_bytes())
    assert callable(blank)
    found = blank(data)
    assert isinstance(found, Found)
    target.write_bytes(data)
    return found


def main() -> None:
    for limit, most in ((resource.RLIMIT_AS, MEMORY), (resource.RLIMIT_CPU, SECONDS), (resource.RLIMIT_FSIZE, LARGEST)):
        resource.setrlimit(limit, (most, most))
    source, target = map(Path, sys.argv[1:3])
    try:
        told: dict[str, object] = asdict(clean(source, target))
    except Unfit as error:
        told = {"refused": str(error)}
    except MemoryError:
        told = {"refused": _("it takes more memory to look at than there is for it")}
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main()
