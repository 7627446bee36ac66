"""What may be asked of the training chapter."""

from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from app.projects.forms import without_nul
from app.training.configs import PPOConfig, RewardConfig

RunName = Annotated[str, Field(max_length=120), AfterValidator(without_nul)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]


class StartForm(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    name: RunName = ""
    seed: Seed = 0


class RewardForm(StartForm):
    """A reward model from a frozen dataset. base: the checkpoint whose answers it will judge; empty, the project's."""

    dataset: UUID
    base: UUID | None = None
    config: RewardConfig = RewardConfig()


class PPOForm(StartForm):
    """A policy from a reward model. base: where the policy starts; empty, the base of the reward model.

    Prompts of use `train` are practised on; where a project has none, those of use `label`. Held-out ones never are.
    """

    reward: UUID
    base: UUID | None = None
    config: PPOConfig = PPOConfig()
