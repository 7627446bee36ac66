"""From what judges said of an answer to what each of its tokens earns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from app.training.configs import PPOConfig
from workers.training.judged import Rollout
from workers.training.scoring import Scores
from workers.training.tensors import whiten

if TYPE_CHECKING:
    from workers.training.standing import Standing


def one_score(scores: Scores, config: PPOConfig) -> Tensor:
    """(b,): the ensemble's scores as one, in log-odds."""
    if config.ensemble == "minimum":
        return scores.lowest
    doubt = {"deviation": scores.sd, "variance": scores.sd.square(), "mean": torch.zeros_like(scores.sd)}
    return scores.mean - config.uncertainty * doubt[config.ensemble]


def shape_scores(rollout: Rollout, standing: Standing, config: PPOConfig) -> Tensor:
    """(b,): one score, from the reference's zero, in its unit, clipped; then what rules give and form costs."""
    scores = (one_score(rollout.scores, config) - standing.score_mean) / standing.unit(config)
    if config.score_clip is not None:
        scores = scores.clamp(-config.score_clip, config.score_clip)
    for weight, values in rollout.ruled.values():
        scores = scores + weight * values.to(scores)
    scores = scores - config.missing_eos_penalty * (~rollout.ended).to(scores)
    doublings = (rollout.lengths / standing.reference_length).log2()
    stray = torch.where(doublings > 0, doublings, -doublings / 2)
    return scores - config.length_penalty * stray - config.repetition_cost * rollout.repetition.to(scores)


def shape_rewards(rollout: Rollout, scores: Tensor, kl_coef: float, config: PPOConfig) -> Tensor:
    """(b, t): every token pays for straying from the reference, or is paid for coming nearer: the estimate k1 is not
    clamped, or its mean would not be the divergence. The last real token also collects the score."""
    price = kl_coef if config.kl_in == "reward" else 0.0
    rewards = torch.where(rollout.mask, -price * (rollout.logprobs - rollout.ref_logprobs), 0.0)
    rewards = rewards.scatter_add(1, rollout.lengths.unsqueeze(1) - 1, scores.unsqueeze(1))
    return whiten(rewards, rollout.mask, shift_mean=False) if config.whiten_rewards else rewards
