"""Where a PPO run stands: what the next step depends on beside the weights, its place on disk, and its end."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from app.training.configs import PPOConfig, PPORun
from app.version import code_version
from workers.training.actors import Actors
from workers.training.checkpoints import CheckpointRecord, digest_of, file_sha256, save_checkpoint
from workers.training.drawn import Drawn, drawn_of, tensors_of
from workers.training.elsewhere import ServerLost
from workers.training.figures import end_figures
from workers.training.judged import Rollout
from workers.training.judging import Judges
from workers.training.practice import Prompts, draw_prompts, seeds_of
from workers.training.processes import once
from workers.training.progress import (
    RunCancelled,
    copy_into,
    fingerprint_of,
    load_state,
    optimizer_state,
    restore_optimizer,
    save_state,
    taken_from,
)
from workers.training.rollouts import roll_out
from workers.training.shaping import one_score


@dataclass
class Standing:
    """score_mean, score_sd, reference_*: of the reference's answers, taken before the first step. seen_*: count, mean
    and sum of squared deviations of all scores so far, the reference's included.

    within: the policy whose answers were last seen within kl_budget; over_budget: the divergence that ended the run;
    ended_by: what else did. ahead: answers that are sampled and not learned from yet.
    """

    kl_coef: float
    score_mean: float
    score_sd: float
    reference_length: float
    reference_distinct: float
    reference_ended: float
    step: int = 0
    seen_count: int = 0
    seen_mean: float = 0.0
    seen_squares: float = 0.0
    over_budget: float | None = None
    ended_by: str | None = None
    within: dict[str, Tensor] = field(default_factory=dict, repr=False)
    ahead: list[Drawn] = field(default_factory=list, repr=False)

    def numbers(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in ("within", "ahead")}

    def see(self, scores: Tensor) -> None:
        """Take scores (b,) into the moments of all that were seen (Chan et al. 1979)."""
        count, mean = len(scores), float(scores.mean())
        squares, gap = float((scores - mean).square().sum()), mean - self.seen_mean
        whole = self.seen_count + count
        self.seen_mean += gap * count / whole
        self.seen_squares += squares + gap**2 * self.seen_count * count / whole
        self.seen_count = whole

    def unit(self, config: PPOConfig) -> float:
        """What scores are divided by."""
        if config.score_scale == "running":
            return max(1e-6, math.sqrt(self.seen_squares / max(1, self.seen_count - 1)))
        return self.score_sd if config.score_scale == "reference" else 1.0

    def is_within_budget(self, rollout: Rollout, actors: Actors) -> bool:
        """Keep a policy that is; bring the last such one back where this one is not, or where its KL is no number."""
        kl, budget = float(rollout.kl.mean()), actors.config.kl_budget
        if math.isfinite(kl) and (budget is None or kl <= budget):
            self.within = {name: tensor.detach().clone() for name, tensor in actors.policy_weights().items()}
            return True
        self.over_budget = kl
        if self.within:  # else this is the start, and nothing has been learned
            copy_into(actors.policy_weights(), self.within)
        return False

    def fall_back(self, actors: Actors, sentence: str) -> None:
        """Bring back the policy that the broken step began with; `sentence` says what broke."""
        self.ended_by = sentence
        copy_into(actors.policy_weights(), self.within)


def begin(run: PPORun, actors: Actors, judges: Judges, prompts: Prompts) -> Standing:
    """Before the first step: answers of the reference give the score its zero and unit, and length its measure."""
    config = run.config
    chosen = draw_prompts(prompts.practice, 0, config.reference_samples, run.seed + 1)
    sampled = roll_out(actors, judges, chosen, seeds_of(run.seed, 0, len(chosen)), reference=True)
    scores = one_score(sampled.scores, config)
    standing = Standing(
        kl_coef=config.kl_coef,
        score_mean=float(scores.mean()),
        score_sd=float(scores.std().clamp(min=1e-6)),
        reference_length=float(sampled.lengths.float().mean()),
        reference_distinct=sampled.distinct,
        reference_ended=float(sampled.ended.float().mean()),
    )
    standing.see(scores)
    return standing


def inputs_of(run: PPORun, actors: Actors) -> dict[str, str | None]:
    """Digests of what a run reads, by their names in its result's record."""
    return {
        "base_sha256": actors.opened.weights_sha256,
        "reward_sha256": digest_of([*run.reward.glob("*.safetensors")]) if run.reward else None,
        "dataset_sha256": file_sha256(run.prompts),
    }


