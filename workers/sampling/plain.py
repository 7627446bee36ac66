"""The shapes of OpenAI's plain completions: a text or token ids go on as they stand, without a chat template."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, Literal

from pydantic import Field, field_validator

from workers.sampling.answers import Completed, Plain, Sampling, Token
from workers.sampling.asking import Asked, DoorError, event, usage
from workers.sampling.orders import Piece

MOST_PROMPTS = 64
Ids = list[int]


class PlainRequest(Asked):
    """`prompt`: a text, token ids, or up to 64 of one kind; choice i·n+j is the j-th answer to the i-th of them."""

    prompt: str | Ids | list[str] | list[Ids]
    logprobs: int | None = Field(default=None, ge=0, le=5)
    echo: Literal[False] | None = None
    best_of: int | None = None

    @field_validator("best_of")
    @classmethod
    def best_of_asks_for_nothing(cls, value: int | None) -> int | None:
        if value not in (None, 1):
            raise ValueError("best_of is not built: ask for n answers")
        return value

    @property
    def prompts(self) -> list[Plain]:
        given = self.prompt
        several = isinstance(given, list) and bool(given) and not isinstance(given[0], int)
        each: Sequence[Any] = given if several else [given]
        if len(each) > MOST_PROMPTS:
            raise DoorError(400, f"prompt takes up to {MOST_PROMPTS} prompts.", field="prompt")
        if self.stream and len(each) > 1:
            raise DoorError(400, "A stream answers one prompt.", field="prompt")
        return [Plain(one if isinstance(one, str) else tuple(one)) for one in each]

    @property
    def sampling(self) -> Sampling:
        return self.sampling_of(self.max_tokens or 16, self.logprobs or 0)  # OpenAI's own default

    @property
    def with_tokens(self) -> bool:
        return self.logprobs is not None or self.return_token_ids


def response(asked: PlainRequest, head: dict[str, Any], groups: list[list[Completed]]) -> dict[str, Any]:
    answers = [answer for group in groups for answer in group]
    choices = [_choice(asked, index, one.text, one.tokens, one.finish_reason) for index, one in enumerate(answers)]
    # SGLang's words for it; all answers of a request are of the same weights
    told = {"metadata": {"weight_version": answers[0].version}} if answers[0].version else {}
    return head | {"object": "text_completion", "choices": choices, "usage": usage(groups)} | told


async def events(asked: PlainRequest, head: dict[str, Any], pieces: AsyncIterator[Piece]) -> AsyncIterator[str]:
    """Server-sent events: the pieces of each answer, why it ended with its last, then [DONE]."""
    told = [0] * asked.n  # characters of each answer
    finished = []
    usage_to_come = {"usage": None} if asked.with_usage else {}
    async for piece in pieces:
        reason = piece.completed.finish_reason if piece.completed else None
        choice = _choice(asked, piece.index, piece.text, piece.tokens, reason, told[piece.index])
        told[piece.index] += sum(len(token.text) for token in piece.tokens)
        yield event(head | {"object": "text_completion", "choices": [choice]} | usage_to_come)
        if piece.completed is not None:
            finished.append(piece.completed)
    if asked.with_usage and finished:
        yield event(head | {"object": "text_completion", "choices": [], "usage": usage([finished])})
    yield "data: [DONE]\n\n"


def _choice(
    asked: PlainRequest, index: int, text: str, tokens: Sequence[Token], reason: str | None, offset: int = 0
) -> dict[str, Any]:
    """offset: characters of the answer before these tokens."""
    choice: dict[str, Any] = {"index": index, "text": text, "logprobs": None, "finish_reason": reason}
    if asked.logprobs is not None:
        choice["logprobs"] = _logprobs(asked, tokens, offset)
    if asked.return_token_ids:
        choice["token_ids"] = [token.id for token in tokens]
    return choice


def _logprobs(asked: PlainRequest, tokens: Sequence[Token], offset: int) -> dict[str, Any]:
    offsets = [offset + sum(len(token.text) for token in tokens[:place]) for place in range(len(tokens))]
    # as OpenAI does it, the drawn token is among them even where it is none of the likeliest
    likeliest = [{one.text: one.logprob for one in (*token.alternatives, token)} for token in tokens]
    return {
        "tokens": [token.text for token in tokens],
        "token_logprobs": [token.logprob for token in tokens],
        "top_logprobs": likeliest if asked.logprobs else None,
        "text_offset": offsets,
    }
