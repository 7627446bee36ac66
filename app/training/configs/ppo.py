"""What PPO is told, and RLOO and GRPO, which are its loop with another advantage."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from app.preferences.formula import LONGEST, parsed
from app.training.configs.rollouts import RolloutServer
from app.training.configs.rules import OutsideRule, ReferenceMetricRule, Rule
from app.training.configs.shared import Config, Run
from app.translation import _


class PPOConfig(Config):
    """Proximal policy optimisation (Schulman et al. 2017) against a reward network, paid in KL.

    `advantage` rloo or grpo compares the answers to one prompt with each other instead of asking a critic.

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
    # 0 < answers of an older policy: sampling many at once is quicker, but at a staleness of four steps plain PPO
    # loses half of what it learns (AReaL, table 3); in one process nothing waits for the sampler, so none is stale
    sample_every: int = Field(
        default=1,
        ge=1,
        le=16,
        description="Steps that one sampling serves; those after the first learn from a past policy.",
    )
    # the decoupled objective holds where answers are stale; 2 as in truncated importance sampling
    behaviour_cap: float | None = Field(
        default=2.0,
        gt=0,
        description="Most that a token of a past policy, or of a sampler elsewhere, may weigh for its chance now over"
        " then; empty weighs none.",
    )
    tuning: Literal["lora", "full", "layers", "biases"] = Field(
        default="lora",
        description="Adapters on one frozen backbone; or beside a frozen reference every weight, the last layers,"
        " or the biases.",
    )
    layers: int = Field(default=2, ge=1, description="Last layers whose weights learn (layers).")
    rank: int = Field(default=16, ge=1, le=1024, description="Rank of the policy's adapters (lora).")
    scale: float = Field(default=32.0, gt=0, description="Adapters are multiplied by scale / rank (lora).")
    # gae needs a critic and gives every token its own advantage; rloo and grpo need several answers to a prompt
    advantage: Literal["gae", "rloo", "grpo"] = Field(
        default="gae",
        description="A critic's estimate per token; or an answer's total less the others' mean (rloo), in deviations"
        " of its group (grpo).",
    )
    # one trunk: one forward pass for both; own: when the value loss disturbs the policy
    critic: Literal["shared", "own"] = Field(
        default="shared", description="Value head on the policy's trunk, or a trunk (adapters or copy) of its own."
    )
    critic_warmup: int = Field(default=0, ge=0, description="First steps in which the critic alone learns (own only).")
    lr: float = Field(default=5e-4, gt=0, le=1, description="Adam's learning rate at the start.")
    lr_end: float = Field(default=0.1, ge=0, le=1, description="Share of lr that the last step uses.")
    lr_shape: Literal["linear", "cosine", "constant"] = Field(
        default="linear", description="How the rate goes from lr to its end; constant stays at lr."
    )
    warmup_steps: int = Field(default=2, ge=0, description="Steps in which the rate rises to lr.")
    max_grad_norm: float = Field(default=1.0, gt=0, description="Gradients are clipped to this norm.")
    gradient_checkpointing: bool = Field(default=False, description="Recompute activations: less memory, more time.")
    clip: float = Field(default=0.2, gt=0, lt=1, description="The probability ratio is clipped to 1 ± this.")
    value_clip: float | None = Field(
        default=0.2, gt=0, description="Values move at most this far from the old ones; empty lets them."
    )
    value_coef: float = Field(default=0.1, ge=0, description="Weight of the value loss.")
    entropy_coef: float = Field(default=0.0, ge=0, description="Weight of the entropy bonus; nats per token.")
    gamma: float = Field(default=1.0, gt=0, le=1, description="Discount per token; answers are short, so none.")
    lam: float = Field(default=0.95, ge=0, le=1, description="GAE's lambda: bias against variance.")
    kl_coef: float = Field(default=0.05, ge=0, description="Price of one nat of divergence from the reference.")
    # in the reward the price reaches every token that led there; k1 is its only unbiased form. In the loss all three
    # have the same gradient, the right one (k1's own is 0 on average, k3's is that of another divergence)
    kl_in: Literal["reward", "loss_k1", "loss_k2", "loss_k3"] = Field(
        default="reward",
        description="Where the price is paid: per token in the reward (k1), or in the loss, as k1, k2 or k3.",
    )
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
    # implied by max_step_kl below 6.7: a mean ratio of 10 is at least that far
    max_ratio: float | None = Field(
        default=None, gt=1, description="Mean ratio of a pass beyond which a step's passes end; 10 is usual."
    )
    # 27.8 in InstructGPT, which had its pretraining at hand. A project has none, and adapters under a KL budget forget
    # little, so by default there is none; it needs the run file's `pretraining`
    pretraining_coef: float = Field(
        default=0.0, ge=0, description="Weight of the language loss on pretraining texts (PPO-ptx); nats per token."
    )
    pretraining_batch: int = Field(default=8, ge=1, description="Pretraining texts per optimizer step.")
    missing_eos_penalty: float = Field(default=1.0, ge=0, description="Taken from the score of an unended answer.")
    score_clip: float | None = Field(default=5.0, gt=0, description="Normalised scores are cut to ± this.")
    # the reference's own spread stays comparable between runs; a running one keeps rewards even as scores rise
    score_scale: Literal["reference", "running", "none"] = Field(
        default="reference",
        description="What a score's unit is: the deviation of the reference's scores, of all seen so far, or its own.",
    )
    # all but the mean take the gain out of fooling one member (Coste et al. 2023: minimum and variance)
    ensemble: Literal["deviation", "mean", "minimum", "variance"] = Field(
        default="deviation",
        description="One score of the ensemble's: the mean less uncertainty times the deviation, the mean, the lowest,"
        " or the mean less uncertainty times the variance.",
    )
    uncertainty: float = Field(
        default=0.5, ge=0, description="Deviations (or variances) of the ensemble taken off a score."
    )
    # in deviations a weight means the same for a scale of 5 and one of 100, and for a preference, which has no scale
    head_weights: dict[str, float] = Field(
        default={},
        description="Weight of each head of the reward model, by name, in deviations of the reference's scores; empty"
        " takes the overall head, or the rated criteria alike, and never flags.",
    )
    # the project's own formula speaks of ratings, so it is given the rating that each head expects
    formula: str = Field(
        default="",
        max_length=LONGEST,
        description="One score of the heads by a formula over the ratings they expect, as 0.6*accuracy - harmful.",
    )
    rules: tuple[Rule, ...] = Field(default=(), description="What else an answer is paid by.")
    # people come to see length instead of content; shorter answers pay less, for a mean grows by what it lacks below
    length_penalty: float = Field(
        default=0.0, ge=0, description="Taken off per doubling of the reference's mean length, half of it per halving."
    )
    # reward models see few answers that say a thing twice, and pay for their length
    repetition_cost: float = Field(
        default=0.0, ge=0, description="Taken off times the share of an answer that it has said before."
    )
    whiten_rewards: bool = Field(default=False, description="Scale rewards to unit variance, their mean kept.")
    whiten_advantages: bool = Field(
        default=True, description="Advantages with mean 0 and variance 1 over the batch (gae)."
    )
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
        if self.advantage != "gae" and self.samples_per_prompt < 2:
            self.refuse(_("advantage {advantage} compares answers to one prompt: samples_per_prompt must be above 1"))
        if self.advantage != "gae" and self.critic == "own":
            self.refuse(_("advantage {advantage} asks no critic, so critic own has nothing to learn"))
        if self.head_weights and self.formula:
            self.refuse(_("head_weights and formula both say how heads count; give one of them"))
        if self.formula:
            parsed(self.formula)
        titles = [rule.title for rule in self.rules]
        if len(set(titles)) < len(titles):
            self.refuse(_("two rules have one name; give each its own"))
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

    @property
    def asks_critic(self) -> bool:
        return self.advantage == "gae"


