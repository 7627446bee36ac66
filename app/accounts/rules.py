"""Arithmetic of accounts: pseudonyms, and API tokens that prove themselves to be ours."""

import hashlib
import hmac
import secrets
from base64 import b32encode
from uuid import UUID
from zlib import crc32

PREFIX = "hone_"
DIGITS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def pseudonym(project_secret: bytes, person: UUID) -> str:
    """A person's name in a project: `r-` and 10 letters (50 bits). Without both secrets two projects do not join."""
    digest = hmac.digest(project_secret, b"pseudonym" + person.bytes, hashlib.sha256)
    return "r-" + b32encode(digest[:7]).decode()[:10].lower()


def checksum(text: str) -> str:
    """CRC-32 in six base-62 digits: lets scanners of leaked secrets tell ours from look-alikes without asking us."""
    number, digits = crc32(text.encode()), ""
    for _place in range(6):
        number, digit = divmod(number, len(DIGITS))
        digits = DIGITS[digit] + digits
    return digits


def make_token() -> str:
    """`hone_`, 40 random characters (238 bits) and a checksum."""
    body = "".join(secrets.choice(DIGITS) for _place in range(40))
    return PREFIX + body + checksum(body)


# In this order: Edge and Opera call themselves Chrome too, and everybody calls themselves Mozilla.
BROWSERS = (("Edg", "Edge"), ("OPR/", "Opera"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome"), ("Safari/", "Safari"))
SYSTEMS = (
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("Mac OS", "macOS"),
    ("Linux", "Linux"),
)


def program_of(agent: str) -> str:
    """What people call the program behind a User-Agent header: `Firefox, Linux`; the first word of a stranger's."""
    browser = next((name for mark, name in BROWSERS if mark in agent), agent.partition(" ")[0][:40])
    system = next((name for mark, name in SYSTEMS if mark in agent), "")
    return ", ".join(part for part in (browser, system) if part)
