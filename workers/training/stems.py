"""The frozen lower layers of a backbone, run once per text instead of once per epoch and member."""

from __future__ import annotations

import torch
from torch import Tensor

from workers.training.branches import Key, Row, Sheet
from workers.training.folds import level
from workers.training.groups import Item
from workers.training.processes import anyone
from workers.training.scoring import RewardNetwork
from workers.training.sharding import is_sharded
from workers.training.tensors import pad_right

# bytes of kept states: some ten thousand short texts of a small network; texts beyond are run each time
KEPT = 1 << 30


class Stems:
    """States by row. They stay where the backbone is; rows are told apart by their tokens and where answers begin."""

    def __init__(self, reward: RewardNetwork, pad: int) -> None:
        self.reward, self.pad = reward, pad
        self.kept: dict[Key, Tensor] = {}
        self.bytes = 0

    def of(self, rows: list[Row]) -> Tensor:
        """What `RewardNetwork.stem` gives of these rows, padding behind."""
        reward = self.reward
        if not reward.backbone.splits or reward.above == 0:
            return pad_right([row.tokens for row in rows], self.pad)[0].to(reward.backbone.device)
        keys = [row.key for row in rows]
        missing = {key: row for key, row in zip(keys, rows, strict=True) if key not in self.kept}
        if is_sharded(reward.backbone) and anyone(bool(missing)):  # all have to make the pass that one needs
            missing = missing or {keys[0]: rows[0]}
        found = self.read(missing) if missing else {}
        states = [self.kept[key] if key in self.kept else found[key] for key in keys]
        return torch.nn.utils.rnn.pad_sequence(states, batch_first=True)

    def read(self, missing: dict[Key, Row]) -> dict[Key, Tensor]:
        """Rows that are not kept yet, by the base; kept from now on while there is room."""
        stem = self.reward.stem(Sheet.of([list(missing.values())], self.pad, self.reward.backbone.device))
        found = {key: state[: len(row)] for (key, row), state in zip(missing.items(), stem, strict=True)}
        self.keep(found)
        return found

    def keep(self, found: dict[Key, Tensor]) -> None:
        for key, state in found.items():
            if key in self.kept:  # read again along with another process
                continue
            self.bytes += state.numel() * state.element_size()
            if self.bytes > KEPT:
                return
            self.kept[key] = state.clone()


def item_scores(reward: RewardNetwork, part: list[list[Item]], stems: Stems) -> Tensor:
    """part[m]: the n items that member m reads → raw scores (members, n, k, heads) of their answers, k the most of one.

    Each answer is read once. Where an item has fewer, its first answer's score stands again.
    """
    blocks = [reward.rows([(item.prompt, answer) for item in items for answer in item.answers]) for items in part]
    sheet = Sheet.of(blocks, stems.pad, reward.backbone.device)
    reward.memory.enter(sheet.ids.shape, sheet.ids.device)
    scores = reward.block_scores(stems.of([row for block in level(blocks) for row in block]), sheet)
    counts = [[len(item.answers) for item in items] for items in part]
    most = max(map(max, counts))
    if all(count == most for mine in counts for count in mine):
        return scores.reshape(len(part), -1, most, scores.shape[-1])
    places = []
    for mine in counts:
        firsts = [sum(mine[:row]) for row in range(len(mine))]
        places.append([
            first + (number if number < count else 0)
            for first, count in zip(firsts, mine, strict=True)
            for number in range(most)
        ])  # fmt: skip
    member = torch.arange(len(part), device=scores.device).unsqueeze(1)
    chosen = scores[member, torch.tensor(places, device=scores.device)]
    return chosen.reshape(len(part), -1, most, scores.shape[-1])
