"""Out of memory in a pass: half the token budget for the rest of the run, once; the next time an end with the sizes.

What is done again is a unit that exchanges nothing with other processes: the passes of one optimizer step, or of one
reading. Sums of gradients do not depend on how a minibatch is cut, and passes draw nothing (dropout is silenced), so
the step that is done again is the step that would have been. For the same reason each process halves by itself: they
exchange sums and rows, never parts, so one on a fuller card goes on in smaller passes beside the others.
"""

from __future__ import annotations

import gc
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import torch

from workers.sampling.memory import OutOfMemory, is_out_of_memory
from workers.training.processes import gathered

log = logging.getLogger(__name__)
Found = TypeVar("Found")


@dataclass
class Memory:
    """Of one run, shared by all networks in it. rows, longest: of the newest pass, for the sentence about it. together:
    weights are in parts (`sharding`), so every pass is all processes', and none makes its own again."""

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    is_halved: bool = False
    together: bool = False
    rows: int = 0
    longest: int = 0

    def budget(self, tokens: int) -> int:
        """What is left of a config's token budget."""
        return max(1, tokens // 2) if self.is_halved else tokens

    def enter(self, shape: Sequence[int], device: torch.device) -> None:
        """A pass over rows x tokens (and whatever else a position has) is about to begin."""
        self.rows, self.longest, self.device = shape[0], shape[1], device

    def within(self, tokens: int, compute: Callable[[], Found]) -> Found:
        """What `compute` finds, which takes its budget from here anew, forgets what it began before, and talks to no
        other process. tokens: the config's budget. Raises OutOfMemory where half of it is too much as well.
        """
        try:
            return compute()
        except Exception as reason:
            if not is_out_of_memory(reason):
                raise
        # out here the pass is gone: the error's frames held it
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        if self.is_halved or self.together:
            raise OutOfMemory(self._sentence(tokens))
        self.is_halved = True
        log.warning(
            "memory ran out in a pass of %s rows of %s tokens; the token budget is %s from here on, not %s",
            self.rows, self.longest, self.budget(tokens), tokens,
        )  # fmt: skip
        return self.within(tokens, compute)

    def figures(self, tokens: int) -> dict[str, float]:
        """For a step's metrics: the least budget of any process, once one of them has halved it. All must ask."""
        least = min(gathered(self.budget(tokens)))
        return {} if least == tokens else {"token_budget": float(least)}

    def _sentence(self, tokens: int) -> str:
        free, whole = left(self.device)
        again = f", and again with {self.budget(tokens):,}" if self.is_halved else ""
        return (
            f"Memory ran out with a token budget of {tokens:,} tokens a pass{again},"
            f" in a pass of {self.rows:,} rows of {self.longest:,} tokens, {self.rows * self.longest:,} in all. Of"
            f" {whole / 1e9:,.1f} GB of {self.device} {free / 1e9:,.1f} are free without it: lower token_budget or the"
            " length of texts, turn gradient_checkpointing on, or use a smaller checkpoint."
        )


def left(device: torch.device) -> tuple[int, int]:
    """Free and all bytes of the device, by itself or by the system."""
    if device.type == "cuda":
        free, whole = torch.cuda.mem_get_info(device)
        return int(free), int(whole)
    page = os.sysconf("SC_PAGE_SIZE")
    return os.sysconf("SC_AVPHYS_PAGES") * page, os.sysconf("SC_PHYS_PAGES") * page
