"""Proximal policy optimisation: sample, score, shape, estimate, improve. RLOO and GRPO differ in `estimate` alone.

Each step's randomness (prompts, answers, order of minibatches) follows from (seed, step) alone, so a run that was
killed goes on from its last saved state with the same next step, and no generator's state needs saving.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from app.training.configs import PPOConfig, PPORun
from workers.training.actors import Actors, open_actors
from workers.training.advantages import estimate_advantages
from workers.training.checkpoints import CheckpointRecord
from workers.training.elsewhere import Server, server_of
from workers.training.figures import describe, look
from workers.training.judged import Rollout
from workers.training.judging import Judges
from workers.training.networks import arithmetic
from workers.training.practice import Prompts, read_prompts
from workers.training.pretraining import language_loss, some_texts
from workers.training.processes import share, sum_gradients, summed
from workers.training.progress import (
    NotANumber,
    Progress,
    Report,
    Values,
    done_before,
    forget,
    grad_norm,
    never,
    quiet,
)
from workers.training.rollouts import Part, draw_ahead, judge, passes
from workers.training.schedules import rate_at, set_rate, steer
from workers.training.shaping import one_score, shape_rewards, shape_scores
from workers.training.standing import Standing, begin, finish, inputs_of, kept, load, save
from workers.training.tensors import at_least_single, seed_of

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
    actors, judges = open_actors(run)
    if done := done_before(run, inputs_of(run, actors)):
        return PPOResult(run.output, done)
    prompts = read_prompts(run, actors.opened)
    # eps 1e-5 as in the first implementations: the usual 1e-8 lets tiny gradients take whole steps
    optimizer = torch.optim.Adam(actors.trained().values(), lr=run.config.lr, eps=1e-5, fused=True)
    with server_of(run, actors) as server:  # a place that cannot be is told before the reference answers anything
        standing = load(run, actors, optimizer) or begin(run, actors, judges, prompts)
        progress.rewind(standing.step)
        learn(run, actors, judges, prompts, optimizer, standing, progress, server)
    record = finish(run, actors, judges, prompts, standing)
    return PPOResult(run.output, record)


def learn(
    run: PPORun,
    actors: Actors,
    judges: Judges,
    prompts: Prompts,
    optimizer: torch.optim.Adam,
    standing: Standing,
    progress: Progress,
    server: Server | None,
) -> None:
    """The loop. Leaves the policy of the last step, or the last good one: within kl_budget, its losses all numbers."""
    config = run.config
    with kept(run, actors, optimizer, standing):
        for step in range(standing.step + 1, config.steps + 1):
            standing.ahead = standing.ahead or draw_ahead(actors, prompts, step, run.seed, server)
            rollout = judge(actors, judges, standing.ahead.pop(0), step)
            if not standing.is_within_budget(rollout, actors):
                break
            standing.see(one_score(rollout.scores, config))
            scores = shape_scores(rollout, standing, config)
            rewards = shape_rewards(rollout, scores, standing.kl_coef, config)
            advantages, returns = estimate_advantages(rewards, rollout.values, rollout.mask, config)
            set_rate(optimizer, rate_at(step, config))
            lesson = Lesson(rollout, advantages, returns, step, standing.kl_coef, prompts.pretraining)
            stats = improve(actors, lesson, optimizer, run.seed)
            values = describe(rollout, scores, returns, standing, config) | stats | {"lr": rate_at(step, config)}
            values |= actors.memory.figures(config.token_budget)
            if prompts.evaluation and (step % config.evaluate_every == 0 or step == config.steps):
                values |= look(actors, judges, prompts, run.seed, partial(progress.show, step))
            try:
                progress.step(step, config.steps, values)
            except NotANumber as broken:
                if step == 1:  # there is no good policy but the start
                    raise
                standing.fall_back(actors, broken.sentence)
                break
            standing.kl_coef = steer(standing.kl_coef, float(rollout.kl.mean()), len(rollout.answers), config)
            standing.step = step
            progress.stop_if_asked(step)
            if step % config.save_every == 0:
                save(run, actors, optimizer, standing)


@dataclass(frozen=True)
class Lesson:
    """What one step learns from. advantages, returns: (b, t) as the rollout. texts: of pretraining, mixed in."""

    rollout: Rollout
    advantages: Tensor
    returns: Tensor
    step: int
    kl_coef: float
    texts: list[list[int]]


def improve(actors: Actors, lesson: Lesson, optimizer: torch.optim.Adam, seed: int) -> Values:
    """Several passes over the answers in shuffled minibatches; ends early when the policy has moved far enough."""
    config = actors.config
    chance = torch.Generator().manual_seed(seed_of(seed, lesson.step))
    updates: list[Values] = []
    for _ in range(config.epochs):
        order = torch.randperm(len(lesson.rollout.answers), generator=chance).split(config.minibatch)
        passed = [
            descend(actors, lesson, rows.tolist(), some_texts(lesson.texts, config, chance), optimizer)
            for rows in order
        ]
        updates += passed
        moved, ratio = (sum(update[name] for update in passed) / len(passed) for name in ("step_kl", "ratio"))
        if config.max_step_kl is not None and moved > config.max_step_kl:
            break
        if config.max_ratio is not None and ratio > config.max_ratio:
            break
    means = {name: sum(update[name] for update in updates) / len(updates) for name in updates[0]}
    return means | {"updates": float(len(updates)), "first_ratio": updates[0]["ratio"]}


def descend(
    actors: Actors, lesson: Lesson, rows: list[int], texts: list[list[int]], optimizer: torch.optim.Adam
) -> Values:
    """One optimizer step. The loss is a mean over the minibatch's tokens, however it is cut into passes and shares."""
    config, warming = actors.config, lesson.step <= actors.config.critic_warmup
    mixed = [] if warming else texts
    total = actors.memory.within(config.token_budget, partial(gradients, actors, lesson, rows, mixed))
    sum_gradients(actors.trained().values())
    norm = grad_norm(actors.trained().values(), config.max_grad_norm)
    if math.isfinite(norm):  # a broken step changes nothing, and the loss that broke it ends the run
        optimizer.step()
    return summed({name: float(stat) for name, stat in total.items()}) | {"grad_norm": norm}


