"""The shapes of OpenAI's chat completions: what may come in, what goes out, and how errors look."""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator, Iterable
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from workers.sampling.answers import Completed, Sampling
from workers.sampling.orders import Piece


class DoorError(Exception):
    """An answer other than 200. `field` is the part of the request that is wrong, where there is one."""

    def __init__(self, status: int, sentence: str, *, field: str | None = None, code: str | None = None) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence
        self.field = field
        self.code = code

    @property
    def body(self) -> dict[str, Any]:
        kind = {401: "authentication_error", 429: "rate_limit_error"}.get(
            self.status, "server_error" if self.status >= 500 else "invalid_request_error"
        )
        return {"error": {"message": self.sentence, "type": kind, "param": self.field, "code": self.code}}


class StreamOptions(BaseModel):
    model_config = ConfigDict(extra="forbid")

    include_usage: bool = False


class ChatRequest(BaseModel):
    """Fields that would change the answer and are not built are refused by name, never dropped in silence."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    model: str = Field(min_length=1, max_length=200)
    messages: list[dict[str, Any]] = Field(min_length=1, max_length=1000)
    n: int = Field(default=1, ge=1, le=16)
    temperature: float = Field(default=1.0, ge=0, le=2)
    top_p: float = Field(default=1.0, gt=0, le=1)
    top_k: int = Field(default=0, ge=0)
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    seed: int | None = None
    stop: str | list[str] | None = None
    stream: bool = False
    stream_options: StreamOptions | None = None
    # sent by some clients with the one value that asks for nothing
    presence_penalty: Literal[0] = 0
    frequency_penalty: Literal[0] = 0
    logprobs: Literal[False] | None = None
    user: str | None = None  # read and not used, as in most servers

    @property
    def sampling(self) -> Sampling:
        stop = [self.stop] if isinstance(self.stop, str) else self.stop or []
        if len(stop) > 4 or not all(0 < len(text) <= 200 for text in stop):
            raise DoorError(400, "stop takes up to 4 texts of 1 to 200 characters.", field="stop")
        most = self.max_completion_tokens or self.max_tokens or Sampling().max_tokens
        return Sampling(self.temperature, self.top_p, self.top_k, most, tuple(stop))

    @property
    def any_seed(self) -> int:
        return secrets.randbelow(2**31) if self.seed is None else self.seed


def read_request(body: bytes) -> ChatRequest:
    try:
        return ChatRequest.model_validate_json(body)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or None
        reason = "this field is not supported here" if first["type"] == "extra_forbidden" else first["msg"]
        raise DoorError(400, f"{field or 'The body'}: {reason}.", field=field, code=first["type"]) from None


def usage(completed: Iterable[Completed]) -> dict[str, int]:
    answers = list(completed)
    read, drawn = answers[0].prompt_tokens, sum(answer.token_count for answer in answers)
    return {"prompt_tokens": read, "completion_tokens": drawn, "total_tokens": read + drawn}


def response(head: dict[str, Any], answers: list[Completed]) -> dict[str, Any]:
    choices = [
        {
            "index": index,
            "message": {"role": "assistant", "content": answer.text},
            "logprobs": None,
            "finish_reason": answer.finish_reason,
        }
        for index, answer in enumerate(answers)
    ]
    return head | {"object": "chat.completion", "choices": choices, "usage": usage(answers)}


async def events(head: dict[str, Any], pieces: AsyncIterator[Piece], *, n: int, with_usage: bool) -> AsyncIterator[str]:
    """Server-sent events: a role for each answer, its pieces, why it ended, then [DONE]."""
    for index in range(n):
        yield _chunk(head, index, {"role": "assistant", "content": ""})
    finished = []
    async for piece in pieces:
        if piece.text:
            yield _chunk(head, piece.index, {"content": piece.text})
        if piece.completed is not None:
            finished.append(piece.completed)
            yield _chunk(head, piece.index, {}, piece.completed.finish_reason)
    if with_usage and finished:
        yield event(head | {"object": "chat.completion.chunk", "choices": [], "usage": usage(finished)})
    yield "data: [DONE]\n\n"


def _chunk(head: dict[str, Any], index: int, delta: dict[str, str], reason: str | None = None) -> str:
    choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": reason}
    return event(head | {"object": "chat.completion.chunk", "choices": [choice]})


def event(content: dict[str, Any]) -> str:
    return f"data: {json.dumps(content, ensure_ascii=False)}\n\n"
