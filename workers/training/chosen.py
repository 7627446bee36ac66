"""Log-probabilities of chosen tokens, with as little of the vocabulary's width in memory as can be.

A block of logits (n, v) and what autograd keeps of each operation on it are most of the memory of a step with a large
vocabulary, and on a CPU much of its time as well, since each takes fresh pages. Here a small block is turned into
probabilities in its own place and kept; a large one is made some rows at a time, in one place that is written over, and
made again for the gradient, which needs no more of it than its sums.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from workers.training.embeddings import gradient_so_far

# logits that are kept for the gradient, and those that are in flight at once where they are not, in numbers: on a CPU
# what stays near a core, on a card what keeps it busy
KEPT = {"cpu": 1 << 22, "cuda": 1 << 25}
AT_ONCE = {"cpu": 1 << 20, "cuda": 1 << 24}


def is_plain(head: nn.Module) -> bool:
    """Whether a head is a product and nothing else, whose gradient `Chosen` knows."""
    return type(head) is nn.Linear and not (head._forward_hooks or head._forward_pre_hooks)


def chosen_logprobs(head: nn.Linear, rows: Tensor, tokens: Tensor, temperature: float) -> Tensor:
    """rows (n, width), tokens (n,) → (n,), in fp32 at least. Under autocast the product is of its type, as the head's
    own would be."""
    weight, bias = head.weight, head.bias
    if torch.is_autocast_enabled(rows.device.type):
        kind = torch.get_autocast_dtype(rows.device.type)
        rows, weight, bias = rows.to(kind), weight.to(kind), None if bias is None else bias.to(kind)
    found: Tensor = Chosen.apply(rows, tokens, weight, bias, temperature, torch.is_grad_enabled())
    return found


class Chosen(torch.autograd.Function):
    """rows (n, width), tokens (n,), weight (v, width), bias (v,) or None → (n,). learns: a gradient will be wanted."""

    @staticmethod
    def forward(
        ctx: Any, rows: Tensor, tokens: Tensor, weight: Tensor, bias: Tensor | None, temperature: float, learns: bool
    ) -> Tensor:
        found = torch.empty(len(rows), device=rows.device, dtype=wide_enough(rows))
        sums = torch.empty_like(found)
        keeps = learns and len(rows) * len(weight) <= limit(KEPT, rows)
        ctx.kept = None
        for part, logits in chunks(rows, weight, bias, temperature, whole=keeps):
            found[part] = logits.gather(1, tokens[part, None])[:, 0]
            top = logits.amax(1, keepdim=True)
            total = logits.sub_(top).exp_().sum(1, keepdim=True)
            ctx.kept = logits.div_(total) if keeps else None
            sums[part] = total.log_().add_(top)[:, 0]
        ctx.save_for_backward(rows, tokens, weight, bias, sums)
        ctx.temperature = temperature
        return found - sums

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        rows, tokens, weight, bias, _ = ctx.saved_tensors
        for_rows, _, for_weight, for_bias, *_ = ctx.needs_input_grad
        to_rows = torch.empty_like(rows) if for_rows else None
        so_far = gradient_so_far(weight) if for_weight else None
        to_weight = torch.zeros_like(weight) if for_weight and so_far is None else so_far
        to_bias = torch.zeros_like(bias) if for_bias else None
        scaled = gradient[:, None] / ctx.temperature
        for part, shares in shares_again(ctx):
            # of log p(token) to the logits: 1 at the token, less all probabilities
            away = torch.mul(shares, -scaled[part], out=shares)
            away = away.scatter_add_(1, tokens[part, None], scaled[part]).to(weight.dtype)
            if to_rows is not None:
                torch.mm(away, weight, out=to_rows[part])
            if to_weight is not None:
                to_weight.addmm_(away.T, rows[part])
            if to_bias is not None:
                to_bias += away.sum(0)
        return to_rows, None, to_weight if so_far is None else None, to_bias, None, None


def shares_again(ctx: Any) -> Iterator[tuple[slice, Tensor]]:
    """Probabilities of the vocabulary, in a place that may be written over; a second backward pass finds none kept."""
    rows, _, weight, bias, sums = ctx.saved_tensors
    kept, ctx.kept = ctx.kept, None
    if kept is not None:
        yield slice(0, len(rows)), kept
        return
    for part, logits in chunks(rows, weight, bias, ctx.temperature):
        yield part, logits.sub_(sums[part, None]).exp_()


def chunks(
    rows: Tensor, weight: Tensor, bias: Tensor | None, temperature: float, *, whole: bool = False
) -> Iterator[tuple[slice, Tensor]]:
    """Some rows at a time: which, and their logits over the temperature, which the next ones are written over."""
    size = len(rows) if whole else max(1, min(len(rows), limit(AT_ONCE, rows) // len(weight)))
    place = rows.new_empty(size, len(weight))
    for first in range(0, len(rows), max(1, size)):
        part = slice(first, min(first + size, len(rows)))
        logits = torch.mm(rows[part], weight.T, out=place[: part.stop - first])
        if bias is not None:
            logits.add_(bias)
        yield part, logits.to(wide_enough(rows)).div_(temperature)


def limit(numbers: dict[str, int], rows: Tensor) -> int:
    kind = rows.device.type
    return numbers[kind if kind in numbers else "cuda"]


def wide_enough(rows: Tensor) -> torch.dtype:
    return torch.promote_types(rows.dtype, torch.float32)
