"""One random choice per row, by counter: the same row and step give the same token on any device, in any batch."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Any, NamedTuple

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


class Drawn(NamedTuple):
    """tokens (B,) int64 with their log-probabilities (B,) fp32 in the distribution drawn from, and its k likeliest
    tokens (B, k) with theirs, -inf where fewer are left."""

    tokens: Tensor
    logprobs: Tensor
    likeliest: Tensor
    likeliest_logprobs: Tensor

    def numbers(self, values: Tensor | None) -> list[list[float]]:
        """A row each: token, log-probability, value (0 where there are none), likeliest, theirs. One transfer: doubles
        hold ids and fp32 exactly."""
        valued = torch.zeros_like(self.logprobs) if values is None else values
        first = torch.stack([self.tokens.double(), self.logprobs.double(), valued.double()], 1)
        found: list[list[float]] = torch.cat([first, self.likeliest, self.likeliest_logprobs], 1).tolist()
        return found


def draw(logits: Tensor, keys: list[int], steps: list[int], sampling: Sampling) -> Drawn:
    """One token per row.

    logits (B, V) in any float type; `keys` from `row_key`; `steps` counts the tokens that a row has drawn before.
    """
    words = torch.from_numpy(_words(keys, steps)).to(logits.device)
    block = max(1, BLOCK_ELEMENTS // logits.shape[-1]) if logits.device.type == "cpu" else len(keys)
    parts = zip(logits.split(block), words.split(block), strict=True)
    drawn = [_draw_block(part, word, sampling) for part, word in parts]
    return drawn[0] if len(drawn) == 1 else Drawn(*map(torch.cat, zip(*drawn, strict=True)))


def penalised(logits: Tensor, read: Sequence[Sequence[int]], penalty: float) -> Tensor:
    """logits (B, V) with those of each row's tokens in `read` made less likely, in fp32."""
    width = max(map(len, read))
    # padded with a token of the row itself: it is written twice, with the same number
    ids = torch.tensor([[*row, *[row[0]] * (width - len(row))] for row in read], device=logits.device)
    logits = logits.float()
    found = logits.gather(-1, ids)
    return logits.scatter(-1, ids, torch.where(found > 0, found / penalty, found * penalty))


def _draw_block(logits: Tensor, words: Tensor, sampling: Sampling) -> Drawn:
    scaled = logits.float()
    if sampling.temperature not in (0, 1):
        scaled = scaled / sampling.temperature
    top = scaled.amax(-1, keepdim=True)
    weights = (scaled - top).exp_()  # (b, V), unnormalised probabilities
    if sampling.temperature == 0:
        tokens = scaled.argmax(-1)
    else:
        weights = _truncate(weights, sampling)
        # argmax of w / E with E ~ Exp(1) is argmax of log w + Gumbel, one logarithm cheaper
        noise = _exponentials(words, weights.shape[-1])
        tokens = torch.div(weights, noise, out=noise).argmax(-1)
    total = weights.sum(-1, keepdim=True).log()
    chosen = scaled.gather(-1, tokens[:, None]) - top
    best, places = weights.topk(min(sampling.alternatives, weights.shape[-1]), -1)
    return Drawn(tokens, (chosen - total).squeeze(-1), places, best.log() - total)


def _truncate(weights: Tensor, sampling: Sampling) -> Tensor:
    """Zero outside the top k, then outside the smallest set that holds top_p of what is left, then below min_p of the
    likeliest."""
    if 0 < sampling.top_k < weights.shape[-1]:
        weakest = weights.topk(sampling.top_k).values[:, -1:]
        weights = weights.masked_fill(weights < weakest, 0.0)
    if sampling.top_p < 1:
        ordered, order = weights.sort(descending=True, stable=True)
        before = ordered.cumsum(-1) - ordered
        ordered = ordered.masked_fill(before >= sampling.top_p * ordered.sum(-1, keepdim=True), 0.0)
        weights = torch.zeros_like(weights).scatter_(-1, order, ordered)
    if sampling.min_p > 0:  # the likeliest weighs 1 here
        weights = weights.masked_fill(weights < sampling.min_p, 0.0)
    return weights


def _exponentials(words: Tensor, vocabulary: int) -> Tensor:
    """words (B, 2) int32 → (B, V) independent draws from Exp(1), always above 0.

    Two rounds of multiply and xor-shift over (token hash ^ row word); int32 arithmetic wraps the same on every device.
    """
    bits = _token_hashes(vocabulary, str(words.device)) ^ words[:, :1]
    bits *= 0x7FEB352D
    bits ^= (high := bits >> 16).bitwise_and_(0xFFFF)
    bits ^= words[:, 1:]
    bits *= -2073254261  # 0x846CA68B as int32
    bits ^= torch.bitwise_right_shift(bits, 16, out=high).bitwise_and_(0xFFFF)
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
