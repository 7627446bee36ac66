"""Sampling, seeds, and what makes an answer unfit to be judged. Pure arithmetic."""

import re
import zlib
from collections.abc import Sequence
from hashlib import sha256
from typing import Literal

from app.projects.rules import Sampling as Sampling  # a recipe pairs by it, so it is defined there
from app.prompts.rules import words_of

FLAWS = Literal["empty", "degenerate"]
LONG_ENOUGH = 200  # characters; shorter answers repeat themselves without being broken
MOST_SQUEEZED = 8.0  # good prose shrinks to about half, the same words for ever to a twentieth
SPECIAL = re.compile(r"<\|[^|<>\n]{1,40}\|>|</?s>|\[/?INST\]|<(?:pad|unk|eos|bos)>", re.IGNORECASE)
UNSEEN = re.compile("[\\s\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufe00-\ufe0f\ufeff]")


def flaw_of(text: str, prompt: str = "") -> FLAWS | None:
    """Why nobody should be asked to judge this answer; None when it may be.

    empty: nothing that can be seen. degenerate: mostly special tokens, one phrase for ever, or the prompt said again.
    """
    seen = UNSEEN.sub("", text)
    if not seen:
        return "empty"
    special = "".join(SPECIAL.findall(text))
    if len(special) > len(seen) / 3 or _repeats(text, seen) or _echoes(text, prompt):
        return "degenerate"
    return None


def _repeats(text: str, seen: str) -> bool:
    if len(seen) >= 30 and len(set(seen)) <= 2:
        return True
    raw = text.encode()
    return len(seen) >= LONG_ENOUGH and len(raw) / len(zlib.compress(raw, 6)) > MOST_SQUEEZED


def _echoes(text: str, prompt: str) -> bool:
    """A prompt of five words or more as the whole answer; shorter ones ("Hello") may well be answered in kind."""
    asked = words_of(prompt)
    return len(asked) >= 5 and words_of(text) == asked


def seed_for(seed: int, content_hash: bytes) -> int:
    """The seed of one prompt's answers, 0 … 2³¹-1: the same wherever the same prompt is asked with the same seed."""
    drawn = sha256(b"hone.seed:%d:" % seed + content_hash).digest()
    return int.from_bytes(drawn[:4], "big") >> 1


def in_jobs(prompt_ids: Sequence[int], size: int = 32) -> list[tuple[int, ...]]:
    """Prompts as jobs: small enough that the first answers come soon, large enough to fill a batch."""
    return [tuple(prompt_ids[start : start + size]) for start in range(0, len(prompt_ids), size)]
