"""Checkpoints kept open, the least recently used put away when memory is short."""

from __future__ import annotations

import math
from collections import OrderedDict
from pathlib import Path

import torch

from workers.training.checkpoints import (
    DTYPES,
    CheckpointRefused,
    Opened,
    check_writer,
    choose_device,
    open_checkpoint,
)

# (resolved folder, time of its last change): a folder written anew is opened anew
Key = tuple[str, int]


class Shelf:
    """`memory_budget` bytes of weights at most, on one device.

    dtype None: what is stored on a GPU (bf16 there is half the memory and twice the speed), fp32 on a CPU, where the
    same seed then gives the same text whatever else is in the batch.
    """

    def __init__(self, *, device: str, dtype: torch.dtype | None, memory_budget: int) -> None:
        self.device = choose_device(device)
        self.dtype = dtype or (torch.float32 if self.device.type == "cpu" else None)
        self.memory_budget = memory_budget
        self._open: OrderedDict[Key, Opened] = OrderedDict()

    def take(self, folder: Path) -> Opened:
        """The checkpoint in that folder, opened now or earlier. Raises CheckpointRefused."""
        key = self._key(folder)
        if key not in self._open:
            self._make_room(_weight_bytes(folder, self.dtype), folder)
            self._open[key] = open_checkpoint(folder, self.device, self.dtype)
        self._open.move_to_end(key)
        return self._open[key]

    def _key(self, folder: Path) -> Key:
        config = folder / "config.json"
        return str(folder.resolve()), config.stat().st_mtime_ns if config.is_file() else 0

    def _make_room(self, needed: int, folder: Path) -> None:
        if needed > self.memory_budget:
            raise CheckpointRefused(
                f"{folder.name} needs {needed / 1e6:,.0f} MB for its weights; the sampler may use"
                f" {self.memory_budget / 1e6:,.0f} MB."
            )
        while self._open and self._used() + needed > self.memory_budget:
            self._open.popitem(last=False)
            if self.device.type == "cuda":
                torch.cuda.empty_cache()

    def _used(self) -> int:
        return sum(parameter.nbytes for opened in self._open.values() for parameter in opened.network.parameters())


def _weight_bytes(folder: Path, dtype: torch.dtype | None) -> int:
    """Memory that a folder's weights take once they are open, from the files' headers alone."""
    total = 0
    for header in check_writer(folder).values():
        for tensor in header.values():
            stored = DTYPES.get(tensor["dtype"], torch.float32)
            total += math.prod(tensor["shape"]) * (dtype or stored).itemsize
    return total
