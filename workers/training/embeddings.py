"""What a vocabulary's weights learn, added to the gradient that they have, at the words that were met.

Autograd makes a gradient of the whole table (v, width) for every pass and adds it to that of the passes before, however
few of its rows the pass read: with a large vocabulary and small passes, much of a step's memory and time.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


def gradient_so_far(weight: Tensor) -> Tensor | None:
    """The gradient that a `backward()` may add to by itself; `torch.autograd.grad` would get none. None where that is
    autograd's: there is none yet (FSDP takes each pass's away), the weight was made from others, or hooks wait for what
    this pass adds."""
    return weight.grad if weight.is_leaf and not weight._backward_hooks else None


class Embedding(nn.Embedding):
    """A network's own embedding, its weight the same tensor."""

    @classmethod
    def of(cls, plain: nn.Embedding) -> Embedding:
        rows, width = plain.weight.shape
        found = cls(rows, width, plain.padding_idx, device="meta")
        found.weight = plain.weight
        return found.train(plain.training)

    def forward(self, ids: Tensor) -> Tensor:
        if not (self.weight.requires_grad and torch.is_grad_enabled()):
            return super().forward(ids)
        found: Tensor = Looked.apply(ids, self.weight, -1 if self.padding_idx is None else self.padding_idx)
        return found


def is_plain(embedding: nn.Module) -> bool:
    """Whether it looks rows up and does nothing else: some families scale what they find."""
    does_more = embedding._forward_hooks or embedding._forward_pre_hooks
    if type(embedding) is not nn.Embedding or does_more:
        return False
    return embedding.max_norm is None and not embedding.scale_grad_by_freq and not embedding.sparse


class Looked(torch.autograd.Function):
    """ids (…), weight (v, width) → (…, width). padding: the word whose row learns nothing; -1 for none."""

    @staticmethod
    def forward(ctx: Any, ids: Tensor, weight: Tensor, padding: int) -> Tensor:
        ctx.save_for_backward(ids, weight)
        ctx.padding = padding
        return functional.embedding(ids, weight)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor | None, None]:
        ids, weight = ctx.saved_tensors
        so_far = gradient_so_far(weight)
        if so_far is None:
            return None, table(gradient, ids, len(weight), ctx.padding), None
        if ctx.padding >= 0:
            gradient = gradient.masked_fill((ids == ctx.padding).unsqueeze(-1), 0.0)
        met, which = ids.unique(return_inverse=True)
        # each word once, so that a card adds in one order whatever runs beside it
        so_far.index_add_(0, met, table(gradient, which, len(met), -1).to(so_far.dtype))
        return None, None, None


def table(gradient: Tensor, ids: Tensor, rows: int, padding: int) -> Tensor:
    """(…, width) at ids (…) → (rows, width): sums by id."""
    found: Tensor = torch.ops.aten.embedding_dense_backward(gradient, ids, rows, padding, False)
    return found
