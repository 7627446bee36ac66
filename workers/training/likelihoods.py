"""What scores say of orders, choices and ratings. Pure: tensors in, log-probabilities out, one row per vote.

Orders follow Plackett and Luce with ties as Davidson had them (Firth et al. 2019): of the answers that are left, a set
T comes next with weight nu^(|T| - 1) times the geometric mean of exp(score) in T. Of two answers this is Davidson's
model, which pairs have, and without ties Plackett-Luce; so one score and one nu explain pairs and orders alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import torch
from torch import Tensor
from torch.nn import functional


def order_logprob(scores: Tensor, tiers: Sequence[int], log_nu: Tensor, most_tied: int) -> Tensor:
    """scores (v, k) of answers from the best tier to the last; tiers: how many stand in each; log_nu (v,) → (v,).

    most_tied: the largest set that counts as possible; 1 where nobody ever ties.
    """
    told = torch.zeros_like(scores[:, 0])
    first = 0
    for size in tiers:
        left = scores[:, first:]
        if left.shape[1] == 1:
            break  # the last one comes last, whatever it is
        told = told + left[:, :size].mean(1) + (size - 1) * log_nu - _all_sets(left, log_nu, most_tied)
        first += size
    return told


def _all_sets(left: Tensor, log_nu: Tensor, most_tied: int) -> Tensor:
    """Log of the summed weights of all sets of up to most_tied answers, (v,)."""
    answers = range(left.shape[1])
    weights = []
    for size in range(1, min(most_tied, len(answers)) + 1):
        sets = torch.tensor(list(combinations(answers, size)), device=left.device)
        weights.append(left[:, sets].mean(2) + (size - 1) * log_nu.unsqueeze(1))
    return torch.cat(weights, 1).logsumexp(1)


def choice_logprob(scores: Tensor, *, worst: bool) -> Tensor:
    """scores (v, k), the best one first and, where `worst` was asked, the worst one last → (v,).

    The best of all, then the worst of the rest by the scores turned round (Marley and Louviere 2005); nothing is said
    of the others among themselves.
    """
    told = scores[:, 0] - scores.logsumexp(1)
    if worst and scores.shape[1] > 2:
        told = told - scores[:, -1] - (-scores[:, 1:]).logsumexp(1)
    return told


def trusted(right: Tensor, turned: Tensor, trust: Tensor) -> Tensor:
    """Crowd-BT for any order: a rater of log-odds `trust` tells it by the scores, else by the scores turned round. Of
    two answers that is to flip the vote. right, turned, trust (v,) → (v,)."""
    return torch.logaddexp(functional.logsigmoid(trust) + right, functional.logsigmoid(-trust) + turned)


def level_logprob(scores: Tensor, levels: Tensor, thresholds: Tensor) -> Tensor:
    """Proportional odds (McCullagh 1980): level ≤ j with probability sigmoid(threshold_j - score).

    scores (v,), levels (v,) from 0, thresholds (v, most levels - 1) that rise, infinite beyond a scale's end → (v,).
    """
    edges = torch.full_like(thresholds[:, :1], torch.inf)
    whole = torch.cat([-edges, thresholds, edges], 1)
    low, high = (whole.gather(1, levels.unsqueeze(1) + step).squeeze(1) - scores for step in (0, 1))
    # log(sigmoid(high) - sigmoid(low)) without the difference of two numbers near 1
    gap = torch.where(torch.isinf(high) | torch.isinf(low), torch.full_like(high, torch.inf), high - low)
    safe = torch.where(torch.isinf(gap), torch.ones_like(gap), gap).clamp(min=1e-6)
    inner = torch.where(torch.isinf(gap), torch.zeros_like(gap), torch.log(-torch.expm1(-safe)))
    at_most = torch.where(torch.isinf(high), torch.zeros_like(high), functional.logsigmoid(high.nan_to_num(0.0)))
    above = torch.where(torch.isinf(low), torch.zeros_like(low), functional.logsigmoid(-low.nan_to_num(0.0)))
    return at_most + above + inner


def rising(raw: Tensor) -> Tensor:
    """Thresholds (…, j) from free numbers: the first as it is, each later one above the one before."""
    return torch.cat([raw[..., :1], functional.softplus(raw[..., 1:])], -1).cumsum(-1)


def value_logprob(scores: Tensor, values: Tensor, line: Tensor) -> Tensor:
    """Regression: value ~ N(intercept + exp(slope) x score, exp(spread)²). line (v, 3) → (v,) less a constant."""
    intercept, slope, spread = line.unbind(-1)
    return -0.5 * ((values - intercept - slope.exp() * scores) / spread.exp()).square() - spread
