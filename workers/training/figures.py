"""PPO in numbers: a step, a look at held-out prompts, the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor

from workers.training.actors import Actors
from workers.training.practice import Prompts, seeds_of
from workers.training.progress import Values
from workers.training.rollouts import Rollout, roll_out
from workers.training.scoring import RewardNetwork
from workers.training.tensors import masked_mean

if TYPE_CHECKING:
    from workers.training.standing import Standing

END_LOOK = 128  # answers that the last figures are taken from


def describe(rollout: Rollout, scores: Tensor, returns: Tensor, standing: Standing) -> Values:
    """A step in numbers. kl is what was paid for (k1); entropy is estimated by the tokens that were drawn."""
    surprise = masked_mean((returns - rollout.values).square(), rollout.mask)
    spread = masked_mean((returns - masked_mean(returns, rollout.mask)).square(), rollout.mask)
    return {
        "score": float(rollout.scores.mean.mean()),
        "score_shaped": float(scores.mean()),
        "score_doubt": float(rollout.scores.sd.mean()),
        "kl": float(rollout.kl.mean()),
        "kl_low_variance": float(rollout.kl_low_variance.mean()),
        "kl_coef": standing.kl_coef,
        "entropy": -float(masked_mean(rollout.logprobs, rollout.mask)),
        "length": float(rollout.lengths.float().mean()),
        "length_ratio": float(rollout.lengths.float().mean()) / standing.reference_length,
        "repetition": float(rollout.repetition.mean()),
        "ended": float(rollout.ended.float().mean()),
        "distinct_ratio": rollout.distinct / standing.reference_distinct,
        "explained_variance": float(1 - surprise / spread.clamp(min=1e-8)),
    }


def look(actors: Actors, reward: RewardNetwork, prompts: list[list[int]], seed: int) -> Values:
    """Policy and reference on the same prompts with the same seeds each time, by the path that training samples on."""
    return {f"eval_{name}": value for name, value in against_reference(actors, reward, prompts, seed).items()}


def end_figures(
    actors: Actors, reward: RewardNetwork, prompts: Prompts, seed: int, standing: Standing
) -> dict[str, Any]:
    """What the record says of the policy that is left. prompts: which of them, `set_apart` or `practised`."""
    measured, which = prompts.measured
    chosen = (measured * (END_LOOK // len(measured) + 1))[:END_LOOK]
    return {
        "prompts": which,
        "steps": standing.step,
        "answers": standing.step * actors.config.batch,
        "kl_budget": actors.config.kl_budget,
        "kl_that_ended_the_run": standing.over_budget,
        **against_reference(actors, reward, chosen, seed),
    }


def against_reference(actors: Actors, reward: RewardNetwork, prompts: list[list[int]], seed: int) -> Values:
    seeds = seeds_of(seed, -1, len(prompts))
    now, before = (roll_out(actors, reward, prompts, seeds, reference=reference) for reference in (False, True))
    gap = now.scores.mean - before.scores.mean
    return {
        "score": float(now.scores.mean.mean()),
        "reference_score": float(before.scores.mean.mean()),
        "win_rate": float(((gap > 0).float() + 0.5 * (gap == 0)).mean()),
        "kl": float(now.kl.mean()),
        "length_ratio": float(now.lengths.float().mean() / before.lengths.float().mean()),
        "distinct_ratio": now.distinct / before.distinct,
        "repetition": float(now.repetition.mean()),
        "ended": float(now.ended.float().mean()),
    }
