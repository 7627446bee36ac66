"""Keys and values of a batch whose rows come and go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicLayer

# columns reserved ahead, so that a step writes one column instead of copying the whole cache
AHEAD = 64


class GrowingLayer(DynamicLayer):
    """One layer's keys and values, (B, heads, width, size) views into rooms that grow by `AHEAD` columns.

    shared: keys and values (1, heads, columns, size) that stand before those of every row, see `share`.
    """

    key_room: Tensor
    value_room: Tensor
    limit = 0  # width at which rooms stop growing ahead
    shared: tuple[Tensor, Tensor] | None = None
    column: Tensor | None = None  # (1,) see `pin`

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        if self.column is not None:
            self.key_room.index_copy_(2, self.column, key_states)
            self.value_room.index_copy_(2, self.column, value_states)
            return self.key_room, self.value_room
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            self.keys, self.values = key_states, value_states
            self.key_room, self.value_room = key_states, value_states
            return self.keys, self.values
        old = self.keys.shape[-2]
        new = old + key_states.shape[-2]
        if new > self.key_room.shape[-2]:
            self.key_room = _roomier(self.key_room, old, max(new, min(new + AHEAD, self.limit)))
            self.value_room = _roomier(self.value_room, old, max(new, min(new + AHEAD, self.limit)))
        self.key_room[:, :, old:new] = key_states
        self.value_room[:, :, old:new] = value_states
        self.keys, self.values = self.key_room[:, :, :new], self.value_room[:, :, :new]
        return self.keys, self.values


@dataclass(frozen=True)
class Part:
    """Rows to take from a cache: `rows` (b,) may repeat; the last `width` columns are kept."""

    cache: Cache
    rows: Tensor
    width: int


def new_cache() -> Cache:
    return Cache(layer_class_to_replicate=GrowingLayer)


def share(cache: Cache, rows: int, limit: int) -> None:
    """Make the cache of one prompt, read alone, that of so many rows which all begin with it. It is held once, and who
    attends has to know of it (`lean.py`)."""
    for layer in cache.layers:
        _, heads, read, size = layer.keys.shape
        layer.shared, layer.limit = (layer.keys, layer.values), limit - read
        layer.key_room = layer.keys.new_empty(rows, heads, min(AHEAD, layer.limit), size)
        layer.value_room = layer.values.new_empty(rows, heads, min(AHEAD, layer.limit), size)
        layer.keys, layer.values = layer.key_room[:, :, :0], layer.value_room[:, :, :0]


def pin(cache: Cache, column: Tensor) -> int:
    """From now on each layer writes its next keys and values at `column`, (1,), and is read in its whole room: shapes
    and addresses stay as they are. Gives the width of the rooms, in which at least one column is free."""
    for layer in cache.layers:
        filled, room = layer.keys.shape[-2], layer.key_room.shape[-2]
        if filled == room:
            wider = max(filled + 1, min(filled + AHEAD, layer.limit))
            layer.key_room = _roomier(layer.key_room, filled, wider)
            layer.value_room = _roomier(layer.value_room, filled, wider)
        # masked columns are multiplied by 0, as in `_side_by_side`
        layer.key_room[:, :, filled:] = 0
        layer.value_room[:, :, filled:] = 0
        layer.column = column
    return int(cache.layers[0].key_room.shape[-2])


def unpin(cache: Cache, filled: int) -> None:
    """Back to columns that are appended; so many are written."""
    for layer in cache.layers:
        layer.column = None
        layer.keys, layer.values = layer.key_room[:, :, :filled], layer.value_room[:, :, :filled]


def regroup(parts: list[Part], limit: int) -> Cache:
    """One cache of all parts' rows, right-aligned to the widest; the parts' caches are emptied layer by layer."""
    if len(parts) == 1 and any(layer.shared for layer in parts[0].cache.layers):
        return _fewer(parts[0])
    for part in parts:
        _unshare(part.cache)
    width = max(part.width for part in parts)
    merged = new_cache()
    for index in range(len(parts[0].cache.layers)):
        merged.layers.append(_merge([part.cache.layers[index] for part in parts], parts, width, limit))
    return merged


def _fewer(part: Part) -> Cache:
    """Some rows of a cache that shares a prompt, which go on sharing it: they are all as long as each other."""
    for layer in part.cache.layers:
        width = layer.keys.shape[-2]
        layer.key_room = layer.key_room.index_select(0, part.rows)
        layer.value_room = layer.value_room.index_select(0, part.rows)
        layer.keys, layer.values = layer.key_room[:, :, :width], layer.value_room[:, :, :width]
    return part.cache


def _unshare(cache: Cache) -> None:
    """Every row gets a copy of what stands before it: rows of other prompts are about to stand beside them."""
    for layer in cache.layers:
        if layer.shared is not None:
            before = [held.expand(len(layer.keys), -1, -1, -1) for held in layer.shared]
            layer.keys = torch.cat([before[0], layer.keys], -2)
            layer.values = torch.cat([before[1], layer.values], -2)
            layer.shared = None


def _merge(layers: list[Any], parts: list[Part], width: int, limit: int) -> GrowingLayer:
    merged = GrowingLayer()
    merged.lazy_initialization(layers[0].keys, layers[0].values)
    merged.limit = limit
    room = max(width, min(width + AHEAD, limit))
    merged.key_room = _side_by_side([layer.keys for layer in layers], parts, width, room)
    merged.value_room = _side_by_side([layer.values for layer in layers], parts, width, room)
    merged.keys, merged.values = merged.key_room[:, :, :width], merged.value_room[:, :, :width]
    for layer in layers:
        layer.reset()
        layer.key_room = layer.value_room = None
    return merged


def _side_by_side(tensors: list[Tensor], parts: list[Part], width: int, room: int) -> Tensor:
    _, heads, _, size = tensors[0].shape
    merged = tensors[0].new_empty(sum(len(part.rows) for part in parts), heads, room, size)
    first = 0
    for tensor, part in zip(tensors, parts, strict=True):
        last = first + len(part.rows)
        # masked columns are multiplied by 0, and 0 times a stray NaN is NaN
        merged[first:last, :, : width - part.width] = 0
        kept = tensor[:, :, -part.width :]
        alone = len(kept) == 1  # one prompt for all rows: written from where it is
        merged[first:last, :, width - part.width : width] = kept if alone else kept.index_select(0, part.rows)
        first = last
    return merged


def _roomier(room: Tensor, filled: int, columns: int) -> Tensor:
    rows, heads, _, size = room.shape
    roomier = room.new_empty(rows, heads, columns, size)
    roomier[:, :, :filled] = room[:, :, :filled]
    return roomier
