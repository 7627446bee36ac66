"""The installation's own secret: the setting, else 32 random bytes made once below home and readable to its owner."""

import os
import secrets
from functools import cache
from pathlib import Path

from app.settings import get_settings


@cache
def installation_secret() -> bytes:
    """Signs the handles of completions; an answer on somebody's screen is understood only under the same secret."""
    given = get_settings().secret_key
    return given.get_secret_value().encode() if given else _kept(get_settings().home / "secret_key")


def _kept(path: Path) -> bytes:
    """The file's bytes; written whole or not at all, and of two who write at once the first one stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    if not path.exists():
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(32))
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(fresh, path)
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
    return path.read_bytes()
