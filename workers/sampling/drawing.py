"""One random choice per row, by counter: the same row and step give the same token on any device, in any batch."""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from typing import Any

import numpy as np
import torch
from torch import Tensor

from workers.sampling.answers import Sampling

# elements handled at once: (block, V) int32 and fp32 scratch stays in the second-level cache
BLOCK_ELEMENTS = 1 << 18

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)


def row_key(seed: int, sample_index: int) -> int:
    """The 64-bit key from which all random numbers of one answer come."""
    return int.from_bytes(blake2b(f"{seed}:{sample_index}".encode(), digest_size=8).digest(), "little")


def draw(logits: Tensor, keys: list[int], steps: list[int], sampling: Sampling) -> tuple[Tensor, Tensor]:
    """One token per row.

    logits (B, V) in any float type; `keys` from `row_key`; `steps` counts the tokens that a row has drawn before.
    Returns tokens (B,) int64 and the log-probabilities (B,) fp32 of the distribution drawn from.
    """
    words = torch.from_numpy(_words(keys, steps)).to(logits.device)
    block = max(1, BLOCK_ELEMENTS // logits.shape[-1]) if logits.device.type == "cpu" else len(keys)
    drawn = [
        _draw_block(part, word, sampling) for part, word in zip(logits.split(block), words.split(block), strict=True)
    ]
    return torch.cat([tokens for tokens, _ in drawn]), torch.cat([logprobs for _, logprobs in drawn])


def _draw_block(logits: Tensor, words: Tensor, sampling: Sampling) -> tuple[Tensor, Tensor]:
    scaled = logits.float() / (sampling.temperature or 1.0)
    top = scaled.amax(-1, keepdim=True)
    weights = (scaled - top).exp_()  # (b, V), unnormalised probabilities
    if sampling.temperature == 0:
        tokens = scaled.argmax(-1)
    else:
        weights = _truncate(weights, sampling)
        # argmax of w / E with E ~ Exp(1) is argmax of log w + Gumbel, one logarithm cheaper
        tokens = (weights / _exponentials(words, weights.shape[-1])).argmax(-1)
    chosen = scaled.gather(-1, tokens[:, None]) - top
    return tokens, (chosen - weights.sum(-1, keepdim=True).log()).squeeze(-1)


def _truncate(weights: Tensor, sampling: Sampling) -> Tensor:
    """Zero outside the top k, then outside the smallest set that holds top_p of what is left."""
    if 0 < sampling.top_k < weights.shape[-1]:
        weakest = weights.topk(sampling.top_k).values[:, -1:]
        weights = weights.masked_fill(weights < weakest, 0.0)
    if sampling.top_p < 1:
        ordered, order = weights.sort(descending=True, stable=True)
        before = ordered.cumsum(-1) - ordered
        ordered = ordered.masked_fill(before >= sampling.top_p * ordered.sum(-1, keepdim=True), 0.0)
        weights = torch.zeros_like(weights).scatter_(-1, order, ordered)
    return weights


def _exponentials(words: Tensor, vocabulary: int) -> Tensor:
    """words (B, 2) int32 → (B, V) independent draws from Exp(1), always above 0.

    Two rounds of multiply and xor-shift over (token hash ^ row word); int32 arithmetic wraps the same on every device.
    """
    bits = _token_hashes(vocabulary, str(words.device)) ^ words[:, :1]
    bits *= 0x7FEB352D
    bits ^= (bits >> 16) & 0xFFFF
    bits ^= words[:, 1:]
    bits *= -2073254261  # 0x846CA68B as int32
    bits ^= (bits >> 16) & 0xFFFF
    bits &= 0x7FFFFFFF
    # winners have a small E, and floats near 0 are fine: hence -log1p(-u) and not -log(u)
    uniform = bits.float().add_(0.5).mul_(-(2.0**-31))
    return uniform.log1p_().neg_()


@lru_cache(maxsize=8)
def _token_hashes(vocabulary: int, device: str) -> Tensor:
    mixed = _mix(np.arange(1, vocabulary + 1, dtype=np.uint64) * _GOLDEN)
    return torch.from_numpy((mixed >> np.uint64(32)).astype(np.uint32).view(np.int32)).to(device)


def _words(keys: list[int], steps: list[int]) -> np.ndarray[Any, np.dtype[np.int32]]:
    counters = np.array(keys, dtype=np.uint64) + _GOLDEN * (np.array(steps, dtype=np.uint64) + np.uint64(1))
    return _mix(counters).view(np.int32).reshape(-1, 2)


def _mix(words: np.ndarray[Any, np.dtype[np.uint64]]) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """The finaliser of splitmix64 (Steele, Lea, Flood 2014)."""
    words = (words ^ (words >> np.uint64(30))) * _FIRST
    words = (words ^ (words >> np.uint64(27))) * _SECOND
    mixed: np.ndarray[Any, np.dtype[np.uint64]] = words ^ (words >> np.uint64(31))
    return mixed
