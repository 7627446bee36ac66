"""The secret that opens the door: a file that only its owner can read."""

from __future__ import annotations

import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

TOKEN_FILE = "sampler.token"


class TokenRefused(Exception):
    """The token file is not safe to use. `sentence` names it and says what to do."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


def door_token(home: Path) -> str:
    """The token in `home`, made on the first call. Raises TokenRefused."""
    file = home / TOKEN_FILE
    if not file.exists():
        _make(file)
    status = file.stat()
    if stat.S_IMODE(status.st_mode) & 0o077:
        raise TokenRefused(f"{file} can be read by others; run chmod 600 on it, or delete it to get a new one.")
    token = file.read_text(encoding="ascii", errors="replace").strip()
    if len(token) < 16:
        raise TokenRefused(f"{file} holds no token of at least 16 characters; delete it to get a new one.")
    return token


def _make(file: Path) -> None:
    """Written whole before it has its name, so that two starting at once agree on one token."""
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as stream:
            stream.write(secrets.token_urlsafe(32) + "\n")
            stream.flush()
            os.fsync(descriptor)
        with suppress(FileExistsError):
            os.link(partial, file)
    finally:
        partial.unlink()
