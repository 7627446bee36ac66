"""The arithmetic of prompts: one canonical form to hash, and what makes two prompts descend from one root.

Canonical form: the list of messages as JSON with sorted keys, no spaces, no escapes beyond JSON's own, in UTF-8, each
message {"parts": [{"text": …, "type": "text"}], "role": …}; a medium is {"alt": …, "sha256": …, "type": "image"}, alt
only where there is one. Texts are taken exactly as they are: no trimming, no Unicode normalisation. The content hash
is SHA-256 over these bytes.

Nearness: the sets of words and of word triples of the first user turn, case and punctuation set aside; two turns are
near when at least 90 % of their words and 70 % of their triples are common (Jaccard). So a rewording of a long prompt
is near to it, and a short one with another subject ("Tell me about cats", "… dogs") is a prompt of its own; templates
are kept together by a group key. A first turn with media is its media: "What is this?" about two pictures is two
roots, and all that is asked about one picture stands on one side of a split. MinHash bands find candidates (Broder
1997), the sets decide.
"""

import json
import re
import struct
import unicodedata
from collections.abc import Iterable, Sequence
from hashlib import blake2b, sha256
from typing import Any, NamedTuple

ROWS = 4  # a band is this many minima: at 0.7 common triples, 16 bands of 4 find 99 of 100 pairs
BANDS = 16
NEAR = 0.7  # of the triples
NEAR_WORDS = 0.9
SHINGLE = 3
MOST_WORDS = 20_000  # of a turn; what comes after says nothing new about its root

_CJK = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"  # scripts without spaces: a sign is a word
_WORDS = re.compile(f"[{_CJK}]|(?:(?![{_CJK}])\\w)+")
_MASKS = [
    int.from_bytes(blake2b(b"hone.minhash:%d" % number, digest_size=8).digest(), "big")
    for number in range(ROWS * BANDS)
]

Messages = Sequence[dict[str, Any]]


class Turn(NamedTuple):
    """A first user turn as nearness sees it: hashes of its words and of its word triples."""

    words: frozenset[int]
    triples: frozenset[int]


def canonical(content: object) -> bytes:
    """Messages (or the parts of a completion) in the one form that is hashed; see above."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def content_hash(content: object) -> bytes:
    """SHA-256 of the canonical form, 32 bytes."""
    return sha256(canonical(content)).digest()


def of_user(text: str) -> list[dict[str, Any]]:
    """A text as the one turn of a person."""
    return [{"role": "user", "parts": [{"type": "text", "text": text}]}]


def text_of(parts: Iterable[dict[str, Any]]) -> str:
    """The parts' texts with an empty line between them; media say nothing."""
    return "\n\n".join(part["text"] for part in parts if part["type"] == "text")


def first_user_turn(messages: Messages) -> str:
    """The text that names a prompt's root: of media their hashes."""
    parts = next(message["parts"] for message in messages if message["role"] == "user")
    return " ".join(sorted(part["sha256"] for part in parts if part["type"] != "text")) or text_of(parts)


def words_of(text: str) -> list[str]:
    """Words in lower case without punctuation; a text without any is its own single word."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    return _WORDS.findall(plain)[:MOST_WORDS] or [" ".join(plain.split())]


def group_key(group: str) -> str:
    return f"group:{group}"


def turn_key(words: Sequence[str]) -> str:
    return "turn:" + sha256(" ".join(words).encode()).hexdigest()


def shingles(words: Sequence[str]) -> frozenset[int]:
    """Hashes (64 bits, the same on every machine) of the word triples; a shorter text is one shingle."""
    count = max(1, len(words) - SHINGLE + 1)
    return frozenset(_hash(" ".join(words[place : place + SHINGLE])) for place in range(count))


def bands_of(found: frozenset[int]) -> list[int]:
    """16 signed 64-bit numbers; two near sets have at least one in common, far ones almost never."""
    minima = [min(map(mask.__xor__, found)) for mask in _MASKS]
    return [_band(number, minima[number * ROWS : (number + 1) * ROWS]) for number in range(BANDS)]


def _band(number: int, minima: list[int]) -> int:
    packed = struct.pack(f">H{ROWS}Q", number, *minima)
    return int.from_bytes(blake2b(packed, digest_size=8).digest(), "big", signed=True)


def turn_of(words: Sequence[str]) -> Turn:
    return Turn(frozenset(map(_hash, words)), shingles(words))


def nearness(one: Turn, other: Turn) -> float:
    """Share of common triples, 1 for the same; 0 where the two speak of different things."""
    if share(one.words, other.words) < NEAR_WORDS:
        return 0.0
    return share(one.triples, other.triples)


def share(one: frozenset[int], other: frozenset[int]) -> float:
    """Jaccard: what is common of all there is."""
    common = len(one & other)
    return common / (len(one) + len(other) - common)


def _hash(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")
