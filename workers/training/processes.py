"""Several processes that train as one: `torchrun` starts them, each takes a share of each pass, all make the same step.

What is sampled and judged is shared out by rows and put together again, so every process holds the whole batch:
whitening, baselines, budgets and figures are computed from the same numbers everywhere and need no care of their own.
Of each minibatch a process reads its share; losses are sums over the whole minibatch's tokens, so gradients are summed,
once an optimizer step. Files are the first process's. Each process holds all weights, or its part of them (`sharding`).

Not torch's DistributedDataParallel: it averages, wants one forward of one module for each backward and as many of them
everywhere. Here one backbone serves several roles by its adapters, and parts are cut by tokens, so processes have
different numbers of them, or none.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import distributed, nn
from torch.distributed.tensor import DTensor

from app.training.configs import RunRefused

Row = TypeVar("Row")
Found = TypeVar("Found")
BUCKET = 1 << 25  # gradients in one message, in numbers: memory beside the gradients themselves
# of all for the one that asks a server for answers or writes a file: torch gives up after 30 minutes, or 10
LONGEST_WAIT = timedelta(days=1)


def join(device: str = "auto") -> None:
    """Meet the others that the launcher started, by its environment; nothing where this process is alone.

    :raises RunRefused: they cannot have a GPU each.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) < 2 or distributed.is_initialized():
        return
    place = gpu_of(device, int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count())
    if place is not None:
        torch.cuda.set_device(place)
        distributed.init_process_group("cpu:gloo,cuda:nccl", timeout=LONGEST_WAIT)
    else:
        distributed.init_process_group("gloo", timeout=LONGEST_WAIT)


def gpu_of(device: str, place: int, gpus: int) -> int | None:
    """The GPU of the process at this place of its machine, of so many; None on CPUs. Raises RunRefused."""
    if device == "cpu" or (device == "auto" and not gpus):
        return None
    if ":" in device:
        raise RunRefused(f"device {device} would be every process's own; say auto, cuda or cpu.")
    if place >= gpus:
        raise RunRefused(f"There are {gpus} GPUs, and a process needs one each: start {gpus}, or say device cpu.")
    return place


def leave() -> None:
    if distributed.is_initialized():
        distributed.destroy_process_group()


def size() -> int:
    return distributed.get_world_size() if distributed.is_initialized() else 1


def number() -> int:
    """Of this process, from 0."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def is_first() -> bool:
    """Whether this process writes files and tells how far things are."""
    return number() == 0


def share(rows: Sequence[Row], length: Callable[[Row], int] | None = None) -> list[Row]:
    """This process's part of the rows, which may be none; alike in lengths everywhere, where they are told."""
    if size() > 1 and length is not None:
        rows = sorted(rows, key=length, reverse=True)
    return list(rows[number() :: size()])


def gathered(value: Found) -> list[Found]:
    """What every process has here, by their numbers."""
    if size() == 1:
        return [value]
    found: list[Any] = [None] * size()
    distributed.all_gather_object(found, value)
    return found


def spread(compute: Callable[[Sequence[Row]], list[Found]], rows: Sequence[Row]) -> list[Found]:
    """What `compute` finds for each of the rows, in their order, each process computing its share of them."""
    if size() == 1 or len(rows) < size():
        return compute(rows)
    whole: list[Any] = [None] * len(rows)
    for at, part in enumerate(gathered(compute(share(rows)))):
        whole[at :: size()] = part
    return whole


def summed(values: dict[str, float]) -> dict[str, float]:
    """Sums over all processes; one that had nothing to do may lack names."""
    whole: dict[str, float] = {}
    for one in gathered(values):
        for name, value in one.items():
            whole[name] = whole.get(name, 0.0) + value
    return whole


def sum_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Every parameter's gradient becomes the sum of all processes'; None stays None where nobody has one. Of weights in
    parts they are summed already (`sharding`)."""
    everyone = [parameter for parameter in parameters if not isinstance(parameter, DTensor)]
    if size() == 1 or not everyone:
        return
    present = torch.tensor([parameter.grad is not None for parameter in everyone], dtype=torch.int32)
    distributed.all_reduce(present)
    bucket: list[nn.Parameter] = []
    for parameter, there in zip(everyone, present.tolist(), strict=True):
        if there:
            bucket.append(parameter)
        if sum(one.numel() for one in bucket) >= BUCKET:
            _sum_bucket(bucket)
            bucket = []
    _sum_bucket(bucket)


def _sum_bucket(bucket: list[nn.Parameter]) -> None:
    if not bucket:
        return
    grads = [torch.zeros_like(one) if one.grad is None else one.grad for one in bucket]
    flat = torch.cat([grad.flatten() for grad in grads])
    distributed.all_reduce(flat)
    for one, part in zip(bucket, flat.split([one.numel() for one in bucket]), strict=True):
        one.grad = part.view_as(one).to(one.dtype)


def anyone(asks: bool) -> bool:
    """Whether any process says so; all of them learn it."""
    return any(gathered(asks))


def from_first(find: Callable[[], Found]) -> Found:
    """What the first process finds, in all of them; where it fails, all fail so."""
    if size() == 1:
        return find()
    found: Any = None
    if is_first():
        try:
            found = find()
        except Exception as failure:
            found = failure
    told: Any = gathered(found)[0]
    if isinstance(told, Exception):
        raise told
    return told


def once(write: Callable[[], None]) -> None:
    """The first process writes, and the others wait until it has: who is done before may end all of them."""
    if is_first():
        write()
    if size() > 1:
        distributed.barrier()
