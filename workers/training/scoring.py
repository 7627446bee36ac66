"""The reward network: adapters and scalar heads on a frozen base, an ensemble that answers in one forward pass.

Members are adapters, heads are rows of weights. Doubt must come from different readings of a text, so each member has
its own way through the layers; what was asked (accuracy, tone, a rule) is told apart at the end of that way, where H
heads cost H dot products. So members x heads scores are one forward pass of members x texts, and all that was said
teaches one reading.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from app.training.configs import RewardConfig
from app.translation import _
from workers.training.branches import Row, Sheet, can_branch, rows_of
from workers.training.checkpoints import (
    CheckpointRecord,
    CheckpointRefused,
    check_safetensors,
    read_record,
    refuse_code,
    save_folder,
)
from workers.training.groups import OVERALL
from workers.training.heads import Head, Mix, counted_in
from workers.training.memory import Memory
from workers.training.networks import PLAIN, Backbone
from workers.training.progress import copy_into
from workers.training.sharding import even
from workers.training.tensors import by_token_budget

StemOf = Callable[[list[Row]], Tensor]  # rows → what `RewardNetwork.stem` gives of them
FILE = "reward.safetensors"
ADAPTER = "reward"


@dataclass(frozen=True)
class Scores:
    """What the members say, (members, n), two or more: log-odds units, sigmoid of a difference is the chance to be
    preferred (unless several heads were weighed). heads: their mean of each head where there are several, (n,), in
    deviations of the reference's answers."""

    members: Tensor
    heads: dict[str, Tensor] = field(default_factory=dict)

    @property
    def mean(self) -> Tensor:
        return self.members.mean(0)

    @property
    def sd(self) -> Tensor:
        return self.members.std(0)

    @property
    def lowest(self) -> Tensor:
        return self.members.amin(0)


class RewardNetwork(nn.Module):
    """`members` adapters on one backbone, each with a row of weights for every head.

    constants: what makes scores of each head's raw ones. mix: how several heads are one score.
    """

    def __init__(
        self,
        backbone: Backbone,
        config: RewardConfig,
        base_sha256: str,
        reply: Sequence[int] = (),
        names: Sequence[str] = (OVERALL,),
    ) -> None:
        """reply: the tokens with which a user's reply opens, behind which `read: next` looks. names: of the heads."""
        super().__init__()
        self.backbone, self.config, self.base_sha256 = backbone, config, base_sha256
        self.tail = list(reply) if config.read == "next" else []
        # layers below are the base's own: they run once for all members, and once for all epochs
        self.above = min(backbone.depth - (config.depth > 0), round(backbone.depth * (1 - config.depth)))
        self.branches = not self.reads_one and can_branch(backbone)
        backbone.add(ADAPTER, config.rank, config.scale, config.members, self.above)
        # N(0, 1 / (width + 1)): scores of variance about 1 at the start (Stiennon et al. 2020)
        heads = torch.randn(config.members, len(names), backbone.width) / math.sqrt(backbone.width + 1)
        self.heads = nn.Parameter(heads.to(backbone.device))
        self.constants = [Head(name, [0.0] * config.members) for name in names]
        self.mix = Mix()
        self.memory = Memory()

    def trained(self) -> dict[str, nn.Parameter]:
        """What is fitted, each with the member as first dimension."""
        return {**self.backbone.adapter(ADAPTER), "heads": self.heads}

    @property
    def unit(self) -> tuple[float, float]:
        """Mean and deviation of the reference's answers, by what counts where nobody says what does: of one head its
        own; several are in deviations already."""
        counted = counted_in(self.constants)
        own = [head.moments for head in self.constants if head.name == counted[0]]
        return own[0] if len(counted) == 1 else (0.0, 1.0)

    @property
    def reads_one(self) -> bool:
        """Whether of every text one state of the base is all that the members see: heads alone, at one place."""
        return self.backbone.splits and self.above == self.backbone.depth and self.config.read != "mean"

    def stem(self, sheet: Sheet) -> Tensor:
        """What the members have in common of a sheet's rows, for `block_scores`: the states of all their tokens; of
        `reads_one` those at the end of each text, (blocks x n, 1, width)."""
        with self.backbone.using(None):
            states = self.backbone(lambda: self.backbone.stem(sheet.ids, self.above, sheet.layout))
        return sheet.ends(states).unsqueeze(1) if self.reads_one else states

    def block_scores(self, stem: Tensor, sheet: Sheet) -> Tensor:
        """Member m reads the m-th of as many blocks of rows → raw scores of its texts, (members, n, heads)."""
        with self.backbone.using(ADAPTER), self.backbone.narrow.at(self.places(sheet)):
            layout = PLAIN if self.reads_one else sheet.layout
            hidden = self.backbone(lambda: self.backbone.crown(stem, self.above, layout)).float()
        if self.reads_one:
            read = hidden.squeeze(1)
        else:
            read = sheet.means(hidden) if self.config.read == "mean" else sheet.ends(hidden)
        return torch.einsum("mnd,mhd->mnh", read.reshape(self.config.members, -1, read.shape[-1]), self.heads)

    def places(self, sheet: Sheet) -> Tensor | None:
        """Those of the last layer that are read; None where that is more than the ends of texts, or all there is."""
        return None if self.reads_one or self.config.read == "mean" else sheet.last

    @torch.no_grad()
    def raw_scores(
        self, prompts: Sequence[list[int]], answers: Sequence[list[int]], pad: int, known: StemOf | None = None
    ) -> Tensor:
        """What each member says, (members, n, heads), before any constant. known: gives what is in common of rows, if
        they were read before."""
        return self.memory.within(self.config.token_budget, partial(self._raw_scores, prompts, answers, pad, known))

    def _raw_scores(
        self, prompts: Sequence[list[int]], answers: Sequence[list[int]], pad: int, known: StemOf | None
    ) -> Tensor:
        members, device = self.config.members, self.backbone.device
        raw = torch.zeros(members, len(prompts), len(self.constants), device=device)
        rows = self.rows(list(zip(prompts, answers, strict=True)))
        first = [0, *accumulate(len(row.answers) for row in rows)]
        beside = 1 if self.reads_one else members
        budget = max(1, self.memory.budget(self.config.token_budget) // beside)
        for chosen, _counts in even(by_token_budget([len(row) for row in rows], budget), lambda: [0], self.backbone):
            some = [rows[number] for number in chosen]
            self.memory.enter((beside * len(some), max(map(len, some))), device)
            stem = known(some) if known else self.stem(Sheet.of([some], pad, device))
            repeated = stem.repeat(members, *[1] * (stem.dim() - 1))
            texts = [text for number in chosen for text in range(first[number], first[number + 1])]
            raw[:, texts] = self.block_scores(repeated, Sheet.of([some] * members, pad, device))
        return raw

    def rows(self, texts: Sequence[tuple[list[int], list[int]]]) -> list[Row]:
        """(prompt, answer) as the rows that are read; behind each answer stands what is read along with it."""
        return rows_of([(prompt, answer + self.tail) for prompt, answer in texts], branching=self.branches)

    def score(self, prompts: Sequence[list[int]], answers: Sequence[list[int]], pad: int) -> Scores:
        """Scores of answers (token ids with their end) to prompts; each the same alone or in any company."""
        raw = self.raw_scores(prompts, answers, pad)
        several = len(self.constants) > 1
        heads = {one.name: one.normal(raw[..., number]).mean(0) for number, one in enumerate(self.constants)}
        return Scores(self.mix.one(raw, self.constants), heads if several else {})

    def normalise(self, raw: Tensor) -> None:
        """Set zero and unit of each head by raw scores (members, n, heads) of the reference policy's answers: their
        scores get mean 0 and sd 1 (statement 17)."""
        for number, head in enumerate(self.constants):
            scores = head.settled(raw[..., number]).mean(0)
            head.moments = (float(scores.mean()), float(scores.std().clamp(min=1e-6)))


def save_reward(folder: Path, reward: RewardNetwork, record: CheckpointRecord) -> None:
    constants = json.dumps({"tail": reward.tail, "heads": [asdict(head) for head in reward.constants]})
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in reward.trained().items()}
    save_folder(folder, record, lambda place: save_file(tensors, place / FILE, {"constants": constants}))


