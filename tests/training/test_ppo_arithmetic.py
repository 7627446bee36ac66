"""The arithmetic of PPO by hand: rewards, advantages, the loss and each of its options."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from app.training.configs import PPOConfig
from tests.training.rolling import PLAIN, loss_of, make_old, make_rollout, plain, scores_of, standing
from workers.training.advantages import estimate_advantages
from workers.training.judged import repeated_share
from workers.training.ppo import Now, Old, ppo_loss
from workers.training.schedules import rate_at
from workers.training.scoring import Scores
from workers.training.shaping import one_score, shape_rewards, shape_scores
from workers.training.tensors import entropy_of, logprobs_of, mask_of


def masked(values: Tensor, mask: Tensor) -> Tensor:
    return (values * mask).sum() / mask.sum()


def textbook_loss(
    logits: Tensor, values: Tensor, frozen: dict[str, Tensor], config: PPOConfig, kl_coef: float
) -> Tensor:
    """The usual formulas over padded rows, in double precision: logits (b, t, v), values (b, t)."""
    mask = frozen["mask"].double()
    every = (logits.double() / config.temperature).log_softmax(-1)
    new = every.gather(-1, frozen["tokens"].unsqueeze(-1)).squeeze(-1)
    ratio = torch.exp((new - frozen["logprobs"]) * mask)
    unclipped = -frozen["advantages"] * ratio
    clipped = -frozen["advantages"] * torch.clamp(ratio, 1.0 - config.clip, 1.0 + config.clip)
    loss = masked(torch.max(unclipped, clipped), mask)
    error = (values.double() - frozen["returns"]) ** 2
    if config.value_clip is not None:
        low, high = frozen["values"] - config.value_clip, frozen["values"] + config.value_clip
        error = torch.max(error, (torch.clamp(values.double(), low, high) - frozen["returns"]) ** 2)
    loss = loss + config.value_coef * 0.5 * masked(error, mask)
    loss = loss - config.entropy_coef * masked(-(every.exp() * every).sum(-1), mask)
    if config.kl_in == "loss_k2":
        loss = loss + kl_coef * masked((new - frozen["ref_logprobs"]) ** 2 / 2, mask)
    return loss


@pytest.mark.parametrize(
    "config",
    [PPOConfig(), PPOConfig(value_clip=None), PPOConfig(entropy_coef=0.1), PPOConfig(kl_in="loss_k2", temperature=0.7)],
    ids=["default", "values free", "entropy", "divergence"],
)
def test_loss_and_gradients_are_the_textbooks_to_a_millionth(config: PPOConfig) -> None:
    """On a frozen batch, ratios and values on both sides of their clips; ours sees real tokens only, in one row."""
    torch.manual_seed(4)
    mask = mask_of([6, 2, 4], 6)
    frozen = {name: torch.randn(3, 6) for name in ("values", "advantages", "returns", "ref_logprobs")}
    frozen |= {"mask": mask, "tokens": torch.randint(0, 11, (3, 6))}
    logits, values = torch.randn(3, 6, 11, requires_grad=True), torch.randn(3, 6, requires_grad=True)
    near = logprobs_of(logits.detach()[mask], frozen["tokens"][mask], config.temperature) + torch.randn(12) * 0.3
    frozen["logprobs"] = torch.zeros(3, 6).masked_scatter(mask, near)
    wanted = textbook_loss(logits, values, frozen, config, kl_coef=0.2)
    by_book = torch.autograd.grad(wanted, (logits, values))
    old = Old(**{name: frozen[name][mask] for name in ("logprobs", "values", "advantages", "returns", "ref_logprobs")},
              weights=torch.ones(12))  # fmt: skip
    now = Now(
        logprobs_of(logits[mask], frozen["tokens"][mask], config.temperature),
        values[mask],
        entropy_of(logits[mask], config.temperature),
    )
    loss, stats = ppo_loss(now, old, 12, 0.2, config)
    assert 0 < stats["clipped"] < 1
    assert loss.item() == pytest.approx(wanted.item(), abs=1e-6)
    for mine, theirs in zip(torch.autograd.grad(loss, (logits, values)), by_book, strict=True):
        assert torch.allclose(mine, theirs, atol=1e-6, rtol=0)


def test_the_same_policy_pays_nothing_and_rewards_add_up_to_the_score() -> None:
    rollout = make_rollout([3, 5, 1])
    same = make_rollout([3, 5, 1], ref_logprobs=rollout.logprobs)
    assert torch.allclose(shape_rewards(same, same.scores.mean, 0.5, PLAIN).sum(1), same.scores.mean)


def test_an_answer_of_three_tokens_by_hand() -> None:
    """gamma 1, lambda .5; rewards 0 0 1; values .5 .5 .5: surprises 0 0 .5; advantages .125 .25 .5."""
    values, mask = torch.full((1, 3), 0.5), torch.ones(1, 3).bool()
    advantages, returns = estimate_advantages(torch.tensor([[0.0, 0.0, 1.0]]), values, mask, plain(lam=0.5))
    assert advantages.tolist() == [[0.125, 0.25, 0.5]]
    assert returns.tolist() == [[0.625, 0.75, 1.0]]


GROUPS = torch.tensor([[0.5, 0.5], [0.0, 3.0], [2.0, 9.0], [4.0, 0.0], [1.0, 1.0], [3.0, 3.0]])  # totals 1 3 2 | 4 2 6
REAL = mask_of([2, 2, 1, 1, 2, 2], 2)


def test_rloo_compares_with_the_mean_of_the_others() -> None:
    """Three answers each: 1 - 2.5, 3 - 1.5, 2 - 2 | 4 - 4, 2 - 5, 6 - 3; every token of an answer gets the same."""
    config = PPOConfig(advantage="rloo", samples_per_prompt=3, batch=6, minibatch=6)
    advantages, returns = estimate_advantages(GROUPS, torch.full((6, 2), math.nan), REAL, config)
    assert advantages[:, 0].tolist() == pytest.approx([-1.5, 1.5, 0, 0, -3, 3])
    assert torch.equal(advantages[:, 1], torch.where(REAL[:, 1], advantages[:, 0], 0.0))
    assert returns[:, 0].tolist() == [1, 3, 2, 4, 2, 6]


def test_grpo_counts_in_deviations_of_the_group() -> None:
    """Deviations 1 and 2 about means 2 and 4."""
    config = PPOConfig(advantage="grpo", samples_per_prompt=3, batch=6, minibatch=6)
    advantages, _ = estimate_advantages(GROUPS, torch.zeros(6, 2), REAL, config)
    assert advantages[:, 0].tolist() == pytest.approx([-1, 1, 0, 0, -1, 1], abs=1e-3)


def test_the_first_update_sees_ratio_1_and_nothing_clipped() -> None:
    logprobs = -torch.rand(5)
    _, stats = loss_of(logprobs, make_old(logprobs=logprobs, advantages=torch.randn(5)))
    assert stats["ratio"].item() == 1
    assert stats["clipped"].item() == stats["values_clipped"].item() == stats["step_kl"].item() == 0


@given(st.lists(st.integers(1, 9), min_size=1, max_size=8))
def test_parts_of_a_minibatch_add_up_to_the_loss_of_the_whole(cuts: list[int]) -> None:
    """However 8 tokens are cut into passes, the gradient of every term is that of one pass."""
    torch.manual_seed(1)
    old = Old(*torch.randn(6, 8))
    logprobs, values, entropy = torch.randn(3, 8)
    config = plain(entropy_coef=0.1, kl_in="loss_k3")

    def gradient(parts: list[slice]) -> Tensor:
        shift = torch.zeros(8, requires_grad=True)
        for part in parts:
            few = Old(*(tensor[part] for tensor in vars(old).values()))
            now = Now(*(tensor[part] + shift[part] for tensor in (logprobs, values, entropy)))
            ppo_loss(now, few, 8, 0.3, config)[0].backward()
        assert shift.grad is not None
        return shift.grad

    edges = sorted({0, 8, *(cut for cut in cuts if cut < 8)})
    assert torch.allclose(gradient([slice(a, b) for a, b in pairwise(edges)]), gradient([slice(0, 8)]), atol=1e-7)


def test_an_entropy_bonus_lowers_the_loss() -> None:
    zeros, entropy = torch.zeros(2), torch.tensor([1.0, 3.0])
    loss, _ = loss_of(zeros, make_old(values=zeros), plain(entropy_coef=0.5), entropy=entropy)
    assert loss.item() == pytest.approx(-0.5 * 2)  # mean entropy 2


def test_values_without_a_clip_are_held_by_nothing() -> None:
    """Old value 0, new 1, return 2: error 1 and not 3.24."""
    old = make_old(returns=torch.full((2,), 2.0))
    _, stats = loss_of(torch.zeros(2), old, plain(value_clip=None), values=torch.ones(2))
    assert stats["value_loss"].item() == 0.5
    assert stats["values_clipped"].item() == 0


def test_a_token_of_a_past_policy_counts_its_weight() -> None:
    """Ratio 1, advantages 1 and 2, weights .5 and 2: -(.5 + 4) / 2."""
    old = make_old(advantages=torch.tensor([1.0, 2.0]), weights=torch.tensor([0.5, 2.0]))
    assert loss_of(torch.zeros(2), old)[1]["policy_loss"].item() == pytest.approx(-2.25)


def test_without_a_critic_there_is_no_value_loss() -> None:
    old = make_old(advantages=torch.ones(2), returns=torch.ones(2))
    loss, stats = ppo_loss(Now(torch.zeros(2), None, None), old, 2, 0.0, PLAIN)
    assert loss.item() == -1
    assert "value_loss" not in stats


def test_a_warming_critic_moves_nobody_else() -> None:
    logprobs, values = torch.zeros(2, requires_grad=True), torch.zeros(2, requires_grad=True)
    old = make_old(advantages=torch.ones(2), returns=torch.ones(2))
    loss_of(logprobs, old, values=values, critic_only=True)[0].backward()
    assert logprobs.grad is None
    assert values.grad is not None


@pytest.mark.parametrize(
    ("ensemble", "wanted"), [("mean", 3.0), ("minimum", 1.0), ("variance", 3 - 0.5 * 4), ("deviation", 3 - 0.5 * 2)]
)
def test_an_ensemble_speaks_as_one(ensemble: str, wanted: float) -> None:
    """Members 1, 3 and 5: mean 3, deviation 2."""
    config = PPOConfig(ensemble=ensemble, uncertainty=0.5)
    assert one_score(Scores(torch.tensor([[1.0], [3.0], [5.0]])), config).item() == pytest.approx(wanted)


def test_what_rules_say_is_added_by_weight_after_the_clip() -> None:
    """A score of 9 clipped to 5, a rule worth 2 that says .5, a penalty of 3 for one that says 1."""
    ruled = {"short": (2.0, torch.tensor([0.5])), "rude": (-3.0, torch.tensor([1.0]))}
    rollout = make_rollout([4], scores=scores_of(torch.tensor([9.0])), ruled=ruled)
    assert shape_scores(rollout, standing(), PPOConfig()).tolist() == pytest.approx([5 + 1 - 3])


def test_a_doubling_of_the_length_costs_once_and_a_halving_half_as_much() -> None:
    rollout = make_rollout([4, 8, 2], scores=scores_of(torch.ones(3)))
    assert shape_scores(rollout, standing(), PPOConfig(length_penalty=0.5)).tolist() == [1.0, 0.5, 0.75]


def test_saying_a_thing_twice_costs_its_share() -> None:
    """Runs of five in 1 … 6 said twice: eight, of which the last two were there: a quarter, times 4. Four tokens have
    no run, and say nothing twice."""
    assert repeated_share([1, 2, 3, 4, 5, 6] * 2) == 0.25
    assert repeated_share([1, 1, 1, 1]) == repeated_share(list(range(50))) == 0
    rollout = make_rollout([12, 4], answers=[[1, 2, 3, 4, 5, 6] * 2, [1, 1, 1, 1]], scores=scores_of(torch.ones(2)))
    assert shape_scores(rollout, standing(), PPOConfig(repetition_cost=4)).tolist() == [0.0, 1.0]


def test_the_moments_of_scores_are_those_of_all_that_were_seen() -> None:
    at = standing(score_mean=0.0)
    seen = torch.randn(30) * 3 + 2
    for some in seen.split([7, 1, 22]):
        at.see(some)
    assert at.unit(PPOConfig(score_scale="running")) == pytest.approx(seen.std().item(), rel=1e-5)


@pytest.mark.parametrize(("shape", "middle"), [("linear", 0.55), ("cosine", 0.55), ("constant", 1.0)])
def test_a_rate_falls_by_its_shape(shape: str, middle: float) -> None:
    """Half way between 1 and .1; a cosine is above the line before, and below it behind."""
    config = PPOConfig(lr=1.0, lr_end=0.1, lr_shape=shape, warmup_steps=0, steps=11)
    assert rate_at(6, config) == pytest.approx(middle)
    if shape == "cosine":
        assert rate_at(3, config) > 1 - 0.9 * 0.2
        assert rate_at(11, config) == pytest.approx(0.1)
