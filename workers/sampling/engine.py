"""Answers conversations with checkpoints on this machine: one generating thread, an async front.

What waits while a batch runs is generated together next, if checkpoint, sampling and n agree. On a machine with a GPU
`device="auto"` puts the weights there in the precision they are stored in (bf16 for most); on a CPU they run in fp32.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import torch

from app.training.configs import PPOConfig
from workers.sampling import reading
from workers.sampling.answers import Completed, NotAnswerable, Plain, Prompt, Sampling, Token
from workers.sampling.decoding import sample
from workers.sampling.judging import Judged, Pair, judge
from workers.sampling.meters import Meters
from workers.sampling.orders import Demand, EngineClosed, Errand, Line, Order, Piece
from workers.sampling.rows import Row
from workers.sampling.shelf import Shelf
from workers.sampling.texts import Reader
from workers.sampling.translating import completed_of, ends_of, prompt_ids, tokens_of
from workers.training.checkpoints import Opened

__all__ = ["Engine", "EngineClosed", "Piece"]

log = logging.getLogger(__name__)
Found = TypeVar("Found")


class Engine:
    """Loads a checkpoint once and answers many.

    memory_budget: bytes of weights kept open. token_budget: rows times width of the key-value cache of one batch.
    threads: of torch, in the generating thread; None leaves torch's own choice.
    """

    def __init__(
        self,
        *,
        device: str = "auto",
        dtype: torch.dtype | None = None,
        memory_budget: int = 4_000_000_000,
        token_budget: int = 32_768,
        threads: int | None = None,
    ) -> None:
        self.shelf = Shelf(device=device, dtype=dtype, memory_budget=memory_budget)
        self.token_budget = token_budget
        self.threads = threads
        self.meters = Meters()
        self._line = Line(most_prompts=256)
        self._thread = threading.Thread(target=self._work, name="sampling", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Requests that have not begun."""
        return len(self._line)

    @property
    def demand(self) -> Demand | None:
        """What the weights are wanted for just now."""
        return self._line.demand

    @property
    def quiet(self) -> float:
        """Seconds since they were last wanted."""
        return self._line.quiet

    async def move_off(self) -> None:
        """Put all weights away once the running batch has ended; what is asked waits until `come_back`."""
        if not self._line.paused:
            await self._run(self._put_away, is_asked=False)

    def come_back(self) -> None:
        self._line.pause(False)

    def _put_away(self) -> None:
        self._line.pause(True)
        self.shelf.put_away()

    def metrics(self) -> str:
        """Everything that is measured, as Prometheus reads it."""
        opened, weights = self.shelf.filling
        gauges = {"waiting": self.waiting, "checkpoints_open": opened, "weight_bytes": weights}
        return "\n".join(self.meters.lines(gauges)) + "\n"

    async def complete(
        self,
        where: Path | str,
        conversations: Sequence[Prompt],
        sampling: Sampling,
        n: int,
        seeds: Sequence[int],
        *,
        is_awaited: bool = False,
        with_tokens: bool = False,
    ) -> list[list[Completed]]:
        """n answers to each conversation, in order. `seeds` has one number per conversation. `is_awaited`: a person
        waits for them, so they go before others. `with_tokens`: answers tell of each token.

        A conversation's answers depend on the checkpoint, its messages, its seed and the sampling, not on its company.
        Empty answers come back like others and say so (`Completed.empty`). Raises CheckpointRefused, NotAnswerable
        (names the conversation and the field), EngineClosed.
        """
        order = self._order(where, conversations, sampling, n, seeds)
        order.is_awaited, order.with_tokens = is_awaited, with_tokens
        if not conversations:
            return []
        try:
            self._line.join(order)
            return await order.answered
        finally:
            order.abandoned = True

    async def stream(
        self,
        where: Path | str,
        conversation: Prompt,
        sampling: Sampling,
        n: int = 1,
        seed: int = 0,
        *,
        with_tokens: bool = False,
    ) -> AsyncIterator[Piece]:
        """The answers as they grow. The pieces of one index, joined, are the text that `complete` would return.

        Leaving the iterator ends the generation. Raises like `complete`, before the first piece.
        """
        order = self._order(where, [conversation], sampling, n, [seed])
        order.pieces, order.with_tokens = asyncio.Queue(), with_tokens
        try:
            self._line.join(order)
            while (piece := await order.pieces.get()) is not None:
                yield piece
            await order.answered
        finally:
            order.abandoned = True
            if not order.answered.cancel() and not order.answered.cancelled():
                order.answered.exception()  # seen: asyncio complains about errors that nobody looked at

    async def rewards(
        self, reward: Path, base: Path, conversation: Prompt, answers: Sequence[str]
    ) -> list[reading.Said]:
        """`reading.rewards`, before anything else is answered. Raises what that does, and EngineClosed."""
        return await self._run(partial(reading.rewards, self.shelf, reward, base, conversation, answers))

    async def judged(self, reward: Path, base: Path, pairs: Sequence[Pair], config: PPOConfig) -> Judged:
        """`judging.judge`, before anything else is answered. Raises what that does, and EngineClosed."""
        return await self._run(partial(judge, self.shelf, reward, base, pairs, config))

    async def ratios(
        self, policy: Path, reference: Path, conversation: Prompt, tokens: Sequence[int]
    ) -> list[tuple[str, float]]:
        """`reading.ratios`, before anything else is answered. Raises what that does, and EngineClosed."""
        return await self._run(partial(reading.ratios, self.shelf, policy, reference, conversation, tokens))

    async def close(self) -> None:
        """End what runs at its next token; everybody who waits gets EngineClosed."""
        self._line.close()
        await asyncio.to_thread(self._thread.join)

    async def _run(self, work: Callable[[], Found], *, is_asked: bool = True) -> Found:
        loop = asyncio.get_running_loop()
        errand = Errand(work, loop, loop.create_future(), is_asked)
        self._line.join(errand)
        found: Found = await errand.done
        return found

    def _order(
        self, where: Path | str, conversations: Sequence[Prompt], sampling: Sampling, n: int, seeds: Sequence[int]
    ) -> Order:
        if len(seeds) != len(conversations):
            raise ValueError(f"{len(conversations)} conversations need as many seeds, not {len(seeds)}")
        if n < 1:
            raise NotAnswerable("n", f"n must be at least 1, not {n}.")
        loop = asyncio.get_running_loop()
        asked_at = self.meters.clock()
        return Order(Path(where), conversations, sampling, n, seeds, loop, loop.create_future(), asked_at)

    def _work(self) -> None:
        if self.threads is not None:
            torch.set_num_threads(self.threads)
        while orders := self._line.take():
            if isinstance(orders, Errand):
                orders.run()
                continue
            try:
                self._answer(orders)
            except Exception as reason:
                if not isinstance(reason, EngineClosed):
                    log.exception("generation with %s failed", orders[0].folder.name)
                for order in orders:
                    self._fail(order, reason)

    def _answer(self, orders: list[Order]) -> None:
        try:
            opened = self.shelf.take(orders[0].folder)
        except Exception as reason:  # refused, or out of memory: whoever asked decides what becomes of it
            for order in orders:
                self._fail(order, reason)
            return
        ready = [order for order in orders if self._read(order, opened)]
        if not ready:
            return
        owners = [(order, index) for order in ready for index in range(len(order.prompts))]
        sampled = sample(
            opened.network,
            [order.prompts[index] for order, index in owners],
            ready[0].sampling,
            n=ready[0].n,
            seeds=[order.seeds[index] for order, index in owners],
            stop_ids=set(opened.stop_ids),
            pad_id=opened.pad_id,
            token_budget=self.token_budget,
            watch=partial(self._watch, owners, opened),
        )
        if self._line.closed:  # answers were cut short by our own hand
            raise EngineClosed
        answers: dict[Order, list[list[Completed]]] = {order: [] for order in ready}
        for (order, index), group in zip(owners, sampled, strict=True):
            prompt, told = order.prompts[index], order.with_tokens
            finished = [completed_of(opened, order.sampling, prompt, one, with_tokens=told) for one in group]
            answers[order].append(finished)
        for order in ready:
            self._hand_over(order, answers[order])

    def _fail(self, order: Order, reason: BaseException) -> None:
        self.meters.ended(failed=True)
        order.fail(reason)

    def _read(self, order: Order, opened: Opened) -> bool:
        """Turn conversations into tokens; an order that cannot be answered fails alone."""
        most = min(opened.context, self.token_budget)
        try:
            order.prompts = [
                prompt_ids(opened, conversation, _field(order, index), order.sampling.max_tokens, most)
                for index, conversation in enumerate(order.conversations)
            ]
        except Exception as reason:
            self._fail(order, reason)
            return False
        return not order.abandoned

    def _watch(self, owners: list[tuple[Order, int]], opened: Opened, row: Row) -> bool:
        """Called for each token: True ends that answer."""
        order, place = owners[row.prompt]
        index = row.sample
        self.meters.drew()
        if order.begun_at is None:
            order.begun_at = self.meters.clock()
            self.meters.began(order.begun_at - order.asked_at)
        if order.abandoned or self._line.closed:
            return True
        if order.pieces is None and not order.sampling.stop:
            return False
        if (place, index) not in order.readers:
            order.readers[place, index] = Reader(opened.tokenizer, ends_of(opened, order.sampling), order.sampling.stop)
        reader = order.readers[place, index]
        stopped = reader.feed(row.tokens[-1])
        if order.pieces is not None and (piece := reader.piece()):
            order.show(Piece(index, piece, tokens=_untold(opened, order, row)))
        return stopped

    def _hand_over(self, order: Order, answers: list[list[Completed]]) -> None:
        self.meters.ended(prompt_tokens=sum(map(len, order.prompts)))
        if order.pieces is not None:
            for index, completed in enumerate(answers[0]):
                untold = completed.tokens[order.told.get(index, 0) :]
                order.show(Piece(index, order.readers[0, index].rest(), completed, untold))
        order.answer(answers)


def _field(order: Order, index: int) -> str:
    if isinstance(order.conversations[index], Plain):
        return "prompt"
    return "messages" if len(order.conversations) == 1 else f"conversations[{index}].messages"


def _untold(opened: Opened, order: Order, row: Row) -> tuple[Token, ...]:
    """The tokens of a stream's answer that nobody was told of."""
    first, order.told[row.sample] = order.told.get(row.sample, 0), len(row.tokens)
    return tokens_of(opened, row, first) if order.with_tokens else ()
