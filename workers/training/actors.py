"""Who takes part in PPO: policy, reference and critic, as roles on as few networks as the config allows."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from app.training.configs import PPOConfig, PPORun
from workers.training.bases import open_base, state_to_keep
from workers.training.checkpoints import CheckpointRefused, Opened, file_sha256
from workers.training.heads import mix_of
from workers.training.judging import Judges, open_judges
from workers.training.memory import Memory
from workers.training.networks import Backbone, layer_of
from workers.training.scoring import ADAPTER as REWARD
from workers.training.scoring import RewardNetwork, load_reward, read_reward_record
from workers.training.sharding import alike, opened_on, parted, shard

POLICY, CRITIC = "policy", "critic"


@dataclass
class Actors:
    """Three roles, each a backbone and the adapter that is on for it (None: the backbone as it is).

    lora: one backbone for all; the reference is it with adapters off. full, layers, biases: the policy is a copy with
    all or some weights free, beside the frozen reference, whose tensors it shares where they are not. A shared critic
    is the policy's own trunk; with advantage rloo or grpo nobody asks it, and it learns nothing.
    """

    opened: Opened
    config: PPOConfig
    reference: Backbone
    policy: Backbone
    critic: Backbone
    policy_adapter: str | None
    critic_adapter: str | None
    value_head: nn.Linear
    memory: Memory = field(default_factory=Memory)

    def policy_weights(self) -> dict[str, nn.Parameter]:
        return weights_of(self.policy, self.policy_adapter, POLICY)

    def critic_weights(self) -> dict[str, nn.Parameter]:
        """What only the critic learns: its head, and its trunk where it has one."""
        if not self.config.asks_critic:
            return {}
        head = {f"value_head.{name}": tensor for name, tensor in self.value_head.named_parameters()}
        shared = self.config.critic == "shared"
        return head if shared else {**head, **weights_of(self.critic, self.critic_adapter, CRITIC)}

    def trained(self) -> dict[str, nn.Parameter]:
        return {**self.policy_weights(), **self.critic_weights()}

    def policy_state(self) -> dict[str, Tensor]:
        return state_to_keep(self.opened, self.policy, self.policy_adapter)


def weights_of(backbone: Backbone, adapter: str | None, role: str) -> dict[str, nn.Parameter]:
    if adapter is not None:
        return {f"{role}.{path}": tensor for path, tensor in backbone.adapter(adapter).items()}
    return {f"{role}.{path}": tensor for path, tensor in backbone.network.named_parameters() if tensor.requires_grad}


def open_actors(run: PPORun) -> tuple[Actors, Judges]:
    """Everything PPO needs in memory. Raises CheckpointRefused, RunRefused."""
    opened = open_base(run.checkpoint, opened_on(run), run.config.base_precision)
    backbone = Backbone(opened.network)
    actors = (lora_actors if run.config.tuning == "lora" else full_actors)(opened, backbone, run.config, parted(run))
    actors.memory.together = parted(run) is not None
    reward = open_reward(run, run.reward, opened, backbone) if run.reward else None
    if reward is not None:
        reward.mix, reward.memory = mix_of(run.config, reward.constants), actors.memory
    if run.config.critic == "own" and reward is not None:
        start_critic_from(reward, actors)
    if run.config.gradient_checkpointing:
        recompute_activations(actors)
    return actors, open_judges(run, opened, reward)


def open_reward(run: PPORun, folder: Path, opened: Opened, backbone: Backbone) -> RewardNetwork:
    """The reward network, on the shared backbone where that is its base."""
    record = read_reward_record(folder)
    if run.reward_base is None or record.base_sha256 == opened.weights_sha256:
        return load_reward(folder, backbone, opened.weights_sha256)
    base = open_base(run.reward_base, opened_on(run), run.config.base_precision)
    if tokenizer_of(base.folder) != tokenizer_of(opened.folder):
        raise CheckpointRefused(
            f"tokenizer.json of {base.folder.name} differs from that of {opened.folder.name}:"
            " the reward network would read other tokens than the policy wrote."
        )
    backbone = Backbone(base.network)
    shard(backbone, parted(run))
    return load_reward(folder, backbone, base.weights_sha256)


def tokenizer_of(folder: Path) -> str:
    return file_sha256(folder / "tokenizer.json")


def new_value_head(backbone: Backbone) -> nn.Linear:
    """Zero at first, so that every value is 0, the mean of normalised scores (statement 23)."""
    head = nn.Linear(backbone.width, 1)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    return head.to(backbone.device)


def lora_actors(opened: Opened, backbone: Backbone, config: PPOConfig, parts: torch.device | None) -> Actors:
    shard(backbone, parts)
    backbone.add(POLICY, config.rank, config.scale)
    critic = POLICY
    if config.critic == "own":
        backbone.add(CRITIC, config.rank, config.scale)
        critic = CRITIC
    head = new_value_head(backbone)
    return Actors(opened, config, backbone, backbone, backbone, POLICY, critic, head)


def full_actors(opened: Opened, reference: Backbone, config: PPOConfig, parts: torch.device | None) -> Actors:
    """Weights in parts are each network's own: what the policy leaves as it is is not the reference's tensors then."""
    policy = free_copy(reference, config)
    critic = policy if config.critic == "shared" else free_copy(reference, config)
    head = new_value_head(policy)
    for network in dict.fromkeys((policy, critic, reference, head)):
        shard(network, parts)
    return Actors(opened, config, reference, policy, critic, None, None, head)


def free_copy(backbone: Backbone, config: PPOConfig) -> Backbone:
    """A copy of the network, which has no adapters yet, with the weights free that learn; the others are the original's
    own tensors. Raises CheckpointRefused where none would learn."""
    free = copy.deepcopy(backbone)
    frozen = dict(backbone.network.named_parameters())
    learning = 0
    for path, tensor in free.network.named_parameters():
        if learns(path, backbone, config):
            tensor.requires_grad_(True)
            learning += 1
        else:
            tensor.data = frozen[path].data
    if not learning:
        raise CheckpointRefused(
            f"{backbone.network.config.model_type} has no biases that could learn; choose another tuning."
        )
    return free


def learns(path: str, backbone: Backbone, config: PPOConfig) -> bool:
    """Whether the weight at `path` is one of those that `tuning` frees."""
    if config.tuning == "biases":
        return path.endswith(".bias")
    if config.tuning == "layers":
        is_inside = any(part.isdigit() for part in path.split("."))  # embeddings and the last norm are in no layer
        return is_inside and layer_of(path) >= backbone.depth - config.layers
    return True


def start_critic_from(reward: RewardNetwork, actors: Actors) -> None:
    """A critic of its own begins as the reward network's first member: it knows already what is worth something.

    Only where both stand on one base; else it begins as the policy does. Its head begins at zero all the same.
    """
    if reward.backbone is not actors.reference:
        return
    with torch.no_grad():
        if actors.config.tuning != "lora":
            for path, place in actors.critic.adapted.items():
                if place.linear.weight.requires_grad:  # the others are the reference's own
                    known = reward.backbone.adapted[path].weight_with(REWARD)
                    place.linear.weight.copy_(alike(known, place.linear.weight))
            return
        actors.critic.remove(CRITIC)
        actors.critic.add(CRITIC, reward.config.rank, reward.config.scale, above=reward.above)
        learned = reward.backbone.adapter(REWARD)
        for path, tensor in actors.critic.adapter(CRITIC).items():
            tensor.copy_(learned[path][:1])


def recompute_activations(actors: Actors) -> None:
    """Gradient checkpointing. The recomputation happens in the backward pass, when the adapter of the forward pass may
    be off again, so it is switched on for it."""
    for backbone in {id(b): b for b in (actors.policy, actors.critic)}.values():
        backbone.network.activation_checkpointing_enable({"use_reentrant": False, "context_fn": backbone.as_it_is})
        backbone.network.train()  # transformers recomputes in training mode only; dropout is silenced in both
