"""What is so of answers before anything is learned from them: one test a statement, by its number."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from transformers import GPT2Config, GPT2LMHeadModel

from app.training.configs import PPOConfig, PPORun
from tests.training.conftest import make_tokenizer
from tests.training.rolling import (
    PLAIN,
    STANDING,
    changed,
    loss_of,
    make_old,
    make_rollout,
    plain,
    rolled,
    rollout_of,
    scores_of,
    standing,
)
from workers.sampling.decoding import Sampling
from workers.training import ppo, rollouts
from workers.training.actors import open_actors
from workers.training.advantages import estimate_advantages
from workers.training.checkpoints import CheckpointRecord, CheckpointRefused, open_checkpoint, save_checkpoint
from workers.training.figures import describe
from workers.training.networks import Backbone
from workers.training.practice import draw_prompts, read_prompts, seeds_of
from workers.training.rollouts import Part, parts, roll_out
from workers.training.schedules import steer
from workers.training.scoring import RewardNetwork
from workers.training.shaping import one_score, shape_rewards, shape_scores
from workers.training.standing import load, save
from workers.training.tensors import logprobs_of, pad_left


def test_01_every_logprob_is_taken_at_the_sampling_temperature(run: PPORun) -> None:
    """The sampler's, the reference's and the trainer's, which are one network here; at temperature 1 they differ."""
    actors, _, rollout = rolled(changed(run, temperature=0.6))
    part = next(parts(rollout, [0], 200, actors.opened.pad_id))
    logits = actors.policy.logits(part.states(actors.policy, actors.policy_adapter))
    wanted = logprobs_of(logits, part.tokens, 0.6)
    for found in (part.flat(rollout.behaviour), part.flat(rollout.ref_logprobs), ppo.read(actors, part).logprobs):
        assert torch.allclose(found, wanted, atol=1e-5)
    assert not torch.allclose(logprobs_of(logits, part.tokens), wanted, atol=1e-2)


def test_02_sampling_is_pure(run: PPORun, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Sampling] = []
    whole = rollouts.sample
    monkeypatch.setattr(rollouts, "sample", lambda *args, **more: seen.append(args[2]) or whole(*args, **more))
    rolled(run)
    assert (seen[0].top_k, seen[0].top_p) == (0, 1)
    for name in ("top_p", "top_k", "min_length", "repetition_penalty"):
        with pytest.raises(ValidationError, match="Extra inputs"):
            PPOConfig(**{name: 1})


@pytest.mark.parametrize("tuning", ["lora", "full"])
def test_03_before_the_first_update_the_ratio_is_1(run: PPORun, tuning: str) -> None:
    actors, _, rollout = rolled(changed(run, tuning=tuning))
    for part in parts(rollout, list(range(6)), 60, actors.opened.pad_id):
        gap = ppo.read(actors, part).logprobs - part.flat(rollout.logprobs)
        assert gap.abs().max() < 1e-5
        assert gap.exp().mean().item() == pytest.approx(1, abs=1e-5)
    assert rollout.kl.abs().max() < 1e-4  # at the start policy and reference are one


