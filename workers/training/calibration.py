"""From fitted members to a score with a zero, a unit and a probability, and how it fares on votes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from app.datasets.records import SampleRecord
from app.training.configs import RewardConfig, RewardRun
from workers.training.batches import Pair, encode_samples
from workers.training.checkpoints import Opened
from workers.training.groups import Item
from workers.training.lines import read_lines
from workers.training.measures import Choices, Numbers, choices_of, fit_slope, measure
from workers.training.progress import RunFailed
from workers.training.scoring import RewardNetwork
from workers.training.stems import Stems


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
    pairs: list[Pair],
    blind: Numbers,
    opened: Opened,
    run: RewardRun,
    stems: Stems,
) -> dict[str, Any]:
    """Fix the constants of the score: every member's zero, the temperature, and the reference's mean and sd.

    The temperature comes from differences that a member made blind. The mean of all members varies a little less, so
    probabilities err towards one half, the harmless side.
    """
    texts = [(item.prompt, answer) for item in train for answer in item.answers]
    prompts, answers = [prompt for prompt, _ in texts], [answer for _, answer in texts]
    raw = reward.raw_scores(prompts, answers, opened.pad_id, known=stems.of)
    reward.offsets = raw.mean(1)
    choices = choices_of(pairs)
    reward.temperature = 1 / fit_slope(blind[choices.pair], choices.won)
    if run.reference_samples is not None:
        prompts, answers = encode_samples(read_lines(run.reference_samples, SampleRecord), opened)
        if len(prompts) < 2:
            reason = f"{run.reference_samples} has {len(prompts)} samples; 2 are needed for a mean and a spread."
            raise RunFailed(reason)
        raw = reward.raw_scores(prompts, answers, opened.pad_id)
    reward.normalise(raw)
    blind_figures = measure(blind / reward.temperature, choices)
    return {"blind": blind_figures, "temperature": reward.temperature, "moments": list(reward.moments)}


def measure_pairs(reward: RewardNetwork, pairs: list[Pair], pad: int) -> dict[str, Any] | None:
    """Figures on pairs by the calibrated mean score of all members; None where there are none."""
    if not pairs:
        return None
    prompts = [pair.prompt for pair in pairs]
    a = reward.score(prompts, [pair.a for pair in pairs], pad).mean
    b = reward.score(prompts, [pair.b for pair in pairs], pad).mean
    return measure((a - b).double().cpu().numpy(), choices_of(pairs))
