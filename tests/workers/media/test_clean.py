"""A file is what its content says; what is kept shows the same and tells nothing of who made it."""

import asyncio
import io
import json
import struct
import subprocess
import sys
import zlib
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.workers.media import files
from tests.workers.media.files import SECRET
from workers.handlers.media import Refused
from workers.handlers.media import clean as clean_apart
from workers.media.__main__ import clean
from workers.media.found import Unfit

SOUND = {"wav": (files.wav(), "audio/wav"), "mp3": (files.mp3(), "audio/mpeg"), "flac": (files.flac(), "audio/flac")}
FILMS = {
    "mp4": (files.mp4(), "video/mp4"),
    "m4a": (files.mp4(b"soun"), "audio/mp4"),
    "live webm": (files.webm(), "video/webm"),
    "webm": (files.webm(open_ended=False), "video/webm"),
}


def cleaned(folder: Path, content: bytes) -> tuple[object, bytes]:
    (folder / "came").write_bytes(content)
    found = clean(folder / "came", folder / "made")
    return found, (folder / "made").read_bytes()


@pytest.mark.parametrize(("form", "kept"), [("PNG", "PNG"), ("JPEG", "JPEG"), ("WEBP", "PNG"), ("GIF", "PNG")])
def test_a_picture_keeps_its_pixels_and_nothing_else(tmp_path: Path, form: str, kept: str) -> None:
    found, made = cleaned(tmp_path, files.picture(form))
    turned = form in ("JPEG", "WEBP")
    assert (found.width, found.height) == ((30, 40) if turned else (40, 30))
    assert found.media_type == f"image/{kept.lower()}"
    image = Image.open(io.BytesIO(made))
    assert image.format == kept
    assert all(abs(a - b) < 6 for a, b in zip(image.convert("RGB").getpixel((3, 3)), (0, 128, 128), strict=True))
    assert SECRET not in made
    assert not image.getexif()
    assert set(image.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density", "progressive", "progression"}


def test_greys_of_16_bits_keep_their_shades(tmp_path: Path) -> None:
    grey, written = Image.new("I;16", (256, 1)), io.BytesIO()
    for shade in range(256):
        grey.putpixel((shade, 0), shade * 257)
    grey.save(written, "PNG")
    _found, made = cleaned(tmp_path, written.getvalue())
    assert list(Image.open(io.BytesIO(made)).convert("L").tobytes()) == list(range(256))


def test_transparency_stays(tmp_path: Path) -> None:
    written = io.BytesIO()
    Image.new("RGBA", (4, 4), (255, 0, 0, 0)).save(written, "PNG")
    _found, made = cleaned(tmp_path, written.getvalue())
    assert Image.open(io.BytesIO(made)).convert("RGBA").getpixel((0, 0))[3] == 0


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG"])
def test_what_moves_goes_on_moving(tmp_path: Path, form: str) -> None:
    found, made = cleaned(tmp_path, files.moving(form))
    image = Image.open(io.BytesIO(made))
    image.load()
    assert (found.media_type, image.n_frames, image.info["duration"]) == ("image/webp", 3, 120)


@pytest.mark.parametrize("name", [*SOUND, *FILMS])
def test_sound_and_films_lose_what_they_say_of_their_makers(tmp_path: Path, name: str) -> None:
    content, media_type = (SOUND | FILMS)[name]
    assert SECRET in content
    found, made = cleaned(tmp_path, content)
    assert found.media_type == media_type
    assert SECRET not in made
    assert SECRET[:8] not in made
    again, twice = cleaned(tmp_path, made)
    assert (again, twice) == (found, made)  # what is clean stays as it is


@pytest.mark.parametrize("name", FILMS)
def test_films_keep_every_byte_in_its_place(tmp_path: Path, name: str) -> None:
    content, _media_type = FILMS[name]
    found, made = cleaned(tmp_path, content)
    assert len(made) == len(content)
    mark = b"pictures" if name in ("mp4", "m4a") else b"frame"
    assert made.index(mark) == content.index(mark)
    if found.kind == "video":
        assert (found.width, found.height) == (64, 48)


def test_samples_and_frames_are_kept(tmp_path: Path) -> None:
    _found, made = cleaned(tmp_path, files.wav())
    assert made[-3200:] == files.wav()[-3200 - 8 - len(SECRET) : -8 - len(SECRET)]
    assert struct.unpack("<I", made[4:8])[0] == len(made) - 8
    _found, made = cleaned(tmp_path, files.mp3(8))
    assert made == (b"\xff\xfb\x90\x00" + bytes(413)) * 8


def test_a_track_of_places_goes_and_one_of_sound_stays(tmp_path: Path) -> None:
    found, made = cleaned(tmp_path, files.mp4(b"meta", b"soun"))
    assert found.media_type == "audio/mp4"
    assert made.count(b"trak") == 1
    with pytest.raises(Unfit, match="neither pictures nor sound"):
        cleaned(tmp_path, files.mp4(b"meta"))


def test_dates_go(tmp_path: Path) -> None:
    _found, made = cleaned(tmp_path, files.mp4())
    assert b"\xda\xbb\xad" not in made


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes that says it is huge."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


WRONG = {
    "svg": (b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>', "none of these"),
    "html": (b"<!doctype html><script>alert(1)</script>", "none of these"),
    "empty": (b"", "none of these"),
    "ogg": (b"OggS" + bytes(40), "none of these"),
    "a picture's beginning": (files.picture()[:60], "broken"),
    "a script called gif": (b"GIF89a/*" + bytes(20) + b"*/=alert(1)", "broken"),
    "too many pixels": (bomb(60_000, 60_000), "60000 × 60000 pixels"),
    "a bomb within Pillow's own bounds": (bomb(8_000, 8_000), "8000 × 8000 pixels"),
    "half a film": (files.mp4()[:-30], "broken or cut off"),
    "half a webm": (files.webm()[:70], "broken or cut off"),
    "matroska": (files.webm().replace(b"webm", b"mkvv", 1), "no WebM"),
    "another codec": (files.webm().replace(b"V_VP8", b"V_XXX", 1), "do not play"),
    "no samples": (files.wav(0), "no sound"),
    "two frames": (files.mp3(2), "no sound"),
    "a flac that is none": (b"fLaC" + bytes(80), "broken"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_none_of_ours_is_refused_with_a_reason(tmp_path: Path, name: str) -> None:
    content, reason = WRONG[name]
    with pytest.raises(Unfit, match=reason):
        cleaned(tmp_path, content)


WHOLE = [files.picture(), files.moving(), *(content for content, _type in (SOUND | FILMS).values())]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(content=st.sampled_from(WHOLE), cut=st.integers(0, 600), at=st.integers(0, 600), put=st.binary(max_size=8))
def test_damaged_files_are_refused_or_cleaned_and_nothing_else(
    tmp_path: Path, content: bytes, cut: int, at: int, put: bytes
) -> None:
    damaged = content[:at] + put + content[at + len(put) :][: max(0, len(content) - cut)]
    with suppress(Unfit):
        cleaned(tmp_path, damaged)


async def test_it_is_done_in_a_process_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "came").write_bytes(files.picture())
    told = await clean_apart(tmp_path / "came", tmp_path / "made")
    assert told == {"kind": "image", "media_type": "image/png", "width": 40, "height": 30}
    (tmp_path / "came").write_bytes(b"nothing")
    with pytest.raises(Refused, match="none of these"):
        await clean_apart(tmp_path / "came", tmp_path / "made")
    with pytest.raises(Refused, match="breaks the program"):
        await clean_apart(tmp_path / "gone", tmp_path / "made")


async def test_the_process_is_bounded(tmp_path: Path) -> None:
    code = (
        "import resource, runpy, sys, atexit\n"
        "bound = lambda name: resource.getrlimit(name)[0]\n"
        "atexit.register(lambda: print(bound(resource.RLIMIT_AS), bound(resource.RLIMIT_CPU)))\n"
        "sys.argv = ['x', sys.argv[1], sys.argv[2]]\n"
        "runpy.run_module('workers.media', run_name='__main__')\n"
    )
    (tmp_path / "came").write_bytes(files.picture())
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", code, str(tmp_path / "came"), str(tmp_path / "made")],
        capture_output=True,
        text=True,
        check=True,
    )
    said, bounds = done.stdout.splitlines()
    assert json.loads(said)["kind"] == "image"
    assert bounds == f"{3 << 30} 60"
