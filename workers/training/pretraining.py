"""The pretraining mix of PPO-ptx (Ouyang et al. 2022): a policy that is paid for some answers still writes the rest."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from app.training.configs import PPOConfig
from workers.training.actors import Actors
from workers.training.batches import micro_batches
from workers.training.networks import arithmetic
from workers.training.processes import share
from workers.training.rollouts import Part
from workers.training.sharding import even


def some_texts(texts: list[list[int]], config: PPOConfig, chance: torch.Generator) -> list[list[int]]:
    """Those of one optimizer step."""
    if not texts:
        return []
    chosen = torch.randperm(len(texts), generator=chance)[: config.pretraining_batch]
    return [texts[number] for number in chosen.tolist()]


def language_loss(actors: Actors, texts: list[list[int]]) -> Tensor:
    """The policy's mean negative log-probability of the texts' tokens, each from those before it, in nats. Its gradient
    times pretraining_coef is added to what the weights have; what is returned has none. Both are of a share."""
    config, total = actors.config, torch.zeros((), device=actors.policy.device)
    tokens = sum(len(text) - 1 for text in texts)
    own = share(texts, length=len)
    for part, counts in even(parts_of(actors, own), lambda: next(parts_of(actors, texts[:1])), actors.policy):
        with arithmetic(config.precision, total.device):
            _, logprobs, _ = part.read(actors.policy, actors.policy_adapter, temperature=1.0)
        loss = -counts * logprobs.sum() / tokens
        (config.pretraining_coef * loss).backward()
        total += loss.detach()
    return total


def parts_of(actors: Actors, texts: list[list[int]]) -> Iterator[Part]:
    """Each text as an answer to its first token."""
    firsts, rests = [text[:1] for text in texts], [text[1:] for text in texts]
    budget = actors.memory.budget(actors.config.token_budget)
    for rows, ids in micro_batches(firsts, rests, budget, actors.opened.pad_id):
        actors.memory.enter(ids.shape, actors.policy.device)
        yield Part.of(firsts, rests, rows=rows, ids=ids.to(actors.policy.device))