class PPORun(Run):
    method: Literal["ppo"] = "ppo"
    config: PPOConfig = PPOConfig()
    reward: Path | None = Field(default=None, description="Reward checkpoint folder; empty where rules alone judge.")
    reward_base: Path | None = Field(
        default=None, description="The base of the reward checkpoint, where it is another than checkpoint."
    )
    prompts: Path = Field(description="JSONL of prompt records to practise on.")
    evaluation: Path | None = Field(default=None, description="JSONL of prompt records that are only looked at.")
    references: Path | None = Field(
        default=None, description="JSONL of demonstration records: reference answers for bleu, chrf, rouge and meteor."
    )
    pretraining: Path | None = Field(
        default=None, description='JSONL of lines {"text": …} that pretraining_coef keeps the policy able to write.'
    )
    functions: tuple[OutsideRule, ...] = Field(default=(), description="Rules that are your own code or server.")
    rollouts: RolloutServer | None = Field(
        default=None, description="A server that draws the answers that are learned from; empty draws them here."
    )

    @model_validator(mode="after")
    def has_what_it_needs(self) -> Self:
        rules = [*self.config.rules, *self.functions]
        if self.reward is None and not rules:
            raise ValueError("reward is missing, and there is no rule that could judge instead")
        if self.reward is None and (self.config.head_weights or self.config.formula):
            raise ValueError("head_weights and formula speak of a reward model's heads, and reward is missing")
        if len({rule.title for rule in rules}) < len(rules):
            raise ValueError("two rules have one name; give each its own")
        if any(isinstance(rule, ReferenceMetricRule) for rule in rules) and self.references is None:
            raise ValueError("references is missing, which bleu, chrf, rouge and meteor compare with")
        if (self.config.pretraining_coef > 0) != (self.pretraining is not None):
            raise ValueError("pretraining (a file) and pretraining_coef (above 0) come together")
        if self.rollouts is not None and self.rollouts.weights == "adapter" and self.config.tuning != "lora":
            raise ValueError(f"tuning {self.config.tuning} has no adapter: rollouts.weights must be everything")
        if self.rollouts is not None and self.sharding != "none":
            raise ValueError("rollouts take a whole policy to a server, and with sharding no process holds one")
        self._fits_its_server()
        return self

    def _fits_its_server(self) -> None:
        place = self.rollouts
        if place is None:
            return
        if place.folder is not None:
            shared, own = place.folder.resolve(), [self.output.resolve(), self.work.resolve()]
            if any(shared.is_relative_to(one) or one.is_relative_to(shared) for one in own):
                raise ValueError("rollouts.folder must be apart from output and its working folder")
        if (place.kind, place.weights) == ("vllm", "everything") and self.config.base_precision != "float32":
            raise ValueError(
                f"base_precision {self.config.base_precision} has whole weights in the machine's memory alone, and vllm"
                " takes them from a GPU: rollouts.weights must be adapter"
            )


class BestRun(PPORun):
    """Best-of-n, or rejection sampling: PPO's run file, samples_per_prompt as n. output: a file of demonstrations, of
    comparisons where `keep` is pair."""

    method: Literal["best"] = "best"  # type: ignore[assignment]
    keep: Literal["best", "above", "pair"] = Field(
        default="best", description="Each prompt's best answer, all above threshold, or the best beside the worst."
    )
    rounds: int = Field(default=1, ge=1, le=64, description="Times that each prompt is asked.")
    threshold: float = Field(
        default=1.0, description="Shaped score that a kept answer is above, in the reference's deviations (above)."
    )

    @model_validator(mode="after")
    def has_a_choice(self) -> Self:
        if self.config.samples_per_prompt < 2:
            raise ValueError("samples_per_prompt is the n of best-of-n: it must be above 1")
        if self.rollouts is not None:
            raise ValueError("best-of-n draws from the checkpoint as it is, and here: rollouts is of PPO alone")
        return self
