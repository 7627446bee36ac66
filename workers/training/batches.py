"""Files of records → token ids and votes, and what was left out on the way."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from app.datasets.records import Answer, ComparisonRecord, Outcome, PromptRecord, SampleRecord, Vote
from app.training.configs import RewardConfig
from workers.training.checkpoints import Opened
from workers.training.lines import read_records, turns
from workers.training.tensors import by_token_budget, pad_right

OUTCOMES = {Outcome.a: 0, Outcome.b: 1, Outcome.tie: 2, Outcome.both_bad: 2}


@dataclass(frozen=True)
class Pair:
    """One comparison in tokens. Its votes are those that enter the loss (`countable`). besides: by criterion, what they
    said from that point of view."""

    id: str
    group: str
    split: str
    prompt: list[int]
    a: list[int]
    b: list[int]
    votes: tuple[Vote, ...]
    weight: float
    makers: tuple[str, str] = ("", "")  # what answered, by id or name; empty where nobody knows
    besides: Mapping[str, tuple[Vote, ...]] = field(default_factory=dict)

    @property
    def answers(self) -> tuple[list[int], list[int]]:
        return self.a, self.b

    @property
    def longest(self) -> int:
        return len(self.prompt) + max(len(self.a), len(self.b))

    @property
    def decided(self) -> int:
        """Votes that chose a side."""
        return sum(vote.outcome in (Outcome.a, Outcome.b) for vote in self.votes)


class Voted(Protocol):
    """What pairs and groups have in common here."""

    @property
    def votes(self) -> tuple[Vote, ...]: ...

    @property
    def weight(self) -> float: ...


@dataclass(frozen=True)
class Votes:
    """The votes on a batch of pairs, one row per vote, all (v,).

    pair: row of the pair; outcome: 0 a, 1 b, 2 tie; first: +1 where a was shown first, -1 where b was;
    margin: asked of the chosen side's score; target: the share of the vote that the chosen side gets.
    """

    pair: Tensor
    outcome: Tensor
    rater: Tensor
    first: Tensor
    weight: Tensor
    margin: Tensor
    target: Tensor

    def to(self, device: torch.device) -> Votes:
        return Votes(**{name: tensor.to(device) for name, tensor in vars(self).items()})


def read_pairs(file: Path, opened: Opened, config: RewardConfig) -> tuple[list[Pair], Counter[str]]:
    """The comparisons that can teach or measure, and how many were left out by reason; lines of other kinds are counted
    as `lines_<kind>`, never an error."""
    others: Counter[str] = Counter()
    left_out: Counter[str] = Counter()
    pairs = []
    longest = min(config.max_tokens, opened.context)
    for record in read_records(file, [ComparisonRecord], others, config.heldout_share):
        pair = encode_pair(record, opened, config)
        reason = reason_to_leave(pair, longest)
        left_out["votes_neither_valid"] += sum(vote.outcome is Outcome.neither_valid for vote in record.votes)
        left_out["votes_ignored"] += len(record.votes) - len(pair.votes)
        if reason:
            left_out[reason] += 1
        else:
            pairs.append(pair)
    left_out.update({f"lines_{kind}": lines for kind, lines in others.items()})
    return pairs, left_out


def reason_to_leave(pair: Pair, longest: int) -> str | None:
    if not (pair.votes or pair.besides) or pair.weight == 0:
        return "comparisons_without_votes"
    if pair.a == pair.b:
        return "comparisons_identical"
    return "comparisons_too_long" if pair.longest > longest else None


def encode_pair(record: ComparisonRecord, opened: Opened, config: RewardConfig) -> Pair:
    return Pair(
        id=record.id,
        group=record.group,
        split=record.split,
        prompt=opened.prompt_ids(turns(record.prompt)),
        a=opened.answer_ids(record.a.text),
        b=opened.answer_ids(record.b.text),
        votes=tuple(vote for vote in record.votes if countable(vote, config)),
        weight=record.weight,
        makers=(maker_of(record.a), maker_of(record.b)),
        besides=besides_of(record.votes, config) if config.heads == "criteria" else {},
    )


def besides_of(votes: Sequence[Vote], config: RewardConfig) -> dict[str, tuple[Vote, ...]]:
    """By criterion, who is ahead there as votes of one strength. What one rater says besides weighs as one vote."""
    found: dict[str, list[Vote]] = defaultdict(list)
    for vote in votes:
        for key, ahead in vote.criteria.items():
            outcome = Outcome.tie if ahead == "equal" else Outcome(ahead)
            said: dict[str, Any] = {
                "outcome": outcome,
                "strength": None if ahead == "equal" else 1,
                "levels": 1,
                "criteria": {},
            }
            one = vote.model_copy(update={**said, "weight": vote.weight / len(vote.criteria)})
            if vote.outcome is not Outcome.neither_valid and countable(one, config):
                found[key].append(one)
    return {key: tuple(told) for key, told in found.items()}


def maker_of(answer: Answer) -> str:
    return answer.author or answer.checkpoint or ""


def countable(vote: Vote, config: RewardConfig) -> bool:
    """Whether a vote enters the loss. Neither valid says that the task was broken, not how the answers compare."""
    if vote.weight == 0 or vote.outcome is Outcome.neither_valid:
        return False
    if vote.outcome is Outcome.both_bad:
        return config.both_bad == "tie" and config.ties != "ignore"
    return vote.outcome is not Outcome.tie or config.ties != "ignore"


def votes_of(pairs: Sequence[Voted], raters: dict[str, int], config: RewardConfig) -> Votes:
    """All votes on these pairs. A rater that is not among `raters` gets number -1."""
    every = [(row, pair, vote) for row, pair in enumerate(pairs) for vote in pair.votes]
    strengths = [vote.strength / vote.levels if vote.strength else None for _, _, vote in every]
    return Votes(
        pair=torch.tensor([row for row, _, _ in every], dtype=torch.long),
        outcome=torch.tensor([OUTCOMES[vote.outcome] for _, _, vote in every], dtype=torch.long),
        rater=torch.tensor([raters.get(vote.rater, -1) for _, _, vote in every], dtype=torch.long),
        first=torch.tensor([1.0 if vote.shown_first == "a" else -1.0 for _, _, vote in every]),
        weight=torch.tensor([pair.weight * vote.weight * strength_weight(vote, config) for _, pair, vote in every]),
        margin=torch.tensor([config.margin * (s or 0.0) if config.strength == "margin" else 0.0 for s in strengths]),
        target=torch.tensor([0.5 + 0.5 * s if config.strength == "soft" and s else 1.0 for s in strengths]),
    )


def strength_weight(vote: Vote, config: RewardConfig) -> float:
    """Scaled Bradley-Terry (HelpSteer2): proportional to strength, 1 on average over the protocol's levels."""
    if config.strength != "weight" or vote.strength is None:
        return 1.0
    return 2 * vote.strength / (vote.levels + 1)


def encode_prompts(records: Sequence[PromptRecord], opened: Opened, longest: int) -> tuple[list[list[int]], int]:
    """Prompts in tokens, and how many were too long."""
    encoded = [opened.prompt_ids(turns(record.prompt)) for record in records]
    kept = [prompt for prompt in encoded if len(prompt) <= longest]
    return kept, len(encoded) - len(kept)


def encode_samples(records: Sequence[SampleRecord], opened: Opened) -> tuple[list[list[int]], list[list[int]]]:
    """(prompts, answers) in tokens."""
    prompts = [opened.prompt_ids(turns(record.prompt)) for record in records]
    return prompts, [opened.answer_ids(record.answer.text) for record in records]


def micro_batches(
    prompts: Sequence[list[int]], answers: Sequence[list[int]], budget: int, pad: int
) -> Iterator[tuple[list[int], Tensor]]:
    """(row numbers, ids (b, t) padded behind) of similar length, within a budget of padded tokens. Of each answer all
    but its last token, from which nothing is drawn."""
    inputs = [prompt + answer[:-1] for prompt, answer in zip(prompts, answers, strict=True)]
    for rows in by_token_budget([len(row) for row in inputs], budget):
        yield rows, pad_right([inputs[row] for row in rows], pad)[0]
