"""Answers as they were sampled, before anybody has judged them; a state keeps those that nothing was learned from."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from app.training.configs import PPOConfig
from workers.sampling.decoding import Sampled, Sampling


def sampling_of(config: PPOConfig) -> Sampling:
    """The whole distribution (no top-k, no top-p: statement 2), never greedy."""
    return Sampling(temperature=config.temperature, max_tokens=config.max_tokens)


@dataclass(frozen=True)
class Drawn:
    """n answers to each of some prompts, as they were sampled; version: the step whose policy did; elsewhere: by a
    server, whose log-probabilities are not quite the trainer's. States do not say the latter: what they hold is for
    later steps than its version, and read anew for that."""

    prompts: list[list[int]]
    answers: list[Sampled]
    version: int
    elsewhere: bool = False


def tensors_of(drawn: Drawn) -> dict[str, Tensor]:
    """As tensors that a state can hold."""
    rows, answers = drawn.prompts, drawn.answers
    return {
        "prompts": torch.tensor([token for row in rows for token in row]),
        "prompt_lengths": torch.tensor([len(row) for row in rows]),
        "answers": torch.tensor([token for answer in answers for token in answer.tokens]),
        "answer_lengths": torch.tensor([len(answer.tokens) for answer in answers]),
        "logprobs": torch.tensor([one for answer in answers for one in answer.logprobs], dtype=torch.double),
        "ended": torch.tensor([answer.finish_reason == "stop" for answer in answers]),
        "version": torch.tensor(drawn.version),
    }


def drawn_of(saved: dict[str, Tensor]) -> Drawn:
    """The reverse."""
    lengths = saved["answer_lengths"].tolist()
    answers = zip(
        saved["answers"].split(lengths), saved["logprobs"].split(lengths), saved["ended"].tolist(), strict=True
    )
    prompts = [row.tolist() for row in saved["prompts"].split(saved["prompt_lengths"].tolist())]
    sampled = [Sampled(ids.tolist(), logs.tolist(), "stop" if ended else "length") for ids, logs, ended in answers]
    return Drawn(prompts, sampled, int(saved["version"]))
