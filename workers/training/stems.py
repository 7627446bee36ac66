"""The frozen lower layers of a backbone, run once per text instead of once per epoch and member."""

from __future__ import annotations

import torch
from torch import Tensor

from workers.training.scoring import RewardNetwork
from workers.training.tensors import pad_right

# bytes of kept states: some ten thousand short texts of a small network; texts beyond are run each time
KEPT = 1 << 30


class Stems:
    """States by text. They stay where the backbone is; texts are told apart by their token ids."""

    def __init__(self, reward: RewardNetwork, pad: int) -> None:
        self.reward, self.pad = reward, pad
        self.kept: dict[tuple[int, ...], Tensor] = {}
        self.bytes = 0

    def of(self, rows: list[list[int]]) -> Tensor:
        """Token ids → what `RewardNetwork.stem` gives of each, (b, t, width), padding behind."""
        device, missing = self.reward.backbone.device, [row for row in rows if tuple(row) not in self.kept]
        if not self.reward.backbone.splits or self.reward.above == 0:
            return pad_right(rows, self.pad)[0].to(device)
        if missing:
            stem = self.reward.stem(pad_right(missing, self.pad)[0].to(device), [len(row) for row in missing])
            found = {tuple(row): state[: len(row)] for row, state in zip(missing, stem, strict=True)}
            self.keep(found)
        else:
            found = {}
        states = [self.kept[key] if (key := tuple(row)) in self.kept else found[key] for row in rows]
        return torch.nn.utils.rnn.pad_sequence(states, batch_first=True)

    def keep(self, found: dict[tuple[int, ...], Tensor]) -> None:
        for key, state in found.items():
            self.bytes += state.numel() * state.element_size()
            if self.bytes > KEPT:
                return
            self.kept[key] = state.clone()
