"""Proximal policy optimisation: sample, score, shape, estimate, improve.

Each step's randomness (prompts, answers, order of minibatches) follows from (seed, step) alone, so a run that was
killed goes on from its last saved state with the same next step, and no generator's state needs saving.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from app.training.configs import PPOConfig, PPORun
from workers.training.actors import Actors, open_actors
from workers.training.checkpoints import CheckpointRecord
from workers.training.figures import describe, look
from workers.training.networks import arithmetic
from workers.training.practice import Prompts, draw_prompts, read_prompts, seeds_of
from workers.training.progress import Progress, Report, RunCancelled, Values, done_before, grad_norm, never, quiet
from workers.training.rollouts import Part, Rollout, parts, roll_out
from workers.training.scoring import RewardNetwork
from workers.training.standing import Standing, finish, inputs_of, load, save
from workers.training.tensors import seed_of, whiten

LOG_RATIO_LIMIT = 20.0  # e^20 is as good as infinite, and finite


@dataclass(frozen=True)
class PPOResult:
    folder: Path
    record: CheckpointRecord

    @property
    def metrics(self) -> dict[str, Any]:
        return self.record.metrics


def train_ppo(run: PPORun, report: Report = quiet, should_stop: Callable[[], bool] = never) -> PPOResult:
    """Run file in, policy checkpoint out. Raises RunFailed, RunRefused, CheckpointRefused, each with a sentence."""
    torch.manual_seed(run.seed)
    progress = Progress(run.work, report, should_stop)
    actors, reward = open_actors(run)
    if done := done_before(run, inputs_of(run, actors)):
        return PPOResult(run.output, done)
    prompts = read_prompts(run, actors.opened)
    # eps 1e-5 as in the first implementations: the usual 1e-8 lets tiny gradients take whole steps
    optimizer = torch.optim.Adam(actors.trained().values(), lr=run.config.lr, eps=1e-5)
    standing = load(run, actors, optimizer) or begin(run, actors, reward, prompts)
    progress.rewind(standing.step)
    learn(run, actors, reward, prompts, optimizer, standing, progress)
    record = finish(run, actors, reward, prompts, standing)
    return PPOResult(run.output, record)


def begin(run: PPORun, actors: Actors, reward: RewardNetwork, prompts: Prompts) -> Standing:
    """Before the first step: answers of the reference give the score its zero and unit, and length its measure."""
    config = run.config
    chosen = draw_prompts(prompts.practice, 0, config.reference_samples, run.seed + 1)
    sampled = roll_out(actors, reward, chosen, seeds_of(run.seed, 0, len(chosen)), reference=True)
    scores = sampled.scores.cautious(config.uncertainty)
    return Standing(
        kl_coef=config.kl_coef,
        score_mean=float(scores.mean()),
        score_sd=float(scores.std().clamp(min=1e-6)),
        reference_length=float(sampled.lengths.float().mean()),
        reference_distinct=sampled.distinct,
        reference_ended=float(sampled.ended.float().mean()),
    )


def learn(
    run: PPORun,
    actors: Actors,
    reward: RewardNetwork,
    prompts: Prompts,
    optimizer: torch.optim.Adam,
    standing: Standing,
    progress: Progress,
) -> None:
    """The loop. Leaves the policy of the last step, or the last one whose divergence was within kl_budget."""
    config = run.config
    for step in range(standing.step + 1, config.steps + 1):
        chosen = draw_prompts(prompts.practice, (step - 1) * config.prompts_per_step, config.prompts_per_step, run.seed)
        rollout = roll_out(actors, reward, chosen, seeds_of(run.seed, step, len(chosen)), n=config.samples_per_prompt)
        if not standing.is_within_budget(rollout, actors):
            break
        scores = shape_scores(rollout, standing, config)
        rewards = shape_rewards(rollout, scores, standing.kl_coef, config)
        advantages, returns = estimate_advantages(rewards, rollout.values, rollout.mask, config)
        set_rate(optimizer, rate_at(step, config))
        stats = improve(actors, rollout, advantages, returns, optimizer, step, run.seed)
        values = describe(rollout, scores, returns, standing) | stats | {"lr": rate_at(step, config)}
        standing.kl_coef = steer(standing.kl_coef, float(rollout.kl.mean()), len(rollout.answers), config)
        standing.step = step
        if prompts.evaluation and (step % config.evaluate_every == 0 or step == config.steps):
            values |= look(actors, reward, prompts.evaluation, run.seed)
        progress.step(step, config.steps, values)
        leave_if_asked(run, actors, optimizer, standing, progress)


def leave_if_asked(
    run: PPORun, actors: Actors, optimizer: torch.optim.Adam, standing: Standing, progress: Progress
) -> None:
    """Save the state when it is time to, and always before leaving."""
    try:
        progress.stop_if_asked(standing.step)
    except RunCancelled:
        save(run, actors, optimizer, standing)
        raise
    if standing.step % run.config.save_every == 0:
        save(run, actors, optimizer, standing)


def shape_scores(rollout: Rollout, standing: Standing, config: PPOConfig) -> Tensor:
    """(b,): less the ensemble's doubt, in the reference's unit, clipped; then what the form of an answer costs."""
    scores = (rollout.scores.cautious(config.uncertainty) - standing.score_mean) / standing.score_sd
    if config.score_clip is not None:
        scores = scores.clamp(-config.score_clip, config.score_clip)
    scores = scores - config.missing_eos_penalty * (~rollout.ended).to(scores)
    doublings = (rollout.lengths / standing.reference_length).log2().abs()
    return scores - config.length_penalty * doublings - config.repetition_cost * rollout.repetition.to(scores)


def shape_rewards(rollout: Rollout, scores: Tensor, kl_coef: float, config: PPOConfig) -> Tensor:
    """(b, t): every token pays for straying from the reference, or is paid for coming nearer: the estimate k1 is not
    clamped, or its mean would not be the divergence. The last real token also collects the score."""
    rewards = torch.where(rollout.mask, -kl_coef * (rollout.logprobs - rollout.ref_logprobs), 0.0)
    rewards = rewards.scatter_add(1, rollout.lengths.unsqueeze(1) - 1, scores.unsqueeze(1))
    return whiten(rewards, rollout.mask, shift_mean=False) if config.whiten_rewards else rewards


def estimate_advantages(rewards: Tensor, values: Tensor, mask: Tensor, config: PPOConfig) -> tuple[Tensor, Tensor]:
    """Generalised advantage estimation (Schulman et al. 2016); all (b, t). Returns advantages and returns.

    After the last token nothing comes, whether the answer ended or was cut off: a cut answer is judged as it stands,
    and pays missing_eos_penalty, so there is no future to bootstrap.
    """
    values, rewards = torch.where(mask, values, 0.0), torch.where(mask, rewards, 0.0)
    following = torch.cat([values[:, 1:], torch.zeros_like(values[:, :1])], 1)
    surprises = rewards + config.gamma * following - values
    advantages = torch.zeros_like(values)
    running = torch.zeros_like(values[:, 0])
    for token in reversed(range(values.shape[1])):
        running = surprises[:, token] + config.gamma * config.lam * running
        advantages[:, token] = running
    returns = advantages + values
    if config.whiten_advantages:
        advantages = whiten(advantages, mask)
    return torch.where(mask, advantages, 0.0), torch.where(mask, returns, 0.0)


def improve(
    actors: Actors,
    rollout: Rollout,
    advantages: Tensor,
    returns: Tensor,
    optimizer: torch.optim.Adam,
    step: int,
    seed: int,
) -> Values:
    """Several passes over the answers in shuffled minibatches; ends early when the policy has moved far enough."""
    config = actors.config
    chance = torch.Generator().manual_seed(seed_of(seed, step))
    updates: list[Values] = []
    for _ in range(config.epochs):
        order = torch.randperm(len(rollout.answers), generator=chance).split(config.minibatch)
        passed = [descend(actors, rollout, rows.tolist(), advantages, returns, optimizer, step) for rows in order]
        updates += passed
        moved = sum(update["step_kl"] for update in passed) / len(passed)
        if config.max_step_kl is not None and moved > config.max_step_kl:
            break
    means = {name: sum(update[name] for update in updates) / len(updates) for name in updates[0]}
    return means | {"updates": float(len(updates)), "first_ratio": updates[0]["ratio"]}


def descend(
    actors: Actors,
    rollout: Rollout,
    rows: list[int],
    advantages: Tensor,
    returns: Tensor,
    optimizer: torch.optim.Adam,
    step: int,
) -> Values:
    """One optimizer step. The loss is a mean over the minibatch's tokens, however they are cut into passes."""
    config = actors.config
    optimizer.zero_grad(set_to_none=True)
    tokens = int(rollout.lengths[rows].sum())
    total: dict[str, Tensor] = {}
    for part in parts(rollout, rows, config.token_budget, actors.opened.pad_id):
        with arithmetic(config.precision, part.ids.device):
            logprobs, values, entropy = read(actors, part)
        old = Old(*(part.flat(tensor) for tensor in (rollout.logprobs, rollout.values, advantages, returns)))
        loss, stats = ppo_loss(logprobs, values, entropy, old, tokens, config, critic_only=step <= config.critic_warmup)
        loss.backward()
        total = {name: total.get(name, torch.zeros_like(stat)) + stat for name, stat in stats.items()}
    norm = grad_norm(actors.trained().values(), config.max_grad_norm)
    if math.isfinite(norm):  # a broken step changes nothing, and the loss that broke it fails the run
        optimizer.step()
    return {name: float(stat) for name, stat in total.items()} | {"grad_norm": norm}


