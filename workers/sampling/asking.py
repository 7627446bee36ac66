"""What OpenAI's two ways of asking share: the fields of sampling, usage, and how errors look."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from workers.sampling.answers import Completed, Sampling

MOST_ALTERNATIVES = 20


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


class Asked(BaseModel):
    """Fields that would change the answer and are not built are refused by name, never dropped in silence."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    model: str = Field(min_length=1, max_length=200)
    n: int = Field(default=1, ge=1, le=16)
    temperature: float = Field(default=1.0, ge=0, le=2)
    top_p: float = Field(default=1.0, gt=0, le=1)
    max_tokens: int | None = Field(default=None, ge=1)
    seed: int | None = None
    stop: str | list[str] | None = None
    stream: bool = False
    stream_options: StreamOptions | None = None
    # not OpenAI's, but vLLM's and SGLang's
    top_k: int = Field(default=0, ge=-1)
    min_p: float = Field(default=0.0, ge=0, le=1)
    repetition_penalty: float = Field(default=1.0, gt=0, le=100)
    stop_token_ids: list[int] | None = Field(default=None, max_length=100)
    return_token_ids: bool = False
    # sent by some clients with the one value that asks for nothing
    presence_penalty: Literal[0] | None = None
    frequency_penalty: Literal[0] | None = None
    user: str | None = None  # read and not used, as in most servers

    def sampling_of(self, most: int, alternatives: int) -> Sampling:
        """most: tokens of an answer."""
        stop = [self.stop] if isinstance(self.stop, str) else self.stop or []
        if len(stop) > 4 or not all(0 < len(text) <= 200 for text in stop):
            raise DoorError(400, "stop takes up to 4 texts of 1 to 200 characters.", field="stop")
        return Sampling(
            self.temperature,
            self.top_p,
            max(self.top_k, 0),  # -1 is vLLM's word for none
            most,
            tuple(stop),
            self.min_p,
            self.repetition_penalty,
            tuple(self.stop_token_ids or ()),
            alternatives,
        )

    @property
    def any_seed(self) -> int:
        return secrets.randbelow(2**31) if self.seed is None else self.seed

    @property
    def with_usage(self) -> bool:
        return self.stream_options is not None and self.stream_options.include_usage


Kind = TypeVar("Kind", bound=Asked)


def read_request(kind: type[Kind], body: bytes) -> Kind:
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or None
        reason = "this field is not supported here" if first["type"] == "extra_forbidden" else first["msg"]
        raise DoorError(400, f"{field or 'The body'}: {reason}.", field=field, code=first["type"]) from None


def usage(answers: Iterable[list[Completed]]) -> dict[str, int]:
    """Of the answers to each prompt: a prompt is read once for all its answers."""
    groups = list(answers)
    read = sum(group[0].prompt_tokens for group in groups)
    drawn = sum(answer.token_count for group in groups for answer in group)
    return {"prompt_tokens": read, "completion_tokens": drawn, "total_tokens": read + drawn}


def event(content: dict[str, Any]) -> str:
    return f"data: {json.dumps(content, ensure_ascii=False)}\n\n"
