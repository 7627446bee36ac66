"""How much one pass of the loop asks for: everything, or just enough to see every stage work."""

from dataclasses import dataclass
from typing import Any, Literal, get_args

from app.datasets.rules import split_of
from app.prompts.rules import group_key
from app.training.configs import DPOConfig, PPOConfig, RewardConfig
from workers.demo.prompts import DemoPrompt, demo_prompts
from workers.demo.settings import dpo_config, ppo_config, reward_config, rloo

ANSWERS = 12  # completions a prompt: six pairs
Method = Literal["ppo", "dpo", "rloo"]
METHODS: tuple[Method, ...] = get_args(Method)


@dataclass(frozen=True)
class Size:
    """prompts: of each use, None for all. aim: training votes aimed at, of roots with 42 votes each.

    evaluated: held-out prompts that people compare two checkpoints on.
    """

    prompts: int | None
    aim: int
    evaluated: int
    reward: RewardConfig
    ppo: PPOConfig
    dpo: DPOConfig

    def asked(self) -> list[DemoPrompt]:
        everything = demo_prompts()
        if self.prompts is None:
            return everything
        by_use = ([one for one in everything if one.use == use] for use in ("label", "train", "heldout"))
        return [one for prompts in by_use for one in prompts[: self.prompts]]

    def heldout_share(self, prompts: list[DemoPrompt]) -> float:
        """The share of roots to hold out so that both splits get their number of votes: roots are drawn by their key,
        so the counts can be known before the first answer."""
        keys = [group_key(prompt.group) for prompt in prompts]
        wanted = 1 - self.aim / (len(keys) * ANSWERS / 2)
        return min(
            (step / 200 for step in range(20, 160)),
            key=lambda share: abs(sum(split_of(key, share) == "heldout" for key in keys) / len(keys) - wanted),
        )

    def policy_run(self, method: Method, dataset: str, reward: str) -> tuple[str, dict[str, Any]]:
        """Which kind of run is asked for to make the policy, and with what form. dataset, reward: their ids."""
        if method == "dpo":
            return "dpo", {"dataset": dataset, "reward": reward, "config": self.dpo.model_dump(mode="json")}
        config = rloo(self.ppo) if method == "rloo" else self.ppo
        return "ppo", {"reward": reward, "config": config.model_dump(mode="json")}


def whole() -> Size:
    return Size(None, 588, 120, reward_config(), ppo_config(), dpo_config())


def small() -> Size:
    """A minute or two on one core: enough for every stage to happen, too little to learn from."""
    reward = reward_config().model_copy(update={"members": 2, "epochs": 2})
    ppo = ppo_config().model_copy(update={"steps": 8, "batch": 32, "minibatch": 16})
    return Size(24, 48, 8, reward, ppo, dpo_config())