def gradients(actors: Actors, lesson: Lesson, rows: list[int], texts: list[list[int]]) -> dict[str, Tensor]:
    """Set the gradients of this process's share of a minibatch; whatever stood there goes. Returns the loss's terms."""
    config, rollout = actors.config, lesson.rollout
    forget(actors.trained().values())
    tokens = int(rollout.lengths[rows].sum())
    own = share(rows, length=lambda row: len(rollout.answers[row]))
    warming = lesson.step <= config.critic_warmup
    total: dict[str, Tensor] = {}
    for part, counts in passes(rollout, own, actors):
        with arithmetic(config.precision, part.ids.device):
            now = read(actors, part)
        loss, stats = ppo_loss(now, old_of(lesson, part, config), tokens, lesson.kl_coef, config, critic_only=warming)
        (counts * loss).backward()
        total = {name: total.get(name, torch.zeros_like(stat)) + counts * stat for name, stat in stats.items()}
    if texts:
        total["pretraining_loss"] = language_loss(actors, texts)
    return total


@dataclass(frozen=True)
class Now:
    """What policy and critic say of real answer tokens, (n,) each, with gradients. values: None without a critic;
    entropy: None where it is not paid for."""

    logprobs: Tensor
    values: Tensor | None
    entropy: Tensor | None


@dataclass(frozen=True)
class Old:
    """What the loss compares with, for the same tokens, (n,) each. weights: what a token counts that a past policy
    drew; 1 where it was this one."""

    logprobs: Tensor
    values: Tensor
    advantages: Tensor
    returns: Tensor
    ref_logprobs: Tensor
    weights: Tensor


