"""The last layer, computed where it is read.

Its keys and values are wanted at every place of a text; its queries and all that stands behind its attention go a way
of their own at each place. Who reads an answer, or the end of a text alone, needs them there and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from inspect import signature
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from workers.training.adapters import Adapted
from workers.training.sharding import layers_of
from workers.training.tensors import alike

if TYPE_CHECKING:
    from workers.training.networks import Backbone

# parts of a layer that look at one place at a time, by the names that most families give them
PARTS = ("self_attn.q_proj", "self_attn.o_proj", "mlp")


class Narrow:
    """Such parts. Inside of `at` they compute some places and leave zeros elsewhere; outside they have no hooks, which
    would keep the sampler from its quick steps."""

    def __init__(self, network: nn.Module) -> None:
        layers = layers_of(network)
        named = dict(layers[-1].named_modules()) if layers else {}
        self.parts = [named[path] for path in PARTS if path in named and is_dense(named[path])]
        self.cut: Cut | None = None

    def at(self, places: Tensor | None) -> AbstractContextManager[None]:
        """places (n,): counted row by row; one may stand there several times. None: all."""
        return self.within(None if places is None else Cut(places))

    @contextmanager
    def within(self, cut: Cut | None) -> Iterator[None]:
        before, self.cut = self.cut, cut
        hooks = [hook for part in self.parts if cut and not before for hook in self.hooked(part)]
        try:
            yield
        finally:
            self.cut = before
            for hook in hooks:
                hook.remove()

    def hooked(self, part: nn.Module) -> tuple[RemovableHandle, RemovableHandle]:
        return (
            part.register_forward_pre_hook(lambda part, given: (self.cut.take(*given),) if self.cut else None),
            part.register_forward_hook(lambda part, given, found: self.cut.put(found) if self.cut else None),
        )


class Cut:
    """What goes into a part of a layer, and what comes out of it, at some places only."""

    def __init__(self, places: Tensor) -> None:
        self.places = places
        self.times = places.bincount()[places].unsqueeze(1)
        self.lead = torch.Size()

    def take(self, rows: Tensor) -> Tensor:
        """(b, t, width) → (1, n, width)"""
        self.lead = rows.shape[:-1]
        return rows.flatten(0, 1).index_select(0, self.places).unsqueeze(0)

    def put(self, found: Tensor) -> Tensor:
        """The reverse. Where a place stands there several times each gives its share."""
        flat = found.squeeze(0) / self.times
        whole = flat.new_zeros(self.lead.numel(), flat.shape[1]).index_add(0, self.places, flat)
        return whole.view(*self.lead, -1)


def is_dense(part: nn.Module) -> bool:
    """Whether its weights are those of linear maps of its own, and of nothing below them, as experts would be; and
    whether it is given rows and nothing else: some add the residual themselves."""
    maps = [part] if isinstance(part, Adapted) else [one for one in part.children() if isinstance(one, Adapted)]
    own = {id(weight) for one in maps for weight in one.parameters()}
    return len(signature(part.forward).parameters) == 1 and all(id(weight) in own for weight in part.parameters())


@torch.no_grad()
def narrowed(backbone: Backbone) -> Narrow:
    """Tried on the network at hand: where it makes a difference, every place is computed always."""
    narrow = Narrow(backbone.network.base_model)
    ids = torch.arange(4, 8, device=backbone.device).unsqueeze(0)
    whole = backbone.hidden(ids)[0, 2:3]
    with narrow.at(torch.tensor([2], device=backbone.device)):
        # one layer's share of a state, so less than a text that sees another
        if not alike(backbone.hidden(ids)[0, 2:3], whole, half=0.01):
            narrow.parts = []
    return narrow
