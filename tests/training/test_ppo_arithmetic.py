"""The arithmetic of PPO by hand: rewards, advantages, the loss, the price of divergence."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from app.training.configs import PPOConfig
from workers.training.figures import describe
from workers.training.ppo import Old, estimate_advantages, ppo_loss, rate_at, shape_rewards, shape_scores, steer
from workers.training.rollouts import Rollout, repeated_share
from workers.training.scoring import Scores
from workers.training.standing import Standing
from workers.training.tensors import mask_of

PLAIN = PPOConfig(whiten_advantages=False, uncertainty=0, score_clip=None, missing_eos_penalty=0, kl_target=None)


def make_rollout(lengths: list[int], **changes: Any) -> Rollout:
    mask = mask_of(lengths, max(lengths))
    torch.manual_seed(sum(lengths))
    shape = mask.shape
    parts: dict[str, Any] = {
        "prompts": [[1, 2]] * len(lengths),
        "answers": [list(range(5, 5 + length)) for length in lengths],
        "ended": torch.ones(len(lengths), dtype=torch.bool),
        "mask": mask,
        "logprobs": torch.where(mask, -torch.rand(shape), 0.0),
        "ref_logprobs": torch.where(mask, -torch.rand(shape), 0.0),
        "values": torch.where(mask, torch.randn(shape), 0.0),
        "scores": Scores(torch.randn(len(lengths)), torch.rand(len(lengths))),
    }
    return Rollout(**{**parts, **changes})


STANDING = Standing(kl_coef=0.1, score_mean=0, score_sd=1, reference_length=4, reference_distinct=1, reference_ended=1)


def standing(**changes: float) -> Standing:
    return Standing(**{**STANDING.numbers(), **changes})


def test_each_token_pays_its_divergence_and_the_last_collects_the_score() -> None:
    """Statements 11 and 13. beta .1; divergences (.2, -.4 | .6): rewards (-.02, .04 + 2 | -.06 + 3, nothing)."""
    rollout = make_rollout(
        [2, 1],
        logprobs=torch.tensor([[-1.0, -2.0], [-1.0, 0.0]]),
        ref_logprobs=torch.tensor([[-1.2, -1.6], [-1.6, 0.0]]),
    )
    rewards = shape_rewards(rollout, torch.tensor([2.0, 3.0]), 0.1, PLAIN)
    assert rewards.flatten().tolist() == pytest.approx([-0.02, 2.04, 2.94, 0.0])


def test_the_same_policy_pays_nothing_and_rewards_add_up_to_the_score() -> None:
    rollout = make_rollout([3, 5, 1])
    same = make_rollout([3, 5, 1], ref_logprobs=rollout.logprobs)
    assert torch.allclose(shape_rewards(same, same.scores.mean, 0.5, PLAIN).sum(1), same.scores.mean)


def test_the_divergence_that_is_logged_is_the_one_that_is_paid_for() -> None:
    """Statement 14: k1 in the reward and in the log; k3 is a second reading of the same, and never below 0."""
    rollout = make_rollout([4, 2, 6])
    rewards = shape_rewards(rollout, torch.zeros(3), 0.3, PLAIN)
    assert torch.allclose(rewards.sum(1), -0.3 * rollout.kl)
    assert (rollout.kl_low_variance >= 0).all()
    close = make_rollout([4], ref_logprobs=make_rollout([4]).logprobs + 1e-3)
    # for a small gap g: k1 = -g per token, k3 = g^2 / 2 per token
    assert close.kl.item() == pytest.approx(-4e-3, rel=1e-3)
    assert close.kl_low_variance.item() == pytest.approx(4 * 0.5e-6, rel=1e-1)


def test_a_policy_pushed_away_gets_a_lower_return() -> None:
    """Statement 16, the sign: tokens that the policy likes more than the reference does cost it."""
    near, far = make_rollout([5]), make_rollout([5], logprobs=make_rollout([5]).logprobs + 0.5)
    scores = torch.tensor([1.0])
    near_return, far_return = (
        estimate_advantages(shape_rewards(r, scores, 0.2, PLAIN), r.values, r.mask, PLAIN)[1][0, 0] for r in (near, far)
    )
    assert far_return < near_return


def slow_advantages(rewards: list[float], values: list[float], gamma: float, lam: float) -> list[float]:
    """The definition, O(t^2): the sum of discounted surprises."""
    count = len(rewards)
    surprise = [rewards[i] + gamma * (values[i + 1] if i + 1 < count else 0.0) - values[i] for i in range(count)]
    return [sum((gamma * lam) ** (j - i) * surprise[j] for j in range(i, count)) for i in range(count)]


@given(
    st.lists(st.lists(st.tuples(st.floats(-3, 3), st.floats(-3, 3)), min_size=1, max_size=7), min_size=1, max_size=4),
    st.floats(0.5, 1),
    st.floats(0, 1),
)
def test_advantages_equal_the_definition_on_ragged_rows(
    rows: list[list[tuple[float, float]]], gamma: float, lam: float
) -> None:
    """Statement 20: returns are raw advantages plus old values, and nothing behind an answer counts (statement 9)."""
    config = PLAIN.model_copy(update={"gamma": gamma, "lam": lam})
    width = max(map(len, rows)) + 2
    mask = mask_of([len(row) for row in rows], width)
    rewards, values = torch.full((2, len(rows), width), math.nan)
    for number, row in enumerate(rows):
        for place, (reward, value) in enumerate(row):
            rewards[number, place], values[number, place] = reward, value
    advantages, returns = estimate_advantages(rewards, values, mask, config)
    for number, row in enumerate(rows):
        slow = slow_advantages([r for r, _ in row], [v for _, v in row], gamma, lam)
        assert advantages[number, : len(row)].tolist() == pytest.approx(slow, abs=1e-4)
        assert returns[number, : len(row)].tolist() == pytest.approx(
            [a + v for a, (_, v) in zip(slow, row, strict=True)], abs=1e-4
        )
    assert not advantages[~mask].any()
    assert not returns[~mask].any()


def test_an_answer_of_three_tokens_by_hand() -> None:
    """gamma 1, lambda .5; rewards 0 0 1; values .5 .5 .5: surprises 0 0 .5; advantages .125 .25 .5."""
    config = PLAIN.model_copy(update={"lam": 0.5})
    values, mask = torch.full((1, 3), 0.5), torch.ones(1, 3).bool()
    advantages, returns = estimate_advantages(torch.tensor([[0.0, 0.0, 1.0]]), values, mask, config)
    assert advantages.tolist() == [[0.125, 0.25, 0.5]]
    assert returns.tolist() == [[0.625, 0.75, 1.0]]


def old_of(rollout: Rollout, advantages: Tensor, returns: Tensor) -> Old:
    mask = rollout.mask
    return Old(rollout.logprobs[mask], rollout.values[mask], advantages[mask], returns[mask])


def test_the_loss_by_hand() -> None:
    """Statement 29. Two tokens, ratios 2 and .5, advantages 1 and -1, clip .2: surrogate -(1.2 - .8) / 2 = -.2.

    Old value 0, new 1, return 2, clip .2: errors max((1-2)^2, (.2-2)^2) = 3.24 for both: value loss 1.62.
    """
    old = Old(torch.zeros(2), torch.zeros(2), torch.tensor([1.0, -1.0]), torch.full((2,), 2.0))
    logprobs = torch.tensor([math.log(2), math.log(0.5)])
    loss, stats = ppo_loss(logprobs, torch.ones(2), None, old, 2, PLAIN)
    assert stats["policy_loss"].item() == pytest.approx(-0.2)
    assert stats["value_loss"].item() == pytest.approx(1.62)
    assert stats["clipped"].item() == stats["values_clipped"].item() == 1.0
    assert loss.item() == pytest.approx(-0.2 + PLAIN.value_coef * 1.62)


def test_the_first_update_sees_ratio_1_and_nothing_clipped() -> None:
    rollout = make_rollout([3, 2])
    old = old_of(rollout, torch.randn(2, 3), torch.randn(2, 3))
    _, stats = ppo_loss(old.logprobs, old.values, None, old, 5, PLAIN)
    assert stats["ratio"].item() == 1
    assert stats["clipped"].item() == stats["values_clipped"].item() == stats["step_kl"].item() == 0


@given(st.lists(st.integers(1, 9), min_size=1, max_size=8))
def test_parts_of_a_minibatch_add_up_to_the_loss_of_the_whole(cuts: list[int]) -> None:
    """Statement 24: however 8 tokens are cut into passes, loss and gradient are those of one pass."""
    torch.manual_seed(1)
    old = Old(*torch.randn(4, 8))
    logprobs, values, entropy = torch.randn(3, 8)
    config = PLAIN.model_copy(update={"entropy_coef": 0.1})

    def gradient(parts: list[slice]) -> Tensor:
        parameter = torch.zeros(8, requires_grad=True)
        for part in parts:
            few = Old(*(tensor[part] for tensor in vars(old).values()))
            shifted = parameter[part]
            loss, _ = ppo_loss(
                logprobs[part] + shifted, values[part] + shifted, entropy[part] + shifted, few, 8, config
            )
            loss.backward()
        assert parameter.grad is not None
        return parameter.grad

    edges = sorted({0, 8, *(cut for cut in cuts if cut < 8)})
    parts = [slice(a, b) for a, b in pairwise(edges)]
    assert torch.allclose(gradient(parts), gradient([slice(0, 8)]), atol=1e-7)


@pytest.mark.parametrize("gap", [1e6, -1e6, math.inf])
def test_an_absurd_ratio_stays_finite(gap: float) -> None:
    """Statement 28: the log-ratio is held to ±20 before exp."""
    old = Old(torch.zeros(1), torch.zeros(1), torch.ones(1), torch.ones(1))
    loss, stats = ppo_loss(torch.tensor([gap]), torch.zeros(1), None, old, 1, PLAIN)
    assert torch.isfinite(loss)
    assert all(torch.isfinite(stat) for stat in stats.values())


def test_an_entropy_bonus_lowers_the_loss() -> None:
    config = PLAIN.model_copy(update={"entropy_coef": 0.5})
    old = Old(*torch.zeros(4, 2))
    loss, _ = ppo_loss(torch.zeros(2), torch.zeros(2), torch.tensor([1.0, 3.0]), old, 2, config)
    assert loss.item() == pytest.approx(-0.5 * 2)  # mean entropy 2


def test_a_warming_critic_moves_nobody_else() -> None:
    logprobs = torch.zeros(2, requires_grad=True)
    values = torch.zeros(2, requires_grad=True)
    old = Old(torch.zeros(2), torch.zeros(2), torch.ones(2), torch.ones(2))
    ppo_loss(logprobs, values, None, old, 2, PLAIN, critic_only=True)[0].backward()
    assert logprobs.grad is None
    assert values.grad is not None


def test_scores_are_doubted_normalised_and_clipped_before_the_form_costs() -> None:
    """Statements 17, 18, 10, 12. Mean 7, sd 2; doubt 1 x sd 1: (6 - 4) / 2 = 1; 100 is clipped to 5; a cut answer
    pays 2; an answer of 8 tokens where the reference writes 4 is one doubling."""
    config = PPOConfig(uncertainty=1, score_clip=5, missing_eos_penalty=2, length_penalty=0.5)
    rollout = make_rollout(
        [4, 4, 4, 8],
        scores=Scores(torch.tensor([7.0, 101.0, 7.0, 7.0]), torch.ones(4)),
        ended=torch.tensor([True, True, False, True]),
    )
    scores = shape_scores(rollout, standing(score_mean=4, score_sd=2), config)
    assert scores.tolist() == [1.0, 5.0, -1.0, 0.5]


def test_saying_a_thing_twice_costs_its_share() -> None:
    """Runs of five in 1 … 6 said twice: eight, of which the last two were there: a quarter, times 4. Four tokens have
    no run, and say nothing twice."""
    assert repeated_share([1, 2, 3, 4, 5, 6] * 2) == 0.25
    assert repeated_share([1, 1, 1, 1]) == repeated_share(list(range(50))) == 0
    rollout = make_rollout(
        [12, 4], answers=[[1, 2, 3, 4, 5, 6] * 2, [1, 1, 1, 1]], scores=Scores(torch.ones(2), torch.zeros(2))
    )
    config = PPOConfig(repetition_cost=4, uncertainty=0)
    assert shape_scores(rollout, standing(), config).tolist() == [0.0, 1.0]


def test_whitened_rewards_keep_their_mean() -> None:
    """Statement 22."""
    rollout = make_rollout([3, 5, 1, 2])
    config = PLAIN.model_copy(update={"whiten_rewards": True})
    plain, white = (shape_rewards(rollout, rollout.scores.mean, 0.1, c)[rollout.mask] for c in (PLAIN, config))
    assert white.mean().item() == pytest.approx(plain.mean().item(), abs=1e-5)
    assert white.var(unbiased=False).item() == pytest.approx(1, abs=1e-3)


def test_the_price_follows_the_divergence_with_a_limit() -> None:
    """Statement 15. Target 6, horizon 1000, 100 answers: KL 6.6 → +.1 → x 1.01; KL 60 → +.2 → x 1.02; 0 → x .98."""
    config = PPOConfig(kl_target=6, kl_horizon=1000)
    assert steer(0.1, 6.6, 100, config) == pytest.approx(0.101)
    assert steer(0.1, 60, 100, config) == pytest.approx(0.102)
    assert steer(0.1, 0, 100, config) == pytest.approx(0.098)
    assert steer(0.1, 60, 100, PPOConfig(kl_target=None)) == 0.1


def test_the_rate_rises_then_falls_to_its_end() -> None:
    """Statement 27: annealed."""
    config = PPOConfig(lr=1.0, lr_end=0.1, warmup_steps=2, steps=11)
    rates = [rate_at(step, config) for step in range(1, 12)]
    assert rates[:2] == pytest.approx([1 / 3, 2 / 3])
    assert rates[2] == pytest.approx(1 - 0.9 * 0.2)  # two of ten steps down
    assert rates[-1] == pytest.approx(0.1)
    assert all(a > b for a, b in pairwise(rates[2:]))


def test_more_steps_cut_off_are_told_apart_from_ended() -> None:
    """Statement 12: the log says how many answers ended by themselves."""
    rollout = make_rollout([2, 3], ended=torch.tensor([True, False]))
    values = describe(rollout, rollout.scores.mean, rollout.values, STANDING)
    assert values["ended"] == 0.5
    assert values["length_ratio"] == pytest.approx(2.5 / 4)


def test_a_perfect_critic_explains_everything() -> None:
    """Statement 23: explained variance is logged."""
    rollout = make_rollout([4, 3])
    exact = describe(rollout, rollout.scores.mean, rollout.values, STANDING)
    assert exact["explained_variance"] == pytest.approx(1)
    constant = torch.where(rollout.mask, rollout.values[rollout.mask].mean(), 0.0)
    ignorant = make_rollout([4, 3], values=constant)
    blind = describe(ignorant, ignorant.scores.mean, rollout.values, STANDING)
    assert blind["explained_variance"] == pytest.approx(0, abs=1e-5)