def read(actors: Actors, part: Part) -> tuple[Tensor, Tensor, Tensor | None]:
    """Log-probabilities, values and (if it is paid for) entropies of the answer tokens, (n,) each, with gradients."""
    config = actors.config
    states = part.states(actors.policy, actors.policy_adapter)
    logprobs, entropy = actors.policy.answer_logprobs(
        states, part.tokens, config.temperature, entropy=config.entropy_coef > 0
    )
    trunk = states if config.critic == "shared" else part.states(actors.critic, actors.critic_adapter)
    return logprobs, actors.value_head(trunk).squeeze(-1).float(), entropy


@dataclass(frozen=True)
class Old:
    """What the loss compares with, for real tokens, (n,) each."""

    logprobs: Tensor
    values: Tensor
    advantages: Tensor
    returns: Tensor


def ppo_loss(
    logprobs: Tensor,
    values: Tensor,
    entropy: Tensor | None,
    old: Old,
    tokens: int,
    config: PPOConfig,
    *,
    critic_only: bool = False,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Clipped surrogate (Schulman et al. 2017, eq. 7), clipped value error, entropy bonus; sums over `tokens`.

    `tokens` counts the whole minibatch, of which these n may be a part, so that parts add up to the mean.
    """
    log_ratio = (logprobs - old.logprobs).clamp(-LOG_RATIO_LIMIT, LOG_RATIO_LIMIT)
    ratio = log_ratio.exp()
    clipped = ratio.clamp(1 - config.clip, 1 + config.clip)
    policy_loss = torch.max(-old.advantages * ratio, -old.advantages * clipped).sum() / tokens
    near = old.values + (values - old.values).clamp(-config.value_clip, config.value_clip)
    errors = torch.max((values - old.returns).square(), (near - old.returns).square())
    value_loss = 0.5 * errors.sum() / tokens
    loss = config.value_coef * value_loss + (0.0 if critic_only else policy_loss)
    if entropy is not None and not critic_only:
        loss = loss - config.entropy_coef * entropy.sum() / tokens
    with torch.no_grad():
        stats = {
            "policy_loss": policy_loss,
            "value_loss": value_loss,
            "ratio": ratio.sum() / tokens,
            "clipped": (ratio != clipped).sum() / tokens,
            "values_clipped": (near != values).sum() / tokens,
            "step_kl": (ratio - 1 - log_ratio).sum() / tokens,
        }
    return loss, {name: stat.detach() for name, stat in stats.items()}


def steer(kl_coef: float, kl: float, answers: int, config: PPOConfig) -> float:
    """Proportional control in log space (Ziegler et al. 2019): beta *= 1 + clip(kl / target - 1, ±0.2) n / horizon."""
    if config.kl_target is None:
        return kl_coef
    error = max(-0.2, min(0.2, kl / config.kl_target - 1))
    return kl_coef * (1 + error * answers / config.kl_horizon)


def rate_at(step: int, config: PPOConfig) -> float:
    """Rises over warmup_steps, then falls in a line to lr x lr_end at the last step. Steps count from 1."""
    if step <= config.warmup_steps:
        return config.lr * step / (config.warmup_steps + 1)
    done = (step - 1) / max(1, config.steps - 1)
    return config.lr * (1 - (1 - config.lr_end) * done)


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate
