"""Many prompts in, sampled tokens and their log-probabilities out: continuous batching in plain torch.

Rows are left padded. A prompt is read once and its keys and values are shared out to its n samples; finished rows
leave the batch, waiting prompts take their place. Only the drawn token's log-probability is kept at each step, so
nothing of shape (B, T, V) exists. Runs where the network is: on a GPU load it there (`device="auto"` in
`checkpoints.open_checkpoint`), in bf16 if wanted; logits are drawn from in fp32. In bf16 log-probabilities differ from
a full forward by some 0.05, so a trainer recomputes them or corrects for it.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache

from workers.sampling import graphs
from workers.sampling.answers import Sampling
from workers.sampling.cache import Part, new_cache, regroup, share
from workers.sampling.drawing import draw, penalised, row_key
from workers.sampling.graphs import Recorder, Steady
from workers.sampling.lean import Lean
from workers.sampling.memory import OutOfMemory, is_out_of_memory, too_large
from workers.sampling.rows import Request, Row, Sampled, requests_of, reserved_width

__all__ = ["OutOfMemory", "PromptTooLong", "Sampled", "Sampling", "Watch", "sample"]

log = logging.getLogger(__name__)

# called with an answer after each token that it got; True ends it with reason "stop"
Watch = Callable[[Row], bool]

# (B, H) states that tokens are drawn from → (B,) a number each
Head = Callable[[Tensor], Tensor]

# the batch is packed anew when this share of its rows is done: each packing copies the cache once
REPACK_SHARE = 1 / 8


class PromptTooLong(ValueError):
    """A prompt that cannot be answered within the token budget even when it is alone."""


@dataclass(slots=True)
class _Batch:
    """Rows in flight. `cache` is `width` columns wide, row i's first real column is `starts[i]`."""

    rows: list[Row]
    cache: Cache
    width: int
    starts: Tensor  # (B,) int64
    pending: Tensor  # (B,) int64, drawn but not yet read by the network
    reserved: int  # width that the token budget was granted for
    steady: Steady | None = None

    @property
    def live(self) -> list[int]:
        return [index for index, row in enumerate(self.rows) if row.finish_reason is None]


@dataclass(frozen=True, slots=True)
class _Call:
    """What stays the same during one call of `sample`."""

    network: Any
    device: torch.device
    sampling: Sampling
    stop_ids: frozenset[int]
    pad_id: int
    token_budget: int
    watch: Watch | None
    lean: Lean | None
    recorder: Recorder | None
    head: Head | None


def sample(
    network: Any,
    prompts: list[list[int]],
    sampling: Sampling,
    *,
    n: int,
    seeds: list[int],
    stop_ids: set[int],
    pad_id: int,
    token_budget: int,
    watch: Watch | None = None,
    is_recorded: bool = True,
    head: Head | None = None,
) -> list[list[Sampled]]:
    """n answers to each prompt, in the order of the prompts.

    `network` is a causal language model as transformers calls it (adapters and wrappers are fine). `seeds` has one
    number per prompt; prompt, seed and sample index fix an answer, whatever else is in the batch (to float rounding).
    `token_budget` bounds rows times width of the cache, prompt and answer together; when memory does not suffice, half
    of it is tried, going on where each answer was. Raises `PromptTooLong` before anything runs when one prompt with
    `max_tokens` exceeds it, `OutOfMemory` with the sizes when half was too much too, ValueError for an empty prompt.
    `is_recorded`: steps on a GPU are replayed from CUDA graphs where the network allows it. `head` fills
    `Sampled.values`, of networks that `Lean` knows: of others they stay empty.
    """
    if len(seeds) != len(prompts):
        raise ValueError(f"{len(prompts)} prompts need as many seeds, not {len(seeds)}")
    device = next(network.parameters()).device
    every_stop = frozenset(stop_ids) | frozenset(sampling.stop_ids)
    lean = Lean.of(network)
    recorder = graphs.graphs_on(device) if lean and is_recorded else None
    call = _Call(
        network, device, sampling, every_stop, pad_id, token_budget, watch, lean, recorder, head if lean else None
    )
    rows = list(_rows(prompts, seeds, n, call))
    with torch.inference_mode(), _evaluating(network):
        _run_within_memory(rows, call)
    return [[row.sampled() for row in group] for group in rows]


def _rows(prompts: list[list[int]], seeds: list[int], n: int, call: _Call) -> Iterator[list[Row]]:
    """The n rows of each prompt."""
    for index, (tokens, seed) in enumerate(zip(prompts, seeds, strict=True)):
        if not tokens:
            raise ValueError(f"prompt {index} has no tokens")
        if len(tokens) + call.sampling.max_tokens > call.token_budget:
            raise PromptTooLong(
                f"prompt {index} has {len(tokens)} tokens and may get {call.sampling.max_tokens} more; "
                f"together they exceed the token budget of {call.token_budget}"
            )
        yield [Row(index, number, row_key(seed, number), tokens) for number in range(n)]


def _run_within_memory(rows: list[list[Row]], call: _Call) -> None:
    """Once more with half the budget where memory did not suffice; what was drawn until then stays drawn."""
    try:
        return _run(requests_of(rows, call.sampling, call.token_budget), call)
    except Exception as reason:
        if not is_out_of_memory(reason):
            raise
    # out here the batch is gone: the error's frames held it
    halved = replace(call, token_budget=call.token_budget // 2)
    log.warning("memory ran out with a token budget of %s; going on with half of it", call.token_budget)
    widest = max(reserved_width(group, call.sampling) for group in rows)
    if widest > halved.token_budget:
        raise too_large(call.network, halved.token_budget, widest)
    if call.device.type == "cuda":
        torch.cuda.empty_cache()
    try:
        return _run(requests_of(rows, call.sampling, halved.token_budget), halved)
    except Exception as reason:
        if not is_out_of_memory(reason):
            raise
    raise too_large(call.network, halved.token_budget, widest)


def _run(waiting: deque[Request], call: _Call) -> None:
    batch: _Batch | None = None
    while waiting or batch is not None:
        if batch is None or _wants_packing(batch):
            batch = _pack(batch, waiting, call)
        else:
            _step(batch, call)


def _wants_packing(batch: _Batch) -> bool:
    done = len(batch.rows) - len(batch.live)
    # the widest row may be done while younger ones go on: then packing makes the batch narrow again
    return done >= max(1, len(batch.rows) * REPACK_SHARE) or (done > 0 and batch.width >= batch.reserved)


def _pack(batch: _Batch | None, waiting: deque[Request], call: _Call) -> _Batch | None:
    """Drop finished rows and let waiting prompts in; None when nothing is left to do."""
    live = batch.live if batch else []
    rows = [batch.rows[index] for index in live] if batch else []
    if batch and batch.steady:
        batch.steady.settle(batch.width)
    admitted = _admit(rows, waiting, call)
    every = rows + [row for request in admitted for row in request.rows]
    if not every:
        return None
    parts, pending = [], []
    if batch and rows:
        kept = torch.tensor(live, device=call.device)
        parts.append(Part(batch.cache, kept, max(row.length for row in rows) - 1))
        pending.append(batch.pending[kept])
    if admitted:
        part, drawn = _prefill(admitted, call)
        parts.append(part)
        pending.append(drawn)
    width = max(part.width for part in parts)
    reserved = reserved_width(every, call.sampling)
    starts = torch.tensor([width - row.length + 1 for row in every], device=call.device)
    if call.lean is not None and not rows and len(admitted) == 1 and len(every) > 1:
        cache = parts[0].cache
        share(cache, len(every), reserved)
    else:
        cache = regroup(parts, reserved)
    steady = Steady.of(call.lean, cache, starts, call.recorder)
    return _Batch(every, cache, width, starts, torch.cat(pending), reserved, steady)


def _admit(rows: list[Row], waiting: deque[Request], call: _Call) -> list[Request]:
    """The next waiting prompts for which rows times the widest possible row stays within the budget."""
    admitted: list[Request] = []
    count, widest = len(rows), reserved_width(rows, call.sampling)
    while waiting:
        widest = max(widest, reserved_width(waiting[0].rows, call.sampling))
        count += len(waiting[0].rows)
        if count * widest > call.token_budget:
            break
        admitted.append(waiting.popleft())
    return admitted


def _prefill(requests: list[Request], call: _Call) -> tuple[Part, Tensor]:
    """Read each prompt once and draw the first token of each of its samples."""
    width = max(len(request.tokens) for request in requests)
    ids = torch.tensor([[call.pad_id] * (width - len(r.tokens)) + r.tokens for r in requests], device=call.device)
    starts = torch.tensor([width - len(request.tokens) for request in requests], device=call.device)
    cache = new_cache()
    states, logits = _forward(ids, starts, cache, width, call)
    owners = [index for index, request in enumerate(requests) for _ in request.rows]
    repeated = torch.tensor(owners, device=call.device)
    states = states if states is None else states[repeated]
    drawn = _record([row for request in requests for row in request.rows], states, logits[repeated], call)
    return Part(cache, repeated, width), drawn


def _step(batch: _Batch, call: _Call) -> None:
    """Read each row's pending token and draw the next."""
    batch.width += 1
    if batch.steady:
        said = batch.steady.step(batch.pending, batch.width)
    else:
        said = _forward(batch.pending[:, None], batch.starts, batch.cache, batch.width, call)
    batch.pending = _record(batch.rows, *said, call)


def _forward(ids: Tensor, starts: Tensor, cache: Cache, width: int, call: _Call) -> tuple[Tensor | None, Tensor]:
    """States (B, H), where they can be had, and logits (B, V) after the last column; `ids` (B, t) are the last t of
    `width` columns."""
    columns = torch.arange(width, device=call.device)
    mask = columns >= starts[:, None]  # (B, width), True on real tokens
    positions = (columns[-ids.shape[1] :] - starts[:, None]).clamp(min=0)  # cumsum(mask) - 1
    if call.lean is not None:
        if ids.shape[1] == 1 and cache.layers:
            return call.lean.step(ids[:, 0], mask, positions[:, 0], cache)
        return call.lean.open(ids, mask, positions, cache)
    output = call.network(
        input_ids=ids,
        attention_mask=mask.long(),
        position_ids=positions,
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    )
    return None, output.logits[:, -1]


def _record(rows: list[Row], states: Tensor | None, logits: Tensor, call: _Call) -> Tensor:
    """Draw for every row, write down what the unfinished ones got, and return the tokens (B,)."""
    if call.sampling.repetition_penalty != 1:
        logits = penalised(logits, [row.read + row.tokens for row in rows], call.sampling.repetition_penalty)
    drawn = draw(logits, [row.key for row in rows], [len(row.tokens) for row in rows], call.sampling)
    values = call.head(states) if call.head is not None and states is not None else None
    for row, (token, logprob, value, *told) in zip(rows, drawn.numbers(values), strict=True):
        if row.finish_reason is None:
            if values is not None:
                row.values.append(value)
            if told:
                pairs = zip(told[: len(told) // 2], told[len(told) // 2 :], strict=True)
                row.alternatives.append([(int(place), found) for place, found in pairs])
            _extend(row, int(token), logprob, call)
    return drawn.tokens


def _extend(row: Row, token: int, logprob: float, call: _Call) -> None:
    row.tokens.append(token)
    row.logprobs.append(logprob)
    wanted = call.watch is not None and call.watch(row)
    if token in call.stop_ids or wanted:
        row.finish_reason = "stop"
    elif len(row.tokens) >= call.sampling.max_tokens:
        row.finish_reason = "length"


@contextmanager
def _evaluating(network: Any) -> Iterator[None]:
    """Dropout and gradient checkpointing (which forbids the cache) are off inside, and as before afterwards."""
    training = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(training)
