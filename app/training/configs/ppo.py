"""What PPO is told."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from app.training.configs.shared import Config, Run
from app.translation import _


class PPOConfig(Config):
    """Proximal policy optimisation (Schulman et al. 2017) against a reward network, paid in KL.

    There is no top_p, top_k or repetition penalty here: answers come from the whole distribution, because the ratio
    of the loss is of whole distributions.
    """

    steps: int = Field(default=60, ge=1, description="Times that answers are sampled and learned from.")
    batch: int = Field(default=64, ge=2, description="Answers per step.")
    samples_per_prompt: int = Field(default=1, ge=1, description="Answers to one prompt within a step.")
    epochs: int = Field(default=4, ge=1, le=100, description="Passes over the answers of one step.")
    minibatch: int = Field(default=32, ge=1, description="Answers per optimizer step; divides batch.")
    max_tokens: int = Field(default=96, ge=1, description="Longest answer in tokens, the stop token included.")
    max_prompt_tokens: int = Field(default=1024, ge=1, description="Longer prompts are left out, and counted.")
    temperature: float = Field(default=1.0, gt=0, le=10, description="Of sampling, and of every log-probability.")
    tuning: Literal["lora", "full"] = Field(
        default="lora", description="Adapters on one frozen backbone, or every weight beside a frozen reference."
    )
    rank: int = Field(default=16, ge=1, le=1024, description="Rank of the policy's adapters (lora).")
    scale: float = Field(default=32.0, gt=0, description="Adapters are multiplied by scale / rank (lora).")
    # one trunk: one forward pass for both; own: when the value loss disturbs the policy
    critic: Literal["shared", "own"] = Field(
        default="shared", description="Value head on the policy's trunk, or a trunk (adapters or copy) of its own."
    )
    critic_warmup: int = Field(default=0, ge=0, description="First steps in which the critic alone learns (own only).")
    lr: float = Field(default=5e-4, gt=0, le=1, description="Adam's learning rate at the start.")
    lr_end: float = Field(default=0.1, ge=0, le=1, description="Share of lr that the last step uses; linear between.")
    warmup_steps: int = Field(default=2, ge=0, description="Steps in which the rate rises to lr.")
    max_grad_norm: float = Field(default=1.0, gt=0, description="Gradients are clipped to this norm.")
    gradient_checkpointing: bool = Field(default=False, description="Recompute activations: less memory, more time.")
    clip: float = Field(default=0.2, gt=0, lt=1, description="The probability ratio is clipped to 1 ± this.")
    value_clip: float = Field(default=0.2, gt=0, description="Values move at most this far from the old ones.")
    value_coef: float = Field(default=0.1, ge=0, description="Weight of the value loss.")
    entropy_coef: float = Field(default=0.0, ge=0, description="Weight of the entropy bonus; nats per token.")
    gamma: float = Field(default=1.0, gt=0, le=1, description="Discount per token; answers are short, so none.")
    lam: float = Field(default=0.95, ge=0, le=1, description="GAE's lambda: bias against variance.")
    kl_coef: float = Field(default=0.05, ge=0, description="Price of one nat of divergence from the reference.")
    kl_target: float | None = Field(
        default=6.0, gt=0, description="Nats per answer that kl_coef is steered to; empty keeps kl_coef fixed."
    )
    kl_horizon: int = Field(default=1000, ge=1, description="Answers after which the steering has its full effect.")
    kl_budget: float | None = Field(
        default=12.0, gt=0, description="Nats per answer; beyond it the run stops and keeps the last policy within."
    )
    max_step_kl: float | None = Field(
        default=0.1, gt=0, description="Nats per token between two updates' policies; beyond it a step's passes end."
    )
    missing_eos_penalty: float = Field(default=1.0, ge=0, description="Taken from the score of an unended answer.")
    score_clip: float | None = Field(default=5.0, gt=0, description="Normalised scores are cut to ± this.")
    uncertainty: float = Field(default=0.5, ge=0, description="Standard deviations of the ensemble taken off a score.")
    # above this length ratio people start to see length instead of content
    length_penalty: float = Field(
        default=0.0, ge=0, description="Taken off per doubling or halving of the reference's mean length."
    )
    # reward models see few answers that say a thing twice, and pay for their length
    repetition_cost: float = Field(
        default=0.0, ge=0, description="Taken off times the share of an answer that it has said before."
    )
    whiten_rewards: bool = Field(default=False, description="Scale rewards to unit variance, their mean kept.")
    whiten_advantages: bool = Field(default=True, description="Advantages with mean 0 and variance 1 over the batch.")
    reference_samples: int = Field(default=128, ge=8, description="Reference answers that set the score's zero.")
    save_every: int = Field(default=5, ge=1, description="Steps between two saved states.")
    evaluate_every: int = Field(default=10, ge=1, description="Steps between two looks at the held-out prompts.")

    @model_validator(mode="after")
    def fits_together(self) -> Self:
        if self.batch % self.minibatch:
            self.refuse(_("minibatch {minibatch} does not divide batch {batch}"))
        if self.batch % self.samples_per_prompt:
            self.refuse(_("samples_per_prompt {samples_per_prompt} does not divide batch {batch}"))
        if self.whiten_rewards and self.minibatch < 8:
            self.refuse(_("whiten_rewards needs a minibatch of at least 8, not {minibatch}"))
        if self.kl_budget is not None and self.kl_target is not None and self.kl_budget <= self.kl_target:
            self.refuse(_("kl_budget {kl_budget:g} must be above kl_target {kl_target:g}"))
        if self.kl_target is not None and self.kl_coef == 0:
            self.refuse(_("kl_target steers kl_coef by factors, so kl_coef must be above 0"))
        if self.critic_warmup and self.critic == "shared":
            self.refuse(_("critic_warmup needs critic own: a shared trunk has no critic to warm up alone"))
        if self.critic_warmup >= self.steps:
            self.refuse(_("critic_warmup {critic_warmup} leaves none of {steps} steps to the policy"))
        return self

    @property
    def prompts_per_step(self) -> int:
        return self.batch // self.samples_per_prompt


class PPORun(Run):
    method: Literal["ppo"] = "ppo"
    config: PPOConfig = PPOConfig()
    reward: Path = Field(description="Reward checkpoint folder.")
    reward_base: Path | None = Field(
        default=None, description="The base of the reward checkpoint, where it is another than checkpoint."
    )
    prompts: Path = Field(description="JSONL of prompt records to practise on.")
    evaluation: Path | None = Field(default=None, description="JSONL of prompt records that are only looked at.")
