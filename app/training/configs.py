"""What a training run is told: one frozen class per method, and the run file that names its inputs.

Torch-free and SQL-free: the form on a page, the job, the trainer and the record beside the weights share these
classes. A field's description says unit and reason; pages show it as the field's help.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal, NoReturn, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from app.translation import _


class RunRefused(Exception):
    """A run that cannot start. `sentence` names the field or the file."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


class Config(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    schema_version: Literal[1] = Field(default=1, description="Number of this shape; one reader per number.")
    # autocast in bf16 halves the time of large matrix products; tiny networks gain little and lose digits
    precision: Literal["float32", "bfloat16"] = Field(
        default="float32", description="Arithmetic of the matrix products while training; weights stay as they are."
    )
    # micro-batches are cut by padded tokens, so memory is bounded whatever the lengths
    token_budget: int = Field(
        default=8192, ge=64, description="Padded tokens in one forward pass: bounds memory, changes no result."
    )

    def refuse(self, sentence: str) -> NoReturn:
        """:raises ValueError: the sentence, its braces filled from the fields."""
        raise ValueError(sentence.format(**dict(self)))


class RewardConfig(Config):
    """A reward network: adapters and scalar heads on a frozen base, fitted to every vote."""

    # 8 directions per layer suffice for a preference; more overfits a few hundred votes
    rank: int = Field(default=8, ge=1, le=512, description="Rank of the low-rank adapters.")
    # scale / rank multiplies the adapter; 2 x rank is customary
    scale: float = Field(default=16.0, gt=0, description="Adapters are multiplied by scale / rank.")
    # the lower layers spell; what is preferred is decided above them, and frozen layers need no gradient
    depth: float = Field(
        default=0.6, ge=0, le=1, description="Share of the layers, from the top, with adapters; 0 fits the heads alone."
    )
    # each member leaves out one fold: diversity, early stopping and calibration without losing a vote
    members: int = Field(default=4, ge=2, le=16, description="Networks in the ensemble, each blind to one fold of it.")
    # the highest rate that stays calm on a network of some million weights; use 1e-4 above 1e9 weights
    lr: float = Field(default=1e-3, gt=0, le=1, description="Peak learning rate of the adapters (AdamW).")
    # decays adapters towards the base, which is the prior
    weight_decay: float = Field(default=0.1, ge=0, description="AdamW weight decay of adapters and heads.")
    epochs: int = Field(default=8, ge=1, le=1000, description="Passes over the votes at most.")
    # each member keeps its best epoch by the log loss on its own fold
    patience: int = Field(default=3, ge=1, description="Epochs without a better log loss before a member stops.")
    batch: int = Field(default=16, ge=1, description="Comparisons per member and optimizer step.")
    warmup: float = Field(default=0.1, ge=0, le=0.9, description="Share of the steps in which the rate rises.")
    max_grad_norm: float = Field(default=1.0, gt=0, description="Gradients of a member are clipped to this norm.")
    # next: a base that has read conversations already expects there what the user will say to such an answer
    read: Literal["last", "mean", "next"] = Field(
        default="last",
        description="Score read at the last real token, over all tokens of the answer, or where the user would reply.",
    )
    max_tokens: int = Field(
        default=2048,
        ge=8,
        description="Tokens of prompt and answer together; longer comparisons are left out, counted.",
    )
    strength: Literal["weight", "margin", "soft", "ignore"] = Field(
        default="weight",
        description="How strength enters: weight of the vote (scaled Bradley-Terry), margin, soft target, or not.",
    )
    # Llama 2 used up to 3 on scores of unit scale; ours are smaller
    margin: float = Field(default=1.0, ge=0, description="Score difference asked of the strongest vote (margin only).")
    ties: Literal["davidson", "ignore"] = Field(
        default="davidson", description="Ties as an outcome with a learned share (Davidson 1970), or left out."
    )
    both_bad: Literal["tie", "ignore"] = Field(
        default="tie", description="Both bad says nothing about which is better: counted as a tie, or left out."
    )
    # a careless rater then teaches less, instead of teaching noise
    reliability: bool = Field(
        default=True, description="Learn each rater's chance of naming the better answer (Crowd-BT)."
    )
    prior_right: float = Field(default=9.0, ge=1, description="Beta prior of reliability: votes imagined right.")
    prior_wrong: float = Field(default=1.5, ge=1, description="Beta prior of reliability: votes imagined wrong.")
    position_bias: bool = Field(default=True, description="Learn how much the answer shown first gains by that.")
    # Bradley-Terry fixes no zero; a little pull keeps scores near it
    centering: float = Field(default=0.01, ge=0, description="Pull of the two scores' sum towards 0.")
    min_votes: int = Field(default=20, ge=2, description="Votes for a side needed to begin.")

    @model_validator(mode="after")
    def fits_together(self) -> Self:
        if self.prior_right <= self.prior_wrong and self.reliability:
            self.refuse(
                _(
                    "prior_right {prior_right:g} must be above prior_wrong {prior_wrong:g},"
                    " or raters are presumed to name the worse answer"
                )
            )
        if self.min_votes < self.members:
            self.refuse(_("min_votes {min_votes} is below members {members}: a fold would be empty"))
        return self

    @property
    def reliability_expected(self) -> float:
        """Mean of the prior: what a rater who has not voted is taken for."""
        return self.prior_right / (self.prior_right + self.prior_wrong)


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


class Run(BaseModel):
    """Paths in a run file are relative to the file. `folder` keeps metrics, state and the `cancel` mark."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    checkpoint: Path = Field(description="Checkpoint folder to begin from.")
    output: Path = Field(description="Folder the result is written to; it must not exist.")
    folder: Path | None = Field(default=None, description="Working folder; empty is output with .run behind.")
    seed: int = Field(default=0, ge=0, lt=2**63, description="Every random choice follows from it.")
    device: str = Field(default="auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$", description="auto, cpu, cuda or cuda:N.")
    parent: str | None = Field(default=None, description="The checkpoint's id, kept in the result's record.")

    @property
    def work(self) -> Path:
        return self.folder or self.output.with_name(self.output.name + ".run")


class RewardRun(Run):
    method: Literal["reward"] = "reward"
    config: RewardConfig = RewardConfig()
    dataset: Path = Field(description="JSONL of comparison records; their split says train or heldout.")
    reference_samples: Path | None = Field(
        default=None, description="JSONL of sample records of the checkpoint, which set the score's zero and unit."
    )


class PPORun(Run):
    method: Literal["ppo"] = "ppo"
    config: PPOConfig = PPOConfig()
    reward: Path = Field(description="Reward checkpoint folder.")
    reward_base: Path | None = Field(
        default=None, description="The base of the reward checkpoint, where it is another than checkpoint."
    )
    prompts: Path = Field(description="JSONL of prompt records to practise on.")
    evaluation: Path | None = Field(default=None, description="JSONL of prompt records that are only looked at.")


AnyRun = Annotated[RewardRun | PPORun, Field(discriminator="method")]
METHODS: dict[str, type[RewardRun] | type[PPORun]] = {"reward": RewardRun, "ppo": PPORun}


def read_run(method: str, file: Path) -> RewardRun | PPORun:
    """A run file. Raises RunRefused with one sentence that names the file or the field."""
    try:
        content = json.loads(file.read_bytes())
    except OSError as error:
        raise RunRefused(f"{file} cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise RunRefused(f"{file} is not valid JSON: {error}.") from None
    try:
        run = METHODS[method].model_validate(content)
    except ValidationError as error:
        raise RunRefused(f"{file}: {first_complaint(error)}") from None
    places = {name: value for name, value in run if isinstance(value, Path)}
    return run.model_copy(update={name: file.resolve().parent / place for name, place in places.items()})


def first_complaint(error: ValidationError) -> str:
    """One sentence out of pydantic's list: the field, and what is wrong with it."""
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"{field} is not a field here."
    if first["type"] == "missing":
        return f"{field} is missing."
    reason = first["msg"].removeprefix("Value error, ")
    return f"{field}: {reason}." if field else f"{reason}."
