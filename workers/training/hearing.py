"""What was said, as losses of the scores: votes on pairs, orders of several answers, grades of single ones.

Ties follow Davidson (1970), not Rao and Kupper: with strengths pi = exp(score) the three outcomes weigh pi_a, pi_b and
nu * sqrt(pi_a * pi_b). A vote that chose a side then still has probability sigmoid(score_a - score_b) exactly, so the
same score serves accuracy, calibration and PPO; Rao and Kupper's threshold would change what a difference means. And
it goes on to any number of answers (`likelihoods`). Where no tie was cast nu is left out and this is Bradley-Terry.

Raters follow Crowd-BT (Chen et al. 2013): rater k names the side that the scores favour with probability eta_k, and
flips it otherwise; eta_k has a Beta prior and is learned with the network. A careless rater's eta sinks and her votes
stop teaching. It is on by default: with equal raters it costs nothing measurable, since all eta stay together.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from app.training.configs import RewardConfig
from workers.training.batches import Votes, votes_of
from workers.training.groups import Group, Item, Order
from workers.training.likelihoods import (
    choice_logprob,
    level_logprob,
    order_logprob,
    rising,
    trusted,
    value_logprob,
)


@dataclass(frozen=True)
class Heard:
    """Losses (v,) of what was said, before their weights (v,), and the member (v,) that each is of."""

    losses: Tensor
    weight: Tensor
    member: Tensor


@dataclass(frozen=True)
class Beside:
    """What orders and grades are explained by beside scores: per member log_nu (m,), position (m,), trust (m, raters),
    rising thresholds (m, scales, j) and lines (m, scales, 3); by name the numbers of raters and scales."""

    log_nu: Tensor
    position: Tensor | None
    trust: Tensor | None
    thresholds: Tensor
    lines: Tensor
    raters: dict[str, int]
    scales: dict[str, int]
    most_tied: int


class Nuisance(nn.Module):
    """What explains votes and is no score: share of ties, raters' reliability, gain of standing first; per member."""

    def __init__(
        self, raters: int, tie_share: float, config: RewardConfig, scales: Mapping[str, int] | None = None
    ) -> None:
        """scales: levels by name, 0 for a number. At first all levels of a scale are as likely at a score of 0."""
        super().__init__()
        self.ties = tie_share > 0
        # two equal answers tie with probability nu / (2 + nu)
        nu = max(2 * tie_share, 1e-6) / max(1 - tie_share, 1e-6)
        self.log_nu = nn.Parameter(torch.full((config.members,), math.log(nu)))
        expected = config.reliability_expected
        self.reliability = nn.Parameter(torch.full((config.members, raters), math.log(expected / (1 - expected))))
        self.position = nn.Parameter(torch.zeros(config.members))
        self.scales = {name: number for number, name in enumerate(scales or {})}
        if scales:
            self.thresholds = nn.Parameter(first_thresholds(list(scales.values())).repeat(config.members, 1, 1))
            self.lines = nn.Parameter(torch.tensor([0.5, -2.0, -1.0]).repeat(config.members, len(scales), 1))

    def beside(self, raters: dict[str, int], most_tied: int, config: RewardConfig) -> Beside:
        """What orders and grades are explained by, beside scores."""
        nothing = self.log_nu.new_zeros(0)
        return Beside(
            log_nu=self.log_nu,
            position=self.position if config.position_bias else None,
            trust=self.reliability if config.reliability else None,
            thresholds=rising(self.thresholds) if self.scales else nothing,
            lines=self.lines if self.scales else nothing,
            raters=raters,
            scales=self.scales,
            most_tied=most_tied if self.ties else 1,
        )

    def learned(self, config: RewardConfig) -> dict[str, Any]:
        """Means over the members, for the record."""
        found: dict[str, Any] = {}
        if config.position_bias:
            found["position_bias"] = float(self.position.detach().mean())
        if self.ties:
            found["tie_log_weight"] = float(self.log_nu.detach().mean())
        return found


