"""Texts of many lengths in rows without padding: short ones behind each other, none of which sees another.

A row is as long as the longest text of its pack and no longer, so attention never costs more than it would with a text
a row. Positions begin anew with each text, by which transformers tells texts of one row apart; `can_pack` tries it on
the network at hand, since a family that does not know of it would let texts read each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from workers.training.networks import Backbone, Layout
from workers.training.tensors import alike


@dataclass(frozen=True)
class Text:
    """Token ids of a prompt and of an answer to it, which ends with the end-of-answer token."""

    prompt: list[int]
    answer: list[int]

    @property
    def inputs(self) -> list[int]:
        """All but the last token, from which nothing is drawn."""
        return [*self.prompt, *self.answer[:-1]]

    def __len__(self) -> int:
        return len(self.prompt) + len(self.answer)


@dataclass(frozen=True)
class Pack:
    """ids (r, t) with padding behind; layout: plain where each row is one text.

    Of all answer tokens, (n,) each: tokens; places, those of r x t from which they are drawn; owner, the number of
    their text.
    """

    ids: Tensor
    layout: Layout
    places: Tensor
    tokens: Tensor
    owner: Tensor


def rows_of(lengths: Sequence[int], width: int, *, packing: bool) -> list[list[int]]:
    """Numbers of the texts that stand in each row of `width` tokens: first fit, the longest first."""
    rows: list[list[int]] = []
    room: list[int] = []
    for number in sorted(range(len(lengths)), key=lambda number: (-lengths[number], number)):
        free = (place for place, left in enumerate(room) if packing and left >= lengths[number])
        place = next(free, None)
        if place is None:
            place = len(rows)
            rows.append([])
            room.append(width)
        rows[place].append(number)
        room[place] -= lengths[number]
    return rows


def pack(texts: Sequence[Text], pad: int, device: torch.device, *, packing: bool) -> Pack:
    """Texts in rows as long as the longest of them."""
    lengths = [len(text.inputs) for text in texts]
    width = max(lengths)
    rows = rows_of(lengths, width, packing=packing)
    ids = torch.full((len(rows), width), pad)
    positions = torch.zeros((len(rows), width), dtype=torch.long)
    places, tokens, owner = [], [], []
    for row, numbers in enumerate(rows):
        start = 0
        for number in numbers:
            text = texts[number]
            end = start + lengths[number]
            ids[row, start:end] = torch.tensor(text.inputs)
            positions[row, start:end] = torch.arange(lengths[number])
            first = row * width + start + len(text.prompt) - 1
            places.append(torch.arange(first, first + len(text.answer)))
            tokens += text.answer
            owner.append(torch.full((len(text.answer),), number))
            start = end
    told = (ids, torch.cat(places), torch.tensor(tokens), torch.cat(owner))
    ids, drawn_at, wanted, owners = (tensor.to(device) for tensor in told)
    alone = all(len(numbers) == 1 for numbers in rows)
    return Pack(ids, Layout() if alone else Layout(positions.to(device)), drawn_at, wanted, owners)


def parts_within(sizes: Sequence[Sequence[int]], budget: int, *, packing: bool) -> Iterator[list[int]]:
    """Numbers of examples, each of one or more texts of these sizes, in parts whose packed rows fit a budget of tokens.

    Longest first, so that a lack of memory shows at once; an example beyond the budget goes alone.
    """
    order = sorted(range(len(sizes)), key=lambda number: (-max(sizes[number]), number))
    part: list[int] = []
    for number in order:
        tried = [size for one in (*part, number) for size in sizes[one]]
        if part and len(rows_of(tried, max(tried), packing=packing)) * max(tried) > budget:
            yield part
            part = []
        part.append(number)
    if part:
        yield part


@torch.no_grad()
def can_pack(backbone: Backbone) -> bool:
    """Whether texts that share a row are read as if each stood alone."""
    device = backbone.device
    alone = backbone.hidden(torch.arange(4, 8, device=device).unsqueeze(0))
    ids = torch.tensor([[9, 10, 11, 4, 5, 6, 7]], device=device)
    together = backbone.hidden(ids, layout=Layout(torch.tensor([[0, 1, 2, 0, 1, 2, 3]], device=device)))
    return alike(together[:, 3:], alone)


def answer_logprobs(backbone: Backbone, packed: Pack) -> Tensor:
    """Log-probability of every answer token, (n,), by what counts on the backbone now."""

    def read() -> Tensor:
        states = backbone.states(packed.ids, packed.places, layout=packed.layout)
        return backbone.answer_logprobs(states, packed.tokens, 1.0)[0]

    return backbone(read)
