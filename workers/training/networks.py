"""One backbone that many roles share: which adapter counts is switched, and heads read its last layer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from workers.training import embeddings
from workers.training.adapters import Adapted, Adapter
from workers.training.checkpoints import CheckpointRefused
from workers.training.chosen import chosen_logprobs, is_plain
from workers.training.narrowing import Cut, narrowed
from workers.training.packed import Packed
from workers.training.sharding import for_file, is_sharded
from workers.training.tensors import entropy_of, logprobs_of, positions_of

Found = TypeVar("Found")

# logits in flight at once, in numbers: beyond it they are made in chunks and made again for the gradient
LOGITS_AT_ONCE = 1 << 24


@dataclass(frozen=True)
class Layout:
    """How rows are read that are more than one text with padding behind. positions (b, t): of a token in its own text.
    visible (b, 1, t, t): True where a token (row) looks at another (column); None tells texts by their positions."""

    positions: Tensor | None = None
    visible: Tensor | None = None

    def arguments(self) -> dict[str, Tensor]:
        named = {"position_ids": self.positions, "attention_mask": self.visible}
        return {name: tensor for name, tensor in named.items() if tensor is not None}


PLAIN = Layout()


class Backbone(nn.Module):
    """A causal language network whose linear maps carry switchable adapters. Frozen, without dropout."""

    def __init__(self, network: PreTrainedModel) -> None:
        super().__init__()
        self.network = network
        self.switch: dict[str, str | None] = {"active": None}
        self.adapted: dict[str, Adapted] = {}
        self.splits = False
        silence_dropout(network)
        network.requires_grad_(False)
        for path, linear in linear_maps(network):
            parent, _, name = path.rpartition(".")
            self.adapted[path] = Adapted(linear, self.switch)
            setattr(network.get_submodule(parent), name, self.adapted[path])
        if embeddings.is_plain(network.get_input_embeddings()):
            network.set_input_embeddings(embeddings.Embedding.of(network.get_input_embeddings()))
        check_head(self)
        self.splits = can_split(self)
        self.narrow = narrowed(self)

    def forward(self, read: Callable[[], Found]) -> Found:
        """One pass: what `read` computes of this network. Where weights are in parts (`sharding`), the embedding's and
        the head's are whole while it lasts, and each layer's while that layer runs; outside of a pass none are."""
        return read()

    @property
    def width(self) -> int:
        """Numbers per token in the last layer."""
        return int(self.network.get_input_embeddings().embedding_dim)

    @property
    def depth(self) -> int:
        """Number of layers."""
        return 1 + max((layer_of(path) for path in self.adapted), default=0)

    @property
    def device(self) -> torch.device:
        return next(self.network.parameters()).device

    def add(self, name: str, rank: int, scale: float, members: int = 1, above: int = 0) -> None:
        """A fresh adapter on every linear map of the layers from `above` on, in fp32 whatever the backbone is in."""
        for path, place in self.adapted.items():
            if layer_of(path) >= above:
                place.adapters[name] = Adapter(*place.shape, rank, scale, members).to(self.device)

    def remove(self, name: str) -> None:
        for place in self.adapted.values():
            if name in place.adapters:
                del place.adapters[name]

    def adapter(self, name: str) -> dict[str, nn.Parameter]:
        """The adapter's tensors by path, for the optimizer and for files."""
        return {
            f"{path}.{part}": tensor
            for path, place in self.adapted.items()
            if name in place.adapters
            for part, tensor in place.adapters[name].named_parameters()
        }

    @contextmanager
    def using(self, name: str | None) -> Iterator[None]:
        """Inside, adapter `name` counts (None: the base alone); afterwards what counted before, come what may."""
        before, self.switch["active"] = self.switch["active"], name
        try:
            yield
        finally:
            self.switch["active"] = before

    def as_it_is(self) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        """Contexts of a forward pass and of its recomputation, which counts the adapter and the places of now."""
        return nullcontext(), self._again(self.switch["active"], self.narrow.cut)

    @contextmanager
    def _again(self, name: str | None, cut: Cut | None) -> Iterator[None]:
        with self.using(name), self.narrow.within(cut):
            yield

    @contextmanager
    def folded(self, name: str | None) -> Iterator[None]:
        """As `using`, with the adapter added into copies of the weights: quick for many small forward passes.

        Packed weights stay as they are, their adapter beside them: a copy would be the whole base that did not fit.
        """
        try:
            for place in filter(lambda place: place.is_plain, self.adapted.values()):
                weight = place.weight_with(name)
                place.folded = weight if place.transposed else weight.T
            with self.using(name):
                yield
        finally:
            for place in self.adapted.values():
                place.folded = None

    def hidden(self, ids: Tensor, mask: Tensor | None = None, *, layout: Layout = PLAIN) -> Tensor:
        """Last layer after its norm, (b, t, width). Without mask, padding must stand behind the real tokens.

        Real tokens look only backwards, so padding behind them needs no mask, which keeps the fast attention path.
        layout: of rows that hold several texts (`packing`, `branches`).
        """
        placed = {} if mask is None else {"attention_mask": mask.long(), "position_ids": positions_of(mask)}
        placed |= layout.arguments()
        return self.network.base_model(input_ids=ids, use_cache=False, **placed).last_hidden_state

    def states(self, ids: Tensor, places: Tensor, *, layout: Layout = PLAIN) -> Tensor:
        """As `hidden`, at some places of (b x t), counted row by row: (n,) → (n, width)."""
        with self.narrow.at(places):
            return self.hidden(ids, layout=layout).flatten(0, 1).index_select(0, places)

    @torch.no_grad()
    def stem(self, ids: Tensor, layers: int, layout: Layout = PLAIN) -> Tensor:
        """What leaves the lowest `layers` layers, (b, t, width), with padding behind: the same for every adapter
        above them, so it is computed once. The ids themselves where the network cannot be split."""
        if not self.splits or layers == 0:
            return ids
        with self._only(self.network.base_model.layers[:layers], norm=False):
            inner = self.network.base_model
            return inner(input_ids=ids, use_cache=False, **layout.arguments()).last_hidden_state

    def crown(self, stem: Tensor, layers: int, layout: Layout = PLAIN) -> Tensor:
        """The rest of the way from `stem`: as `hidden`."""
        if not stem.is_floating_point():
            return self.hidden(stem, layout=layout)
        with self._only(self.network.base_model.layers[layers:], norm=True):
            inner = self.network.base_model
            return inner(inputs_embeds=stem, use_cache=False, **layout.arguments()).last_hidden_state

    @contextmanager
    def _only(self, layers: nn.ModuleList, *, norm: bool) -> Iterator[None]:
        inner = self.network.base_model
        whole, last = inner.layers, inner.norm
        inner.layers, inner.norm = layers, last if norm else nn.Identity()
        try:
            yield
        finally:
            inner.layers, inner.norm = whole, last

    def logits(self, hidden: Tensor) -> Tensor:
        return self.network.get_output_embeddings()(hidden)

    def weights_with(self, name: str | None) -> dict[str, Tensor]:
        """The network's state under its original names, adapter `name` added. Of weights in parts every process has to
        ask, and the first one gets it."""
        state: dict[str, Tensor] = {}
        same, written = tied(self.network), for_file if is_sharded(self) else lambda tensor: tensor
        for path, tensor in self.network.state_dict().items():
            owner, _, part = path.rpartition(".")
            place, inner = self.adapted.get(owner.removesuffix(".linear")), owner.endswith(".linear")
            if ".adapters." in path:
                continue
            if (first := same.get(path, path)) != path:
                state[path] = state[first]
            elif place is not None and inner:
                found = place.weight_with(name) if part == "weight" else tensor
                state[f"{owner.removesuffix('.linear')}.{part}"] = written(found)
            else:
                state[path] = written(tensor)
        return state

    def answer_logprobs(
        self, hidden: Tensor, tokens: Tensor, temperature: float, *, entropy: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """hidden (n, width) before each of tokens (n,) → log-probabilities (n,) and, if asked, entropies (n,).

        The vocabulary's width exists for some rows at a time only, forwards and backwards.
        """
        head = self.network.get_output_embeddings()
        if not entropy and is_plain(head):
            return chosen_logprobs(head, hidden, tokens, temperature), None

        def of_chunk(rows: Tensor, wanted: Tensor) -> Tensor:
            logits = self.logits(rows)
            found = [logprobs_of(logits, wanted, temperature)]
            return torch.stack([*found, entropy_of(logits, temperature)] if entropy else found)

        found = in_chunks(of_chunk, hidden, tokens, self.network.get_input_embeddings().num_embeddings)
        # copies, not views: a pass may end here, and FSDP hangs its hooks on what it returns
        return found[0].clone(), found[1].clone() if entropy else None


def in_chunks(compute: Callable[[Tensor, Tensor], Tensor], rows: Tensor, wanted: Tensor, wide: int) -> Tensor:
    size = max(1, LOGITS_AT_ONCE // wide)
    if len(rows) <= size:
        return compute(rows, wanted)
    parts = zip(rows.split(size), wanted.split(size), strict=True)
    return torch.cat([checkpoint(compute, row, want, use_reentrant=False) for row, want in parts], dim=1)


def linear_maps(network: PreTrainedModel) -> list[tuple[str, nn.Module]]:
    """Every linear map but the one onto the vocabulary, by path."""
    head = network.get_output_embeddings()
    kinds = (nn.Linear, Conv1D, Packed)
    return [(path, part) for path, part in network.named_modules() if isinstance(part, kinds) and part is not head]


def tied(network: nn.Module) -> dict[str, str]:
    """The path of each parameter, and the one that it is met by first: an embedding may be the head as well."""
    first: dict[int, str] = {}
    found = network.named_parameters(remove_duplicate=False)
    return {path: first.setdefault(id(parameter), path) for path, parameter in found}


def silence_dropout(network: PreTrainedModel) -> None:
    """No dropout in either mode: the ratio of PPO and the pair of a comparison need equal forwards (statement 6)."""
    for part in network.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0
        for name in ("attention_dropout", "attn_dropout", "dropout"):
            if isinstance(getattr(part, name, None), float):
                setattr(part, name, 0.0)
    network.eval()


def check_head(backbone: Backbone) -> None:
    """Refuse families whose logits are more than their head on the last layer (soft caps, scales)."""
    probe = torch.arange(4, device=backbone.device).unsqueeze(0)
    with torch.no_grad():
        whole = backbone.network(input_ids=probe, use_cache=False).logits
        parts = backbone.logits(backbone.hidden(probe))
    if not torch.allclose(whole.float(), parts.float(), atol=1e-3, rtol=1e-3):
        kind = backbone.network.config.model_type
        raise CheckpointRefused(
            f"config.json: {kind} changes its logits after the head, which training cannot follow yet."
        )


def can_split(backbone: Backbone) -> bool:
    """Whether the layers can be run in two goes: embeddings go in unchanged, all layers look alike, then one norm."""
    inner = backbone.network.base_model
    layers = getattr(inner, "layers", None)
    kinds = getattr(backbone.network.config, "layer_types", None) or ["one"]
    if not isinstance(layers, nn.ModuleList) or not hasattr(inner, "norm") or len(set(kinds)) > 1:
        return False
    probe = torch.arange(4, device=backbone.device).unsqueeze(0)
    backbone.splits = True  # to try it
    with torch.no_grad():
        return torch.equal(backbone.crown(backbone.stem(probe, 1), 1), backbone.hidden(probe))


def layer_of(path: str) -> int:
    """Number of the layer that a module belongs to: the first number in its path, or 0."""
    return next((int(part) for part in path.split(".") if part.isdigit()), 0)


def arithmetic(precision: str, device: torch.device) -> Any:
    """The autocast context of a run's `precision`."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bfloat16")
