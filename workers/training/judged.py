"""One step's answers and all that was said of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from torch import Tensor
from torch.nn.functional import pad

from workers.training.judging import Ruled
from workers.training.scoring import Scores
from workers.training.tensors import masked_mean


@dataclass(frozen=True)
class Rollout:
    """Answers of one step. Tensors are (b, t), mask True on real answer tokens; token ids stay as they were sampled.

    scores: of the reward network, raw. ruled: what rules say. ended: which answers stopped by themselves and were not
    cut off. versions: the step whose policy drew a token. reread: whether `logprobs` are the trainer's own reading.
    """

    prompts: list[list[int]]
    answers: list[list[int]]
    ended: Tensor  # (b,)
    mask: Tensor
    behaviour: Tensor  # log-probabilities of the policy that sampled, at the sampling temperature
    versions: Tensor
    logprobs: Tensor  # of the policy that this step begins with, which is the same one unless answers are stale
    ref_logprobs: Tensor  # of the frozen policy we started from, at the same temperature
    values: Tensor
    scores: Scores
    ruled: Ruled = field(default_factory=dict)
    reread: bool = False

    def weights(self, cap: float | None) -> Tensor:
        """(b, t): the chance of a token under `logprobs` over that under `behaviour`, at most `cap` (the decoupled
        objective, Hilton et al. 2022): 1 where both are one policy. All 1 without a cap."""
        gap = torch.where(self.mask, self.logprobs - self.behaviour, 0.0)
        return torch.ones_like(gap) if cap is None else gap.clamp(max=20).exp().clamp(max=cap)

    @property
    def mismatch(self) -> tuple[float, float]:
        """Nats per token that the trainer's reading is off the sampler's: the mean distance, and the divergence
        KL(sampler || trainer) by the estimator k3, since it is the sampler that drew."""
        gap = torch.where(self.mask, self.logprobs - self.behaviour, 0.0)
        k3 = gap.clamp(max=20).exp() - 1 - gap
        return float(masked_mean(gap.abs(), self.mask)), float(masked_mean(k3, self.mask))

    @cached_property
    def kl(self) -> Tensor:
        """(b,) nats per answer by the estimator k1 that training pays for; single answers may be below 0."""
        return torch.where(self.mask, self.logprobs - self.ref_logprobs, 0.0).sum(1)

    @cached_property
    def kl_low_variance(self) -> Tensor:
        """(b,) nats per answer by the estimator k3 (Schulman 2020), never below 0: a second reading, not trained on."""
        gap = torch.where(self.mask, self.ref_logprobs - self.logprobs, 0.0)
        return (gap.clamp(max=20).exp() - 1 - gap).sum(1)

    @cached_property
    def lengths(self) -> Tensor:
        return self.mask.sum(1)

    @cached_property
    def repetition(self) -> Tensor:
        """(b,) share of each answer that it has said before."""
        return torch.tensor([repeated_share(answer) for answer in self.answers], device=self.mask.device)

    @property
    def distinct(self) -> float:
        """Share of different answers."""
        return len(set(map(tuple, self.answers))) / len(self.answers)


def repeated_share(tokens: Sequence[int], run: int = 5) -> float:
    """Share of the runs of `run` tokens in a text that stand in it a second time or more; 0 of a shorter text.

    Five tokens are longer than the phrases that good texts say again, and shorter than any sentence.
    """
    runs = [tuple(tokens[start : start + run]) for start in range(len(tokens) - run + 1)]
    return 1 - len(set(runs)) / len(runs) if runs else 0.0


def moved(rollout: Rollout, device: torch.device | str) -> Rollout:
    """The same on another device."""
    tensors = {name: value.to(device) for name, value in vars(rollout).items() if isinstance(value, Tensor)}
    heads = {name: said.to(device) for name, said in rollout.scores.heads.items()}
    ruled = {title: (weight, said.to(device)) for title, (weight, said) in rollout.ruled.items()}
    return replace(rollout, **tensors, scores=Scores(rollout.scores.members.to(device), heads), ruled=ruled)


def merged(parts: Sequence[Rollout], device: torch.device) -> Rollout:
    """Of n rollouts with every n-th row each the whole one, its rows in their order."""
    count, width = sum(len(part.answers) for part in parts), max(part.mask.shape[1] for part in parts)
    places = [row for first in range(len(parts)) for row in range(first, count, len(parts))]
    order = torch.tensor(places).argsort()

    def whole(tensors: Sequence[Tensor]) -> Tensor:
        """(b, t) or (b,)"""
        rows = [pad(one, (0, width - one.shape[1])) if one.dim() > 1 else one for one in tensors]
        return torch.cat(rows)[order]

    one = parts[0]
    tensors = {name: whole([getattr(part, name) for part in parts]) for name, value in vars(one).items()
               if isinstance(value, Tensor)}  # fmt: skip
    members = torch.cat([part.scores.members for part in parts], 1)[:, order]
    heads = {name: whole([part.scores.heads[name] for part in parts]) for name in one.scores.heads}
    ruled = {name: (weight, whole([part.ruled[name][1] for part in parts])) for name, (weight, _) in one.ruled.items()}
    prompts = [row for part in parts for row in part.prompts]
    answers = [row for part in parts for row in part.answers]
    found = Rollout(
        prompts=[prompts[row] for row in order.tolist()],
        answers=[answers[row] for row in order.tolist()],
        scores=Scores(members, heads),
        ruled=ruled,
        reread=one.reread,
        **tensors,
    )
    return moved(found, device)
