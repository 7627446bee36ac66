"""Passwords: argon2id in two threads, and what counts as too easy.

Cost: t=2, 19 MiB, p=1 (OWASP's second choice; ASVS 5.0 appendix C). About 20 ms a try; the two threads bound
what a flood of tries may take from everybody else.
"""

import asyncio
import re
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from unicodedata import normalize

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError

from app.errors import DomainError
from app.translation import _

SHORTEST, LONGEST = 10, 256
hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
threads = ThreadPoolExecutor(2, thread_name_prefix="argon2")

# What people put first when ten characters are asked for; digits and signs around them make no difference.
TOO_COMMON = frozenset(
    """
    password passwort motdepasse contrasena hone honehone qwerty qwertyuiop qwertzuiop azertyuiop asdfghjkl letmein
    iloveyou welcome willkommen changeme default secret admin administrator login sunshine princess football
    baseball superman batman trustno monkey dragon master shadow michael jennifer jordan starwars whatever computer
    internet samsung liverpool chelsea charlie hunter freedom hello hallo abcdefghij abcdefghijk abcdefghijkl
    """.split()  # noqa: SIM905
)


class TooEasy(DomainError):
    status = 422
    code = "password-too-easy"
    sentence = _("password: {reason}")


def refuse_easy(password: str, *own: str) -> None:
    """Length first; then well-known words, few different characters and one's own name or address.

    :raises TooEasy: with what to do about it.
    """
    if not SHORTEST <= len(password) <= LONGEST:
        raise TooEasy(reason=_("use between 10 and 256 characters; a sentence of 15 or more is best."))
    plain = password.casefold()
    letters = re.sub(r"[^a-z]", "", plain.translate(str.maketrans("013457@$", "oieastas")))
    if letters in TOO_COMMON or re.sub(r"[\W\d_]", "", plain) in TOO_COMMON:
        raise TooEasy(reason=_("this is one of the first that anybody would try."))
    if len(set(plain)) < 5 or plain in "01234567890123456789" or plain in "98765432109876543210":
        raise TooEasy(reason=_("it repeats itself too much."))
    for word in own:
        if len(word) > 3 and plain.replace(word.casefold(), "") != plain and len(plain) - len(word) < 6:
            raise TooEasy(reason=_("it is little more than your own name or address."))


def as_bytes(password: str) -> bytes:
    """One form for one text: keyboards differ in how they write é."""
    return normalize("NFC", password).encode()


def compare(password: str, stored: str) -> bool:
    try:
        return hasher.verify(stored, as_bytes(password))
    except (VerifyMismatchError, InvalidHashError):
        return False


@cache
def nobodys_hash() -> str:
    """What tries for unknown people are compared with, so that they take as long."""
    return hasher.hash("of nobody")


async def hash_password(password: str) -> str:
    """The text to store."""
    return await asyncio.get_running_loop().run_in_executor(threads, hasher.hash, as_bytes(password))


async def matches(password: str, stored: str | None) -> bool:
    """Whether it is the one; without a stored one the same work is done and the answer is no."""
    if len(password) > LONGEST:
        password = ""
    fits = await asyncio.get_running_loop().run_in_executor(threads, compare, password, stored or nobodys_hash())
    return fits and stored is not None


def is_outdated(stored: str) -> bool:
    """Whether the cost has changed since this was stored."""
    return hasher.check_needs_rehash(stored)
