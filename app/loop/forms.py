"""What may be asked of the loop chapter."""

from datetime import time
from typing import Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.datasets.forms import Name
from app.loop.tables import Trigger
from app.training.configs import PPOConfig, RewardConfig
from app.translation import _


class Plan(BaseModel):
    """What a fire does: freeze, train a reward model, a policy against it. base empty: the project's checkpoint."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    heldout_share: float = Field(default=0.1, ge=0.0, le=0.9)
    base: UUID | None = None
    seed: int = Field(default=0, ge=0, lt=2**31)
    reward: RewardConfig = RewardConfig()
    ppo: PPOConfig = PPOConfig()


class ScheduleForm(BaseModel):
    """weekly: on weekday (0 = Monday) at a time in the project's zone. answers: after so many new answers."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name
    trigger: Trigger
    weekday: int | None = Field(default=None, ge=0, le=6)
    at: time | None = None
    every: int | None = Field(default=None, ge=1, le=10_000_000)
    enabled: bool = True
    plan: Plan = Plan()

    @model_validator(mode="after")
    def trigger_is_complete(self) -> Self:
        if self.trigger is Trigger.weekly and (self.weekday is None or self.at is None or self.every is not None):
            raise ValueError(_("a weekly schedule needs weekday and at, and no every"))
        if self.trigger is Trigger.answers and (self.every is None or self.weekday is not None or self.at is not None):
            raise ValueError(_("a schedule by answers needs every, and no weekday or at"))
        return self
