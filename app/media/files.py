"""Where media lie: what came waits under the id of its row, what is kept has the name of its content."""

import hashlib
import os
from pathlib import Path
from typing import BinaryIO
from uuid import UUID, uuid4

from app.settings import get_settings

PIECE = 1 << 20  # bytes


def folder() -> Path:
    return get_settings().home / "media"


def kept_at(sha256: str) -> Path:
    return folder() / sha256


def came_at(public_id: UUID) -> Path:
    return folder() / "incoming" / str(public_id)


def put_down(stream: BinaryIO) -> tuple[Path, str, int]:
    """Write a stream under a temporary name, and close it.

    The path, the SHA-256 in hexadecimal, and the number of bytes.
    """
    place = folder() / "incoming"
    place.mkdir(parents=True, exist_ok=True)
    path, digest, size = place / f".{uuid4()}", hashlib.sha256(), 0
    with stream, path.open("xb") as file:
        while piece := stream.read(PIECE):
            digest.update(piece)
            size += len(piece)
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())
    return path, digest.hexdigest(), size


def keep(made: Path) -> tuple[str, int]:
    """Give a finished file its lasting name; returns its SHA-256 and size. The same content is kept once."""
    with made.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        os.fsync(file.fileno())
    size = made.stat().st_size
    made.chmod(0o640)
    made.rename(kept_at(sha256))
    return sha256, size
