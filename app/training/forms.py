"""What may be asked of the training chapter."""

from typing import Annotated, ClassVar, Self
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from app.projects.forms import without_nul
from app.training.configs import DPOConfig, PPOConfig, RewardConfig, SFTConfig
from app.training.tables import Method

RunName = Annotated[str, Field(max_length=120), AfterValidator(without_nul)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]


class StartForm(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    name: RunName = ""
    seed: Seed = 0


class DatasetForm(StartForm):
    """A run that learns from a frozen dataset. base: the checkpoint that it begins from; empty, the project's."""

    method: ClassVar[Method]
    dataset: UUID
    base: UUID | None = None


class SFTForm(DatasetForm):
    """A checkpoint that writes as people wrote: from the dataset's demonstrations and rewrites."""

    method = Method.sft
    config: SFTConfig = SFTConfig()


class RewardForm(DatasetForm):
    """A reward model. base: the checkpoint whose answers it will judge."""

    method = Method.reward
    config: RewardConfig = RewardConfig()


class DPOForm(DatasetForm):
    """A policy from preferences. reward: a reward model that makes further pairs of the base's own answers; empty, only
    what people preferred is learned from. Answers are drawn to the prompts that PPO practises on."""

    method = Method.dpo
    reward: UUID | None = None
    config: DPOConfig = DPOConfig()

    @model_validator(mode="after")
    def draws_what_is_learned_from(self) -> Self:
        if self.reward is not None:
            self.config.must_learn_from_pairs()
        return self


LearnsFromDataset = SFTForm | RewardForm | DPOForm


class PPOForm(StartForm):
    """A policy from a reward model. base: where the policy starts; empty, the base of the reward model.

    Prompts of use `train` are practised on; where a project has none, those of use `label`. Held-out ones never are.
    """

    reward: UUID
    base: UUID | None = None
    config: PPOConfig = PPOConfig()
