"""Rollouts for tests of PPO: real ones of tiny networks, and made-up ones with numbers a reader can follow."""

from __future__ import annotations

import json
import math
from typing import Any

import torch
from torch import Tensor

from app.training.configs import PPOConfig, PPORun
from workers.training import ppo
from workers.training.actors import Actors, open_actors
from workers.training.judged import Rollout
from workers.training.judging import Judges
from workers.training.ppo import Lesson, Now, Old
from workers.training.practice import read_prompts, seeds_of
from workers.training.progress import Values
from workers.training.rollouts import roll_out
from workers.training.scoring import RewardNetwork, Scores
from workers.training.standing import Standing
from workers.training.tensors import mask_of

PLAIN = PPOConfig(whiten_advantages=False, uncertainty=0, score_clip=None, missing_eos_penalty=0, kl_target=None)
STANDING = Standing(kl_coef=0.1, score_mean=0, score_sd=1, reference_length=4, reference_distinct=1, reference_ended=1)


def changed(run: PPORun, **fields: Any) -> PPORun:
    return run.model_copy(update={"config": PPOConfig(**{**run.config.model_dump(), **fields})})


def plain(**fields: Any) -> PPOConfig:
    return PLAIN.model_copy(update=fields)


def standing(**fields: Any) -> Standing:
    return Standing(**{**STANDING.numbers(), **fields})


def rolled(run: PPORun) -> tuple[Actors, Judges, Rollout]:
    torch.manual_seed(0)
    actors, judges = open_actors(run)
    prompts = read_prompts(run, actors.opened).practice[:6]
    return actors, judges, roll_out(actors, judges, prompts, seeds_of(0, 1, 6))


def scores_of(mean: Tensor, sd: Tensor | float = 0.0) -> Scores:
    """Of two members, with that mean and deviation."""
    apart = torch.as_tensor(sd) / math.sqrt(2)
    return Scores(torch.stack([mean - apart, mean + apart]))


def make_rollout(lengths: list[int], **changes: Any) -> Rollout:
    mask = mask_of(lengths, max(lengths))
    torch.manual_seed(sum(lengths))
    logprobs = torch.where(mask, -torch.rand(mask.shape), 0.0)
    parts: dict[str, Any] = {
        "prompts": [[1, 2]] * len(lengths),
        "answers": [list(range(5, 5 + length)) for length in lengths],
        "ended": torch.ones(len(lengths), dtype=torch.bool),
        "mask": mask,
        "versions": torch.zeros(mask.shape),
        "logprobs": logprobs,
        "ref_logprobs": torch.where(mask, -torch.rand(mask.shape), 0.0),
        "values": torch.where(mask, torch.randn(mask.shape), 0.0),
        "scores": scores_of(torch.randn(len(lengths)), torch.rand(len(lengths))),
    }
    parts |= changes
    return Rollout(**{"behaviour": parts["logprobs"], **parts})


def rollout_of(prompt: list[int], answer: list[int]) -> Rollout:
    zeros, mask = torch.zeros(1, len(answer)), torch.ones(1, len(answer)).bool()
    return make_rollout(
        [len(answer)], prompts=[prompt], answers=[answer], logprobs=zeros, ref_logprobs=zeros.clone(),
        values=zeros.clone(), mask=mask,
    )  # fmt: skip


def make_old(**tensors: Tensor) -> Old:
    """What the loss compares with: zeros, weights of 1, and what is given."""
    shape = next(iter(tensors.values())).shape
    names = ("logprobs", "values", "advantages", "returns", "ref_logprobs")
    return Old(**{**{name: torch.zeros(shape) for name in names}, "weights": torch.ones(shape), **tensors})


def loss_of(
    logprobs: Tensor,
    old: Old,
    config: PPOConfig = PLAIN,
    *,
    values: Tensor | None = None,
    entropy: Tensor | None = None,
    **more: Any,
) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss of a minibatch in one part, values 0 where none are given."""
    values = torch.zeros_like(logprobs.detach()) if values is None else values
    now, kl_coef = Now(logprobs, values, entropy), more.pop("kl_coef", 0.0)
    return ppo.ppo_loss(now, old, len(logprobs), kl_coef, config, **more)


def lesson_of(rollout: Rollout, *, step: int = 1, texts: list[list[int]] | None = None, seed: int = 3) -> Lesson:
    torch.manual_seed(seed)
    advantages, returns = torch.randn(2, *rollout.mask.shape)
    return Lesson(rollout, advantages, returns, step, 0.0, texts or [])


def gradients(actors: Actors, lesson: Lesson, rows: list[int], texts: list[list[int]] | None = None) -> Tensor:
    """What one optimizer step would follow, as one row."""
    optimizer = torch.optim.SGD(actors.trained().values(), lr=0.0)
    ppo.descend(actors, lesson, rows, texts or [], optimizer)  # type: ignore[arg-type]
    return torch.cat([t.grad.flatten() for t in actors.trained().values() if t.grad is not None])


def lines(run: PPORun) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run.work / "metrics.jsonl").read_text().splitlines()]


def steps_and_values(run: PPORun) -> list[tuple[int, Values]]:
    return [(line["step"], line["values"]) for line in lines(run)]


def marked_share(self: RewardNetwork, prompts: object, answers: list[list[int]], pad: int) -> Scores:
    """In place of a reward network: the share of marked tokens.

    Marked are those on one side of the embedding, about half: what so small a random network can tell apart at all.
    """
    marked = self.backbone.network.get_input_embeddings().weight[:, 0] > 0
    return scores_of(torch.stack([marked[answer].float().mean() for answer in answers]))