def first_thresholds(levels: list[int]) -> Tensor:
    """Free numbers (scales, j) of thresholds at which every level has the same share at a score of 0."""
    most = max(*levels, 2)
    found = torch.zeros(len(levels), most - 1)
    for row, count in enumerate(levels):
        shares = [(n + 1) / max(count, 2) for n in range(max(count, 2) - 1)]
        edges = [math.log(share / (1 - share)) for share in shares]
        gaps = [later - earlier for earlier, later in pairwise(edges)]
        found[row, : len(edges)] = torch.tensor([edges[0], *(math.log(math.expm1(gap)) for gap in gaps)])
    return found


def preference_loss(
    differences: Tensor, votes: Votes, member: Tensor, nuisance: Nuisance, config: RewardConfig
) -> Tensor:
    """Negative log-likelihood of each vote, (v,) nats, before its weight.

    differences (v,): score of a less score of b for the vote's pair; member (v,): who scored it.
    """
    side = torch.where(votes.outcome == 0, 1.0, -1.0) * (votes.outcome != 2)
    gap = differences - side * votes.margin
    if config.position_bias:
        gap = gap + nuisance.position[member] * votes.first
    weights = [gap / 2, -gap / 2]
    if nuisance.ties:
        weights.append(nuisance.log_nu[member].expand_as(gap))
    outcomes = torch.stack(weights, -1).log_softmax(-1)  # (v, 2 or 3)
    a, b = outcomes[:, 0], outcomes[:, 1]
    if config.reliability:
        trust = nuisance.reliability[member, votes.rater]
        right, wrong = functional.logsigmoid(trust), functional.logsigmoid(-trust)
        a, b = torch.logaddexp(right + a, wrong + b), torch.logaddexp(right + b, wrong + a)
    chosen, other = torch.where(side > 0, a, b), torch.where(side > 0, b, a)
    decided = -(votes.target * chosen + (1 - votes.target) * other)
    return torch.where(votes.outcome == 2, -outcomes[:, -1], decided)


def prior_loss(nuisance: Nuisance, weight: float, config: RewardConfig) -> Tensor:
    """What the priors say, (members,), on the scale of a mean over votes that weigh `weight` together."""
    loss = 2.0 * nuisance.position.square()  # N(0, 1/2): standing first seldom moves odds by more than e
    if config.reliability:
        right, wrong = functional.logsigmoid(nuisance.reliability), functional.logsigmoid(-nuisance.reliability)
        loss = loss - ((config.prior_right - 1) * right + (config.prior_wrong - 1) * wrong).sum(1)
    return loss / weight


@dataclass(frozen=True)
class Said:
    """Everything that was said, as losses: votes on pairs, orders of several answers, grades of single ones."""

    nuisance: Nuisance
    raters: dict[str, int]
    most_tied: int
    config: RewardConfig

    def weight_of(self, items: list[Item]) -> float:
        votes = float(votes_of(items, self.raters, self.config).weight.sum())
        groups = [item for item in items if isinstance(item, Group)]
        orders = sum(item.weight * order.weight for item in groups for order in item.orders)
        return votes + orders + sum(item.weight * grade.weight for item in groups for grade in item.grades)

    def losses(self, scores: Tensor, items: list[Item], member: Tensor) -> Iterator[Heard]:
        """scores (r, k) of the items' answers, member (r,) who scored them."""
        cast = votes_of(items, self.raters, self.config).to(scores.device)
        if len(cast.pair):
            gaps = (scores[:, 0] - scores[:, 1])[cast.pair]
            who = member[cast.pair]
            yield Heard(preference_loss(gaps, cast, who, self.nuisance, self.config), cast.weight, who)
        if any(isinstance(item, Group) for item in items):
            beside = self.nuisance.beside(self.raters, self.most_tied, self.config)
            yield from hear_orders(scores, items, member, beside)
            yield from hear_grades(scores, items, member, beside)


