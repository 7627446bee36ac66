"""Answers while they grow, and once they are whole."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Literal

from workers.sampling.answers import Sampling


@dataclass(frozen=True, slots=True)
class Sampled:
    """One answer: its token ids with the stop token, each one's log-probability, and why it ended.

    `values`: what a head that was given says of the states that the tokens were drawn from. `alternatives`: for each
    token the likeliest ones at its place with their log-probabilities, best first, where `Sampling.alternatives` asks
    for some.
    """

    tokens: list[int]
    logprobs: list[float]
    finish_reason: Literal["stop", "length"]
    alternatives: list[list[tuple[int, float]]] = field(default_factory=list)
    values: list[float] = field(default_factory=list)


@dataclass(slots=True)
class Row:
    """An answer while it grows: the sample-th to the prompt-th prompt. `key` is where its random numbers come from."""

    prompt: int
    sample: int
    key: int
    read: list[int]  # the prompt
    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    alternatives: list[list[tuple[int, float]]] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    finish_reason: Literal["stop", "length"] | None = None

    @property
    def length(self) -> int:
        """Tokens read or drawn so far."""
        return len(self.read) + len(self.tokens)

    def sampled(self) -> Sampled:
        assert self.finish_reason is not None
        return Sampled(self.tokens, self.logprobs, self.finish_reason, self.alternatives, self.values)


@dataclass(slots=True)
class Request:
    tokens: list[int]  # to be read: the prompt, and what a row that begins again has drawn
    rows: list[Row]


def reserved_width(rows: list[Row], sampling: Sampling) -> int:
    """The widest that one of these rows can become, prompt and answer together."""
    return max((len(row.read) + sampling.max_tokens for row in rows), default=0)


def requests_of(rows: list[list[Row]], sampling: Sampling, token_budget: int) -> deque[Request]:
    """What is to be read: each prompt once for all its samples, or each row that has begun for itself."""
    waiting: list[Request] = []
    for group in rows:
        fresh = [row for row in group if not row.tokens]
        # samples that do not fit beside each other are read in parts
        most = token_budget // reserved_width(group, sampling)
        waiting += [Request(group[0].read, fresh[first : first + most]) for first in range(0, len(fresh), most)]
        begun = (row for row in group if row.tokens and row.finish_reason is None)
        waiting += [Request([*row.read, *row.tokens], [row]) for row in begun]
    # longest first: what runs alone at the end is then short, and the widest row is known from the start
    return deque(sorted(waiting, key=lambda request: -len(request.tokens)))
