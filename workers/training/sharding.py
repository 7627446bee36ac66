"""Networks in parts, one for each process (FSDP2, `torch.distributed.fsdp.fully_shard`): weights, gradients and Adam's
moments. Whole are one layer at a time while it is read, all of one network while it samples, and one tensor for a file.

Three things here are not as `fully_shard` has them by itself. Gradients are summed, not averaged: losses are sums over
the whole minibatch's tokens. A pass is a call of the backbone with what is to be read of it, since trunk and head are
read apart. And every process has to make as many passes as the others, since each pass gathers weights from all:
parts are cut by tokens, so who has fewer makes some that do not count (`even`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from app.training.configs import AnyRun, RunRefused
from workers.training.checkpoints import choose_device
from workers.training.processes import gathered, is_first, size

if TYPE_CHECKING:
    from workers.training.networks import Backbone

Piece = TypeVar("Piece")


def parted(run: AnyRun) -> torch.device | None:
    """The device of this process's parts; None where it holds everything, as one that is alone does anyway."""
    return choose_device(run.device) if run.sharding == "full" and size() > 1 else None


def opened_on(run: AnyRun) -> str:
    """The device that a checkpoint is opened on: the machine's own memory where only parts of it go to devices.

    :raises RunRefused: its weights would not be of one kind.
    """
    if parted(run) is None:
        return run.device
    if run.config.base_precision != "float32":
        raise RunRefused(f"sharding full wants base_precision float32, not {run.config.base_precision}.")
    return "cpu"


def shard(network: nn.Module, device: torch.device | None) -> None:
    """Leave this process its part of each weight, on `device`: one group for each layer, and one for all else. None
    leaves it everything."""
    if device is None:
        return
    mesh = init_device_mesh(device.type, (size(),))
    for part in (*layers_of(network), network):
        fully_shard(part, mesh=mesh, reshard_after_forward=True)
    for part in parts_of(network):
        part.set_gradient_divide_factor(1.0)
        part.set_force_sum_reduction_for_comms(True)
    network.register_forward_hook(forget)


def layers_of(network: nn.Module) -> list[nn.Module]:
    """The elements of its outermost lists of modules."""
    lists = [path for path, part in network.named_modules() if isinstance(part, nn.ModuleList)]
    outer = [path for path in lists if not any(path.startswith(f"{other}.") for other in lists)]
    return [layer for path in outer for layer in network.get_submodule(path)]


def parts_of(network: nn.Module) -> list[FSDPModule]:
    return [part for part in network.modules() if isinstance(part, FSDPModule)]


def is_sharded(network: nn.Module) -> bool:
    return isinstance(network, FSDPModule)


def forget(network: Any, *_: Any) -> None:
    """What a pass without gradients leaves behind, which a backward pass would have cleared."""
    if not torch.is_grad_enabled():
        network.reset_iter_state()


@contextmanager
def whole(backbone: Backbone) -> Iterator[None]:
    """Inside, this process has all weights of the network, for passes that the others make otherwise or not at all."""
    parts = parts_of(backbone)
    if parts:
        backbone(lambda: None)  # the first call of all tells FSDP which module is the outermost
    for part in parts:
        part.unshard()
        part.set_reshard_after_forward(False, recurse=False)
    try:
        yield
    finally:
        for part in parts:
            part.set_reshard_after_forward(True, recurse=False)
        if parts:
            backbone.reset_iter_state()


def even(pieces: Iterable[Piece], spare: Callable[[], Piece], backbone: Backbone) -> Iterator[tuple[Piece, bool]]:
    """Pieces to make passes of, and whether each counts. Where the weights are in parts every process gets as many: who
    has fewer gets the spare one for the rest."""
    if not is_sharded(backbone):
        yield from ((piece, True) for piece in pieces)
        return
    own = list(pieces)
    most = max(gathered(len(own)))
    yield from ((piece, True) for piece in own)
    for _ in range(most - len(own)):
        yield spare(), False


def full(tensor: Tensor) -> Tensor:
    """All of it. Every process has to ask."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def for_file(tensor: Tensor) -> Tensor:
    """All of it in the memory of the first process, which writes files; nothing in that of others. All have to ask."""
    found = full(tensor.detach())
    return found.cpu() if is_first() else found.new_empty(0)


def alike(tensor: Tensor, other: Tensor) -> Tensor:
    """A whole tensor on the other's device, and this process's part of it where the other is in parts."""
    tensor = tensor.to(other.device)
    if not isinstance(other, DTensor) or isinstance(tensor, DTensor):
        return tensor
    return distribute_tensor(tensor, other.device_mesh, other.placements, src_data_rank=None)
