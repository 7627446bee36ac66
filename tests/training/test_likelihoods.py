"""Orders, choices and ratings: each likelihood by a sum that a reader can redo."""

from __future__ import annotations

import math
from itertools import pairwise, permutations

import pytest
import torch
from torch import Tensor

from workers.training.likelihoods import (
    choice_logprob,
    level_logprob,
    order_logprob,
    rising,
    trusted,
    value_logprob,
)

LN2, LN3 = math.log(2), math.log(3)


def told(found: Tensor) -> float:
    return float(found[0].exp())


def row(*values: float) -> Tensor:
    return torch.tensor([values])


def nu(value: float) -> Tensor:
    return torch.tensor([math.log(value)])


def test_an_order_without_ties_is_plackett_and_luces() -> None:
    """Strengths 3, 2 and 1: 3 of 6 first, then 2 of 3."""
    assert told(order_logprob(row(LN3, LN2, 0.0), [1, 1, 1], nu(1), 1)) == pytest.approx(1 / 2 * 2 / 3)


def test_of_two_answers_it_is_davidsons_model() -> None:
    """Strengths 4 and 1, nu 1/2: weights 4, 1 and 1/2 x 2, as pairs have it."""
    scores = row(math.log(4), 0.0)
    assert told(order_logprob(scores, [1, 1], nu(0.5), 2)) == pytest.approx(2 / 3)
    assert told(order_logprob(scores, [2], nu(0.5), 2)) == pytest.approx(1 / 6)


def test_a_tier_of_a_longer_order() -> None:
    """Strengths 4, 4 and 1, nu 1/2: the first two tie with weight 2 among 4, 4, 1, 2, 1 and 1; the last comes last."""
    found = order_logprob(row(math.log(4), math.log(4), 0.0), [2, 1], nu(0.5), 2)
    assert told(found) == pytest.approx(2 / 13)


def test_all_orders_together_are_sure() -> None:
    """Every weak order of three answers, ties of all sizes: probabilities sum to 1."""
    scores, log_nu = torch.tensor([0.3, -0.5, 1.1]), nu(0.7)
    whole = 0.0
    for sizes in ([1, 1, 1], [2, 1], [1, 2], [3]):
        seen = set()
        for order in permutations(range(3)):
            edges = [sum(sizes[:n]) for n in range(len(sizes) + 1)]
            tiers = tuple(tuple(sorted(order[a:b])) for a, b in pairwise(edges))
            if tiers not in seen:
                seen.add(tiers)
                whole += told(order_logprob(scores[list(order)].unsqueeze(0), sizes, log_nu, 3))
    assert whole == pytest.approx(1.0, abs=1e-5)


def test_best_and_worst() -> None:
    """Strengths 3, 2, 1 and 1/2: 3 of 6.5 are best; of the rest, turned round, 2 of 1/2 + 1 + 2 are worst."""
    scores = row(LN3, LN2, 0.0, -LN2)
    assert told(choice_logprob(scores, worst=False)) == pytest.approx(3 / 6.5)
    assert told(choice_logprob(scores, worst=True)) == pytest.approx(3 / 6.5 * 2 / 3.5)


def test_a_rater_who_flips_coins_teaches_nothing_of_an_order() -> None:
    """Trust 3/4: 3/4 of the order by the scores, and 1/4 of it by the scores turned round."""
    scores = row(LN3, 0.0)
    right, turned = (order_logprob(sign * scores, [1, 1], nu(1), 1) for sign in (1, -1))
    assert told(trusted(right, turned, torch.tensor([LN3]))) == pytest.approx(3 / 4 * 3 / 4 + 1 / 4 * 1 / 4)
    scores = scores.requires_grad_()
    even = trusted(
        order_logprob(scores, [1, 1], nu(1), 1), order_logprob(-scores, [1, 1], nu(1), 1), torch.tensor([0.0])
    )
    even.sum().backward()
    assert scores.grad is not None
    assert torch.allclose(scores.grad, torch.zeros(1, 2), atol=1e-6)


def test_levels_by_proportional_odds() -> None:
    """Thresholds -ln 3 and ln 3, score 0: a quarter, a half, a quarter; a scale of two has an end at infinity."""
    thresholds = torch.tensor([[-LN3, LN3]] * 3)
    found = level_logprob(torch.zeros(3), torch.tensor([0, 1, 2]), thresholds).exp()
    assert found.tolist() == pytest.approx([0.25, 0.5, 0.25])
    flags = level_logprob(torch.tensor([LN3, LN3]), torch.tensor([0, 1]), torch.tensor([[0.0, math.inf]] * 2)).exp()
    assert flags.tolist() == pytest.approx([0.25, 0.75])
    far = torch.tensor([80.0], requires_grad=True)
    level_logprob(far, torch.tensor([0]), torch.tensor([[0.0, 1.0]])).sum().backward()
    assert far.grad is not None
    assert far.grad.isfinite().all()


def test_thresholds_rise_whatever_the_numbers() -> None:
    found = rising(torch.tensor([[0.5, -3.0, 0.0]]))
    assert found[0, 0] == 0.5
    assert (found[0, 1:] > found[0, :-1]).all()


def test_values_by_a_line() -> None:
    """1 + 2 x score, spread 1: 4 is one spread from 3, so e^(-1/2)."""
    line = torch.tensor([[1.0, LN2, 0.0]])
    assert told(value_logprob(torch.tensor([1.0]), torch.tensor([4.0]), line)) == pytest.approx(math.exp(-0.5))
