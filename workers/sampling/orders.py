"""Requests on their way from the event loop to the thread that generates, and their answers back."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workers.sampling.answers import Completed, Prompt, Sampling, Token
from workers.sampling.texts import Reader


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
        self._changed = threading.Condition()
        self._closed = False

    def __len__(self) -> int:
        return len(self._orders)

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
            while not self._orders and not self._errands and not self._closed:
                self._changed.wait()
            if self._closed:
                return []
            if self._errands:
                return self._errands.pop(0)
            watched = (order for order in self._orders if order.pieces is not None or order.is_awaited)
            first = next(watched, self._orders[0])
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
