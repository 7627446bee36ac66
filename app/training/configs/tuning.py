"""What SFT and DPO are told: both move a network that writes, by one loop, and differ in their loss."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from app.training.configs.shared import Config, Run
from app.translation import _


class TuningConfig(Config):
    """What one loop over judged or written texts needs, whatever its loss."""

    tuning: Literal["lora", "full"] = Field(
        default="lora", description="Adapters on the frozen base, or every weight of it."
    )
    rank: int = Field(default=16, ge=1, le=1024, description="Rank of the adapters (lora).")
    scale: float = Field(default=32.0, gt=0, description="Adapters are multiplied by scale / rank (lora).")
    # the highest rate that stays calm on a network of some million weights; use 1e-4 (lora) above 1e9 weights
    lr: float = Field(default=1e-3, gt=0, le=1, description="Peak learning rate (AdamW), reached after warmup.")
    warmup: float = Field(default=0.1, ge=0, le=0.9, description="Share of the steps in which the rate rises.")
    weight_decay: float = Field(default=0.0, ge=0, description="AdamW weight decay of what is trained.")
    epochs: int = Field(default=3, ge=1, le=1000, description="Passes over the training lines.")
    batch: int = Field(default=16, ge=1, description="Lines per optimizer step.")
    max_grad_norm: float = Field(default=1.0, gt=0, description="Gradients are clipped to this norm.")
    max_tokens: int = Field(
        default=2048, ge=8, description="Tokens of prompt and answer together; longer lines are left out, counted."
    )
    # short texts stand behind each other in the row of a long one and cannot see each other: no padding is computed
    packing: bool = Field(default=True, description="Several texts in one row, each blind to the others.")
    gradient_checkpointing: bool = Field(default=False, description="Recompute activations: less memory, more time.")
    heldout_share: float = Field(
        default=0.1, ge=0, lt=1, description="Share of prompts held out, where lines name no split of their own."
    )
    # held-out loss turns upward long before the training loss stops falling
    keep: Literal["best", "last"] = Field(
        default="best", description="Weights that are saved: of the best held-out loss, or of the last step."
    )
    evaluate_every: int = Field(
        default=0, ge=0, description="Steps between two looks at held-out lines; 0 looks after each epoch."
    )
    save_every: int = Field(default=50, ge=1, description="Steps between two saved states.")


class SFTConfig(TuningConfig):
    """Supervised fine-tuning: the network learns to write what people wrote. Prompts are read, never learned."""

    # of a rewrite only the new text is shown; what it was made from stays out
    learn_from: Literal["all", "demonstrations", "rewrites"] = Field(
        default="all", description="Answers written from nothing, those made from a model's answer, or both."
    )


class DPOConfig(TuningConfig):
    """Direct preference optimisation: the policy's own log-probabilities are the reward, against a frozen reference."""

    loss: Literal["sigmoid", "ipo", "kto"] = Field(
        default="sigmoid",
        description="Sigmoid (Rafailov 2023) and ipo (Azar 2024) read pairs; kto (Ethayarajh 2024) single answers.",
    )
    # 0.1 as in the paper: 10 nats of log-ratio make odds of e
    beta: float = Field(default=0.1, gt=0, description="Price of straying from the reference; high stays near.")
    lr: float = Field(default=5e-4, gt=0, le=1, description="Peak learning rate (AdamW), reached after warmup.")
    epochs: int = Field(default=1, ge=1, le=1000, description="Passes over the training lines.")
    # three raters, two for a: the target is 2/3, so a disputed pair asks for less than a plain one
    smoothing: Literal["votes", "fixed", "none"] = Field(
        default="votes",
        description="Target of a pair: the share of votes, 1 less label_smoothing, or 1 for the majority.",
    )
    label_smoothing: float = Field(default=0.1, ge=0, lt=0.5, description="Chance that a label is wrong (fixed).")
    ties: Literal["half", "ignore"] = Field(
        default="half", description="A tie as half a vote for each side (votes), or left out."
    )
    strength: Literal["weight", "ignore"] = Field(
        default="weight", description="Whether stronger votes weigh more; 1 on average over a protocol's levels."
    )
    # sums of log-ratios grow with length, so long answers pull harder than short ones
    per_token: bool = Field(default=False, description="Log-ratios as means over an answer's tokens, not sums.")
    # off as in the paper on DPO; where whole answers are liked, which are longer, it goes on beyond what is liked
    length_coef: float = Field(
        default=0.0, ge=0, description="Log-odds that a token more explains of a preference (R-DPO, sigmoid only)."
    )
    sft_coef: float = Field(
        default=0.0, ge=0, description="Weight of the chosen answers' loss per token beside (pairs only)."
    )
    desirable_weight: float = Field(default=1.0, gt=0, description="Weight of answers that people liked (kto).")
    undesirable_weight: float | None = Field(
        default=None, gt=0, description="Weight of answers they did not like (kto); empty balances both sides."
    )
    threshold: float = Field(
        default=0.5, ge=0, le=1, description="Share of a rating's scale above which an answer is liked (kto)."
    )
    pairs_as_singles: bool = Field(
        default=True, description="Whether kto also takes the two sides of a pair as liked and not liked."
    )
    min_lines: int = Field(default=10, ge=2, description="Pairs, or judged answers, needed to begin.")
    # a few hundred pairs of people's leave much unsaid; best and worst of eight are as far apart as answers get here
    drawn_answers: int = Field(
        default=8, ge=2, le=64, description="Answers drawn to a prompt, whose best and worst are a pair (reward model)."
    )
    drawn_pairs: int = Field(default=2, ge=1, le=64, description="Such pairs to each prompt (reward model).")
    drawn_tokens: int = Field(default=128, ge=1, description="Most tokens of an answer that is drawn (reward model).")

    @model_validator(mode="after")
    def fits_together(self) -> Self:
        if self.loss == "kto" and self.batch < 2:
            self.refuse(_("kto compares each answer with others of its batch, so batch {batch} must be at least 2"))
        if self.length_coef > 0 and self.loss != "sigmoid":
            self.refuse(_("length_coef {length_coef:g} is part of the sigmoid loss; {loss} has no place for it"))
        return self

    def must_learn_from_pairs(self) -> None:
        """:raises ValueError: what a reward model makes are pairs, and none is learned from."""
        if self.loss == "kto" and not self.pairs_as_singles:
            self.refuse(
                _("with pairs_as_singles off kto learns nothing from a reward model’s pairs: turn it on, or name none")
            )


class SFTRun(Run):
    method: Literal["sft"] = "sft"
    config: SFTConfig = SFTConfig()
    dataset: Path = Field(description="JSONL of demonstration records, or of TRL's prompt-completion or chat lines.")


class DPORun(Run):
    """reward and prompts come together: then pairs of the checkpoint's own answers are learned from beside people's."""

    method: Literal["dpo"] = "dpo"
    config: DPOConfig = DPOConfig()
    dataset: Path = Field(description="JSONL of judged records, or of TRL's preference or unpaired lines.")
    reward: Path | None = Field(default=None, description="Reward checkpoint folder that judges drawn answers.")
    reward_base: Path | None = Field(
        default=None, description="The base of the reward checkpoint, where it is another than checkpoint."
    )
    prompts: Path | None = Field(default=None, description="JSONL of prompt records to draw answers to.")

    @model_validator(mode="after")
    def draws_by_a_judge(self) -> Self:
        if (self.reward is None) != (self.prompts is None):
            raise ValueError("reward and prompts come together: answers to the prompts are judged by the reward model")
        if self.reward is not None:
            self.config.must_learn_from_pairs()
        return self
