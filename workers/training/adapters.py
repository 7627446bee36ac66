"""Low-rank adapters (Hu et al. 2021) on the linear maps of a frozen network.

Why our own and not peft: one frozen backbone here carries the policy, a critic and a reward ensemble at once; the
ensemble's members run side by side in one forward pass (a leading member dimension that peft does not have); "adapters
off" must be the reference exactly and come back on after an exception; and a rollout wants the adapter folded into the
weights while the originals stay untouched to the last bit.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.pytorch_utils import Conv1D

from workers.training.sharding import full


class Adapter(nn.Module):
    """`members` low-rank additions to one linear map (Hu et al. 2021). `up` starts at 0: at first nothing changes.

    forward: (members x rows, …, inputs) → (members x rows, …, outputs); member m reads the m-th block of rows.
    """

    def __init__(self, inputs: int, outputs: int, rank: int, scale: float, members: int) -> None:
        super().__init__()
        self.factor = scale / rank
        self.down = nn.Parameter(torch.empty(members, inputs, rank).uniform_(-1, 1) * math.sqrt(3 / inputs))
        self.up = nn.Parameter(torch.zeros(members, rank, outputs))

    def forward(self, rows: Tensor) -> Tensor:
        blocks = rows.to(self.down.dtype).reshape(len(self.down), -1, rows.shape[-1])
        added = torch.bmm(torch.bmm(blocks, self.down) * self.factor, self.up)
        return added.reshape(*rows.shape[:-1], -1).to(rows.dtype)

    def fits_fused(self, rows: Tensor, weight: Tensor) -> bool:
        """Whether `Fused` applies and pays: plain arithmetic, and more rows per member than a weight has columns."""
        plain = rows.dtype == weight.dtype == self.down.dtype and not torch.is_autocast_enabled(rows.device.type)
        return plain and rows.numel() // rows.shape[-1] > len(self.down) * max(weight.shape)

    def whole(self) -> Tensor:
        """The addition as a matrix (inputs, outputs), of the first member."""
        return self.down[0] @ self.up[0] * self.factor


class Fused(torch.autograd.Function):
    """rows (members, n, inputs) times (weight + factor x down x up), one product each way instead of three.

    The sum is made again for the backward pass, so that no copy of the weights waits for it.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor, weight: Tensor, down: Tensor, up: Tensor, factor: float) -> Tensor:
        ctx.save_for_backward(rows, weight, down, up)
        ctx.factor = factor
        return torch.bmm(rows, torch.baddbmm(weight, down, up, alpha=factor))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, None, Tensor | None, Tensor | None, None]:
        rows, weight, down, up = ctx.saved_tensors
        to_rows = to_down = to_up = None
        if ctx.needs_input_grad[0]:
            to_rows = torch.bmm(gradient, torch.baddbmm(weight, down, up, alpha=ctx.factor).transpose(1, 2))
        if ctx.needs_input_grad[2]:
            to_down = torch.bmm(rows.transpose(1, 2), torch.bmm(gradient, up.transpose(1, 2)) * ctx.factor)
            to_up = torch.bmm((torch.bmm(rows, down) * ctx.factor).transpose(1, 2), gradient)
        return to_rows, None, to_down, to_up, None


class Adapted(nn.Module):
    """A linear map of the backbone with its adapters; which one counts is the backbone's switch."""

    def __init__(self, linear: nn.Module, switch: dict[str, str | None]) -> None:
        super().__init__()
        self.linear = linear
        self.is_plain = isinstance(linear, nn.Linear | Conv1D)  # else it has no weight to fold anything into
        self.transposed = not isinstance(linear, Conv1D)  # nn.Linear keeps (outputs, inputs), GPT-2's Conv1D not
        self.adapters = nn.ModuleDict()
        self.switch = switch
        self.folded: Tensor | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """(inputs, outputs)"""
        if not self.is_plain:
            return self.linear.in_features, self.linear.out_features
        rows, columns = self.linear.weight.shape
        return (columns, rows) if self.transposed else (rows, columns)

    def forward(self, rows: Tensor) -> Tensor:
        if self.folded is not None:
            return functional.linear(rows, self.folded, self.linear.bias)
        active = self.switch["active"]
        if active is None or active not in self.adapters:
            return self.linear(rows)
        adapter = self.adapters[active]
        if not self.is_plain or self.linear.weight.requires_grad or not adapter.fits_fused(rows, self.linear.weight):
            return self.linear(rows) + adapter(rows)
        weight = self.linear.weight
        blocks = rows.reshape(len(adapter.down), -1, rows.shape[-1])
        found = Fused.apply(blocks, weight.T if self.transposed else weight, adapter.down, adapter.up, adapter.factor)
        found = found.reshape(*rows.shape[:-1], -1)
        return found if self.linear.bias is None else found + self.linear.bias

    def weight_with(self, name: str | None) -> Tensor:
        """The whole weight in the linear's own layout with adapter `name` added."""
        weight = full(self.linear.weight.detach())
        added = self.addition(name)
        return weight if added is None else (weight.float() + added).to(weight.dtype)

    def addition(self, name: str | None) -> Tensor | None:
        """What adapter `name` adds to the weight, in the linear's own layout; None where it has none here."""
        if name is None or name not in self.adapters:
            return None
        added = self.adapters[name].whole().detach()
        return added.T if self.transposed else added
