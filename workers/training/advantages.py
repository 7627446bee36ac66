"""How much better each token was than expected: the one thing in which PPO, RLOO and GRPO differ."""

from __future__ import annotations

import torch
from torch import Tensor

from app.training.configs import PPOConfig
from workers.training.tensors import whiten


def estimate_advantages(rewards: Tensor, values: Tensor, mask: Tensor, config: PPOConfig) -> tuple[Tensor, Tensor]:
    """Rewards, values and mask (b, t), the answers to one prompt in rows that follow each other → advantages and
    returns (b, t), 0 behind each answer. What stands there before changes nothing, not even NaN."""
    rewards, values = torch.where(mask, rewards, 0.0), torch.where(mask, values, 0.0)
    if config.advantage == "gae":
        advantages, returns = generalised(rewards, values, config.gamma, config.lam)
        advantages = whiten(advantages, mask) if config.whiten_advantages else advantages
    else:
        totals = rewards.sum(1)
        among = beside_others if config.advantage == "rloo" else in_deviations
        advantages = among(totals.view(-1, config.samples_per_prompt)).view(-1, 1).expand_as(rewards)
        returns = totals.view(-1, 1).expand_as(rewards)
    return torch.where(mask, advantages, 0.0), torch.where(mask, returns, 0.0)


def generalised(rewards: Tensor, values: Tensor, gamma: float, lam: float) -> tuple[Tensor, Tensor]:
    """Generalised advantage estimation (Schulman et al. 2016). Returns are raw advantages plus values.

    After the last token nothing comes, whether the answer ended or was cut off: a cut answer is judged as it stands,
    and pays missing_eos_penalty, so there is no future to bootstrap.
    """
    following = torch.cat([values[:, 1:], torch.zeros_like(values[:, :1])], 1)
    surprises = rewards + gamma * following - values
    advantages = torch.zeros_like(values)
    running = torch.zeros_like(values[:, 0])
    for token in reversed(range(values.shape[1])):
        running = surprises[:, token] + gamma * lam * running
        advantages[:, token] = running
    return advantages, advantages + values


def beside_others(totals: Tensor) -> Tensor:
    """RLOO (Ahmadian et al. 2024): totals (prompts, n) less the mean of the prompt's other answers."""
    n = totals.shape[1]
    return (totals - totals.mean(1, keepdim=True)) * (n / (n - 1))


def in_deviations(totals: Tensor) -> Tensor:
    """GRPO (Shao et al. 2024): totals (prompts, n) less their group's mean, in its standard deviations."""
    return (totals - totals.mean(1, keepdim=True)) / (totals.std(1, keepdim=True) + 1e-4)
