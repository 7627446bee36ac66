"""What every method's config and run file begin with, and how either is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NoReturn, Self

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
    # adapters learn in fp32 beside either; 4 bits cost some digits of the base, and are for one that would not fit else
    base_precision: Literal["float32", "bfloat16", "nf4"] = Field(
        default="float32",
        description="What a frozen base is held in (lora); nf4: 4 bits a weight (QLoRA), with bitsandbytes alone.",
    )
    # micro-batches are cut by padded tokens, so memory is bounded whatever the lengths
    token_budget: int = Field(
        default=8192, ge=64, description="Padded tokens in one forward pass: bounds memory, changes no result."
    )

    @model_validator(mode="after")
    def holds_what_stays_frozen(self) -> Self:
        if self.base_precision != "float32" and getattr(self, "tuning", "lora") != "lora":
            self.refuse(_("base_precision {base_precision} is for a base that stays frozen: it needs tuning lora"))
        return self

    def refuse(self, sentence: str) -> NoReturn:
        """:raises ValueError: the sentence, its braces filled from the fields."""
        raise ValueError(sentence.format(**dict(self)))


class Run(BaseModel):
    """Paths in a run file are relative to the file. `folder` keeps metrics, state and the `cancel` mark."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    checkpoint: Path = Field(description="Checkpoint folder to begin from.")
    output: Path = Field(description="Folder the result is written to; it must not exist.")
    folder: Path | None = Field(default=None, description="Working folder; empty is output with .run behind.")
    seed: int = Field(default=0, ge=0, lt=2**63, description="Every random choice follows from it.")
    device: str = Field(default="auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$", description="auto, cpu, cuda or cuda:N.")
    # of the run file as the device is: it says where things lie, and changes no result
    sharding: Literal["none", "full"] = Field(
        default="none",
        description="Of several processes each holds all weights, or its part of weights, gradients and moments.",
    )
    parent: str | None = Field(default=None, description="The checkpoint's id, kept in the result's record.")
    # of the run file, never of a config: a config also comes over REST, and figures leave the machine by this
    track: Literal["wandb", "trackio"] | None = Field(
        default=None, description="wandb or trackio: where figures and settings also go; texts never do."
    )
    name: str | None = Field(default=None, description="What trackers call the run; empty is the output's name.")

    @property
    def work(self) -> Path:
        return self.folder or self.output.with_name(self.output.name + ".run")


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
