"""From fitted members to a score with a zero, a unit and a probability, and how it fares on votes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from app.datasets.records import SampleRecord
from app.training.configs import RewardConfig, RewardRun
from workers.training.batches import encode_samples
from workers.training.checkpoints import Opened
from workers.training.groups import Item, as_pairs
from workers.training.lines import read_lines
from workers.training.measures import (
    Choices,
    Numbers,
    agreement_ceiling,
    choices_of,
    fit_slope,
    length_baseline,
    measure,
)
from workers.training.progress import RunFailed
from workers.training.scoring import RewardNetwork
from workers.training.stems import Stems
from workers.training.subjects import Subjects, ratings_of, said_of


def reliability_of(blind: Numbers, choices: Choices, config: RewardConfig) -> dict[str, float]:
    """Each rater's chance of naming the side that members favoured without having seen the votes (Crowd-BT).

    Most probable shares under the Beta prior, together with the one slope that turns differences into log-odds.
    They differ from what the members learned on the way, which stopped when the scores were at their best.
    """
    names = sorted(set(choices.raters))
    rater = torch.tensor([names.index(name) for name in choices.raters])
    gaps = torch.tensor(np.where(choices.won > 0.5, 1.0, -1.0) * blind[choices.pair])
    expected = config.reliability_expected
    trust = torch.full((len(names),), math.log(expected / (1 - expected)), dtype=torch.double, requires_grad=True)
    slope = torch.zeros((), dtype=torch.double, requires_grad=True)
    optimizer = torch.optim.LBFGS([trust, slope], max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        right, wrong = logsigmoid(trust), logsigmoid(-trust)
        odds = gaps * slope.exp()
        fit = torch.logaddexp(right[rater] + logsigmoid(odds), wrong[rater] + logsigmoid(-odds)).sum()
        prior = ((config.prior_right - 1) * right + (config.prior_wrong - 1) * wrong).sum() - 0.5 * slope.square()
        total: Tensor = -(fit + prior)
        total.backward()
        return total

    optimizer.step(loss)
    return dict(zip(names, trust.detach().sigmoid().tolist(), strict=True))


@torch.no_grad()
def settle(
    reward: RewardNetwork,
    train: list[Item],
    subjects: Subjects,
    blind: list[Numbers],
    opened: Opened,
    run: RewardRun,
    stems: Stems,
) -> None:
    """Fix the constants of every head: the members' zeros, the temperature, and the reference's mean and sd.

    blind: by head, the differences between the answers of its pairs that a member made without having seen them; the
    temperature comes from these. The mean of all members varies a little less, so probabilities err towards one half,
    the harmless side. A head without pairs has learned from ratings alone, whose scores are log-odds already.
    """
    texts = [(item.prompt, answer) for item in train for answer in item.answers]
    prompts, answers = [prompt for prompt, _ in texts], [answer for _, answer in texts]
    raw = reward.raw_scores(prompts, answers, opened.pad_id, known=stems.of)
    for number, (head, subject) in enumerate(zip(reward.constants, subjects.each, strict=True)):
        head.offsets = raw[..., number].mean(1).tolist()
        choices = choices_of(subject.pairs)
        head.temperature = 1 / fit_slope(blind[number][choices.pair], choices.won) if len(choices) else 1.0
        head.ratings = ratings_of(subject, train)
    if run.reference_samples is not None:
        prompts, answers = encode_samples(read_lines(run.reference_samples, SampleRecord), opened)
        if len(prompts) < 2:
            reason = f"{run.reference_samples} has {len(prompts)} samples; 2 are needed for a mean and a spread."
            raise RunFailed(reason)
        raw = reward.raw_scores(prompts, answers, opened.pad_id)
    reward.normalise(raw)


def figures_of(
    reward: RewardNetwork, subjects: Subjects, blind: list[Numbers], heldout: list[Item], pad: int
) -> list[dict[str, Any]]:
    """Of each head: how it fares on votes that were not seen, by its calibrated score."""
    found = []
    scores = scores_of(reward, heldout, pad)
    for number, (head, subject) in enumerate(zip(reward.constants, subjects.each, strict=True)):
        pairs, places = as_pairs([said_of(item, subject.name, subjects.config) for item in heldout])
        gaps = np.array([float(scores[row][a, number] - scores[row][b, number]) for row, a, b in places])
        found.append({
            "blind": measure(blind[number] / head.temperature, choices_of(subject.pairs)) if subject.pairs else None,
            "temperature": head.temperature,
            "moments": list(head.moments),
            "heldout": measure(gaps, choices_of(pairs)) if pairs else None,
            "length_only": length_baseline(subject.pairs, pairs) if pairs and subject.pairs else None,
            "agreement": agreement_ceiling([*subject.pairs, *pairs]),
        })  # fmt: skip
    return found


def scores_of(reward: RewardNetwork, items: Sequence[Item], pad: int) -> list[Tensor]:
    """Of each item the calibrated mean scores of all members, (answers, heads) in log-odds."""
    prompts = [item.prompt for item in items for _ in item.answers]
    answers = [answer for item in items for answer in item.answers]
    raw = reward.raw_scores(prompts, answers, pad).double()
    settled = [head.settled(raw[..., number]).mean(0) for number, head in enumerate(reward.constants)]
    return list(torch.stack(settled, -1).cpu().split([len(item.answers) for item in items]))
