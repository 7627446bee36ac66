"""What the policy said, and what everybody thought of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from workers.sampling.decoding import Sampled, Sampling, sample
from workers.training.actors import Actors
from workers.training.batches import micro_batches
from workers.training.networks import Backbone, arithmetic, gather_answers
from workers.training.scoring import RewardNetwork, Scores
from workers.training.tensors import fill_right, mask_of

# the sampler's cache holds keys and values only, so it may be wider than a pass that keeps activations
CACHE_FACTOR = 4


@dataclass(frozen=True)
class Rollout:
    """Answers of one step. Tensors are (b, t), mask True on real answer tokens; token ids stay as they were sampled.

    scores: of the reward network, raw. ended: which answers stopped by themselves and were not cut off.
    """

    prompts: list[list[int]]
    answers: list[list[int]]
    ended: Tensor  # (b,)
    mask: Tensor
    logprobs: Tensor  # of the policy that sampled, at the sampling temperature
    ref_logprobs: Tensor  # of the frozen policy we started from, at the same temperature
    values: Tensor
    scores: Scores

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


def roll_out(
    actors: Actors,
    reward: RewardNetwork,
    prompts: Sequence[list[int]],
    seeds: Sequence[int],
    *,
    n: int = 1,
    reference: bool = False,
) -> Rollout:
    """Sample n answers to each prompt, then let reference, critic and reward network read it.

    Log-probabilities are the sampler's own, taken as each token was drawn; where training runs in bf16 they are read
    anew by the pass that training uses, since both must agree (statement 3). reference: the reference answers.
    """
    drawn = draw(actors, list(prompts), list(seeds), n, reference=reference)
    prompts = [prompt for prompt in prompts for _ in range(n)]
    answers = [answer.tokens for answer in drawn]
    mask = mask_of([len(answer) for answer in answers], max(map(len, answers))).to(actors.policy.device)
    logprobs = fill_right([answer.logprobs for answer in drawn], mask.shape[1]).to(mask.device)
    rollout = Rollout(
        prompts=prompts,
        answers=answers,
        ended=torch.tensor([answer.finish_reason == "stop" for answer in drawn]),
        mask=mask,
        logprobs=logprobs,
        ref_logprobs=torch.zeros_like(logprobs),
        values=torch.zeros_like(logprobs),
        scores=reward.score(prompts, finished(answers, actors), actors.opened.pad_id),
    )
    fill_in(rollout, actors, reference=reference)
    return rollout


def draw(actors: Actors, prompts: list[list[int]], seeds: list[int], n: int, *, reference: bool) -> list[Sampled]:
    """n answers per prompt from the whole distribution (no top-k, no top-p: statement 2), never greedy."""
    backbone, adapter = (actors.reference, None) if reference else (actors.policy, actors.policy_adapter)
    config, opened = actors.config, actors.opened
    sampling = Sampling(temperature=config.temperature, max_tokens=config.max_tokens)
    with backbone.using(adapter), backbone.folded(adapter):
        drawn = sample(
            backbone.network,
            prompts,
            sampling,
            n=n,
            seeds=seeds,
            stop_ids=set(opened.stop_ids),
            pad_id=opened.pad_id,
            token_budget=max(CACHE_FACTOR * config.token_budget, max(map(len, prompts)) + config.max_tokens),
        )
    return [answer for answers in drawn for answer in answers]


def finished(answers: list[list[int]], actors: Actors) -> list[list[int]]:
    """Answers as people saw them, for the reward network: it has read ended ones only, so a cut one gets an end."""
    opened = actors.opened
    return [answer if answer[-1] in opened.stop_ids else [*answer, opened.eos_id] for answer in answers]


@torch.no_grad()
def fill_in(rollout: Rollout, actors: Actors, *, reference: bool) -> None:
    """Write the reference's log-probabilities and the critic's values into a fresh rollout."""
    config = actors.config
    for rows, ids in micro_batches(rollout.prompts, rollout.answers, config.token_budget, actors.opened.pad_id):
        part = Part.of(rollout, rows, ids.to(rollout.mask.device))
        with arithmetic(config.precision, ids.device):
            states = part.states(actors.reference, None)
            found, _ = actors.reference.answer_logprobs(states, part.tokens, config.temperature)
            if reference:
                values = torch.zeros_like(found)
            else:
                values = actors.value_head(part.states(actors.critic, actors.critic_adapter)).squeeze(-1)
            part.put(rollout.ref_logprobs, found)
            part.put(rollout.values, values.float())
            if config.precision == "bfloat16":
                again = part.states(actors.policy, None if reference else actors.policy_adapter)
                part.put(rollout.logprobs, actors.policy.answer_logprobs(again, part.tokens, config.temperature)[0])


@dataclass(frozen=True)
class Part:
    """Some rows of a rollout as one forward pass sees them. What it returns is flat: real answer tokens only, (n,)."""

    rows: list[int]
    ids: Tensor  # (b, t), prompts with answers, padding behind
    starts: list[int]
    mask: Tensor  # (b, longest answer of these rows)
    tokens: Tensor  # (n,)

    @classmethod
    def of(cls, rollout: Rollout, rows: list[int], ids: Tensor) -> Part:
        width = max(len(rollout.answers[row]) for row in rows)
        tokens = torch.tensor([token for row in rows for token in rollout.answers[row]], device=ids.device)
        starts = [len(rollout.prompts[row]) for row in rows]
        return cls(rows, ids, starts, rollout.mask[rows][:, :width], tokens)

    def states(self, backbone: Backbone, adapter: str | None) -> Tensor:
        """(n, width): the states from which the answers' tokens were drawn."""
        with backbone.using(adapter):
            hidden = backbone.hidden(self.ids)
        return gather_answers(hidden, self.starts, self.mask.shape[1])[self.mask]

    def flat(self, tensor: Tensor) -> Tensor:
        """(b, t) of the rollout → (n,)"""
        return tensor[self.rows][:, : self.mask.shape[1]][self.mask]

    def put(self, tensor: Tensor, flat: Tensor) -> None:
        """The reverse of `flat`."""
        block = torch.zeros(self.mask.shape, device=tensor.device).masked_scatter(self.mask, flat.float())
        tensor[self.rows, : self.mask.shape[1]] = block


def parts(rollout: Rollout, rows: list[int], budget: int, pad: int) -> Iterator[Part]:
    """These rows in forward passes of similar length within a budget of padded tokens."""
    prompts, answers = [rollout.prompts[row] for row in rows], [rollout.answers[row] for row in rows]
    for chosen, ids in micro_batches(prompts, answers, budget, pad):
        yield Part.of(rollout, [rows[place] for place in chosen], ids.to(rollout.mask.device))
