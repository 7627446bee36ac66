"""Prompts to token ids, and token ids to answers."""

from __future__ import annotations

import math

from workers.sampling.answers import Completed, NotAnswerable, Plain, Prompt, Sampling, Token, turns
from workers.sampling.rows import Row, Sampled
from workers.sampling.texts import cut, decode
from workers.training.checkpoints import Opened


def prompt_ids(opened: Opened, conversation: Prompt, field: str, max_tokens: int, most: int) -> list[int]:
    """Token ids of a prompt. Raises NotAnswerable: the template refuses it, or it and the answer exceed `most`."""
    if isinstance(conversation, Plain):
        ids = _plain_ids(opened, conversation, field)
    else:
        messages = turns(conversation, field)
        try:
            ids = opened.prompt_ids(messages)
        except Exception as reason:  # templates raise errors of their own about roles and their order
            raise NotAnswerable(field, f"The chat template of {opened.folder.name} refuses it: {reason}.") from reason
    if len(ids) + max_tokens > most:
        raise NotAnswerable(
            field,
            f"The conversation has {len(ids)} tokens and the answer may have {max_tokens};"
            f" {opened.folder.name} can hold {most} here.",
        )
    return ids


def _plain_ids(opened: Opened, plain: Plain, field: str) -> list[int]:
    content = plain.content
    ids = list(opened.tokenizer(content)["input_ids"]) if isinstance(content, str) else list(content)
    most = opened.network.get_input_embeddings().num_embeddings
    if not ids:
        raise NotAnswerable(field, "A prompt needs at least one token.")
    if not all(0 <= token < most for token in ids):
        raise NotAnswerable(field, f"The token ids of {opened.folder.name} go from 0 to {most - 1}.")
    return ids


def ends_of(opened: Opened, sampling: Sampling) -> frozenset[int]:
    """Every token that ends an answer."""
    return opened.stop_ids | frozenset(sampling.stop_ids)


def completed_of(
    opened: Opened, sampling: Sampling, prompt: list[int], sampled: Sampled, *, with_tokens: bool
) -> Completed:
    text = cut(decode(opened.tokenizer, sampled.tokens, ends_of(opened, sampling)), sampling.stop)
    tokens = tokens_of(opened, sampled, 0) if with_tokens else ()
    count, logprob = len(sampled.tokens), sum(sampled.logprobs)
    return Completed(text, count, sampled.finish_reason, logprob, len(prompt), tokens, opened.version)


def tokens_of(opened: Opened, answer: Sampled | Row, first: int) -> tuple[Token, ...]:
    """What is told of an answer's tokens from the first-th on."""

    def told(token: int, logprob: float, others: tuple[Token, ...] = ()) -> Token:
        return Token(token, opened.tokenizer.decode([token]), logprob, others)

    tokens = []
    for place in range(first, len(answer.tokens)):
        others = answer.alternatives[place] if answer.alternatives else []
        likeliest = tuple(told(*other) for other in others if other[1] > -math.inf)
        tokens.append(told(answer.tokens[place], answer.logprobs[place], likeliest))
    return tuple(tokens)
