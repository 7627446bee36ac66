"""A server elsewhere that draws PPO's answers: where it is, and how each policy's weights get there."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class RolloutServer(BaseModel):
    """Of a run file alone, as functions are: who may start a run over REST may not make the trainer call anybody."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["vllm", "sglang", "hone"] = Field(description="What runs there; hone is our own door (hone serve).")
    address: str = Field(pattern=r"^https?://", description="Its address, as http://10.0.0.5:8000/v1.")
    model: str = Field(min_length=1, description="What it calls the checkpoint that training begins from.")
    key_variable: str | None = Field(
        default=None, description="The environment variable with its key; empty sends none."
    )
    # an adapter is megabytes and needs no GPU here; everything is what full tuning and our own door need
    weights: Literal["adapter", "everything"] = Field(
        default="adapter", description="What goes there before each sampling: the policy's adapter, or all its weights."
    )
    folder: Path | None = Field(
        default=None, description="On a disk that both see under this name: where the weights are written."
    )
    # vLLM takes whole weights over NCCL, for which its processes meet the trainer
    meet_at: str | None = Field(
        default=None, pattern=r"^[^\s:]+:\d+$", description="host:port of the trainer, as the server reaches it."
    )
    timeout: float = Field(default=600.0, gt=0, le=86_400, description="Seconds that one prompt's answers may take.")

    @model_validator(mode="after")
    def fits_together(self) -> Self:
        over_nccl = (self.kind, self.weights) == ("vllm", "everything")
        if self.kind == "hone" and self.weights == "adapter":
            raise ValueError("our own door reads whole checkpoints: weights must be everything")
        if over_nccl != (self.meet_at is not None):
            raise ValueError("meet_at belongs to kind vllm with weights everything, which needs it")
        if over_nccl != (self.folder is None):
            raise ValueError("folder is where the weights are written, and vllm alone takes everything without one")
        if self.folder is not None and not self.folder.is_absolute():
            raise ValueError("folder must be absolute, for the server is told its name")
        return self
