"""An ensemble in which every member is blind to one fold: who reads what, in which order, and what is kept."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Iterator, Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from workers.training.groups import Item
from workers.training.progress import copy_into, load_state, optimizer_state, restore_optimizer, save_state

Row = TypeVar("Row")


def folds_of(pairs: list[Item], members: int, seed: int) -> list[list[int]]:
    """Rows of the pairs that each member never sees; pairs of one group stand in one fold, which are equal in votes."""
    groups: dict[str, list[int]] = {}
    for row, pair in enumerate(pairs):
        groups.setdefault(pair.group, []).append(row)
    names = sorted(groups)
    random.Random(seed).shuffle(names)
    names.sort(key=lambda name: -len(groups[name]))  # stable: the shuffle stays among groups of one size
    folds: list[list[int]] = [[] for _ in range(members)]
    for name in names:
        min(folds, key=len).extend(groups[name])
    return [sorted(fold) for fold in folds]


def steps_per_epoch(folds: list[list[int]], batch: int) -> int:
    everyone = sum(map(len, folds))
    return math.ceil((everyone - min(map(len, folds))) / batch)


def epoch_batches(pairs: list[Item], folds: list[list[int]], batch: int, seed: int) -> Iterator[list[list[Item]]]:
    """One pass: at each step a batch for every member, all of one size and of similar lengths.

    Each member has an order of its own; a member with fewer pairs meets a few of its first ones twice.
    """
    chance = random.Random(seed)
    orders = level([sorted(set(range(len(pairs))) - set(fold)) for fold in folds])
    sorted_orders = [by_length(pairs, order, batch, chance) for order in orders]
    starts = list(range(0, len(orders[0]), batch))
    chance.shuffle(starts)
    for start in starts:
        yield [[pairs[row] for row in order[start : start + batch]] for order in sorted_orders]


def by_length(pairs: list[Item], rows: list[int], batch: int, chance: random.Random) -> list[int]:
    """Roughly by length, differently each time: a pair moves by a few batches at most."""
    by_rank = sorted(rows, key=lambda row: pairs[row].longest)
    places = [place + chance.uniform(0, 4 * batch) for place in range(len(rows))]
    return [row for _, row in sorted(zip(places, by_rank, strict=True))]


def level(rows: Sequence[Sequence[Row]]) -> list[list[Row]]:
    """All lists as long as the longest, the shorter ones by going round again."""
    most = max(map(len, rows))
    return [list(islice(cycle(mine), most)) for mine in rows]


def fold_parts(pairs: list[Item], folds: list[list[int]], budget: int) -> Iterator[list[list[int]]]:
    """All folds in parts of equally many rows for every member, within a budget of padded tokens: a part's first rows
    are its longest, also where a shorter fold goes round again."""
    rows = [sorted(fold, key=lambda row: -pairs[row].longest) for fold in level(folds)]
    lengths = most_lengths(max(len(pair.answers) for pair in pairs))
    first = 0
    while first < len(rows[0]):
        longest = max(pairs[mine[first]].longest for mine in rows)
        size = max(1, budget // (lengths * len(folds) * longest))
        yield [mine[first : first + size] for mine in rows]
        first += size


def within_budget(batch: list[list[Item]], budget: int) -> Iterator[list[list[Item]]]:
    """A batch in parts (equally many pairs for every member) whose padded tokens fit the budget."""
    longest = max(pair.longest for pairs in batch for pair in pairs)
    lengths = most_lengths(max(len(pair.answers) for pairs in batch for pair in pairs))
    size = max(1, budget // (lengths * len(batch) * longest))
    for first in range(0, len(batch[0]), size):
        yield [pairs[first : first + size] for pairs in batch]


def most_lengths(answers: int) -> int:
    """Of the longest text's length, how many the rows of so many answers to one prompt can take, padding with them: a
    row is up to two long and has two answers at least, but for the last one (`branches.rows_of`)."""
    return 1 if answers == 1 else 2 * math.ceil(answers / 2)


def clip_members(parameters: Iterable[nn.Parameter], limit: float) -> None:
    """Clip the gradient of every member (first dimension) to a norm of its own: one cannot slow the others."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    norms = torch.stack([gradient.flatten(1).square().sum(1) for gradient in gradients]).sum(0).sqrt()
    factors = (limit / (norms + 1e-6)).clamp(max=1.0)
    for gradient in gradients:
        gradient.mul_(factors.view(-1, *[1] * (gradient.dim() - 1)))


class Keeper:
    """The best weights of each member so far, by its loss on the fold it never saw."""

    def __init__(self, parameters: dict[str, nn.Parameter], folds: list[list[int]]) -> None:
        self.parameters, self.folds = parameters, folds
        self.best = {name: parameter.detach().clone() for name, parameter in parameters.items()}
        self.best_losses = [math.inf] * len(folds)
        self.best_epochs = [0] * len(folds)
        self.blind = torch.zeros(0)

    def consider(self, epoch: int, blind: Tensor, losses: Tensor) -> None:
        """losses (members,) and blind scores (n, …) after an epoch."""
        for member, loss in enumerate(losses.tolist()):
            if loss < self.best_losses[member]:
                self.best_losses[member], self.best_epochs[member] = loss, epoch
                self.blind = torch.zeros_like(blind) if self.blind.shape != blind.shape else self.blind
                self.blind[self.folds[member]] = blind[self.folds[member]]
                for name, parameter in self.parameters.items():
                    self.best[name][member] = parameter.detach()[member]

    def is_done(self, epoch: int, patience: int) -> bool:
        return all(epoch - best >= patience for best in self.best_epochs)

    def restore(self) -> None:
        with torch.no_grad():
            for name, parameter in self.parameters.items():
                parameter.copy_(self.best[name])

    def save(self, folder: Path, epoch: int, optimizer: torch.optim.Optimizer, fingerprint: str) -> None:
        """All that the next epoch depends on; orders follow from (seed, epoch)."""
        tensors = {f"weights.{name}": tensor for name, tensor in self.parameters.items()}
        tensors |= {f"best.{name}": tensor for name, tensor in self.best.items()}
        tensors |= optimizer_state(optimizer) | {"blind": self.blind}
        kept = {"best_epochs": self.best_epochs, "best_losses": self.best_losses}
        save_state(folder, tensors, {"fingerprint": fingerprint, "epoch": epoch, **kept})

    def load(self, folder: Path, optimizer: torch.optim.Optimizer, fingerprint: str) -> int:
        """The reverse; the number of epochs done, 0 where nothing was saved."""
        saved = load_state(folder, fingerprint)
        if saved is None:
            return 0
        tensors, values = saved
        copy_into(self.parameters, tensors, "weights.")
        self.best = {name: tensors[f"best.{name}"].to(kept.device) for name, kept in self.best.items()}
        self.blind, self.best_epochs, self.best_losses = tensors["blind"], values["best_epochs"], values["best_losses"]
        restore_optimizer(optimizer, tensors)
        return int(values["epoch"])