@pytest.mark.parametrize("tuning", ["lora", "full"])
def test_03_a_critic_on_the_policys_trunk_says_its_values_while_the_answers_are_drawn(
    run: PPORun, tuning: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are those that its own pass would read, and that pass is not made; one with its own trunk reads."""
    actors, judges = open_actors(changed(run, tuning=tuning))
    actors.value_head.weight.data.normal_()
    asked: list[str | None] = []
    states = Part.states
    monkeypatch.setattr(Part, "states", lambda self, *rest: asked.append(rest[1]) or states(self, *rest))
    prompts = [[5, 9, 30], [7] * 9, [11, 12]]
    rollout = roll_out(actors, judges, prompts, [1, 2, 3])
    assert asked == []
    assert rollout.values.std() > 0.01
    said = rollout.values.clone()
    rollouts.fill_in(rollout, actors)
    assert len(asked) > 0
    assert torch.allclose(said, rollout.values, atol=1e-5)
    asked.clear()
    apart, judges = open_actors(changed(run, tuning=tuning, critic="own"))
    roll_out(apart, judges, prompts, [1, 2, 3])
    assert len(asked) > 0


def test_04_padding_changes_no_logit_value_or_score(run: PPORun) -> None:
    actors, judges, rollout = rolled(run)
    with torch.no_grad():
        actors.value_head.weight.normal_()
    rollouts.fill_in(rollout, actors)
    assert judges.network is not None
    for row in range(len(rollout.answers)):
        prompt, answer = rollout.prompts[row], rollout.answers[row]
        alone = rollout_of(prompt, answer)
        rollouts.fill_in(alone, actors)
        width = len(answer)
        assert torch.allclose(alone.values[0], rollout.values[row, :width], atol=1e-5)
        assert torch.allclose(alone.ref_logprobs[0], rollout.ref_logprobs[row, :width], atol=1e-5)
        score = judges.network.score([prompt], rollouts.finished([answer], actors), actors.opened.pad_id).mean[0]
        assert score.item() == pytest.approx(rollout.scores.mean[row].item(), abs=1e-5)
    ids, mask = pad_left([[5, 9, 30], [7] * 9], actors.opened.pad_id)  # as the sampler pads
    hidden = actors.reference.hidden(ids, mask)
    assert torch.allclose(hidden[0, -3:], actors.reference.hidden(torch.tensor([[5, 9, 30]]))[0], atol=1e-5)


def test_05_tokens_go_on_as_they_were_sampled(run: PPORun, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[list[int]] = []
    read: list[list[int]] = []
    draw, score = rollouts.draw, RewardNetwork.score

    def note(*args: object, **more: object) -> list[rollouts.Sampled]:
        found = draw(*args, **more)
        drawn.extend(answer.tokens for answer in found)
        return found

    monkeypatch.setattr(rollouts, "draw", note)
    monkeypatch.setattr(RewardNetwork, "score", lambda self, p, a, pad: read.extend(a) or score(self, p, a, pad))
    actors, _, rollout = rolled(run)
    assert rollout.answers == drawn
    assert [answer[: len(tokens)] for answer, tokens in zip(read, drawn, strict=True)] == drawn
    part = next(parts(rollout, [0], 200, actors.opened.pad_id))
    assert part.ids[0].tolist() == rollout.prompts[0] + drawn[0][:-1]  # nothing is drawn from the last one
    assert part.tokens.tolist() == drawn[0]


def test_06_dropout_is_off_in_training_mode_too() -> None:
    """Policy, critic, reference and reward network all are adapters or copies of such a backbone."""
    network = GPT2LMHeadModel(GPT2Config(vocab_size=64, n_embd=16, n_layer=2, n_head=2, n_positions=16))
    ids = torch.tensor([[5, 9, 30, 31, 7, 2]])
    assert not torch.equal(network.train()(ids).logits, network(ids).logits)  # the test sees dropout
    backbone = Backbone(network)
    backbone.add("policy", rank=2, scale=4)
    with torch.no_grad():
        backbone.adapter("policy")["transformer.h.0.attn.c_attn.up"].normal_()
    backbone.train()
    with backbone.using("policy"):
        assert torch.equal(backbone.hidden(ids), backbone.hidden(ids))


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_07_rollouts_are_sampled_and_not_greedy(run: PPORun, family: str, tmp_path: Path) -> None:
    if family == "gpt2":
        tokenizer = make_tokenizer()
        ends = {"eos_token_id": tokenizer.eos_token_id, "bos_token_id": None, "pad_token_id": tokenizer.pad_token_id}
        shape = GPT2Config(vocab_size=len(tokenizer), n_embd=16, n_layer=2, n_head=2, n_positions=256, **ends)
        save_checkpoint(tmp_path / "gpt2", GPT2LMHeadModel(shape), tokenizer, CheckpointRecord(kind="base"))
        config = PPOConfig(**{**run.config.model_dump(), "rules": [{"kind": "length"}]})
        run = run.model_copy(update={"checkpoint": tmp_path / "gpt2", "reward": None, "config": config})
    actors, judges = open_actors(run)
    prompt = read_prompts(run, actors.opened).practice[0]
    rollout = roll_out(actors, judges, [prompt] * 8, seeds_of(0, 1, 8))
    assert len(set(map(tuple, rollout.answers))) > 4


def test_08_a_pad_that_ends_answers_is_refused_at_the_start(tmp_path: Path, run: PPORun) -> None:
    opened = open_checkpoint(run.checkpoint)
    save_checkpoint(tmp_path / "base", opened.network, opened.tokenizer, CheckpointRecord(kind="base"))
    file = tmp_path / "base" / "tokenizer_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "pad_token": "<|end|>"}))
    with pytest.raises(CheckpointRefused, match="pad_token: padding would hide where answers end"):
        open_actors(run.model_copy(update={"checkpoint": tmp_path / "base"}))


def test_09_nothing_behind_the_first_stop_token_counts(run: PPORun) -> None:
    actors, _, rollout = rolled(changed(run, max_tokens=200))
    stops = actors.opened.stop_ids
    for answer, ended in zip(rollout.answers, rollout.ended.tolist(), strict=True):
        assert [token in stops for token in answer] == [False] * (len(answer) - 1) + [ended]
    assert rollout.ended.any()
    assert not rollout.ended.all()
    made = make_rollout([3, 5])
    behind = {name: torch.where(made.mask, getattr(made, name), 7.0) for name in ("logprobs", "ref_logprobs", "values")}
    full = make_rollout([3, 5], **behind)
    both = [shape_rewards(one, one.scores.mean, 0.1, PLAIN) for one in (made, full)]
    assert torch.equal(*both)
    returns = [
        estimate_advantages(rewards, one.values, one.mask, PLAIN)[1]
        for rewards, one in zip(both, (made, full), strict=True)
    ]
    told = [
        describe(one, one.scores.mean, back, STANDING, PLAIN) for one, back in zip((made, full), returns, strict=True)
    ]
    assert told[0] == told[1]


def test_10_the_missing_end_is_that_of_the_configured_stop_tokens(run: PPORun) -> None:
    """A checkpoint may name several; an answer that stops at any of them has ended and pays nothing."""
    actors, judges = open_actors(run)
    many = frozenset({*actors.opened.stop_ids, *range(5, 300)})
    actors = dataclasses.replace(actors, opened=dataclasses.replace(actors.opened, stop_ids=many))
    prompts = read_prompts(run, actors.opened).practice[:6]
    rollout = roll_out(actors, judges, prompts, seeds_of(0, 1, 6))
    ends = [answer[-1] for answer in rollout.answers]
    assert [end in many for end in ends] == rollout.ended.tolist()
    assert any(ended and end != actors.opened.eos_id for ended, end in zip(rollout.ended.tolist(), ends, strict=True))
    config = plain(missing_eos_penalty=2.0)
    rollout = dataclasses.replace(rollout, ended=torch.tensor([True, False] * 3), scores=scores_of(torch.zeros(6)))
    assert shape_scores(rollout, standing(), config).tolist() == [0, -2] * 3


def test_11_the_score_sits_on_the_last_real_token() -> None:
    rollout = make_rollout([2, 1, 4])
    rewards = shape_rewards(rollout, torch.tensor([2.0, 3.0, 5.0]), 0.0, PLAIN)
    assert rewards.tolist() == [[0, 2, 0, 0], [3, 0, 0, 0], [0, 0, 0, 5]]


def test_12_cut_answers_are_told_apart_and_judged_as_they_stand() -> None:
    """The log counts them; nothing is bootstrapped behind them, so they differ from ended ones by the penalty alone."""
    rollout = make_rollout([2, 2], ended=torch.tensor([True, False]), scores=scores_of(torch.ones(2)))
    told = describe(rollout, rollout.scores.mean, rollout.values, STANDING, PLAIN)
    assert told["ended"] == 0.5
    scores = shape_scores(rollout, standing(reference_length=2), plain(missing_eos_penalty=0.5))
    values, logprobs = torch.full((2, 2), 0.3), rollout.ref_logprobs
    same = make_rollout([2, 2], ended=rollout.ended, values=values, logprobs=logprobs, ref_logprobs=logprobs)
    advantages, _ = estimate_advantages(shape_rewards(same, scores, 0.1, PLAIN), values, same.mask, PLAIN)
    assert (advantages[0] - advantages[1]).tolist() == pytest.approx([0.95 * 0.5, 0.5])


def test_13_each_token_pays_its_divergence_and_may_be_paid_for_it() -> None:
    """beta .1; divergences (.2, -.4 | .6): rewards (-.02, .04 + 2 | -.06 + 3, nothing)."""
    rollout = make_rollout(
        [2, 1],
        logprobs=torch.tensor([[-1.0, -2.0], [-1.0, 0.0]]),
        ref_logprobs=torch.tensor([[-1.2, -1.6], [-1.6, 0.0]]),
    )
    rewards = shape_rewards(rollout, torch.tensor([2.0, 3.0]), 0.1, PLAIN)
    assert rewards.flatten().tolist() == pytest.approx([-0.02, 2.04, 2.94, 0.0])


@pytest.mark.parametrize("form", ["loss_k1", "loss_k2", "loss_k3"])
def test_14_the_divergence_that_is_logged_is_paid_for_and_in_the_loss_it_has_the_right_gradient(form: str) -> None:
    """In the reward and the log it is k1, with k3 as a second reading. In the loss: over all tokens of a small
    vocabulary, each with its chance, the gradient of any form is that of the exact divergence."""
    rollout = make_rollout([4, 2, 6])
    paid = shape_rewards(rollout, torch.zeros(3), 0.3, PLAIN).sum(1)
    assert torch.allclose(paid, -0.3 * rollout.kl)
    assert (rollout.kl_low_variance >= 0).all()
    config = plain(kl_in=form)
    assert not shape_rewards(rollout, torch.zeros(3), 0.3, config).any()
    logits = torch.tensor([0.3, -1.0, 2.0, 0.0], requires_grad=True)
    ref = torch.tensor([0.0, 0.5, 1.0, -0.5]).log_softmax(0)
    logprobs = logits.log_softmax(0)
    exact = torch.autograd.grad((logprobs.exp() * (logprobs - ref)).sum(), logits, retain_graph=True)[0]
    chances = logprobs.exp().detach()
    loss = (chances * ppo.divergence(logprobs, ref, form)).sum()
    assert torch.allclose(torch.autograd.grad(loss, logits, retain_graph=True)[0], exact, atol=1e-6)
    if form != "loss_k2":  # k1 and k3 are unbiased readings, k2 is not
        assert loss.item() == pytest.approx((chances * (logprobs - ref)).sum().item(), abs=1e-6)
    old = make_old(ref_logprobs=ref, logprobs=logprobs.detach())
    told = loss_of(logprobs, old, config, kl_coef=0.5)
    assert told[0].item() == pytest.approx(0.5 * told[1]["kl_loss"].item())


def test_15_the_price_follows_the_divergence_and_outlasts_a_kill(run: PPORun) -> None:
    """Target 6, horizon 1000, 100 answers: KL 6.6 → +.1 → x 1.01; KL 60 → +.2 → x 1.02; 0 → x .98."""
    config = PPOConfig(kl_target=6, kl_horizon=1000)
    assert steer(0.1, 6.6, 100, config) == pytest.approx(0.101)
    assert steer(0.1, 60, 100, config) == pytest.approx(0.102)
    assert steer(0.1, 0, 100, config) == pytest.approx(0.098)
    assert steer(0.1, 60, 100, PPOConfig(kl_target=None)) == 0.1
    actors, _ = open_actors(run)
    optimizer = torch.optim.Adam(actors.trained().values())
    run.work.mkdir()
    save(run, actors, optimizer, standing(kl_coef=0.123, seen_count=7, seen_mean=0.5, seen_squares=2.0))
    kept = load(run, actors, optimizer)
    assert kept is not None
    assert (kept.kl_coef, kept.seen_count, kept.seen_mean, kept.seen_squares) == (0.123, 7, 0.5, 2.0)


def test_16_a_policy_pushed_away_gets_a_lower_return() -> None:
    near, far = make_rollout([5]), make_rollout([5], logprobs=make_rollout([5]).logprobs + 0.5)
    scores = torch.tensor([1.0])
    near_return, far_return = (
        estimate_advantages(shape_rewards(r, scores, 0.2, PLAIN), r.values, r.mask, PLAIN)[1][0, 0] for r in (near, far)
    )
    assert far_return < near_return


def test_17_scores_of_the_reference_have_mean_0_and_deviation_1(run: PPORun) -> None:
    actors, judges = open_actors(run)
    prompts = read_prompts(run, actors.opened)
    begun = ppo.begin(run, actors, judges, prompts)
    chosen = draw_prompts(prompts.practice, 0, 8, run.seed + 1)
    again = roll_out(actors, judges, chosen, seeds_of(run.seed, 0, 8), reference=True)
    config = run.config.model_copy(update={"missing_eos_penalty": 0.0})
    scores = shape_scores(again, begun, config)
    assert scores.mean().item() == pytest.approx(0, abs=1e-5)
    assert scores.std().item() == pytest.approx(1, abs=1e-4)


def test_18_scores_are_scaled_and_clipped_before_the_divergence_and_told_raw() -> None:
    """Mean 7, doubt 1 deviation of 1: (6 - 4) / 2 = 1; 100 is clipped to 5, or not. Running: the deviation of what was
    seen, 0 and 4 (2.83): (6 - 4) / 2.83."""
    rollout = make_rollout([4, 4], scores=scores_of(torch.tensor([7.0, 101.0]), torch.ones(2)))
    config = PPOConfig(uncertainty=1, score_clip=5)
    at = standing(score_mean=4, score_sd=2)
    assert shape_scores(rollout, at, config).tolist() == pytest.approx([1, 5])
    off = config.model_copy(update={"score_clip": None})
    assert shape_scores(rollout, at, off).tolist() == pytest.approx([1, 48])
    bare = off.model_copy(update={"score_scale": "none"})
    assert shape_scores(rollout, at, bare).tolist() == pytest.approx([2, 96])
    for seen in (0.0, 4.0):
        at.see(torch.tensor([seen]))
    running = off.model_copy(update={"score_scale": "running"})
    assert shape_scores(rollout, at, running)[0].item() == pytest.approx(2 / math.sqrt(8))
    told = describe(rollout, shape_scores(rollout, at, config), rollout.values, at, config)
    assert told["score"] == pytest.approx(54)  # raw; what is learned from is score_shaped
    assert told["score_shaped"] == pytest.approx(3)
    assert one_score(rollout.scores, config).tolist() == pytest.approx([6, 100])
