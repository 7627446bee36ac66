"""Answers conversations with checkpoints on this machine: one generating thread, an async front.

What waits while a batch runs is generated together next, if checkpoint, sampling and n agree. On a machine with a GPU
`device="auto"` puts the weights there in the precision they are stored in (bf16 for most); on a CPU they run in fp32.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Sequence
from functools import partial
from pathlib import Path

import torch

from workers.sampling.answers import Completed, Conversation, NotAnswerable, Sampling, turns
from workers.sampling.decoding import Sampled, sample
from workers.sampling.orders import EngineClosed, Line, Order, Piece
from workers.sampling.shelf import Shelf
from workers.sampling.texts import Reader, cut, decode
from workers.training.checkpoints import Opened

__all__ = ["Engine", "EngineClosed", "Piece"]

log = logging.getLogger(__name__)


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
        self._line = Line(most_prompts=256)
        self._thread = threading.Thread(target=self._work, name="sampling", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Requests that have not begun."""
        return len(self._line)

    async def complete(
        self,
        where: Path | str,
        conversations: Sequence[Conversation],
        sampling: Sampling,
        n: int,
        seeds: Sequence[int],
        *,
        is_awaited: bool = False,
    ) -> list[list[Completed]]:
        """n answers to each conversation, in order. `seeds` has one number per conversation. `is_awaited`: a person
        waits for them, so they go before others.

        A conversation's answers depend on the checkpoint, its messages, its seed and the sampling, not on its company.
        Empty answers come back like others and say so (`Completed.empty`). Raises CheckpointRefused, NotAnswerable
        (names the conversation and the field), EngineClosed.
        """
        order = self._order(where, conversations, sampling, n, seeds)
        order.is_awaited = is_awaited
        if not conversations:
            return []
        try:
            self._line.join(order)
            return await order.answered
        finally:
            order.abandoned = True

    async def stream(
        self, where: Path | str, conversation: Conversation, sampling: Sampling, n: int = 1, seed: int = 0
    ) -> AsyncIterator[Piece]:
        """The answers as they grow. The pieces of one index, joined, are the text that `complete` would return.

        Leaving the iterator ends the generation. Raises like `complete`, before the first piece.
        """
        order = self._order(where, [conversation], sampling, n, [seed])
        order.pieces = asyncio.Queue()
        try:
            self._line.join(order)
            while (piece := await order.pieces.get()) is not None:
                yield piece
            await order.answered
        finally:
            order.abandoned = True
            if not order.answered.cancel() and not order.answered.cancelled():
                order.answered.exception()  # seen: asyncio complains about errors that nobody looked at

    async def close(self) -> None:
        """End what runs at its next token; everybody who waits gets EngineClosed."""
        self._line.close()
        await asyncio.to_thread(self._thread.join)

    def _order(
        self, where: Path | str, conversations: Sequence[Conversation], sampling: Sampling, n: int, seeds: Sequence[int]
    ) -> Order:
        if len(seeds) != len(conversations):
            raise ValueError(f"{len(conversations)} conversations need as many seeds, not {len(seeds)}")
        if n < 1:
            raise NotAnswerable("n", f"n must be at least 1, not {n}.")
        loop = asyncio.get_running_loop()
        return Order(Path(where), conversations, sampling, n, seeds, loop, loop.create_future())

    def _work(self) -> None:
        if self.threads is not None:
            torch.set_num_threads(self.threads)
        while orders := self._line.take():
            try:
                self._answer(orders)
            except Exception as reason:
                if not isinstance(reason, EngineClosed):
                    log.exception("generation with %s failed", orders[0].folder.name)
                for order in orders:
                    order.fail(reason)

    def _answer(self, orders: list[Order]) -> None:
        try:
            opened = self.shelf.take(orders[0].folder)
        except Exception as reason:  # refused, or out of memory: whoever asked decides what becomes of it
            for order in orders:
                order.fail(reason)
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
            finished = [_completed(opened, order, order.prompts[index], one) for one in group]
            answers[order].append(finished)
        for order in ready:
            self._hand_over(order, answers[order])

    def _read(self, order: Order, opened: Opened) -> bool:
        """Turn conversations into tokens; an order that cannot be answered fails alone."""
        most = min(opened.context, self.token_budget)
        try:
            order.prompts = [
                _prompt_ids(opened, conversation, _field(order, index), order.sampling.max_tokens, most)
                for index, conversation in enumerate(order.conversations)
            ]
        except Exception as reason:
            order.fail(reason)
            return False
        return not order.abandoned

    def _watch(self, owners: list[tuple[Order, int]], opened: Opened, prompt: int, index: int, token: int) -> bool:
        """Called for each token: True ends that answer."""
        order, place = owners[prompt]
        if order.abandoned or self._line.closed:
            return True
        if order.pieces is None and not order.sampling.stop:
            return False
        if (place, index) not in order.readers:
            order.readers[place, index] = Reader(opened.tokenizer, opened.stop_ids, order.sampling.stop)
        reader = order.readers[place, index]
        stopped = reader.feed(token)
        if order.pieces is not None and (piece := reader.piece()):
            order.show(Piece(index, piece))
        return stopped

    def _hand_over(self, order: Order, answers: list[list[Completed]]) -> None:
        if order.pieces is not None:
            for index, completed in enumerate(answers[0]):
                order.show(Piece(index, order.readers[0, index].rest(), completed))
        order.answer(answers)


def _field(order: Order, index: int) -> str:
    return "messages" if len(order.conversations) == 1 else f"conversations[{index}].messages"


def _prompt_ids(opened: Opened, conversation: Conversation, field: str, max_tokens: int, most: int) -> list[int]:
    messages = turns(conversation, field)
    try:
        ids = opened.prompt_ids(messages)
    except Exception as reason:  # templates raise errors of their own about roles and their order
        raise NotAnswerable(field, f"The chat template of {opened.folder.name} refuses it: {reason}.") from reason
    if len(ids) + max_tokens > most:
        raise NotAnswerable(
            field,
            f"The conversation has {len(ids)} tokens and the answer may have {max_tokens};"
            f" {opened.folder.name} can hold {most} here.",
        )
    return ids


def _completed(opened: Opened, order: Order, prompt: list[int], sampled: Sampled) -> Completed:
    text = cut(decode(opened.tokenizer, sampled.tokens, opened.stop_ids), order.sampling.stop)
    return Completed(text, len(sampled.tokens), sampled.finish_reason, sum(sampled.logprobs), len(prompt))
