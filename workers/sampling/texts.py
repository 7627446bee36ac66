"""Tokens to text: exact, without special tokens, ending before a stop text, and in pieces that never change later."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

UNFINISHED = "\ufffd"  # what bytes decode to whose character is not complete yet


def decode(tokenizer: Any, tokens: Sequence[int], stop_ids: Collection[int]) -> str:
    """The text of an answer. A stop token is left out even where the tokenizer does not call it special."""
    spoken = tokens[:-1] if tokens and tokens[-1] in stop_ids else tokens
    text: str = tokenizer.decode(spoken, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    return text


def cut(text: str, stop: Sequence[str]) -> str:
    """The text up to the first stop text in it."""
    found = [place for place in (text.find(ending) for ending in stop) if place >= 0]
    return text[: min(found)] if found else text


def settled(text: str, stop: Sequence[str]) -> int:
    """How many characters of an unfinished text are certain: no half character, no beginning of a stop text."""
    certain = text.rstrip(UNFINISHED)
    return len(certain) - max((_begun(certain, ending) for ending in stop), default=0)


def _begun(text: str, ending: str) -> int:
    """How many characters at the end of the text begin a stop text."""
    lengths = range(min(len(ending) - 1, len(text)), 0, -1)
    return next((length for length in lengths if text.endswith(ending[:length])), 0)


class Reader:
    """Follows one answer token by token, for stop texts and for streaming."""

    def __init__(self, tokenizer: Any, stop_ids: Collection[int], stop: Sequence[str]) -> None:
        self.tokenizer = tokenizer
        self.stop_ids = stop_ids
        self.stop = stop
        self.tokens: list[int] = []
        self.shown = ""
        # every token adds a byte or more (special ones add nothing, hence the slack), so a stop text ends within these
        self.window = max((len(ending.encode()) for ending in stop), default=0) + 8

    def feed(self, token: int) -> bool:
        """Take a token; True when a stop text is now complete."""
        self.tokens.append(token)
        if not self.stop:
            return False
        recent = decode(self.tokenizer, self.tokens[-self.window :], self.stop_ids)
        return any(ending in recent for ending in self.stop) and self._finds_stop()

    def _finds_stop(self) -> bool:
        text = decode(self.tokenizer, self.tokens, self.stop_ids)
        return cut(text, self.stop) != text

    def piece(self) -> str:
        """What may be shown since the last call."""
        text = decode(self.tokenizer, self.tokens, self.stop_ids)
        ended = cut(text, self.stop)
        return self._advance(ended if ended != text else text[: settled(text, self.stop)])

    def rest(self) -> str:
        """What is left to show when the answer is over."""
        return self._advance(cut(decode(self.tokenizer, self.tokens, self.stop_ids), self.stop))

    def _advance(self, text: str) -> str:
        # a decoder that rewrites what it said before waits until it agrees with itself again
        if not text.startswith(self.shown):
            return ""
        fresh, self.shown = text[len(self.shown) :], text
        return fresh
