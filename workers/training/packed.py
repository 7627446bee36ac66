"""Linear maps in 4 bits a weight (NF4), by bitsandbytes, which comes with the extra `bnb` alone."""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from app.training.configs import RunRefused


class Packed(nn.Module):
    """A frozen linear map in 4 bits: blocks of 64 weights with a scale each, the scales in 8 bits themselves."""

    def __init__(self, linear: nn.Linear, library: Any, device: torch.device) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        weight = linear.weight.detach().to(device)
        packed, self.state = library.functional.quantize_4bit(weight, quant_type="nf4", compress_statistics=True)
        self.register_buffer("packed", packed, persistent=False)
        self.bias = None if linear.bias is None else nn.Parameter(linear.bias.detach().to(device), requires_grad=False)
        self.multiply: Callable[..., Tensor] = library.matmul_4bit

    def forward(self, rows: Tensor) -> Tensor:
        """(…, inputs) → (…, outputs), in autocast's type where that is on."""
        kind = rows.device.type
        rows = rows.to(torch.get_autocast_dtype(kind)) if torch.is_autocast_enabled(kind) else rows
        bias = None if self.bias is None else self.bias.to(rows.dtype)
        return self.multiply(rows, self.packed.t(), bias=bias, quant_state=self.state)


def bitsandbytes() -> Any:
    """The library. Raises RunRefused where it is missing.

    On some CPUs it asks the package `kernels`, where that is there, for faster code from a hub, and runs it. No code is
    fetched by a training, so while it is imported that package is not there.
    """
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # or it says at each start what it was not given
    modules: dict[str, Any] = sys.modules
    there, before = "kernels" in modules, modules.get("kernels")
    modules["kernels"] = None
    try:
        return importlib.import_module("bitsandbytes")
    except ImportError:
        raise RunRefused("base_precision nf4 needs bitsandbytes: pip install 'hone[bnb]'.") from None
    finally:
        if there:
            modules["kernels"] = before
        else:
            del modules["kernels"]
