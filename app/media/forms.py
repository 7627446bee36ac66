"""How a line names a medium: by the address it is fetched from, or by the hash of a file that was uploaded."""

import re
from typing import Any
from urllib.parse import urlsplit

from app.media.tables import MediumKind
from app.translation import _

LONGEST_ADDRESS = 2_000
LONGEST_DESCRIPTION = 2_000
KINDS = tuple(kind.value for kind in MediumKind)
FIELDS = {"type", "url", "sha256", "alt"}
SHA256 = re.compile(r"[0-9a-f]{64}")


def medium_part(part: dict[str, Any], field: str) -> dict[str, Any]:
    """{type: image | audio | video, url or sha256, alt}, checked. alt: the medium in words, for who cannot see or hear.

    `{type: image_url, image_url: {url}}`, as chats write it, is read as an image.

    :raises ValueError: a sentence that names the field.
    """
    if part.get("type") == "image_url" and isinstance(part.get("image_url"), dict):
        part = {"type": "image", "url": part["image_url"].get("url")}
    if set(part) - FIELDS or ("url" in part) == ("sha256" in part):
        raise ValueError(_("{field}: a medium has “type”, “alt” and either “url” or “sha256”").format(field=field))
    alt = part.get("alt", "")
    if not isinstance(alt, str) or len(alt) > LONGEST_DESCRIPTION:
        most = LONGEST_DESCRIPTION
        raise ValueError(
            _("{field}.alt: it must be a text of at most {most} characters").format(field=field, most=most)
        )
    told = {"alt": alt} if alt.strip() else {}
    if "sha256" in part:
        if not isinstance(part["sha256"], str) or not SHA256.fullmatch(part["sha256"].lower()):
            raise ValueError(_("{field}.sha256: this is not a SHA-256 in hexadecimal").format(field=field))
        return {"type": part["type"], "sha256": part["sha256"].lower(), **told}
    return {"type": part["type"], "url": _address(part["url"], field), **told}


def _address(value: object, field: str) -> str:
    if not isinstance(value, str) or len(value) > LONGEST_ADDRESS:
        raise ValueError(_("{field}.url: this is not an address").format(field=field))
    try:
        found = urlsplit(value)
        port_is_right = found.port is None or found.port > 0
    except ValueError:
        port_is_right = False
    if not port_is_right or found.scheme not in ("http", "https") or not found.hostname or found.username is not None:
        sentence = _("{field}.url: only http and https addresses without a password are fetched")
        raise ValueError(sentence.format(field=field))
    return value
