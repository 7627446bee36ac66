"""The installation's secret and the keys derived from it, one for each use, so that none can stand in for another."""

import hashlib
import hmac
import os
import secrets
from functools import cache
from pathlib import Path

from pydantic import SecretStr

from app.settings import get_settings

FILE = "secret"


def make_secret(path: Path) -> None:
    """Write a new secret for this user's eyes only; when several programs start at once, one of them wins."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{FILE}.{secrets.token_hex(8)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(secrets.token_hex(32))
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()


@cache
def read_secret(path: Path) -> bytes:
    """The secret below the home folder, made when it is not there yet."""
    if not path.exists():
        make_secret(path)
    return path.read_text().strip().encode()


def key_for(use: str) -> bytes:
    """32 bytes for one use (`cursors`, `handles`, …), the same in every process of the installation."""
    settings = get_settings()
    return _derived(settings.home, settings.secret_key, use)


@cache
def _derived(home: Path, given: SecretStr | None, use: str) -> bytes:
    secret = given.get_secret_value().encode() if given else read_secret(home / FILE)
    return hmac.digest(secret, use.encode(), hashlib.sha256)
