"""Arithmetic on ragged rows. A mask is True on real tokens, everywhere; what it hides changes nothing, not even NaN."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import torch
from torch import Tensor


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean over the True places of mask; both of one shape. 0 where nothing is real."""
    return torch.where(mask, values, 0.0).sum() / mask.sum().clamp(min=1)


def whiten(values: Tensor, mask: Tensor, *, shift_mean: bool = True) -> Tensor:
    """Variance 1 over the True places (and mean 0, or the mean kept); 0 elsewhere.

    The statistics are of all real tokens given, so they do not depend on padding (statement 21).
    """
    mean = masked_mean(values, mask)
    variance = masked_mean((values - mean).square(), mask)
    white = (values - mean) * torch.rsqrt(variance + 1e-8)
    return torch.where(mask, white if shift_mean else white + mean, 0.0)


def at_least_single(values: Tensor) -> Tensor:
    """Half precision as fp32; fp32 and fp64 as they are."""
    return values if values.dtype == torch.float64 else values.float()


def logprobs_of(logits: Tensor, tokens: Tensor, temperature: float = 1.0) -> Tensor:
    """Log-probability of each token: logits (n, v), tokens (n,) → (n,), in fp32 at least."""
    scaled = at_least_single(logits) / temperature
    return scaled.gather(-1, tokens.unsqueeze(-1)).squeeze(-1) - scaled.logsumexp(-1)


def entropy_of(logits: Tensor, temperature: float = 1.0) -> Tensor:
    """Entropy in nats: logits (n, v) → (n,)."""
    logprobs = (at_least_single(logits) / temperature).log_softmax(-1)
    return -(logprobs.exp() * logprobs).sum(-1)


def alike(states: Tensor, others: Tensor, *, half: float = 0.05) -> bool:
    """Whether two passes read the same: to rounding, of which half precision has some hundredths (`half`) of a state's
    size. A text that sees another differs by all of it."""
    gap, size = (states.float() - others.float()).abs(), others.float().abs()
    if states.dtype in (torch.bfloat16, torch.float16):
        return float(gap.mean()) < half * float(size.mean())
    return bool((gap <= 1e-4 + 1e-3 * size).all())


def pad_right(rows: Sequence[Sequence[int]], pad: int) -> tuple[Tensor, Tensor]:
    """Ragged token ids → ids (b, t) and mask (b, t), real tokens first."""
    width = max(map(len, rows))
    ids = torch.tensor([[*row, *[pad] * (width - len(row))] for row in rows], dtype=torch.long)
    return ids, mask_of([len(row) for row in rows], width)


def pad_left(rows: Sequence[Sequence[int]], pad: int) -> tuple[Tensor, Tensor]:
    """Ragged token ids → ids (b, t) and mask (b, t), real tokens last."""
    width = max(map(len, rows))
    ids = torch.tensor([[*[pad] * (width - len(row)), *row] for row in rows], dtype=torch.long)
    return ids, mask_of([len(row) for row in rows], width).flip(1)


def mask_of(lengths: Sequence[int], width: int) -> Tensor:
    """(b, width), True on the first `length` places of each row."""
    return torch.arange(width) < torch.tensor(list(lengths)).unsqueeze(1)


def fill_right(rows: Sequence[Sequence[float]], width: int) -> Tensor:
    """Ragged numbers → (b, width), zeros behind."""
    return torch.tensor([[*row, *[0.0] * (width - len(row))] for row in rows])


def places_before(starts: Sequence[int], mask: Tensor, width: int) -> Tensor:
    """Places of (b x width), (n,), from which answer tokens are drawn: the one before each. mask (b, longest answer) is
    True on tokens of answers that begin at `starts`."""
    first = torch.tensor([row * width + start - 1 for row, start in enumerate(starts)], device=mask.device)
    return (first.unsqueeze(1) + torch.arange(mask.shape[1], device=mask.device))[mask]


def positions_of(mask: Tensor) -> Tensor:
    """Position of each token counted from its row's first real one; padding gets 0."""
    return (mask.long().cumsum(-1) - 1).clamp(min=0)


def by_token_budget(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Row numbers in groups of similar length, whose padded size stays within budget; a longer row goes alone.

    Longest first, so that a lack of memory shows at once.
    """
    groups: list[list[int]] = []
    for row in sorted(range(len(lengths)), key=lambda row: (-lengths[row], row)):
        if groups and (len(groups[-1]) + 1) * lengths[groups[-1][0]] <= budget:
            groups[-1].append(row)
        else:
            groups.append([row])
    return groups


def seed_of(*numbers: int) -> int:
    """A seed for one purpose out of several numbers, the same in every process."""
    return int.from_bytes(blake2b(repr(numbers).encode(), digest_size=7).digest(), "little")
