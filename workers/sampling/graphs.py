"""Decoding steps that a GPU repeats by itself: a CUDA graph of the lean step.

A step is some hundred kernels, and a small batch takes less time to compute them than Python takes to ask for them.
Between two packings of a batch the rows stay, so a step is recorded once and each further one is a single call. A
recording holds addresses: what differs from step to step is written where it lay (`tokens`, `column`), keys and values
go into rooms with free columns, which are masked until they are written, and where rooms are full or rows come and go a
step is recorded anew, at the price of two. `Steady` is ordinary torch on any device; `Graphs` alone needs CUDA.
"""

from __future__ import annotations

import gc
import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol
from weakref import WeakSet

import torch
from torch import Tensor

from workers.sampling.cache import pin, unpin
from workers.sampling.lean import Lean
from workers.sampling.memory import is_out_of_memory

log = logging.getLogger(__name__)

# logits of a replay may differ from the plain step's by this share of the largest one: other kernels may be chosen
NEAR = 0.05

Said = tuple[Tensor, Tensor]  # states and logits, as `Lean.step` gives them
Work = Callable[[], Said]


class Recorder(Protocol):
    """`record` runs work once and gives what repeats it on the same memory, and what it said.

    refused: networks whose steps could not be recorded.
    """

    refused: WeakSet[Any]

    def record(self, work: Work) -> tuple[Work, Said]: ...


class Graphs:
    """The recorder of one card, for one thread."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.refused: WeakSet[Any] = WeakSet()
        self._stream = torch.cuda.Stream(device)
        self._last: torch.cuda.CUDAGraph | None = None  # alive until the next is recorded: they share its memory

    def record(self, work: Work) -> tuple[Work, Said]:
        """Raises what the work raises, and RuntimeError where it asks for something that no recording can hold."""
        here = torch.cuda.current_stream(self.device)
        graph = torch.cuda.CUDAGraph()
        self._stream.wait_stream(here)
        with torch.cuda.stream(self._stream):
            said = work()  # libraries load their kernels and take their memory before the recording
            # other threads go on using the card; torch.cuda.graph would also empty the allocator's cache each time
            graph.capture_begin(pool=self._last and self._last.pool(), capture_error_mode="thread_local")
            try:
                found = work()
            except BaseException:
                with suppress(RuntimeError):  # what the work could not do says more than that the recording broke off
                    graph.capture_end()
                raise
            graph.capture_end()
        here.wait_stream(self._stream)
        for tensor in said:
            tensor.record_stream(here)
        self._last = graph

        def again() -> Said:
            graph.replay()
            return found

        return again, said

    def forget(self) -> None:
        """Let go of the last recording, and with it of the memory that recordings share. The next one begins anew."""
        self._last = None


_here = threading.local()


def graphs_on(device: torch.device) -> Graphs | None:
    """The calling thread's recorder of that card; None on other devices."""
    if device.type != "cuda":
        return None
    kept: Graphs | None = getattr(_here, "graphs", None)
    if kept is None or kept.device != device:
        kept = _here.graphs = Graphs(device)
    return kept


def give_back() -> None:
    """Free what nobody uses: of a card the calling thread's last recording and what torch keeps for later, and whatever
    refers to itself in circles, as networks may."""
    kept: Graphs | None = getattr(_here, "graphs", None)
    if kept is not None:
        kept.forget()
    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()


class Steady:
    """The steps of a batch whose rows stay as they are. starts (B,): each row's first real column, as in the batch."""

    def __init__(self, lean: Lean, cache: Any, starts: Tensor, recorder: Recorder) -> None:
        self.lean, self.cache, self.starts, self.recorder = lean, cache, starts, recorder
        shared = cache.layers[0].shared
        self.before = 0 if shared is None else shared[0].shape[2]  # columns that all rows have in common
        self.tokens = torch.zeros_like(starts)
        self.column = starts.new_zeros(1)  # of each row's own columns the one to be written
        self.room = 0  # own columns that there is room for; 0 until a step was recorded
        self._again: Work | None = None

    @classmethod
    def of(cls, lean: Lean | None, cache: Any, starts: Tensor, recorder: Recorder | None) -> Steady | None:
        """None where there is nothing to record, or nothing to record it with."""
        if lean is None or recorder is None or lean.network in recorder.refused:
            return None
        return cls(lean, cache, starts, recorder)

    def step(self, tokens: Tensor, width: int) -> Said:
        """After one more token a row, tokens (B,), which makes the batch `width` columns wide.

        They lie where the next step writes its own.
        """
        own = width - 1 - self.before
        self.tokens.copy_(tokens)
        self.column.fill_(own)
        if self._again is None or own >= self.room:
            self._record(own)
        assert self._again is not None
        return self._again()

    def settle(self, width: int) -> None:
        """Give the cache back as the other functions know it, `width` columns of it written."""
        if self.room:
            unpin(self.cache, width - self.before)

    def _record(self, own: int) -> None:
        self.settle(own + self.before)
        self.room = pin(self.cache, self.column)
        self._columns = torch.arange(self.room, device=self.starts.device)
        # held here, too: a recording keeps nothing alive
        self._turns = self.lean.turns(self.starts, self.before + self.room)
        self._again = self._recorded()

    def _recorded(self) -> Work:
        network = self.lean.network
        try:
            again, said = self.recorder.record(self._work)
            if all(map(_near, again(), said)):
                return again
            log.warning("a recorded step of %s says otherwise than the step itself", type(network).__name__)
        except RuntimeError as reason:
            if is_out_of_memory(reason):
                raise
            log.warning("steps of %s cannot be recorded: %s", type(network).__name__, reason)
        self.recorder.refused.add(network)
        return self._work

    def _work(self) -> Said:
        seen = (self._columns <= self.column) & (self._columns + self.before >= self.starts[:, None])
        places = self.column + self.before - self.starts
        cos, sin = (table[places][:, None] for table in self._turns)  # (B, 1, size)
        return self.lean.read(self.tokens, seen[:, None, None], cos, sin, self.cache)


def _near(found: Tensor, said: Tensor) -> bool:
    return bool((found - said).abs().amax() <= NEAR * said.abs().amax())