def hear_orders(scores: Tensor, items: Sequence[Item], member: Tensor, beside: Beside) -> Iterator[Heard]:
    """scores (r, k) of the items' answers, member (r,) who scored them. Orders of one shape are heard together."""
    shapes: dict[tuple[str, tuple[int, ...]], list[tuple[int, Order, float]]] = defaultdict(list)
    for row, item in enumerate(items):
        for order in item.orders if isinstance(item, Group) else ():
            shapes[order.kind, tuple(map(len, order.tiers))].append((row, order, item.weight))
    for (kind, sizes), said in shapes.items():
        rows = torch.tensor([row for row, _, _ in said], device=scores.device)
        flat = torch.tensor([order.flat for _, order, _ in said], device=scores.device)
        told, who = scores[rows.unsqueeze(1), flat], member[rows]
        if beside.position is not None:
            ahead = torch.tensor([places_of(order) for _, order, _ in said]).to(told)
            told = told + beside.position[who].unsqueeze(1) * ahead
        log_nu = beside.log_nu[who]
        logprobs = [
            order_logprob(sign * told, sizes, log_nu, beside.most_tied)
            if kind == "order"
            else choice_logprob(sign * told, worst=kind == "both")
            for sign in ((1, -1) if beside.trust is not None else (1,))
        ]
        if beside.trust is not None:
            raters = torch.tensor([beside.raters[order.rater] for _, order, _ in said], device=scores.device)
            logprobs = [trusted(logprobs[0], logprobs[1], beside.trust[who, raters])]
        weight = torch.tensor([order.weight * weight for _, order, weight in said]).to(told)
        yield Heard(-logprobs[0], weight, who)


def places_of(order: Order) -> list[float]:
    """From 1/2 for the answer that stood first to -1/2 for the last; of two answers their difference is one."""
    last = max(len(order.shown) - 1, 1)
    place = {number: 0.5 - at / last for at, number in enumerate(order.shown)}
    return [place.get(number, 0.0) for number in order.flat]


def hear_grades(scores: Tensor, items: Sequence[Item], member: Tensor, beside: Beside) -> Iterator[Heard]:
    """scores (r, k), member (r,). A rater who tells nothing by the scores gives any level alike."""
    graded = [(row, item) for row, item in enumerate(items) if isinstance(item, Group) and item.grades]
    for is_number in (False, True):
        said = [
            (row, grade, item.weight, item.scales[grade.scale])
            for row, item in graded
            for grade in item.grades
            if (item.scales[grade.scale] == 0) is is_number
        ]
        if not said:
            continue
        rows = torch.tensor([row for row, *_ in said], device=scores.device)
        answer = torch.tensor([grade.answer for _, grade, *_ in said], device=scores.device)
        scale = torch.tensor([beside.scales[grade.scale] for _, grade, *_ in said], device=scores.device)
        values = torch.tensor([grade.value for _, grade, *_ in said]).to(scores)
        weight = torch.tensor([grade.weight * weight for _, grade, weight, _ in said]).to(scores)
        told, who = scores[rows, answer], member[rows]
        if is_number:
            yield Heard(-value_logprob(told, values, beside.lines[who, scale]), weight, who)
            continue
        levels = torch.tensor([levels for *_, levels in said], device=scores.device)
        thresholds = beside.thresholds[who, scale]
        beyond = torch.arange(thresholds.shape[1], device=scores.device) >= (levels - 1).unsqueeze(1)
        logprob = level_logprob(told, values.long(), thresholds.masked_fill(beyond, torch.inf))
        if beside.trust is not None:
            raters = torch.tensor([beside.raters[grade.rater] for _, grade, *_ in said], device=scores.device)
            anything = -levels.to(told).log()
            logprob = trusted(logprob, anything, beside.trust[who, raters])
        yield Heard(-logprob, weight, who)
