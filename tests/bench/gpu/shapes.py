"""Llama shapes with random weights, held in memory alone: nothing is fetched, and no checkpoint is written."""

from __future__ import annotations

import random
import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from workers.training.checkpoints import Opened

PAD, END = 0, 1


@dataclass(frozen=True)
class Shape:
    hidden: int
    layers: int
    heads: int
    shared: int  # key-value heads
    inner: int
    vocabulary: int

    def config(self, context: int) -> LlamaConfig:
        return LlamaConfig(
            vocab_size=self.vocabulary, hidden_size=self.hidden, intermediate_size=self.inner,
            num_hidden_layers=self.layers, num_attention_heads=self.heads, num_key_value_heads=self.shared,
            max_position_embeddings=context, tie_word_embeddings=False, pad_token_id=PAD, eos_token_id=END,
            bos_token_id=None,
        )  # fmt: skip

    @property
    def in_layers(self) -> int:
        """Weights of the layers' linear maps: what a token is multiplied by."""
        size = self.hidden // self.heads
        attention = self.hidden * size * (2 * self.heads + 2 * self.shared)
        return self.layers * (attention + 3 * self.hidden * self.inner)

    @property
    def in_head(self) -> int:
        return self.vocabulary * self.hidden

    @property
    def parameters(self) -> int:
        return self.in_layers + 2 * self.in_head

    @property
    def position_bytes(self) -> int:
        """Keys and values of one token in bf16."""
        return 2 * 2 * self.layers * self.shared * (self.hidden // self.heads)


SHAPES = {
    "0.5B": Shape(1280, 24, 20, 4, 3584, 32_768),
    "1.5B": Shape(2048, 26, 16, 4, 7168, 32_768),
    "8B": Shape(4096, 32, 32, 8, 14_336, 128_256),
    "tiny": Shape(64, 2, 4, 2, 128, 512),
}


@dataclass(frozen=True)
class Sizes:
    """prompt, answer: tokens; batch: answers of a training step, or pairs; micro: rows of a forward pass; rows: answers
    that are written side by side, `samples` to each prompt; steps: the first of which is left out."""

    prompt: int
    answer: int
    batch: int
    micro: int
    rows: int
    samples: int
    steps: int
    product: int  # of the square matrices that the card's peak is taken from

    @property
    def context(self) -> int:
        return self.prompt + self.answer


FULL = Sizes(prompt=128, answer=128, batch=64, micro=16, rows=128, samples=4, steps=4, product=8192)
TINY = Sizes(prompt=12, answer=8, batch=8, micro=4, rows=8, samples=4, steps=2, product=128)


def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def make_tokenizer(words: int) -> PreTrainedTokenizerFast:
    """Every word w0, w1, … is one token."""
    known = {"<|pad|>": PAD, "<|end|>": END} | {f"w{number}": number for number in range(2, words)}
    bare = Tokenizer(models.WordLevel(known, unk_token="<|pad|>"))
    bare.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bare, pad_token="<|pad|>", eos_token="<|end|>", unk_token="<|pad|>"
    )
    tokenizer.chat_template = "{% for message in messages %}{{ message.content }}{% endfor %}"
    return tokenizer


def network_of(shape: Shape, context: int, dtype: torch.dtype) -> LlamaForCausalLM:
    """Made where it will run: an 8 B shape is never on the CPU."""
    torch.manual_seed(0)
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with device():
            return LlamaForCausalLM(shape.config(context)).eval().requires_grad_(False)
    finally:
        torch.set_default_dtype(before)


def opened_of(shape: Shape, sizes: Sizes, dtype: torch.dtype) -> Opened:
    network, tokenizer = network_of(shape, sizes.context + 16, dtype), make_tokenizer(min(2000, shape.vocabulary))
    opened = Opened(
        Path(tempfile.mkdtemp()), network, tokenizer, None, PAD, frozenset({END}), dtype, sizes.context + 16,
        "float32" if dtype == torch.float32 else "bfloat16",
    )  # fmt: skip
    opened.__dict__["weights_sha256"] = "0" * 64  # of no file
    return opened


def token_rows(count: int, length: int, shape: Shape, seed: int = 0) -> list[list[int]]:
    """Prompts of half to all of the length."""
    chance = random.Random(seed)
    most = min(2000, shape.vocabulary)
    return [[chance.randrange(2, most) for _ in range(chance.randint(length // 2, length))] for _ in range(count)]
