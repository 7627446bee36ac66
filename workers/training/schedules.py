"""What changes from step to step: the learning rate, and the price of divergence."""

from __future__ import annotations

import math

import torch

from app.training.configs import PPOConfig


def rate_at(step: int, config: PPOConfig) -> float:
    """Rises over warmup_steps, then goes from lr to lr x lr_end at the last step. Steps count from 1."""
    if step <= config.warmup_steps:
        return config.lr * step / (config.warmup_steps + 1)
    if config.lr_shape == "constant":
        return config.lr
    done = (step - 1) / max(1, config.steps - 1)
    fallen = done if config.lr_shape == "linear" else (1 - math.cos(math.pi * done)) / 2
    return config.lr * (1 - (1 - config.lr_end) * fallen)


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate


def steer(kl_coef: float, kl: float, answers: int, config: PPOConfig) -> float:
    """Proportional control in log space (Ziegler et al. 2019): beta *= 1 + clip(kl / target - 1, ±0.2) n / horizon."""
    if config.kl_target is None:
        return kl_coef
    error = max(-0.2, min(0.2, kl / config.kl_target - 1))
    return kl_coef * (1 + error * answers / config.kl_horizon)
