"""Keys and values of a batch whose rows come and go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor
from transformers.cache_utils import Cache, DynamicLayer

# columns reserved ahead, so that a step writes one column instead of copying the whole cache
AHEAD = 64


class GrowingLayer(DynamicLayer):
    """One layer's keys and values, (B, heads, width, size) views into rooms that grow by `AHEAD` columns."""

    limit = 0  # width at which rooms stop growing ahead

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
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


def regroup(parts: list[Part], limit: int) -> Cache:
    """One cache of all parts' rows, right-aligned to the widest; the parts' caches are emptied layer by layer."""
    width = max(part.width for part in parts)
    merged = new_cache()
    for index in range(len(parts[0].cache.layers)):
        merged.layers.append(_merge([part.cache.layers[index] for part in parts], parts, width, limit))
    return merged


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
    # zeros, not empty: masked columns are multiplied by 0, and 0 times a stray NaN is NaN
    merged = tensors[0].new_zeros(sum(len(part.rows) for part in parts), heads, room, size)
    first = 0
    for tensor, part in zip(tensors, parts, strict=True):
        last = first + len(part.rows)
        merged[first:last, :, width - part.width : width] = tensor[:, :, -part.width :].index_select(0, part.rows)
        first = last
    return merged


def _roomier(room: Tensor, filled: int, columns: int) -> Tensor:
    rows, heads, _, size = room.shape
    roomier = room.new_zeros(rows, heads, columns, size)
    roomier[:, :, :filled] = room[:, :, :filled]
    return roomier