def identity_of(run: PPORun, actors: Actors) -> str:
    """What a state belongs to: all that a result's record names, and what else the run file reads."""
    files = {"references": run.references, "pretraining": run.pretraining, "evaluation": run.evaluation}
    digests = {name: file_sha256(file) if file else None for name, file in files.items()}
    functions = {rule.title: rule.model_dump_json() for rule in run.functions}
    return fingerprint_of(run, {**inputs_of(run, actors), **digests, **functions})


def save(run: PPORun, actors: Actors, optimizer: torch.optim.Adam, standing: Standing) -> None:
    tensors = {f"weights.{name}": tensor for name, tensor in actors.trained().items()}
    tensors |= {f"within.{name}": tensor for name, tensor in standing.within.items()}
    tensors |= optimizer_state(optimizer)
    for number, drawn in enumerate(standing.ahead):
        tensors |= {f"ahead.{number}.{name}": tensor for name, tensor in tensors_of(drawn).items()}
    save_state(run.work, tensors, {"fingerprint": identity_of(run, actors), "standing": standing.numbers()})


@contextmanager
def kept(run: PPORun, actors: Actors, optimizer: torch.optim.Adam, standing: Standing) -> Iterator[None]:
    """Whoever leaves between two steps leaves a state behind: on request, or where nobody draws the next answers."""
    try:
        yield
    except (RunCancelled, ServerLost):
        save(run, actors, optimizer, standing)
        raise


def load(run: PPORun, actors: Actors, optimizer: torch.optim.Adam) -> Standing | None:
    """Weights, optimizer and standing as they were saved; None where nothing was."""
    saved = load_state(run.work, identity_of(run, actors))
    if saved is None:
        return None
    tensors, values = saved
    copy_into(actors.trained(), tensors, "weights.")
    restore_optimizer(optimizer, tensors)
    within = taken_from(tensors, "within.", actors.policy_weights())
    return Standing(**values["standing"], within=within, ahead=ahead_of(tensors))


def ahead_of(tensors: dict[str, Tensor]) -> list[Drawn]:
    saved: dict[int, dict[str, Tensor]] = {}
    for path, tensor in tensors.items():
        if path.startswith("ahead."):
            _, number, name = path.split(".")
            saved.setdefault(int(number), {})[name] = tensor
    return [drawn_of(saved[number]) for number in sorted(saved)]


def finish(run: PPORun, actors: Actors, judges: Judges, prompts: Prompts, standing: Standing) -> CheckpointRecord:
    """Measure the policy that is left, bring it within budget if the last update led out of it, and save it."""
    metrics = end_figures(actors, judges, prompts, run.seed, standing)
    budget = run.config.kl_budget
    if standing.within and (not math.isfinite(metrics["kl"]) or (budget is not None and metrics["kl"] > budget)):
        standing.over_budget = metrics["kl"]
        copy_into(actors.policy_weights(), standing.within)
        metrics = end_figures(actors, judges, prompts, run.seed, standing)
    read = inputs_of(run, actors)
    record = CheckpointRecord(
        kind="policy",
        method=run.method,
        parent=run.parent or run.checkpoint.name,
        base_sha256=read["base_sha256"],
        reward_sha256=read["reward_sha256"],
        config=run.config.model_dump(mode="json"),
        dataset_sha256=read["dataset_sha256"],
        code_version=code_version(),
        seed=run.seed,
        metrics=metrics,
    )
    network, tokenizer = actors.policy.network, actors.opened.tokenizer
    state = actors.policy_state()
    once(lambda: save_checkpoint(run.output, network, tokenizer, record, state_dict=state))
    return record
