"""A tiny random Llama with a tokenizer trained on the spot: real parts, small enough for one thread."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from app.training.configs import PPOConfig, PPORun, RewardConfig
from workers.training.checkpoints import CheckpointRecord, Opened, open_checkpoint, save_checkpoint
from workers.training.networks import Backbone
from workers.training.scoring import RewardNetwork, save_reward

TEXT = (
    "good fine happy sure bad sad poor angry the a to of and in is it you that he was for on are with as they be at"
    " one have this from by some what we can out other were all your when up use how each she do time will way about"
    " many then them write would like so make thing see him two has look more day could go come did my no most who"
)
WORDS = TEXT.split()
TEMPLATE = (
    "{% for message in messages %}<|{{ message.role }}|>{{ message.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def make_tokenizer() -> PreTrainedTokenizerFast:
    bare = Tokenizer(models.BPE())
    bare.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bare.decoder = decoders.ByteLevel()
    special = ["<|pad|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=special,
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    bare.train_from_iterator([" ".join(WORDS[i:] + WORDS[:i]) for i in range(len(WORDS))], trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bare, pad_token="<|pad|>", eos_token="<|end|>")
    tokenizer.chat_template = TEMPLATE
    return tokenizer


def make_network(tokenizer: PreTrainedTokenizerFast, *, seed: int = 0, hidden: int = 32) -> LlamaForCausalLM:
    torch.manual_seed(seed)
    shape = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
        initializer_range=0.1,
    )
    return LlamaForCausalLM(shape)


def make_checkpoint(folder: Path, *, seed: int = 0, hidden: int = 32) -> Path:
    tokenizer = make_tokenizer()
    save_checkpoint(folder, make_network(tokenizer, seed=seed, hidden=hidden), tokenizer, CheckpointRecord(kind="base"))
    return folder


@pytest.fixture(scope="session")
def base_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_checkpoint(tmp_path_factory.mktemp("checkpoints") / "base")


@pytest.fixture
def opened(base_folder: Path) -> Opened:
    """Opened anew each time: adapters change the network in place."""
    return open_checkpoint(base_folder)


@pytest.fixture(scope="session")
def reward_folder(base_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A reward network that was never fitted: its scores are some fixed function of the tokens."""
    base = open_checkpoint(base_folder)
    torch.manual_seed(5)
    config = RewardConfig(members=2, rank=2, read="mean")
    reward = RewardNetwork(Backbone(base.network), config, base.weights_sha256)
    with torch.no_grad():
        for tensor in reward.trained().values():
            tensor.add_(torch.randn_like(tensor) * 0.05)
    record = CheckpointRecord(
        kind="reward", base_sha256=base.weights_sha256, config=config.model_dump(mode="json"), seed=5
    )
    folder = tmp_path_factory.mktemp("reward") / "reward"
    save_reward(folder, reward, record)
    return folder


@pytest.fixture
def run(base_folder: Path, reward_folder: Path, tmp_path: Path) -> PPORun:
    """A PPO run of three small steps."""
    from tests.training.make import make_prompts, write  # it knows the words from here

    small = {"steps": 3, "batch": 8, "minibatch": 4, "epochs": 2, "max_tokens": 10, "reference_samples": 8, "lr": 3e-3}
    return PPORun(
        checkpoint=base_folder,
        reward=reward_folder,
        prompts=write(tmp_path / "prompts.jsonl", make_prompts(12)),
        output=tmp_path / "policy",
        device="cpu",
        config=PPOConfig(**small),
    )
