"""Several scores of one answer, and one out of them: by weights, or by a formula over what people would rate.

A network has one head for each thing that people were asked (`subjects`), so what counts how much is decided when the
score is used. A changed weight or formula needs no new reward network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from app.preferences.formula import FormulaWrong, Node, NoScore, checked, value_of
from app.training.configs import PPOConfig, RunRefused
from workers.training.groups import OVERALL
from workers.training.progress import RunFailed


@dataclass(frozen=True)
class Ratings:
    """How people use a head's scale, from least to most, as each member learned it beside its scores: thresholds (m, j)
    of a scale of levels, or of a longer one lines (m, 3), as `likelihoods` has them."""

    least: int
    most: int
    thresholds: list[list[float]] = field(default_factory=list)
    lines: list[list[float]] = field(default_factory=list)

    def expected(self, raw: Tensor) -> Tensor:
        """The mean rating that raw scores (m, n) foretell, (m, n); of a rule the chance that it holds."""
        if self.thresholds:
            edges = torch.tensor(self.thresholds).to(raw)
            return self.least + (raw.unsqueeze(2) - edges.unsqueeze(1)).sigmoid().sum(2)
        intercept, slope, _ = torch.tensor(self.lines).to(raw).unsqueeze(2).unbind(1)
        return self.least + (self.most - self.least) * (intercept + slope.exp() * raw)


@dataclass
class Head:
    """What turns one head's raw scores into log-odds, and those into deviations of the reference's answers.

    offsets: each member's mean over common answers, since Bradley-Terry leaves every member its own zero. temperature:
    divides scores so that differences are log-odds. moments: mean and sd of the reference's scores. ratings: None where
    nobody rated by it.
    """

    name: str
    offsets: list[float]
    temperature: float = 1.0
    moments: tuple[float, float] = (0.0, 1.0)
    ratings: Ratings | None = None

    @property
    def is_rule(self) -> bool:
        """A flag or a yes-or-no question, which holds or not: nobody said whether that is good."""
        return self.ratings is not None and (self.ratings.least, self.ratings.most) == (0, 1)

    def settled(self, raw: Tensor) -> Tensor:
        """raw scores (m, n) as log-odds around a common zero."""
        return (raw - torch.tensor(self.offsets).to(raw).unsqueeze(1)) / self.temperature

    def normal(self, raw: Tensor) -> Tensor:
        """raw scores (m, n) in deviations of the reference's."""
        mean, deviation = self.moments
        return (self.settled(raw) - mean) / deviation

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Head:
        """The reverse of `dataclasses.asdict`."""
        ratings = Ratings(**told["ratings"]) if told["ratings"] else None
        mean, deviation = told["moments"]
        return cls(**{**told, "ratings": ratings, "moments": (float(mean), float(deviation))})


@dataclass(frozen=True)
class Mix:
    """weights: of heads in deviations of the reference. formula: over ratings, instead of weights. With neither the
    heads of `counted_in` count alike; a single one speaks in log-odds."""

    weights: Mapping[str, float] = field(default_factory=dict)
    formula: Node | None = None

    def one(self, raw: Tensor, heads: Sequence[Head]) -> Tensor:
        """raw scores (m, n, heads) → one score by each member, (m, n).

        :raises RunFailed: a formula has none. :raises RunRefused: nobody said what counts.
        """
        of = {head.name: (raw[..., number], head) for number, head in enumerate(heads)}
        if self.formula is not None:
            return self._calculated({
                name: head.ratings.expected(said) if head.ratings else head.normal(said)
                for name, (said, head) in of.items()
            })  # fmt: skip
        counted = [] if self.weights else counted_in(heads)
        if len(counted) == 1:
            said, head = of[counted[0]]
            return head.settled(said)
        weights = self.weights or dict.fromkeys(counted, 1 / len(counted))
        return torch.stack([weight * of[name][1].normal(of[name][0]) for name, weight in weights.items()]).sum(0)

    def _calculated(self, values: Mapping[str, Tensor]) -> Tensor:
        assert self.formula is not None
        anyone = next(iter(values.values()))
        columns = {name: value.flatten().tolist() for name, value in values.items()}
        rows = (dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))
        try:
            return anyone.new_tensor([value_of(self.formula, row) for row in rows]).reshape(anyone.shape)
        except NoScore as none:
            raise RunFailed(f"The formula has no value for an answer: {none.why.replace('_', ' ')}.") from None


def counted_in(heads: Sequence[Head]) -> list[str]:
    """What counts where nobody says what does: the overall head, else the criteria. Raises RunRefused where there are
    rules alone: a policy would be paid for harm that was flagged."""
    names = [head.name for head in heads]
    found = [OVERALL] if OVERALL in names else [head.name for head in heads if not head.is_rule]
    if not found:
        raise RunRefused(
            f"This reward model's heads are flags or yes-or-no questions alone ({', '.join(names)}), and nobody said"
            " whether they are good: head_weights or formula is to be given."
        )
    return found


def mix_of(config: PPOConfig, heads: Sequence[Head]) -> Mix:
    """What a config asks of a network with these heads. Raises RunRefused naming one that it does not have."""
    names = [head.name for head in heads]
    there = f"this reward model's heads are: {', '.join(names)}"
    for name in config.head_weights:
        if name not in names:
            raise RunRefused(f"head_weights: there is no head “{name}”; {there}.")
    if not (config.head_weights or config.formula):
        counted_in(heads)
    try:
        return Mix(config.head_weights, checked(config.formula, names) if config.formula else None)
    except FormulaWrong as wrong:
        raise RunRefused(f"formula: {wrong}; {there}.") from None
