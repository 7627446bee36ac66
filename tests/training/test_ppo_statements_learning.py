"""What is so of learning from answers: one test a statement, by its number."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from app.training.configs import PPOConfig, PPORun
from tests.training.rolling import (
    PLAIN,
    STANDING,
    changed,
    gradients,
    lesson_of,
    lines,
    loss_of,
    make_old,
    make_rollout,
    plain,
    rolled,
)
from workers.training import ppo
from workers.training.actors import Actors, open_actors
from workers.training.advantages import estimate_advantages
from workers.training.checkpoints import open_checkpoint
from workers.training.figures import describe
from workers.training.ppo import Lesson, train_ppo
from workers.training.practice import read_prompts
from workers.training.pretraining import language_loss
from workers.training.progress import Values
from workers.training.schedules import rate_at
from workers.training.shaping import shape_rewards
from workers.training.tensors import mask_of, whiten

IDS = torch.tensor([[5, 9, 30, 31, 7, 2], [8, 6, 5, 40, 41, 42]])


def test_19_the_reference_is_the_base_and_the_adapter_is_back_after_an_exception(run: PPORun) -> None:
    actors, _ = open_actors(run)
    shake(actors)
    apart = open_checkpoint(run.checkpoint).network(IDS).logits
    backbone = actors.policy
    with backbone.using(actors.policy_adapter):
        adapted = backbone.logits(backbone.hidden(IDS))
        with pytest.raises(RuntimeError), backbone.using(None):
            assert torch.allclose(backbone.logits(backbone.hidden(IDS)), apart, atol=1e-6)
            raise RuntimeError
        assert torch.equal(backbone.logits(backbone.hidden(IDS)), adapted)
    assert not torch.allclose(adapted, apart, atol=1e-3)


def shake(actors: Actors) -> None:
    with torch.no_grad():
        for tensor in actors.policy_weights().values():
            tensor.add_(torch.randn_like(tensor) * 0.05)


def slow_advantages(rewards: list[float], values: list[float], gamma: float, lam: float) -> list[float]:
    """The definition, O(t^2): the sum of discounted surprises."""
    count = len(rewards)
    surprise = [rewards[i] + gamma * (values[i + 1] if i + 1 < count else 0.0) - values[i] for i in range(count)]
    return [sum((gamma * lam) ** (j - i) * surprise[j] for j in range(i, count)) for i in range(count)]


ROWS = st.lists(st.lists(st.tuples(st.floats(-3, 3), st.floats(-3, 3)), min_size=1, max_size=7), min_size=1, max_size=4)


@given(ROWS, st.floats(0.5, 1), st.floats(0, 1))
def test_20_advantages_equal_the_definition_on_ragged_rows(
    rows: list[list[tuple[float, float]]], gamma: float, lam: float
) -> None:
    """Returns are raw advantages plus old values; whatever stands behind an answer, NaN here, counts nothing."""
    mask = mask_of([len(row) for row in rows], max(map(len, rows)) + 2)
    rewards, values = torch.full((2, *mask.shape), math.nan)
    rewards[mask] = torch.tensor([reward for row in rows for reward, _ in row])
    values[mask] = torch.tensor([value for row in rows for _, value in row])
    advantages, returns = estimate_advantages(rewards, values, mask, plain(gamma=gamma, lam=lam))
    slow = [one for row in rows for one in slow_advantages([r for r, _ in row], [v for _, v in row], gamma, lam)]
    assert advantages[mask].tolist() == pytest.approx(slow, abs=1e-4)
    assert returns[mask].tolist() == pytest.approx((torch.tensor(slow) + values[mask]).tolist(), abs=1e-4)
    assert not advantages[~mask].any()
    assert not returns[~mask].any()


def test_21_advantages_are_whitened_over_the_real_tokens_of_the_whole_batch() -> None:
    """Once for all minibatches, before they are cut: neither padding nor the cut changes anything."""
    rollout = make_rollout([3, 5, 1])
    rewards = torch.randn(3, 5)
    white, _ = estimate_advantages(rewards, rollout.values, rollout.mask, plain(whiten_advantages=True))
    real = white[rollout.mask]
    assert real.mean().item() == pytest.approx(0, abs=1e-6)
    assert real.var(unbiased=False).item() == pytest.approx(1, abs=1e-4)
    wide = torch.full((3, 9), math.nan)
    wide[:, :5] = torch.where(rollout.mask, white, math.nan)
    again = whiten(wide, mask_of([3, 5, 1], 9))
    assert torch.allclose(again[:, :5], white, atol=1e-4)  # what is white stays so, NaN in the padding or not


def test_22_whitened_rewards_keep_their_mean_and_ask_for_eight_answers() -> None:
    rollout = make_rollout([3, 5, 1, 2])
    config = plain(whiten_rewards=True)
    bare, white = (shape_rewards(rollout, rollout.scores.mean, 0.1, c)[rollout.mask] for c in (PLAIN, config))
    assert white.mean().item() == pytest.approx(bare.mean().item(), abs=1e-5)
    assert white.var(unbiased=False).item() == pytest.approx(1, abs=1e-3)
    with pytest.raises(ValidationError, match="whiten_rewards needs a minibatch of at least 8, not 4"):
        PPOConfig(whiten_rewards=True, minibatch=4)


def test_23_values_begin_at_zero_or_from_the_reward_network_and_what_they_explain_is_told(run: PPORun) -> None:
    assert not rolled(run)[2].values.any()
    actors, judges, rollout = rolled(changed(run, critic="own", critic_warmup=1))
    assert judges.network is not None
    learned = judges.network.trained()
    for path, tensor in actors.critic.adapter("critic").items():
        assert torch.equal(tensor, learned[path][:1])
    gradients(actors, lesson_of(rollout), [0, 1])  # step 1, of the critic's warm-up
    assert all(tensor.grad is None for tensor in actors.policy_weights().values())
    assert actors.value_head.weight.grad is not None
    made = make_rollout([4, 3])
    exact = describe(made, made.scores.mean, made.values, STANDING, PLAIN)
    assert exact["explained_variance"] == pytest.approx(1)
    ignorant = make_rollout([4, 3], values=torch.where(made.mask, made.values[made.mask].mean(), 0.0))
    blind = describe(ignorant, made.scores.mean, made.values, STANDING, PLAIN)
    assert blind["explained_variance"] == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("budget", [64, 90])
def test_24_the_gradient_is_that_of_the_whole_minibatch_however_it_is_cut(run: PPORun, budget: int) -> None:
    """Passes of one row, of two, of all six; prompts and answers of different lengths."""
    found = []
    for token_budget in (8192, budget):
        actors, _, rollout = rolled(changed(run, token_budget=token_budget))
        found.append(gradients(actors, lesson_of(rollout), list(range(6))))
    assert torch.allclose(*found, atol=1e-6)


@pytest.mark.parametrize(("minibatch", "epochs"), [(8, 1), (4, 2), (2, 3)])
def test_25_a_step_takes_epochs_times_minibatches_updates(
    run: PPORun, minibatch: int, epochs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[int] = []
    whole = torch.optim.Adam.step
    monkeypatch.setattr(torch.optim.Adam, "step", lambda self: taken.append(1) or whole(self))
    train_ppo(changed(run, minibatch=minibatch, epochs=epochs, steps=1, max_step_kl=None))
    assert len(taken) == epochs * (8 // minibatch)


def test_26_gradients_are_clipped_and_their_norm_is_told(run: PPORun) -> None:
    actors, _, rollout = rolled(changed(run, max_grad_norm=1e-3))
    optimizer = torch.optim.SGD(actors.trained().values(), lr=1.0)
    before = {name: tensor.detach().clone() for name, tensor in actors.trained().items()}
    values = ppo.descend(actors, lesson_of(rollout), [0, 1], [], optimizer)  # type: ignore[arg-type]
    moved = torch.cat([(t - before[name]).flatten() for name, t in actors.trained().items()]).norm()
    assert values["grad_norm"] > 1e-2
    assert moved.item() == pytest.approx(1e-3, rel=1e-2)


def test_27_adam_has_a_large_epsilon_no_decay_and_a_rate_that_falls(
    run: PPORun, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[torch.optim.Optimizer] = []
    monkeypatch.setattr(ppo, "learn", lambda run, actors, judges, prompts, optimizer, *rest: seen.append(optimizer))
    train_ppo(run)
    assert seen[0].defaults["eps"] == 1e-5
    assert seen[0].defaults["weight_decay"] == 0
    config = PPOConfig(lr=1.0, lr_end=0.1, warmup_steps=2, steps=11)
    rates = [rate_at(step, config) for step in range(1, 12)]
    assert rates[:2] == pytest.approx([1 / 3, 2 / 3])
    assert rates[2] == pytest.approx(1 - 0.9 * 0.2)  # two of ten steps down
    assert rates[-1] == pytest.approx(0.1)
    assert all(a > b for a, b in pairwise(rates[2:]))


@pytest.mark.parametrize("gap", [1e6, -1e6, math.inf])
def test_28_no_ratio_is_infinite_and_what_is_masked_changes_nothing(gap: float) -> None:
    loss, stats = loss_of(torch.tensor([gap]), make_old(advantages=torch.ones(1), returns=torch.ones(1)))
    assert all(torch.isfinite(one) for one in (loss, *stats.values()))
    made = make_rollout([3, 1])
    broken = {name: torch.where(made.mask, getattr(made, name), math.nan) for name in ("logprobs", "ref_logprobs")}
    rewards = [shape_rewards(one, torch.ones(2), 0.1, PLAIN) for one in (made, make_rollout([3, 1], **broken))]
    assert torch.equal(*rewards)


def test_29_ratio_and_value_are_clipped_and_both_shares_told() -> None:
    """Two tokens, ratios 2 and .5, advantages 1 and -1, clip .2: surrogate -(1.2 - .8) / 2 = -.2.

    Old value 0, new 1, return 2, clip .2: errors max((1-2)^2, (.2-2)^2) = 3.24 for both: value loss 1.62.
    """
    assert (PLAIN.clip, PLAIN.value_clip, PLAIN.value_coef) == (0.2, 0.2, 0.1)
    old = make_old(advantages=torch.tensor([1.0, -1.0]), returns=torch.full((2,), 2.0))
    loss, stats = loss_of(torch.tensor([math.log(2), math.log(0.5)]), old, values=torch.ones(2))
    assert stats["policy_loss"].item() == pytest.approx(-0.2)
    assert stats["value_loss"].item() == pytest.approx(1.62)
    assert stats["clipped"].item() == stats["values_clipped"].item() == 1.0
    assert loss.item() == pytest.approx(-0.2 + 0.1 * 1.62)


@pytest.mark.parametrize(("moved", "ratio"), [(1.0, 1.0), (0.0, 11.0)])
def test_30_each_pass_is_shuffled_and_a_large_move_ends_the_step(
    run: PPORun, monkeypatch: pytest.MonkeyPatch, moved: float, ratio: float
) -> None:
    orders: list[list[int]] = []
    told: Values = {"step_kl": 0.0, "ratio": 1.0}

    def note(actors: Actors, lesson: Lesson, rows: list[int], *rest: object) -> Values:
        orders.append(rows)
        return told

    monkeypatch.setattr(ppo, "descend", note)
    actors, _, rollout = rolled(changed(run, epochs=3, minibatch=8, batch=8, max_ratio=10.0))
    optimizer = torch.optim.Adam(actors.trained().values())
    ppo.improve(actors, lesson_of(rollout), optimizer, 0)
    assert len(orders) == 3
    assert all(sorted(order) == list(range(6)) for order in orders)
    assert orders[0] != orders[1]
    told = {"step_kl": moved, "ratio": ratio}
    assert ppo.improve(actors, lesson_of(rollout), optimizer, 0)["updates"] == 1


def test_31_gradient_checkpointing_is_on_when_it_is_asked_for_and_changes_no_gradient(run: PPORun) -> None:
    found = []
    for wanted in (False, True):
        actors, _, rollout = rolled(changed(run, gradient_checkpointing=wanted))
        assert actors.policy.network.is_activation_checkpointing is wanted
        found.append(gradients(actors, lesson_of(rollout), [0, 1, 2]))
    assert torch.allclose(*found, atol=1e-6)


def test_32_pretraining_texts_are_mixed_in_when_a_run_names_them(run: PPORun, tmp_path: Path) -> None:
    """The added gradient is the coefficient times that of the texts' mean negative log-probability, by hand here."""
    file = tmp_path / "texts.jsonl"
    file.write_text("".join(json.dumps({"text": text}) + "\n" for text in ("the day of the", "good and bad with him")))
    config = {**run.config.model_dump(), "pretraining_coef": 2.0, "steps": 1, "max_grad_norm": 1e9}
    mixed = PPORun(**{**run.model_dump(), "config": config, "pretraining": file})
    actors, _, rollout = rolled(mixed)
    texts = read_prompts(mixed, actors.opened).pretraining
    bare = gradients(actors, lesson_of(rollout), [0, 1])
    added = gradients(actors, lesson_of(rollout), [0, 1], texts) - bare
    for tensor in actors.trained().values():
        tensor.grad = None
    with actors.policy.using(actors.policy_adapter):
        found = [actors.policy.network(torch.tensor([text])).logits[0, :-1].log_softmax(-1) for text in texts]
    each = [rows.gather(1, torch.tensor(text[1:]).unsqueeze(1)) for rows, text in zip(found, texts, strict=True)]
    loss = -torch.cat(each).mean()
    by_hand = torch.autograd.grad(2 * loss, list(actors.policy_weights().values()))
    assert torch.allclose(
        added[: sum(g.numel() for g in by_hand)], torch.cat([g.flatten() for g in by_hand]), atol=1e-5
    )
    assert language_loss(actors, texts).item() == pytest.approx(loss.item(), abs=1e-5)
    train_ppo(mixed)
    assert lines(mixed)[0]["values"]["pretraining_loss"] > 0
    for half in ({"config": config}, {"pretraining": file}):
        with pytest.raises(ValidationError, match="come together"):
            PPORun(**{**run.model_dump(), **half})
