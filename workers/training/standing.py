"""Where a PPO run stands: what the next step depends on beside the weights, its place on disk, and its end."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

from app.training.configs import PPORun
from app.version import code_version
from workers.training.actors import Actors
from workers.training.checkpoints import CheckpointRecord, digest_of, file_sha256, save_checkpoint
from workers.training.figures import end_figures
from workers.training.practice import Prompts
from workers.training.progress import (
    copy_into,
    fingerprint_of,
    load_state,
    optimizer_state,
    restore_optimizer,
    save_state,
)
from workers.training.rollouts import Rollout
from workers.training.scoring import RewardNetwork


@dataclass
class Standing:
    """score_mean, score_sd, reference_*: of the reference's answers, taken before the first step.

    within: the policy whose answers were last seen within kl_budget; over_budget: the divergence that ended the run.
    """

    kl_coef: float
    score_mean: float
    score_sd: float
    reference_length: float
    reference_distinct: float
    reference_ended: float
    step: int = 0
    over_budget: float | None = None
    within: dict[str, Tensor] = field(default_factory=dict, repr=False)

    def numbers(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if name != "within"}

    def is_within_budget(self, rollout: Rollout, actors: Actors) -> bool:
        """Keep a policy that is; bring the last such one back where this one is not."""
        budget = actors.config.kl_budget
        if budget is None:
            return True
        kl = float(rollout.kl.mean())
        if kl > budget:
            self.over_budget = kl
            copy_into(actors.policy_weights(), self.within)
            return False
        self.within = {name: tensor.detach().clone() for name, tensor in actors.policy_weights().items()}
        return True


def inputs_of(run: PPORun, actors: Actors) -> dict[str, str]:
    """Digests of what a run reads, by their names in its result's record."""
    return {
        "base_sha256": actors.opened.weights_sha256,
        "reward_sha256": digest_of([*run.reward.glob("*.safetensors")]),
        "dataset_sha256": file_sha256(run.prompts),
    }


def save(run: PPORun, actors: Actors, optimizer: torch.optim.Adam, standing: Standing) -> None:
    tensors = {f"weights.{name}": tensor for name, tensor in actors.trained().items()}
    tensors |= {f"within.{name}": tensor for name, tensor in standing.within.items()}
    tensors |= optimizer_state(optimizer)
    save_state(
        run.work, tensors, {"fingerprint": fingerprint_of(run, inputs_of(run, actors)), "standing": standing.numbers()}
    )


def load(run: PPORun, actors: Actors, optimizer: torch.optim.Adam) -> Standing | None:
    """Weights, optimizer and standing as they were saved; None where nothing was."""
    saved = load_state(run.work, fingerprint_of(run, inputs_of(run, actors)))
    if saved is None:
        return None
    tensors, values = saved
    copy_into(actors.trained(), tensors, "weights.")
    restore_optimizer(optimizer, tensors)
    within = {
        name.removeprefix("within."): tensor.to(actors.policy.device)
        for name, tensor in tensors.items()
        if name.startswith("within.")
    }
    return Standing(**values["standing"], within=within)


def finish(
    run: PPORun, actors: Actors, reward: RewardNetwork, prompts: Prompts, standing: Standing
) -> CheckpointRecord:
    """Measure the policy that is left, bring it within budget if the last update led out of it, and save it."""
    metrics = end_figures(actors, reward, prompts, run.seed, standing)
    budget = run.config.kl_budget
    if budget is not None and metrics["kl"] > budget and standing.within:
        standing.over_budget = metrics["kl"]
        copy_into(actors.policy_weights(), standing.within)
        metrics = end_figures(actors, reward, prompts, run.seed, standing)
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
    network = actors.policy.network
    save_checkpoint(run.output, network, actors.opened.tokenizer, record, state_dict=actors.policy_state())
    return record