def load_reward(folder: str | Path, backbone: Backbone, base_sha256: str) -> RewardNetwork:
    """The reward network of a folder on its base. Raises CheckpointRefused, also for another base."""
    folder = Path(folder)
    record = read_reward_record(folder)
    if record.base_sha256 != base_sha256:
        sentence = _(
            "The reward model was trained on the base with sha256 {there}…, and this one is {here}…: its scores would"
            " mean nothing."
        )
        raise CheckpointRefused(sentence.format(there=str(record.base_sha256)[:12], here=base_sha256[:12]))
    constants = json.loads(check_safetensors_metadata(folder / FILE)["constants"])
    heads = heads_of(constants)
    config, names = RewardConfig.model_validate(record.config), [head.name for head in heads]
    reward = RewardNetwork(backbone, config, base_sha256, constants["tail"], names)
    tensors = load_file(folder / FILE)
    if tensors.keys() != reward.trained().keys():
        raise CheckpointRefused(f"{FILE} in {folder.name} does not fit the layers of its base.")
    copy_into(reward.trained(), tensors | {"heads": tensors["heads"].reshape(reward.heads.shape)})
    reward.constants = heads
    for tensor in reward.trained().values():  # not the whole module: the backbone carries others' adapters too
        tensor.requires_grad_(False)
    return reward


def heads_of(constants: dict[str, Any]) -> list[Head]:
    """What a file says of its heads; one that was written before there were several has a single one without a name."""
    if "heads" in constants:
        return [Head.of(told) for told in constants["heads"]]
    mean, deviation = constants["moments"]
    return [Head(OVERALL, constants["offsets"], float(constants["temperature"]), (float(mean), float(deviation)))]


def read_reward_record(folder: Path) -> CheckpointRecord:
    if not folder.is_dir():
        raise CheckpointRefused(f"{folder} is not a folder.")
    refuse_code(folder)
    record = read_record(folder)
    if record is None or record.kind != "reward":
        raise CheckpointRefused(f"{folder.name} has no hone.json of a reward checkpoint.")
    if not (folder / FILE).is_file():
        raise CheckpointRefused(f"{FILE} is missing in {folder.name}.")
    check_safetensors(folder / FILE)
    return record


def check_safetensors_metadata(file: Path) -> dict[str, str]:
    with file.open("rb") as stream:
        header = json.loads(stream.read(int.from_bytes(stream.read(8), "little")))
    metadata: dict[str, str] = header.get("__metadata__", {})
    if "constants" not in metadata:
        raise CheckpointRefused(f"{file.name} lacks the constants of its scores.")
    return metadata
