"""What goes into and comes out of anything that answers prompts. Loads no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeVar

ROLES = ("system", "user", "assistant")

# one message: {"role": …, "content": text or parts} or {"role": …, "parts": parts}; a part: {"type": "text", "text": …}
Message = Mapping[str, Any]
Conversation = Sequence[Message]


@dataclass(frozen=True, slots=True)
class Plain:
    """A prompt without turns: a text that is read as it stands, control tokens included, or token ids."""

    content: str | tuple[int, ...]


Prompt = Conversation | Plain
FinishReason = Literal["stop", "length"]

Where = TypeVar("Where", contravariant=True)


class NotAnswerable(Exception):
    """A request that cannot be answered as it stands. `field` says where, `sentence` why."""

    def __init__(self, field: str, sentence: str) -> None:
        super().__init__(sentence)
        self.field = field
        self.sentence = sentence


@dataclass(frozen=True, slots=True)
class Sampling:
    """How to draw tokens.

    `temperature` 0 is greedy; its logprobs are those of temperature 1. `top_k` 0, `top_p` 1 and `min_p` 0 cut nothing;
    when they cut (in this order), logprobs are renormalised over what is left. `min_p` is a share of the likeliest
    token's probability. `repetition_penalty` divides the logits above 0 of tokens that prompt or answer hold already,
    and multiplies those below (Keskar et al. 2019); 1 changes nothing. `max_tokens` counts the stop token.
    `stop_ids` are tokens that end an answer beside the checkpoint's own. `stop` holds texts at which an answer ends;
    token code ignores it, `engine.py` watches for it. `alternatives`: how many of the likeliest tokens are told of at
    each step, with their log-probabilities.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    max_tokens: int = 128
    stop: tuple[str, ...] = ()
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    stop_ids: tuple[int, ...] = ()
    alternatives: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.temperature <= 100:
            raise ValueError(f"temperature must be between 0 and 100, not {self.temperature}")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p must be above 0 and at most 1, not {self.top_p}")
        if self.top_k < 0:
            raise ValueError(f"top_k must be 0 (off) or more, not {self.top_k}")
        if not 0 <= self.min_p <= 1:
            raise ValueError(f"min_p must be between 0 and 1, not {self.min_p}")
        if not 0 < self.repetition_penalty <= 100:
            raise ValueError(f"repetition_penalty must be above 0 and at most 100, not {self.repetition_penalty}")
        if self.alternatives < 0:
            raise ValueError(f"alternatives must be 0 (none) or more, not {self.alternatives}")
        if self.max_tokens < 1:
            raise ValueError(f"max_tokens must be at least 1, not {self.max_tokens}")
        if not all(self.stop):
            raise ValueError("stop must not hold an empty text")


@dataclass(frozen=True, slots=True)
class Token:
    """One drawn token: its id, its text alone (U+FFFD for a part of a character), its log-probability, and the
    likeliest tokens at its place (`Sampling.alternatives`), best first, themselves without alternatives."""

    id: int
    text: str
    logprob: float
    alternatives: tuple[Token, ...] = ()


@dataclass(frozen=True, slots=True)
class Completed:
    """One answer as text.

    `token_count` counts what was drawn, stop token included, also tokens of a stop text that `text` no longer shows.
    `logprob_sum` is over the same tokens, None where an endpoint does not tell. `tokens` are those tokens one by one,
    where somebody asked for them. `version`: what the writer of the weights calls them, where their file says so.
    """

    text: str
    token_count: int
    finish_reason: FinishReason
    logprob_sum: float | None = None
    prompt_tokens: int = 0
    tokens: tuple[Token, ...] = ()
    version: str = ""

    @property
    def empty(self) -> bool:
        """Nothing that a person could judge: such an answer is kept and counted, and never shown."""
        return not self.text.strip()


class Completer(Protocol[Where]):
    """What the engine and remote endpoints have in common: the engine takes a folder, an endpoint its description."""

    async def complete(
        self, where: Where, conversations: Sequence[Conversation], sampling: Sampling, n: int, seeds: Sequence[int]
    ) -> list[list[Completed]]:
        """n answers to each conversation, in order; `seeds` has one number per conversation."""
        ...


def turns(conversation: Conversation, field: str = "messages") -> list[tuple[str, str]]:
    """(role, text) of each message. Raises NotAnswerable naming the message."""
    if not conversation:
        raise NotAnswerable(field, "A conversation needs at least one message.")
    read = [_turn(message, f"{field}[{index}]") for index, message in enumerate(conversation)]
    if read[-1][0] == "assistant":
        raise NotAnswerable(
            f"{field}[{len(read) - 1}].role", "The last message is the assistant's, so there is nothing to answer."
        )
    return read


def _turn(message: Message, field: str) -> tuple[str, str]:
    role = message.get("role")
    if role not in ROLES:
        raise NotAnswerable(f"{field}.role", f"The role is {role!r}; it must be one of {', '.join(ROLES)}.")
    name = "parts" if "parts" in message else "content"
    content = message.get(name)
    if isinstance(content, str):
        return role, content
    if not isinstance(content, Sequence):
        raise NotAnswerable(f"{field}.{name}", "A message needs text, or a list of parts.")
    return role, "".join(_part_text(part, f"{field}.{name}[{index}]") for index, part in enumerate(content))


def _part_text(part: Any, field: str) -> str:
    kind = part.get("type") if isinstance(part, Mapping) else None
    if kind != "text" or not isinstance(part.get("text"), str):
        raise NotAnswerable(field, f"Only text parts can be answered here; this one is {kind!r}.")
    return str(part["text"])
