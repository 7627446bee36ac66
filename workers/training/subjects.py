"""What was said, one subject at a time: the preference as a whole, each criterion, each rule. Each has a head.

Every subject is heard by the one likelihood (`hearing`), as if nothing else had been said, and with its own share of
ties, trust in raters and pull of places: who is right about facts may be careless about tone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from app.training.configs import RewardConfig
from workers.training.batches import Pair
from workers.training.groups import OVERALL, Group, Item, as_pairs, levels_of, raters_in, scales_in, ties_in
from workers.training.heads import Ratings
from workers.training.hearing import Heard, Nuisance, Said, prior_loss
from workers.training.likelihoods import rising
from workers.training.strengths import as_strengths


def names_of(items: Sequence[Item], config: RewardConfig) -> tuple[str, ...]:
    """The heads that these items teach: the overall one first, where anything was said of answers as a whole; rules
    last, so that the first head, whose figures stand for the checkpoint, is one that counts."""
    if config.heads == "one":
        return (OVERALL,)
    asked = {name for item in items for name in subjects_of(item)}
    scales = {name for item in items if isinstance(item, Group) for name, of in item.ranges.items() if of != (0, 1)}
    rules = {name for item in items if isinstance(item, Group) for name in item.ranges} - scales
    return tuple(sorted(asked, key=lambda name: (name != OVERALL, name in rules, name)))


def subjects_of(item: Item) -> set[str]:
    if isinstance(item, Pair):
        return {*([OVERALL] if item.votes else []), *item.besides}
    return {order.subject for order in item.orders} | {grade.scale for grade in item.grades}


def said_of(item: Item, name: str, config: RewardConfig) -> Item:
    """The item with nothing but what was said of one subject; as it is where one head hears everything."""
    if config.heads == "one":
        return item
    if isinstance(item, Pair):
        return replace(item, votes=item.votes if name == OVERALL else item.besides.get(name, ()))
    return replace(
        item,
        orders=tuple(order for order in item.orders if order.subject == name),
        grades=tuple(grade for grade in item.grades if grade.scale == name),
        scales={scale: levels for scale, levels in item.scales.items() if scale == name},
    )


@dataclass(frozen=True)
class Subject:
    """name: of its head. pairs: what was said of it as choices between two, to measure by; places: where each stands,
    (row of its item, first, second)."""

    name: str
    said: Said
    pairs: list[Pair]
    places: list[tuple[int, int, int]]

    def gaps(self, scores: Tensor, head: int) -> Tensor:
        """scores (items, k, heads) → differences between the two answers of each pair, (pairs,)."""
        if not self.places:
            return torch.zeros(0, dtype=torch.double)
        row, a, b = torch.tensor(self.places).T
        return (scores[row, a, head] - scores[row, b, head]).double()


@dataclass(frozen=True)
class Subjects:
    """All subjects of a network, in the order of its heads. weight: of all that was said of any, for the priors."""

    each: list[Subject]
    config: RewardConfig
    weight: float = 1.0

    def heard(self, items: Sequence[Item]) -> list[Item]:
        """The items of which anything was said that has a head."""
        names = {one.name for one in self.each}
        return [item for item in items if self.config.heads == "one" or subjects_of(item) & names]

    def taught(self, items: Sequence[Item]) -> list[Item]:
        """Items as the likelihood hears them: the modular way makes strengths of them first."""
        return list(items) if self.config.way == "joint" else as_strengths(items, self.config)

    def losses(self, scores: Tensor, items: Sequence[Item], member: Tensor) -> Iterator[Heard]:
        """scores (r, k, heads) of the items' answers, member (r,) who scored them."""
        for number, one in enumerate(self.each):
            part = [said_of(item, one.name, self.config) for item in items]
            yield from one.said.losses(scores[..., number], part, member)

    def weight_of(self, items: Sequence[Item]) -> float:
        return sum(one.said.weight_of([said_of(item, one.name, self.config) for item in items]) for one in self.each)

    def priors(self) -> Tensor:
        """What is thought of raters and places before anything was said, (members,), beside a mean over the
        votes on all subjects."""
        return torch.stack([prior_loss(one.said.nuisance, self.weight, self.config) for one in self.each]).sum(0)

    def parameters(self) -> dict[str, torch.nn.Parameter]:
        """By name, each with the member as first dimension. A single subject's have no name before theirs."""
        return {
            name if len(self.each) == 1 else f"{one.name}.{name}": tensor
            for one in self.each
            for name, tensor in one.said.nuisance.named_parameters()
        }


def tells_enough(part: Sequence[Item], config: RewardConfig) -> bool:
    """Whether what was said of one criterion can teach a head: the rest would be as random as it began, and count."""
    said = [item for item in part if subjects_of(item)]
    groups = [item for item in said if isinstance(item, Group)]
    sides = any(item.decided for item in said if isinstance(item, Pair))
    sides = sides or any(len(order.tiers) > 1 for item in groups for order in item.orders)
    levels = {grade.value for item in groups for grade in item.grades}
    is_spread = len({item.group for item in said}) >= config.members
    return is_spread and ties_in(said).votes >= config.min_votes and (sides or len(levels) > 1)


def subjects_in(
    train: Sequence[Item], config: RewardConfig, device: torch.device, left_out: Counter[str] | None = None
) -> Subjects:
    """train: what is learned from, as it was read. A criterion of which too little was said has no head; how much that
    was is counted in `left_out` as `head_<name>`."""
    found = Subjects([], config)
    for name in names_of(train, config):
        part = [said_of(item, name, config) for item in train]
        if name != OVERALL and not tells_enough(part, config):
            if left_out is not None:
                left_out[f"head_{name}"] += ties_in(part).votes
            continue
        pairs, places = as_pairs(part)
        heard = found.taught(part)
        raters = {rater: number for number, rater in enumerate(raters_in(heard))}
        tied = ties_in(heard)
        nuisance = Nuisance(len(raters), float(torch.tensor(tied.share)), config, scales_in(heard)).to(device)
        found.each.append(Subject(name, Said(nuisance, raters, tied.most, config), pairs, places))
    return replace(found, weight=found.weight_of(found.taught(train)))


def ratings_of(subject: Subject, items: Sequence[Item]) -> Ratings | None:
    """How people used the subject's scale, as it was learned; None where it was never rated by itself."""
    nuisance = subject.said.nuisance
    ranges = [item.ranges[subject.name] for item in items if isinstance(item, Group) and subject.name in item.ranges]
    if subject.name not in nuisance.scales or not ranges:
        return None
    row, levels = nuisance.scales[subject.name], scales_in(items)[subject.name]
    # it may have been asked on another scale too, whose values say nothing of these thresholds
    own = [one for one in ranges if levels_of(*one, subject.said.config) == levels]
    least, most = max(own, key=lambda one: one[1] - one[0])
    if levels == 0:
        return Ratings(least, most, lines=nuisance.lines[:, row].tolist())
    return Ratings(least, most, thresholds=rising(nuisance.thresholds)[:, row, : levels - 1].tolist())
