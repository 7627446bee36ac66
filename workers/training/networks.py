"""One backbone that many roles share: low-rank adapters that are switched, and heads that read its last layer.

Why adapters of our own (about 80 lines) and not peft: one frozen backbone here carries the policy, a critic and a
reward ensemble at once; the ensemble's members run side by side in one forward pass (a leading member dimension that
peft does not have); "adapters off" must be the reference exactly and come back on after an exception; and a rollout
wants the adapter folded into the weights while the originals stay untouched to the last bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from workers.training.checkpoints import CheckpointRefused
from workers.training.tensors import entropy_of, logprobs_of, positions_of

# logits in flight at once, in numbers: beyond it they are made in chunks and made again for the gradient
LOGITS_AT_ONCE = 1 << 24


class Adapter(nn.Module):
    """`members` low-rank additions to one linear map (Hu et al. 2021). `up` starts at 0: at first nothing changes.

    forward: (members x rows, …, inputs) → (members x rows, …, outputs); member m reads the m-th block of rows.
    """

    def __init__(self, inputs: int, outputs: int, rank: int, scale: float, members: int) -> None:
        super().__init__()
        self.factor = scale / rank
        self.down = nn.Parameter(torch.empty(members, inputs, rank).uniform_(-1, 1) * math.sqrt(3 / inputs))
        self.up = nn.Parameter(torch.zeros(members, rank, outputs))

    def forward(self, rows: Tensor) -> Tensor:
        if len(self.down) == 1:
            return (rows.to(self.down.dtype) @ self.down[0] @ self.up[0] * self.factor).to(rows.dtype)
        blocks = rows.to(self.down.dtype).reshape(len(self.down), -1, rows.shape[-1])
        added = torch.bmm(torch.bmm(blocks, self.down), self.up) * self.factor
        return added.reshape(*rows.shape[:-1], -1).to(rows.dtype)

    def whole(self) -> Tensor:
        """The addition as a matrix (inputs, outputs), of the first member."""
        return self.down[0] @ self.up[0] * self.factor


class Adapted(nn.Module):
    """A linear map of the backbone with its adapters; which one counts is the backbone's switch."""

    def __init__(self, linear: nn.Module, switch: dict[str, str | None]) -> None:
        super().__init__()
        self.linear = linear
        self.transposed = not isinstance(linear, Conv1D)  # nn.Linear keeps (outputs, inputs), GPT-2's Conv1D not
        self.adapters = nn.ModuleDict()
        self.switch = switch
        self.folded: Tensor | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """(inputs, outputs)"""
        rows, columns = self.linear.weight.shape
        return (columns, rows) if self.transposed else (rows, columns)

    def forward(self, rows: Tensor) -> Tensor:
        if self.folded is not None:
            return functional.linear(rows, self.folded, self.linear.bias)
        active = self.switch["active"]
        plain = self.linear(rows)
        return plain if active is None or active not in self.adapters else plain + self.adapters[active](rows)

    def weight_with(self, name: str | None) -> Tensor:
        """The weight in the linear's own layout with adapter `name` added."""
        weight = self.linear.weight.detach()
        if name is None or name not in self.adapters:
            return weight
        added = self.adapters[name].whole().detach()
        return (weight.float() + (added.T if self.transposed else added)).to(weight.dtype)


