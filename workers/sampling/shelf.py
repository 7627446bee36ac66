"""Checkpoints and reward models kept open, the least recently used put away when memory is short."""

from __future__ import annotations

import logging
import math
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import PreTrainedModel

from app.translation import _
from workers.sampling.graphs import give_back
from workers.training.checkpoints import (
    DTYPES,
    CheckpointRefused,
    Opened,
    check_writer,
    choose_device,
    open_checkpoint,
)
from workers.training.networks import Backbone
from workers.training.scoring import FILE, RewardNetwork, load_reward

# (resolved folder, time of its last change): a folder written anew is opened anew
Key = tuple[str, int]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Judge:
    """A reward model on a base of its own: its adapters change the base's network, so nobody answers with that."""

    opened: Opened
    network: RewardNetwork


class Shelf:
    """`memory_budget` bytes of weights at most, on one device.

    dtype None: what is stored on a GPU (bf16 there is half the memory and twice the speed), fp32 on a CPU, where the
    same seed then gives the same text whatever else is in the batch.
    """

    def __init__(self, *, device: str, dtype: torch.dtype | None, memory_budget: int) -> None:
        self.device = choose_device(device)
        self.dtype = dtype or (torch.float32 if self.device.type == "cpu" else None)
        self.memory_budget = memory_budget
        self._open: OrderedDict[Key, Opened] = OrderedDict()
        self._judge: tuple[tuple[Key, Key], Judge] | None = None

    def take(self, folder: Path) -> Opened:
        """The checkpoint in that folder, opened now or earlier. Raises CheckpointRefused."""
        key = self._key(folder)
        if key not in self._open:
            key = self._bring(key, folder)
        self._open.move_to_end(key)
        return self._open[key]

    def take_judge(self, reward: Path, base: Path) -> Judge:
        """The reward model in one folder on the base in another. One at a time is kept. Raises CheckpointRefused."""
        key = (_written(reward, [reward / FILE]), self._key(base))
        if self._judge is None or self._judge[0] != key:
            self._judge = None
            self._make_room(_weight_bytes(base, self.dtype))
            opened = open_checkpoint(base, self.device, self.dtype)
            own_weights(opened.network)
            network = load_reward(reward, Backbone(opened.network), opened.weights_sha256)
            self._judge = key, Judge(opened, network)
        return self._judge[1]

    def put_away(self) -> None:
        """Close everything; what is wanted again is read anew. Of a GPU's memory the driver's own share stays taken."""
        self._open.clear()
        self._judge = None
        give_back()

    @property
    def filling(self) -> tuple[int, int]:
        """Checkpoints open, and bytes of their weights."""
        return len(self._open), self._used()

    def _bring(self, key: Key, folder: Path) -> Key:
        """Open what lies there now and let go of what lay there before.

        While a folder is being written anew, those who use it go on with the weights that are open: nobody's request
        is lost for that. Its key comes back.
        """
        before = next((one for one in self._open if one[0] == key[0]), None)
        try:
            needed = _weight_bytes(folder, self.dtype)
            # where there is room for both, the new is seen to be whole before the old goes
            both = before is not None and self._used() + needed <= self.memory_budget
            key, opened = self._open_whole(folder) if both else (key, None)
        except CheckpointRefused as refused:
            if before is None or not key[1]:
                raise
            log.warning("%s was changed and is refused; the weights from before answer on: %s", folder, refused)
            return before
        if before is not None:
            del self._open[before]
        self._make_room(needed)
        if opened is None:
            key, opened = self._open_whole(folder)
        self._open[key] = opened
        own_weights(opened.network)
        return key

    def _open_whole(self, folder: Path) -> tuple[Key, Opened]:
        """What lies there, of one moment: where it was changed meanwhile, it is read again."""
        while True:
            key = self._key(folder)
            opened = open_checkpoint(folder, self.device, self.dtype)
            if self._key(folder) == key:
                return key, opened

    def _key(self, folder: Path) -> Key:
        """The newest change to its config or weights; 0 where there is no config."""
        if not (folder / "config.json").is_file():
            return str(folder.resolve()), 0
        return _written(folder, [folder / "config.json", *folder.glob("*.safetensors")])

    def _make_room(self, needed: int) -> None:
        if needed > self.memory_budget:
            sentence = _("The weights need {needed} MB; the sampler may use {most} MB.")
            raise CheckpointRefused(
                sentence.format(needed=f"{needed / 1e6:,.0f}", most=f"{self.memory_budget / 1e6:,.0f}")
            )
        while (self._open or self._judge) and self._used() + needed > self.memory_budget:
            if self._judge:  # scoring is rare and for one who looks; who answers is needed at every turn of a talk
                self._judge = None
            else:
                self._open.popitem(last=False)
            if self.device.type == "cuda":
                torch.cuda.empty_cache()

    def _used(self) -> int:
        networks = [one.network for one in list(self._open.values())]  # read from other threads as well
        judge = self._judge
        judging = judge[1].network.parameters() if judge else ()
        return sum(tensor.nbytes for network in networks for tensor in network.parameters()) + sum(
            tensor.nbytes for tensor in judging
        )


def _written(folder: Path, files: list[Path]) -> Key:
    return str(folder.resolve()), max((file.stat().st_mtime_ns for file in files if file.is_file()), default=0)


def own_weights(network: PreTrainedModel) -> None:
    """On a CPU weights may still be the file itself, and reading what somebody writes over kills a process: they become
    ours."""
    for parameter in network.parameters():
        if parameter.device.type == "cpu":
            parameter.data = parameter.data.clone()


def _weight_bytes(folder: Path, dtype: torch.dtype | None) -> int:
    """Memory that a folder's weights take once they are open, from the files' headers alone."""
    total = 0
    for header in check_writer(folder).values():
        for tensor in header.values():
            stored = DTYPES.get(tensor["dtype"], torch.float32)
            total += math.prod(tensor["shape"]) * (dtype or stored).itemsize
    return total
