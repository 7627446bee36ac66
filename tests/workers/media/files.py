"""Small files of every kind, made here: pictures by Pillow, sound and films byte by byte."""

import io
import struct

from PIL import Image, PngImagePlugin
from PIL.TiffImagePlugin import IFDRational

SECRET = b"52.5200 north, camera 4711"


def picture(form: str = "PNG", size: tuple[int, int] = (40, 30), colour: str = "teal", **options: object) -> bytes:
    """With whatever metadata the format holds."""
    image = Image.new("RGB", size, colour)
    if form == "PNG":
        told = PngImagePlugin.PngInfo()
        told.add_text("Author", SECRET.decode())
        options |= {"pnginfo": told}
    if form in ("JPEG", "WEBP"):
        exif = Image.Exif()
        exif[0x010E] = SECRET.decode()
        exif[0x0112] = 6  # turned by a quarter
        exif.get_ifd(0x8825)[2] = tuple(IFDRational(value) for value in (52, 31, 12))
        options |= {"exif": exif.tobytes(), **({"comment": SECRET} if form == "JPEG" else {})}
    written = io.BytesIO()
    image.save(written, form, **options)  # type: ignore[arg-type]
    return written.getvalue() + (SECRET if form in ("PNG", "JPEG") else b"")


def moving(form: str = "GIF", frames: int = 3) -> bytes:
    first, *rest = [Image.new("RGB", (20, 20), (40 * n % 255, 90, 20)) for n in range(frames)]
    written = io.BytesIO()
    first.save(written, form, save_all=True, append_images=rest, duration=120, loop=0)
    return written.getvalue()


def wav(seconds: float = 0.2) -> bytes:
    samples = struct.pack("<h", 900) * int(8000 * seconds)
    shape = struct.pack("<HHIIHH", 1, 1, 8000, 16000, 2, 16)
    parts = [
        (b"LIST", b"INFOIART" + SECRET),
        (b"fmt ", shape),
        (b"bext", SECRET * 3),
        (b"data", samples),
        (b"id3 ", SECRET),
    ]
    body = b"".join(name + struct.pack("<I", len(part)) + part + b"\0" * (len(part) % 2) for name, part in parts)
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WAVE" + body


def mp3(frames: int = 8) -> bytes:
    """Silent frames of MPEG 1 layer III, 128 kbit/s at 44.1 kHz, between tags."""
    frame = b"\xff\xfb\x90\x00" + bytes(413)
    size = len(SECRET)
    tag = b"ID3\x04\0\0" + bytes([0, 0, size >> 7 & 0x7F, size & 0x7F]) + SECRET
    return tag + frame * frames + b"APETAGEX" + SECRET + b"TAG" + SECRET.ljust(125, b"\0")


def flac() -> bytes:
    def block(kind: int, content: bytes, last: bool = False) -> bytes:
        return bytes([kind | (0x80 if last else 0)]) + len(content).to_bytes(3, "big") + content

    return b"fLaC" + block(0, bytes(34)) + block(4, SECRET) + block(6, SECRET, last=True) + b"\xff\xf8" + bytes(60)


def box(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", 8 + len(content)) + name + content


def mp4(*kinds: bytes, width: int = 64, height: int = 48) -> bytes:
    """A film with a track of each kind, titles, a place, dates; the tracks hold nothing."""
    dated = bytes(4) + b"\xda\xbb\xad\x00" * 2
    tracks = b""
    for kind in kinds or (b"vide", b"soun"):
        head = dated + bytes(64) + struct.pack(">II", width << 16, height << 16)
        handler = box(b"hdlr", bytes(8) + kind + bytes(12) + SECRET + b"\0")
        coder = bytes(42) + bytes([len(SECRET)]) + SECRET.ljust(31, b"\0") + bytes(4)
        coded = box(b"stsd", bytes(4) + struct.pack(">I", 1) + box(b"avc1" if kind == b"vide" else b"mp4a", coder))
        handler += box(b"minf", box(b"stbl", coded)) if kind == b"vide" else b""
        tracks += box(
            b"trak", box(b"tkhd", head) + box(b"mdia", box(b"mdhd", dated + bytes(12)) + handler) + box(b"udta", SECRET)
        )
    film = box(
        b"moov", box(b"mvhd", dated + bytes(88)) + tracks + box(b"udta", box(b"\xa9xyz", SECRET)) + box(b"meta", SECRET)
    )
    told = box(b"uuid", bytes(16) + SECRET) + box(b"skip", SECRET)
    piece = box(b"moof", box(b"meta", SECRET) + box(b"traf", box(b"udta", SECRET)))
    return box(b"ftyp", b"isom\0\0\2\0isommp41") + told + film + piece + box(b"mdat", b"pictures")


def element(name: bytes, content: bytes) -> bytes:
    return name + (1 << 56 | len(content)).to_bytes(8, "big") + content


def webm(open_ended: bool = True) -> bytes:
    """A film of one empty cluster; open_ended: as a live recording, whose segment and cluster know no length."""
    head = element(b"\x1a\x45\xdf\xa3", element(b"\x42\x82", b"webm"))
    info = element(
        b"\x15\x49\xa9\x66", element(b"\x7b\xa9", SECRET) + element(b"\x4d\x80", SECRET) + element(b"\x44\x61", SECRET)
    )
    size = element(b"\xe0", element(b"\xb0", b"\x40") + element(b"\xba", b"\x30"))
    track = element(
        b"\xae", element(b"\x83", b"\x01") + element(b"\x86", b"V_VP8") + element(b"\x53\x6e", SECRET) + size
    )
    cluster = element(b"\xe7", b"\0") + element(b"\xa3", b"\x81\0\0\x80frame")
    tags = element(b"\x12\x54\xc3\x67", SECRET) + element(b"\xec", SECRET)
    parts = info + element(b"\x16\x54\xae\x6b", track)
    if open_ended:
        unknown = b"\x01" + b"\xff" * 7
        return head + b"\x18\x53\x80\x67" + unknown + parts + b"\x1f\x43\xb6\x75" + unknown + cluster + tags
    return (
        head
        + element(b"\x18\x53\x80\x67", parts + element(b"\x1f\x43\xb6\x75", cluster) + tags)
        + element(b"\x18\x53\x80\x67", info)
    )