def read(actors: Actors, part: Part) -> Now:
    config = actors.config
    states, logprobs, entropy = part.read(
        actors.policy, actors.policy_adapter, config.temperature, entropy=config.entropy_coef > 0
    )
    if not config.asks_critic:
        return Now(logprobs, None, entropy)
    trunk = states if config.critic == "shared" else part.states(actors.critic, actors.critic_adapter)
    return Now(logprobs, actors.value_head(at_least_single(trunk)).squeeze(-1).float(), entropy)


def old_of(lesson: Lesson, part: Part, config: PPOConfig) -> Old:
    rollout = lesson.rollout
    weights = rollout.weights(config.behaviour_cap)
    kept = (rollout.logprobs, rollout.values, lesson.advantages, lesson.returns, rollout.ref_logprobs, weights)
    return Old(*(part.flat(tensor) for tensor in kept))


def ppo_loss(
    now: Now, old: Old, tokens: int, kl_coef: float, config: PPOConfig, *, critic_only: bool = False
) -> tuple[Tensor, dict[str, Tensor]]:
    """Clipped surrogate (Schulman et al. 2017, eq. 7), clipped value error, entropy bonus, price of divergence.

    Sums over `tokens`, which counts the whole minibatch, of which these n may be a part, so that parts add up to the
    mean. Returns the loss and what it is made of, without gradients.
    """
    log_ratio = (now.logprobs - old.logprobs).clamp(-LOG_RATIO_LIMIT, LOG_RATIO_LIMIT)
    ratio = log_ratio.exp()
    clipped = ratio.clamp(1 - config.clip, 1 + config.clip)
    surrogate = torch.min(old.advantages * ratio, old.advantages * clipped)
    policy_loss = -(old.weights * surrogate).sum() / tokens
    loss = torch.zeros_like(policy_loss) if critic_only else policy_loss
    if now.entropy is not None and not critic_only:
        loss = loss - config.entropy_coef * now.entropy.sum() / tokens
    stats = {
        "policy_loss": policy_loss,
        "ratio": ratio.sum() / tokens,
        "clipped": (ratio != clipped).sum() / tokens,
        "step_kl": (ratio - 1 - log_ratio).sum() / tokens,
    }
    if config.kl_in != "reward" and not critic_only:
        stats["kl_loss"] = divergence(now.logprobs, old.ref_logprobs, config.kl_in).sum() / tokens
        loss = loss + kl_coef * stats["kl_loss"]
    if now.values is not None:
        errors, held = value_errors(now.values, old, config.value_clip)
        stats |= {"value_loss": 0.5 * errors.sum() / tokens, "values_clipped": held.sum() / tokens}
        loss = loss + config.value_coef * stats["value_loss"]
    return loss, {name: stat.detach() for name, stat in stats.items()}


def value_errors(values: Tensor, old: Old, limit: float | None) -> tuple[Tensor, Tensor]:
    """Squared errors (n,), each the worse of two: the value's, and that of the value held near the old one; and which
    were held."""
    gap, most = values - old.values, math.inf if limit is None else limit
    near = torch.where(gap.abs() > most, old.values + gap.clamp(-most, most), values)
    return torch.max((values - old.returns).square(), (near - old.returns).square()), gap.abs() > most


def divergence(logprobs: Tensor, ref_logprobs: Tensor, form: str) -> Tensor:
    """(n,) nats by the estimator k1, k2 or k3 (Schulman 2020), all with the gradient of k2.

    That one is right: over tokens drawn from the policy, gap x grad(log-probability) is the gradient of the divergence.
    k1's own is 0 on average, and k3's belongs to the divergence the other way round.
    """
    gap = (logprobs - ref_logprobs).clamp(-LOG_RATIO_LIMIT, LOG_RATIO_LIMIT)
    k2 = gap.square() / 2
    value = {"loss_k1": gap, "loss_k2": k2, "loss_k3": (-gap).exp() - 1 + gap}[form]
    return value.detach() + (k2 - k2.detach())