class Backbone(nn.Module):
    """A causal language network whose linear maps carry switchable adapters. Frozen, without dropout."""

    def __init__(self, network: PreTrainedModel) -> None:
        super().__init__()
        self.network = network
        self.switch: dict[str, str | None] = {"active": None}
        self.adapted: dict[str, Adapted] = {}
        silence_dropout(network)
        network.requires_grad_(False)
        for path, linear in linear_maps(network):
            parent, _, name = path.rpartition(".")
            self.adapted[path] = Adapted(linear, self.switch)
            setattr(network.get_submodule(parent), name, self.adapted[path])
        check_head(self)

    @property
    def width(self) -> int:
        """Numbers per token in the last layer."""
        return int(self.network.get_input_embeddings().embedding_dim)

    @property
    def device(self) -> torch.device:
        return next(self.network.parameters()).device

    def add(self, name: str, rank: int, scale: float, members: int = 1) -> None:
        """A fresh adapter on every linear map, in fp32 whatever the backbone is in."""
        for place in self.adapted.values():
            place.adapters[name] = Adapter(*place.shape, rank, scale, members).to(self.device)

    def remove(self, name: str) -> None:
        for place in self.adapted.values():
            del place.adapters[name]

    def adapter(self, name: str) -> dict[str, nn.Parameter]:
        """The adapter's tensors by path, for the optimizer and for files."""
        return {
            f"{path}.{part}": tensor
            for path, place in self.adapted.items()
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
        """Contexts of a forward pass and of its recomputation, which counts the adapter that counts now."""
        return nullcontext(), self.using(self.switch["active"])

    @contextmanager
    def folded(self, name: str | None) -> Iterator[None]:
        """As `using`, with the adapter added into copies of the weights: quick for many small forward passes."""
        try:
            for place in self.adapted.values():
                weight = place.weight_with(name)
                place.folded = weight if place.transposed else weight.T
            yield
        finally:
            for place in self.adapted.values():
                place.folded = None

    def hidden(self, ids: Tensor, mask: Tensor | None = None) -> Tensor:
        """Last layer after its norm, (b, t, width). Without mask, padding must stand behind the real tokens.

        Real tokens look only backwards, so padding behind them needs no mask, which keeps the fast attention path.
        """
        placed = {} if mask is None else {"attention_mask": mask.long(), "position_ids": positions_of(mask)}
        return self.network.base_model(input_ids=ids, use_cache=False, **placed).last_hidden_state

    def logits(self, hidden: Tensor) -> Tensor:
        return self.network.get_output_embeddings()(hidden)

    def weights_with(self, name: str | None) -> dict[str, Tensor]:
        """The network's state under its original names, adapter `name` added."""
        state = {}
        for path, tensor in self.network.state_dict().items():
            owner, _, part = path.rpartition(".")
            place, inner = self.adapted.get(owner.removesuffix(".linear")), owner.endswith(".linear")
            if ".adapters." in path:
                continue
            if place is not None and inner:
                state[f"{owner.removesuffix('.linear')}.{part}"] = (
                    place.weight_with(name) if part == "weight" else tensor
                )
            else:
                state[path] = tensor
        return state

    def answer_logprobs(
        self, hidden: Tensor, tokens: Tensor, temperature: float, *, entropy: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """hidden (n, width) before each of tokens (n,) → log-probabilities (n,) and, if asked, entropies (n,).

        The vocabulary's width exists for LOGITS_AT_ONCE numbers at a time only, forwards and backwards.
        """

        def of_chunk(rows: Tensor, wanted: Tensor) -> Tensor:
            logits = self.logits(rows)
            found = [logprobs_of(logits, wanted, temperature)]
            return torch.stack([*found, entropy_of(logits, temperature)] if entropy else found)

        found = in_chunks(of_chunk, hidden, tokens, self.network.get_input_embeddings().num_embeddings)
        return found[0], found[1] if entropy else None


def in_chunks(compute: Callable[[Tensor, Tensor], Tensor], rows: Tensor, wanted: Tensor, wide: int) -> Tensor:
    size = max(1, LOGITS_AT_ONCE // wide)
    if len(rows) <= size:
        return compute(rows, wanted)
    parts = zip(rows.split(size), wanted.split(size), strict=True)
    return torch.cat([checkpoint(compute, row, want, use_reentrant=False) for row, want in parts], dim=1)


def linear_maps(network: PreTrainedModel) -> list[tuple[str, nn.Module]]:
    """Every linear map but the one onto the vocabulary, by path."""
    head = network.get_output_embeddings()
    kinds = (nn.Linear, Conv1D)
    return [(path, part) for path, part in network.named_modules() if isinstance(part, kinds) and part is not head]


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


def gather_answers(hidden: Tensor, starts: list[int], width: int) -> Tensor:
    """The states from which each answer token was drawn: (b, t, d) → (b, width, d).

    Token j of an answer that starts at position s is drawn from position s + j - 1.
    """
    first = torch.tensor(starts, device=hidden.device).unsqueeze(1) - 1
    places = (first + torch.arange(width, device=hidden.device)).clamp(max=hidden.shape[1] - 1)
    return hidden.gather(1, places.unsqueeze(-1).expand(-1, -1, hidden.shape[-1]))


def arithmetic(precision: str, device: torch.device) -> Any:
    """The autocast context of a run's `precision`."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bfloat16")
