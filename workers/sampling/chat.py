"""The shapes of OpenAI's chat completions: what may come in, and what goes out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

from pydantic import Field, model_validator

from workers.sampling.answers import Completed, Sampling, Token
from workers.sampling.asking import MOST_ALTERNATIVES, Asked, event, usage
from workers.sampling.orders import Piece


class ChatRequest(Asked):
    messages: list[dict[str, Any]] = Field(min_length=1, max_length=1000)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    logprobs: bool | None = None
    top_logprobs: int | None = Field(default=None, ge=0, le=MOST_ALTERNATIVES)

    @model_validator(mode="after")
    def alternatives_go_with_logprobs(self) -> ChatRequest:
        if self.top_logprobs and not self.logprobs:
            raise ValueError("top_logprobs needs logprobs")
        return self

    @property
    def sampling(self) -> Sampling:
        most = self.max_completion_tokens or self.max_tokens or Sampling().max_tokens
        return self.sampling_of(most, self.top_logprobs or 0)

    @property
    def with_tokens(self) -> bool:
        return bool(self.logprobs) or self.return_token_ids


def response(asked: ChatRequest, head: dict[str, Any], answers: list[Completed]) -> dict[str, Any]:
    choices = [
        {
            "index": index,
            "message": {"role": "assistant", "content": answer.text},
            "logprobs": _logprobs(asked, answer.tokens),
            "finish_reason": answer.finish_reason,
            **_token_ids(asked, answer.tokens),
        }
        for index, answer in enumerate(answers)
    ]
    return head | {"object": "chat.completion", "choices": choices, "usage": usage([answers])}


async def events(asked: ChatRequest, head: dict[str, Any], pieces: AsyncIterator[Piece]) -> AsyncIterator[str]:
    """Server-sent events: a role for each answer, its pieces, why it ended, then [DONE]."""
    for index in range(asked.n):
        yield _chunk(asked, head, Piece(index, ""), {"role": "assistant", "content": ""})
    finished = []
    async for piece in pieces:
        if piece.text or piece.tokens:
            yield _chunk(asked, head, piece, {"content": piece.text})
        if piece.completed is not None:
            finished.append(piece.completed)
            yield _chunk(asked, head, Piece(piece.index, ""), {}, piece.completed.finish_reason)
    if asked.with_usage and finished:
        yield event(head | {"object": "chat.completion.chunk", "choices": [], "usage": usage([finished])})
    yield "data: [DONE]\n\n"


def _chunk(
    asked: ChatRequest, head: dict[str, Any], piece: Piece, delta: dict[str, str], reason: str | None = None
) -> str:
    choice = {
        "index": piece.index,
        "delta": delta,
        "logprobs": _logprobs(asked, piece.tokens) if piece.tokens else None,
        "finish_reason": reason,
        **(_token_ids(asked, piece.tokens) if piece.tokens else {}),
    }
    # where usage comes last, OpenAI's other chunks say that it is not there yet
    usage_to_come = {"usage": None} if asked.with_usage else {}
    return event(head | {"object": "chat.completion.chunk", "choices": [choice]} | usage_to_come)


def _logprobs(asked: ChatRequest, tokens: Sequence[Token]) -> dict[str, Any] | None:
    if not asked.logprobs:
        return None
    content = [_told(token) | {"top_logprobs": [_told(one) for one in token.alternatives]} for token in tokens]
    return {"content": content, "refusal": None}


def _told(token: Token) -> dict[str, Any]:
    # a part of a character has no text of its own, and bytes are for whole ones
    bytes_of = None if "\ufffd" in token.text else list(token.text.encode())
    return {"token": token.text, "logprob": token.logprob, "bytes": bytes_of}


def _token_ids(asked: Asked, tokens: Sequence[Token]) -> dict[str, list[int]]:
    return {"token_ids": [token.id for token in tokens]} if asked.return_token_ids else {}
