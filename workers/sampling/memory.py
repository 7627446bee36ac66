"""When memory does not suffice: how to tell, what a position costs, and what to say."""

from __future__ import annotations

from typing import Any

import torch

SAID = ("not enough memory", "can't allocate memory", "CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED")


class OutOfMemory(Exception):
    """More memory is needed than there is, also with half the token budget. `sentence` has the sizes."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


def is_out_of_memory(error: Exception) -> bool:
    """Also where torch raises a bare RuntimeError: on a CPU, and from CUDA's own libraries."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in SAID)


def position_bytes(network: Any) -> int:
    """Keys and values of one token of one row: 2 × layers × key-value heads × head size × bytes of a number."""
    config = network.config.get_text_config()
    heads = int(config.num_attention_heads)
    shared = int(getattr(config, "num_key_value_heads", None) or heads)
    size = int(getattr(config, "head_dim", None) or config.hidden_size // heads)
    number = int(next(network.parameters()).element_size())
    return 2 * int(config.num_hidden_layers) * shared * size * number


def too_large(network: Any, budget: int, widest: int) -> OutOfMemory:
    """budget: positions of the second try. widest: tokens of the longest prompt with its answer."""
    cost = position_bytes(network)
    return OutOfMemory(
        f"Memory ran out with a token budget of {2 * budget:,} positions, and again with {budget:,}"
        f" ({budget * cost / 1e6:,.0f} MB of keys and values, {cost:,} bytes each). The longest prompt and its answer"
        f" take {widest:,} positions a sample: lower max_tokens or n, or use a smaller checkpoint."
    )
