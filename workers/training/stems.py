"""The frozen lower layers of a backbone, run once per text instead of once per epoch and member."""

from __future__ import annotations

import torch
from torch import Tensor

from workers.training.folds import level
from workers.training.groups import Item
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


def item_scores(reward: RewardNetwork, part: list[list[Item]], stems: Stems) -> Tensor:
    """part[m]: the n items that member m reads → raw scores (members, n, k, heads) of their answers, k the most of one.

    Each answer is read once. Where an item has fewer, its first answer's score stands again.
    """
    texts = [[(item.prompt, answer + reward.tail) for item in items for answer in item.answers] for items in part]
    rows = [row for mine in level(texts) for row in mine]
    starts = [len(prompt) for prompt, _ in rows]
    ends = [len(prompt) + len(answer) for prompt, answer in rows]
    stem = stems.of([prompt + answer for prompt, answer in rows])
    scores = reward.block_scores(stem, starts, ends)
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
