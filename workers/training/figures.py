"""PPO in numbers: a step, a look at held-out prompts, the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from torch import Tensor

from app.training.configs import PPOConfig
from workers.training.actors import Actors
from workers.training.judged import Rollout
from workers.training.judging import Judges
from workers.training.practice import Prompts, seeds_of
from workers.training.progress import Samples, Values
from workers.training.rollouts import roll_out
from workers.training.samples import samples_of
from workers.training.tensors import masked_mean

if TYPE_CHECKING:
    from workers.training.standing import Standing

END_LOOK = 128  # answers that the last figures are taken from


def describe(rollout: Rollout, scores: Tensor, returns: Tensor, standing: Standing, config: PPOConfig) -> Values:
    """A step in numbers. kl is what was paid for (k1); entropy is estimated by the tokens that were drawn; a rule's is
    its mean before its weight, a head's in deviations of the reference's answers. sampler_*: what sampler and trainer
    disagree on, said of answers that are of this very policy: of older ones they would tell of its way since."""
    values = {
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
        **{f"reward_{name}": float(said.mean()) for name, said in rollout.scores.heads.items()},
        **{f"rule_{title}": float(said.mean()) for title, (_, said) in rollout.ruled.items()},
    }
    if config.asks_critic:
        values["explained_variance"] = explained_variance(rollout, returns)
    if config.sample_every > 1:
        values["staleness"] = float(standing.step + 1 - masked_mean(rollout.versions.float(), rollout.mask))
    if rollout.reread and bool((rollout.versions == standing.step + 1).all()):
        values["sampler_gap"], values["sampler_kl"] = rollout.mismatch
    return values


def explained_variance(rollout: Rollout, returns: Tensor) -> float:
    """1 less the share of the returns' variance that the critic did not foresee; 1 is all, 0 what a constant does."""
    surprise = masked_mean((returns - rollout.values).square(), rollout.mask)
    spread = masked_mean((returns - masked_mean(returns, rollout.mask)).square(), rollout.mask)
    return float(1 - surprise / spread.clamp(min=1e-8))


def look(actors: Actors, judges: Judges, prompts: Prompts, seed: int, keep: Callable[[Samples], None]) -> Values:
    """Policy and reference on the same prompts with the same seeds each time, by the path that training samples on.
    keep: is given what both said to the first of them."""
    now, before = both(actors, judges, prompts.evaluation, seed)
    keep(samples_of(actors.opened, prompts.words, now, before))
    return {f"eval_{name}": value for name, value in compared(now, before).items()}


def end_figures(actors: Actors, judges: Judges, prompts: Prompts, seed: int, standing: Standing) -> dict[str, Any]:
    """What the record says of the policy that is left. prompts: which of them, `set_apart` or `practised`."""
    measured, which = prompts.measured
    chosen = (measured * (END_LOOK // len(measured) + 1))[:END_LOOK]
    return {
        "prompts": which,
        "steps": standing.step,
        "answers": standing.step * actors.config.batch,
        "kl_budget": actors.config.kl_budget,
        "kl_that_ended_the_run": standing.over_budget,
        "ended_by": standing.ended_by,
        **compared(*both(actors, judges, chosen, seed)),
    }


def both(actors: Actors, judges: Judges, prompts: list[list[int]], seed: int) -> tuple[Rollout, Rollout]:
    """What policy and reference answer."""
    seeds = seeds_of(seed, -1, len(prompts))
    now, before = (roll_out(actors, judges, prompts, seeds, reference=reference) for reference in (False, True))
    return now, before


def compared(now: Rollout, before: Rollout) -> Values:
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
