"""Requests on their way from the event loop to the thread that generates, and their answers back."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from workers.sampling.answers import Completed, Prompt, Sampling, Token
from workers.sampling.texts import Reader

Demand = Literal["talk", "generation"]  # a person waits for it, or nobody looks at it


class EngineClosed(Exception):
    """The engine was closed before the request was answered."""

    sentence = "The sampler is stopping; ask again later."
    cause = "unreachable"


@dataclass(frozen=True, slots=True)
class Piece:
    """Text that was added to answer `index`, with the tokens drawn for it where they were asked for; `completed` comes
    with its last piece."""

    index: int
    text: str
    completed: Completed | None = None
    tokens: tuple[Token, ...] = ()


@dataclass(eq=False)
class Order:
    """One call of `complete` or `stream`. Everything but `abandoned` belongs to the generating thread once queued."""

    folder: Path
    conversations: Sequence[Prompt]
    sampling: Sampling
    n: int
    seeds: Sequence[int]
    loop: asyncio.AbstractEventLoop
    answered: asyncio.Future[list[list[Completed]]]
    asked_at: float  # by the engine's clock
    begun_at: float | None = None  # its first token
    pieces: asyncio.Queue[Piece | None] | None = None  # None ends them; only for streams
    with_tokens: bool = False  # answers tell of each of their tokens
    is_awaited: bool = False  # by a person who looks at the page
    abandoned: bool = False  # nobody waits for the answer any more
    prompts: list[list[int]] = field(default_factory=list)  # token ids
    readers: dict[tuple[int, int], Reader] = field(default_factory=dict)  # by prompt and sample
    told: dict[int, int] = field(default_factory=dict)  # of a stream, by sample: tokens shown

    @property
    def is_watched(self) -> bool:
        """Somebody waits for it."""
        return self.pieces is not None or self.is_awaited

    @property
    def is_asked(self) -> bool:
        return not self.abandoned

    def alike(self, other: Order) -> bool:
        """May be generated in one batch with it."""
        return (self.folder, self.sampling, self.n) == (other.folder, other.sampling, other.n)

    def show(self, piece: Piece) -> None:
        if self.pieces is not None:
            self._tell(self.pieces.put_nowait, piece)

    def answer(self, answers: list[list[Completed]]) -> None:
        self._tell(self._settle, answers, None)

    def fail(self, reason: BaseException) -> None:
        self._tell(self._settle, None, reason)

    def _settle(self, answers: list[list[Completed]] | None, reason: BaseException | None) -> None:
        if self.pieces is not None:
            self.pieces.put_nowait(None)
        if self.answered.done():
            return
        if reason is not None:
            self.answered.set_exception(reason)
        else:
            self.answered.set_result(answers or [])

    def _tell(self, callback: object, *arguments: object) -> None:
        with suppress(RuntimeError):  # the loop has ended: nobody is left to tell
            self.loop.call_soon_threadsafe(callback, *arguments)  # type: ignore[arg-type]


@dataclass(eq=False)
class Errand:
    """Something else that open checkpoints are wanted for, done in the generating thread: it has them to itself."""

    work: Callable[[], Any]
    loop: asyncio.AbstractEventLoop
    done: asyncio.Future[Any]
    is_asked: bool = True  # by somebody who looks at the page; else it is the sampler's own housekeeping

    @property
    def is_watched(self) -> bool:
        return self.is_asked

    def run(self) -> None:
        try:
            self._tell(self.work(), None)
        except Exception as reason:
            self.fail(reason)

    def fail(self, reason: BaseException) -> None:
        self._tell(None, reason)

    def _tell(self, found: Any, reason: BaseException | None) -> None:
        with suppress(RuntimeError):  # the loop has ended: nobody is left to tell
            self.loop.call_soon_threadsafe(self._settle, found, reason)

    def _settle(self, found: Any, reason: BaseException | None) -> None:
        if self.done.done():
            return
        if reason is not None:
            self.done.set_exception(reason)
        else:
            self.done.set_result(found)


class Line:
    """Where orders wait. Errands, streams and what is awaited go first: somebody is looking at them."""

    def __init__(self, most_prompts: int) -> None:
        self.most_prompts = most_prompts
        self._orders: list[Order] = []
        self._errands: list[Errand] = []
        self._taken: list[Order] | Errand = []  # what is being done
        self._quiet_since = time.monotonic()
        self._changed = threading.Condition()
        self._paused = False
        self._closed = False

    def __len__(self) -> int:
        return len(self._orders)

    @property
    def demand(self) -> Demand | None:
        """Of what waits and what is being done: whether somebody looks at it; None where there is nothing."""
        with self._changed:
            taken = [self._taken] if isinstance(self._taken, Errand) else self._taken
            asked = [one.is_watched for one in (*self._errands, *self._orders, *taken) if one.is_asked]
        return None if not asked else "talk" if any(asked) else "generation"

    @property
    def quiet(self) -> float:
        """Seconds since there was something to do."""
        return 0.0 if self.demand else time.monotonic() - self._quiet_since

    @property
    def paused(self) -> bool:
        return self._paused

    def pause(self, paused: bool) -> None:
        """Whether what waits and what comes has to wait longer."""
        with self._changed:
            self._paused = paused
            self._changed.notify_all()

    def join(self, order: Order | Errand) -> None:
        with self._changed:
            if self._closed:
                raise EngineClosed
            if isinstance(order, Errand):
                self._errands.append(order)
            else:
                self._orders.append(order)
            self._changed.notify()

    def take(self) -> list[Order] | Errand:
        """Wait for an errand or orders; of these the first and those alike, up to `most_prompts`. Empty when the line
        is closed."""
        with self._changed:
            if self._taken:
                self._taken, self._quiet_since = [], time.monotonic()
            while (self._paused or not (self._orders or self._errands)) and not self._closed:
                self._changed.wait()
            if not self._closed:
                self._taken = self._errands.pop(0) if self._errands else self._first_orders()
            return self._taken

    def _first_orders(self) -> list[Order]:
        first = next((order for order in self._orders if order.is_watched), self._orders[0])
        taken, prompts = [first], len(first.conversations)
        for order in self._orders:
            prompts += len(order.conversations)
            if order is not first and order.alike(first) and prompts <= self.most_prompts:
                taken.append(order)
        self._orders = [order for order in self._orders if order not in taken]
        return taken

    def close(self) -> None:
        with self._changed:
            self._closed = True
            for order in self._orders:
                order.fail(EngineClosed())
            for errand in self._errands:
                errand.fail(EngineClosed())
            self._orders.clear()
            self._errands.clear()
            self._changed.notify_all()

    @property
    def closed(self) -> bool:
        return self._closed
