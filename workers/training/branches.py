"""Answers to one prompt in one row behind it: the prompt is read once, and no answer sees another.

Two answers to a prompt of their own length are then three lengths to read instead of four, and twelve short ones to a
long prompt little more than one. `can_branch` tries it on the network at hand: a family that makes nothing of such a
mask would let answers read each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor

from workers.training.folds import level
from workers.training.networks import Backbone, Layout
from workers.training.tensors import alike, pad_right

Key = tuple[tuple[int, ...], tuple[int, ...]]


@dataclass(frozen=True)
class Row:
    """A prompt and answers to it, in tokens."""

    prompt: list[int]
    answers: tuple[list[int], ...]

    @property
    def tokens(self) -> list[int]:
        return [*self.prompt, *(token for answer in self.answers for token in answer)]

    @property
    def key(self) -> Key:
        """What tells this row from every other."""
        return tuple(self.tokens), (len(self.prompt), *map(len, self.answers))

    def __len__(self) -> int:
        return len(self.prompt) + sum(map(len, self.answers))


def rows_of(texts: Sequence[tuple[list[int], list[int]]], *, branching: bool) -> list[Row]:
    """(prompt, answer) → rows, in the order of the texts: those with one prompt that stand beside each other share it.

    A row is at most twice as long as its longest text: every token looks at all of its row, so that longer ones would
    lose in attention what they save elsewhere.
    """
    if not branching:
        return [Row(prompt, (answer,)) for prompt, answer in texts]
    rows: list[Row] = []
    for prompt, group in groupby(texts, key=lambda text: text[0]):
        row: list[list[int]] = []
        for _, answer in group:
            tried = [*row, answer]
            if row and sum(map(len, tried)) > len(prompt) + 2 * max(map(len, tried)):
                rows.append(Row(prompt, tuple(row)))
                tried = [answer]
            row = tried
        rows.append(Row(prompt, tuple(row)))
    return rows


@dataclass(frozen=True)
class Sheet:
    """Rows of some blocks (one for each member of an ensemble) as tensors.

    ids (blocks x r, t) with padding behind. seats (blocks, n, 3): of each text its row, and where its answer begins and
    stops. Blocks with fewer rows, or texts, go round again: their first ones stand there twice.
    """

    ids: Tensor
    layout: Layout
    seats: Tensor

    @classmethod
    def of(cls, blocks: Sequence[Sequence[Row]], pad: int, device: torch.device) -> Sheet:
        rows = [row for block in level(blocks) for row in block]
        ids, _ = pad_right([row.tokens for row in rows], pad)
        seats = level([seats_of(block, number * len(rows) // len(blocks)) for number, block in enumerate(blocks)])
        layout = Layout() if all(len(row.answers) == 1 for row in rows) else branching(rows, ids.shape[1], device)
        return cls(ids.to(device), layout, torch.tensor(seats, device=device))

    @property
    def last(self) -> Tensor:
        """(blocks x n,), of (blocks x r x t): the place of every text's last token."""
        row, _, end = self.seats.flatten(0, 1).unbind(1)
        return row * self.ids.shape[1] + end - 1

    def ends(self, states: Tensor) -> Tensor:
        """States (blocks x r, t, d) → those of every text's last token, (blocks x n, d)."""
        return states.flatten(0, 1)[self.last]

    def means(self, states: Tensor) -> Tensor:
        """States (blocks x r, t, d) → their mean over every answer, (blocks x n, d)."""
        row, start, end = self.seats.flatten(0, 1).unbind(1)
        places = torch.arange(states.shape[1], device=states.device)
        own = (places >= start.unsqueeze(1)) & (places < end.unsqueeze(1))
        return torch.where(own.unsqueeze(-1), states[row], 0.0).sum(1) / own.sum(1, keepdim=True)


def seats_of(rows: Sequence[Row], first: int) -> list[tuple[int, int, int]]:
    found = []
    for number, row in enumerate(rows, first):
        start = len(row.prompt)
        for answer in row.answers:
            found.append((number, start, start + len(answer)))
            start += len(answer)
    return found


def branching(rows: Sequence[Row], width: int, device: torch.device) -> Layout:
    """Where each token stands in its own text, and which ones it sees: those before it of the prompt and of its own
    answer. Padding sees padding, since a place that sees nothing has no attention that is a number."""
    branch = torch.full((len(rows), width), -1)
    positions = torch.zeros((len(rows), width), dtype=torch.long)
    for number, row in enumerate(rows):
        start = len(row.prompt)
        branch[number, :start], positions[number, :start] = 0, torch.arange(start)
        for which, answer in enumerate(row.answers, 1):
            end = start + len(answer)
            branch[number, start:end] = which
            positions[number, start:end] = torch.arange(len(row.prompt), len(row.prompt) + len(answer))
            start = end
    branch, positions = branch.to(device), positions.to(device)
    looks, at = branch.unsqueeze(2), branch.unsqueeze(1)
    before = torch.ones(width, width, dtype=torch.bool, device=device).tril()
    return Layout(positions, (before & ((at == 0) | (at == looks))).unsqueeze(1))


@torch.no_grad()
def can_branch(backbone: Backbone) -> bool:
    """Whether answers that share a row are read as if each stood alone. A window that slides would show only in texts
    longer than it, so such families go without."""
    if getattr(backbone.network.config, "sliding_window", None):
        return False
    rows = [Row([4, 5, 6], ([7, 8], [9, 10, 11]))]
    together = Sheet.of([rows], 0, backbone.device)
    ids = torch.tensor([[4, 5, 6, 9, 10, 11]], device=backbone.device)
    alone = backbone(lambda: backbone.hidden(ids))
    found = backbone(lambda: backbone.hidden(together.ids, layout=together.layout))
    return alike(found[0, 5:], alone[0, 3:])
