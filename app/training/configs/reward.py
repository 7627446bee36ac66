"""What a reward model is told."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from app.training.configs.shared import Config, Run
from app.translation import _


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
    # one likelihood of everything keeps what raters disagree about; strengths first are easier to look at
    way: Literal["joint", "bradley_terry", "elo"] = Field(
        default="joint",
        description="One likelihood of all that was said, or strengths of answers first and the score fitted to them.",
    )
    # thresholds are learned for each scale, so 1 to 5 and 1 to 7, strict raters' questions and mild ones, fit one score
    ratings: Literal["ordinal", "regression", "ignore"] = Field(
        default="ordinal",
        description="Ratings as levels of the score (proportional odds), as numbers on a line with it, or left out.",
    )
    # one head believes that all criteria are the same thing; several leave what counts how much to PPO's head_weights
    # or formula (Sparrow's rules and ArmoRM's attributes are heads on one trunk too). It costs one row of weights each
    heads: Literal["one", "criteria"] = Field(
        default="one",
        description="One score of everything, or one for the preference and one for each criterion, flag and question.",
    )
    heldout_share: float = Field(
        default=0.1, ge=0, lt=1, description="Share of prompts held out, where lines name no split of their own."
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
        if self.heads == "criteria" and self.way != "joint":
            self.refuse(_("way {way} makes one strength of all that was said: heads criteria needs way joint"))
        if self.min_votes < self.members:
            self.refuse(_("min_votes {min_votes} is below members {members}: a fold would be empty"))
        return self

    @property
    def reliability_expected(self) -> float:
        """Mean of the prior: what a rater who has not voted is taken for."""
        return self.prior_right / (self.prior_right + self.prior_wrong)


class RewardRun(Run):
    method: Literal["reward"] = "reward"
    config: RewardConfig = RewardConfig()
    dataset: Path = Field(description="JSONL of comparison records; their split says train or heldout.")
    reference_samples: Path | None = Field(
        default=None, description="JSONL of sample records of the checkpoint, which set the score's zero and unit."
    )
