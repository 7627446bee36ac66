"""What may be asked of the evaluation chapter."""

from typing import Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.completions.rules import Sampling
from app.translation import _


class EvaluationForm(BaseModel):
    """A blind comparison: one answer of each checkpoint to the same held-out prompts, with the same sampling.

    baseline empty: the candidate's parent. prompts: how many held-out ones at most. k: answers wanted a pair.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    candidate: UUID
    baseline: UUID | None = None
    prompts: int = Field(default=100, ge=1, le=5000)
    k: int = Field(default=1, ge=1, le=50)
    sampling: Sampling = Sampling()
    seed: int = Field(default=0, ge=0, lt=2**31)

    @model_validator(mode="after")
    def two_checkpoints(self) -> Self:
        if self.candidate == self.baseline:
            raise ValueError(_("candidate and baseline are the same checkpoint; name two"))
        return self
