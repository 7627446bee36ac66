"""PPO with real parts, tiny: what was sampled, who may learn, how it goes on after a kill, and that it works."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from app.training.configs import PPOConfig, PPORun
from tests.training.conftest import make_checkpoint
from tests.training.make import make_prompts, write
from workers.training import ppo, rollouts
from workers.training.actors import Actors, open_actors
from workers.training.checkpoints import CheckpointRefused, open_checkpoint
from workers.training.networks import Backbone
from workers.training.ppo import train_ppo
from workers.training.practice import draw_prompts, read_prompts, seeds_of
from workers.training.progress import RunCancelled, RunFailed, Values
from workers.training.rollouts import Rollout, parts, roll_out
from workers.training.scoring import RewardNetwork, Scores, load_reward, read_reward_record, save_reward
from workers.training.standing import Standing

ROOT = Path(__file__).parents[2]
SMALL = {"steps": 3, "batch": 8, "minibatch": 4, "epochs": 2, "max_tokens": 10, "reference_samples": 8, "lr": 3e-3}


@pytest.fixture
def run(base_folder: Path, reward_folder: Path, tmp_path: Path) -> PPORun:
    prompts = write(tmp_path / "prompts.jsonl", make_prompts(12))
    return PPORun(
        checkpoint=base_folder,
        reward=reward_folder,
        prompts=prompts,
        output=tmp_path / "policy",
        device="cpu",
        config=PPOConfig(**SMALL),
    )


def changed(run: PPORun, **fields: Any) -> PPORun:
    return run.model_copy(update={"config": PPOConfig(**{**run.config.model_dump(), **fields})})


def rolled(run: PPORun) -> tuple[Actors, RewardNetwork, Rollout]:
    torch.manual_seed(0)
    actors, reward = open_actors(run)
    prompts = read_prompts(run, actors.opened).practice[:6]
    return actors, reward, roll_out(actors, reward, prompts, seeds_of(0, 1, 6))


def lines(run: PPORun) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run.work / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("temperature", [1.0, 0.6])
@pytest.mark.parametrize("tuning", ["lora", "full"])
def test_sampling_and_training_agree_on_every_logprob(run: PPORun, tuning: str, temperature: float) -> None:
    """Statements 1 and 3: one temperature everywhere; before the first update the ratio is 1 to 1e-5 in fp32."""
    actors, _, rollout = rolled(changed(run, tuning=tuning, temperature=temperature))
    for part in parts(rollout, list(range(6)), 60, actors.opened.pad_id):
        logprobs, _, _ = ppo.read(actors, part)
        assert (logprobs - part.flat(rollout.logprobs)).abs().max() < 1e-5
    assert rollout.kl.abs().max() < 1e-4  # at the start policy and reference are one


def test_after_training_the_sampler_still_agrees_with_the_trainer(run: PPORun) -> None:
    actors, _, _ = rolled(run)
    with torch.no_grad():
        for tensor in actors.policy_weights().values():
            tensor.add_(torch.randn_like(tensor) * 0.05)
    prompts = read_prompts(run, actors.opened).practice[:6]
    drawn = rollouts.draw(actors, prompts, seeds_of(0, 1, 6), 1, reference=False)
    for prompt, answer in zip(prompts, drawn, strict=True):
        states = rollouts.Part.of(
            rollout_of(prompt, answer.tokens), [0], torch.tensor([prompt + answer.tokens])
        ).states(actors.policy, actors.policy_adapter)
        logprobs, _ = actors.policy.answer_logprobs(states, torch.tensor(answer.tokens), 1.0)
        assert logprobs.tolist() == pytest.approx(answer.logprobs, abs=1e-5)


def rollout_of(prompt: list[int], answer: list[int]) -> Rollout:
    logprobs, ref_logprobs, values = torch.zeros(3, 1, len(answer))
    scores, mask = Scores(torch.zeros(1), torch.zeros(1)), torch.ones(1, len(answer)).bool()
    return Rollout([prompt], [answer], torch.ones(1).bool(), mask, logprobs, ref_logprobs, values, scores)


def test_the_reward_network_reads_the_very_tokens_that_were_sampled(
    run: PPORun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Statements 5 and 9: never decoded and encoded again; nothing behind the first stop token."""
    seen: list[list[int]] = []
    whole = RewardNetwork.score
    monkeypatch.setattr(RewardNetwork, "score", lambda self, p, a, pad: seen.extend(a) or whole(self, p, a, pad))
    actors, _, rollout = rolled(changed(run, max_tokens=200))
    stops = actors.opened.stop_ids
    for answer, read, ended in zip(rollout.answers, seen, rollout.ended.tolist(), strict=True):
        assert read[: len(answer)] == answer
        assert [token in stops for token in answer] == [False] * (len(answer) - 1) + [ended]
        assert read[-1] in stops
        assert len(read) == len(answer) + (not ended)
    assert rollout.ended.any()
    assert not rollout.ended.all()


def test_rollouts_are_sampled_and_not_greedy(run: PPORun) -> None:
    """Statement 7."""
    actors, reward = open_actors(run)
    prompt = read_prompts(run, actors.opened).practice[0]
    rollout = roll_out(actors, reward, [prompt], [1], n=8)
    assert len(set(map(tuple, rollout.answers))) > 4


def test_values_are_zero_at_first(run: PPORun) -> None:
    """Statement 23."""
    assert not rolled(run)[2].values.any()


def test_scores_values_and_logprobs_do_not_depend_on_company(run: PPORun) -> None:
    """Statements 4 and 21: alone, or padded beside longer rows."""
    actors, reward, rollout = rolled(run)
    with torch.no_grad():
        actors.value_head.weight.normal_()
    rollouts.fill_in(rollout, actors, reference=False)
    for row in range(len(rollout.answers)):
        prompt, answer = rollout.prompts[row], rollout.answers[row]
        alone = rollout_of(prompt, answer)
        rollouts.fill_in(alone, actors, reference=False)
        width = len(answer)
        assert torch.allclose(alone.values[0], rollout.values[row, :width], atol=1e-5)
        assert torch.allclose(alone.ref_logprobs[0], rollout.ref_logprobs[row, :width], atol=1e-5)
        score = reward.score([prompt], rollouts.finished([answer], actors), actors.opened.pad_id).mean[0]
        assert score.item() == pytest.approx(rollout.scores.mean[row].item(), abs=1e-5)


@pytest.mark.parametrize("tuning", ["lora", "full"])
@pytest.mark.parametrize("critic", ["shared", "own"])
def test_everything_that_should_learn_gets_a_gradient_and_nothing_else(run: PPORun, tuning: str, critic: str) -> None:
    run = changed(run, tuning=tuning, critic=critic)
    actors, _, rollout = rolled(run)
    before = {
        name: t.clone()
        for name, t in actors.reference.named_parameters()
        if "policy" not in name and "critic" not in name
    }
    with torch.no_grad():
        actors.value_head.weight.normal_()
    optimizer = torch.optim.Adam(actors.trained().values(), lr=1e-3)
    advantages, returns = torch.randn(2, *rollout.mask.shape)
    ppo.descend(actors, rollout, list(range(6)), advantages, returns, optimizer, 1)
    ups = {name: t.grad for name, t in actors.trained().items() if not name.endswith(".down")}
    assert all(grad is not None and grad.abs().sum() > 0 for grad in ups.values())
    for name, tensor in before.items():
        assert torch.equal(actors.reference.get_parameter(name), tensor), name


@pytest.mark.parametrize("budget", [64, 90, 8192])
def test_the_gradient_does_not_depend_on_the_token_budget(run: PPORun, budget: int) -> None:
    """Statement 24, on the network: micro-batches of one row, of two, of all."""
    grads = []
    for token_budget in (8192, budget):
        actors, _, rollout = rolled(changed(run, token_budget=token_budget))
        optimizer = torch.optim.SGD(actors.trained().values(), lr=0.0)
        torch.manual_seed(3)
        advantages, returns = torch.randn(2, *rollout.mask.shape)
        ppo.descend(actors, rollout, list(range(6)), advantages, returns, optimizer, 1)  # type: ignore[arg-type]
        grads.append(torch.cat([t.grad.flatten() for t in actors.trained().values() if t.grad is not None]))
    assert torch.allclose(*grads, atol=1e-6)


def test_gradients_are_clipped_and_their_norm_logged(run: PPORun) -> None:
    """Statement 26."""
    actors, _, rollout = rolled(changed(run, max_grad_norm=1e-3))
    optimizer = torch.optim.SGD(actors.trained().values(), lr=1.0)
    before = {name: tensor.detach().clone() for name, tensor in actors.trained().items()}
    advantages, returns = torch.randn(2, *rollout.mask.shape)
    values = ppo.descend(actors, rollout, [0, 1], advantages, returns, optimizer, 1)  # type: ignore[arg-type]
    moved = torch.cat([(t - before[name]).flatten() for name, t in actors.trained().items()]).norm()
    assert values["grad_norm"] > 1e-2
    assert moved.item() == pytest.approx(1e-3, rel=1e-2)


@pytest.mark.parametrize(("minibatch", "epochs"), [(8, 1), (4, 2), (2, 3)])
def test_a_step_takes_epochs_times_minibatches_updates(
    run: PPORun, minibatch: int, epochs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Statement 25."""
    taken: list[int] = []
    whole = torch.optim.Adam.step
    monkeypatch.setattr(torch.optim.Adam, "step", lambda self: taken.append(1) or whole(self))
    run = changed(run, minibatch=minibatch, epochs=epochs, steps=1, max_step_kl=None)
    train_ppo(run)
    assert len(taken) == epochs * (8 // minibatch)


def test_each_pass_is_shuffled_and_a_large_move_ends_the_step(run: PPORun, monkeypatch: pytest.MonkeyPatch) -> None:
    """Statement 30."""
    orders: list[list[int]] = []
    moved = 0.0

    def note(actors: Actors, rollout: Rollout, rows: list[int], *rest: object) -> Values:
        orders.append(rows)
        return {"step_kl": moved, "ratio": 1.0}

    monkeypatch.setattr(ppo, "descend", note)
    actors, _, rollout = rolled(changed(run, epochs=3, minibatch=8, batch=8))
    optimizer = torch.optim.Adam(actors.trained().values())
    ppo.improve(actors, rollout, rollout.values, rollout.values, optimizer, 1, 0)
    assert len(orders) == 3
    assert all(sorted(order) == list(range(6)) for order in orders)
    assert orders[0] != orders[1]
    orders.clear()
    moved = 1.0
    assert ppo.improve(actors, rollout, rollout.values, rollout.values, optimizer, 1, 0)["updates"] == 1


def test_adam_has_the_epsilon_of_the_first_implementations(run: PPORun, monkeypatch: pytest.MonkeyPatch) -> None:
    """Statement 27: eps 1e-5, no weight decay."""
    seen: list[torch.optim.Optimizer] = []
    monkeypatch.setattr(ppo, "learn", lambda run, actors, reward, prompts, optimizer, *rest: seen.append(optimizer))
    train_ppo(run)
    assert seen[0].defaults["eps"] == 1e-5
    assert seen[0].defaults["weight_decay"] == 0


def test_gradient_checkpointing_is_on_when_it_is_asked_for(run: PPORun) -> None:
    """Statement 31, and it changes no gradient."""
    grads = []
    for wanted in (False, True):
        actors, _, rollout = rolled(changed(run, gradient_checkpointing=wanted))
        assert actors.policy.network.is_activation_checkpointing is wanted
        optimizer = torch.optim.SGD(actors.trained().values(), lr=0.0)
        torch.manual_seed(3)
        advantages, returns = torch.randn(2, *rollout.mask.shape)
        ppo.descend(actors, rollout, [0, 1, 2], advantages, returns, optimizer, 1)  # type: ignore[arg-type]
        grads.append(torch.cat([t.grad.flatten() for t in actors.trained().values() if t.grad is not None]))
    assert torch.allclose(*grads, atol=1e-6)


def test_a_critic_of_its_own_begins_as_the_reward_network(run: PPORun) -> None:
    actors, reward = open_actors(changed(run, critic="own"))
    learned = reward.trained()
    for path, tensor in actors.critic.adapter("critic").items():
        assert torch.equal(tensor, learned[path][:1])


def test_a_reward_checkpoint_of_another_base_is_refused(run: PPORun, tmp_path: Path) -> None:
    other = make_checkpoint(tmp_path / "other", seed=9)
    with pytest.raises(CheckpointRefused, match="trained on the base"):
        train_ppo(run.model_copy(update={"checkpoint": other}))


def test_a_policy_may_start_elsewhere_when_the_reward_base_is_named(run: PPORun, tmp_path: Path) -> None:
    other = make_checkpoint(tmp_path / "other", seed=9)
    train_ppo(run.model_copy(update={"checkpoint": other, "reward_base": run.checkpoint}))
    assert open_checkpoint(run.output).record.base_sha256 == open_checkpoint(other).weights_sha256  # type: ignore[union-attr]


def test_prompts_come_round_in_a_new_order_and_each_once() -> None:
    prompts = [[number] for number in range(5)]
    drawn = draw_prompts(prompts, 0, 10, seed=3)
    assert sorted(drawn[:5]) == sorted(drawn[5:]) == prompts
    assert drawn[:5] != drawn[5:]
    assert draw_prompts(prompts, 3, 4, seed=3) == drawn[3:7]


def test_prompts_that_are_too_long_are_left_out_and_none_left_is_a_sentence(run: PPORun) -> None:
    with pytest.raises(RunFailed, match=r"prompts\.jsonl has no prompt of at most 2 tokens \(12 are longer\)"):
        train_ppo(changed(run, max_prompt_tokens=2))


def marked_share(self: RewardNetwork, prompts: object, answers: list[list[int]], pad: int) -> Scores:
    """In place of a reward network: the share of marked tokens.

    Marked are those on one side of the embedding, about half: what so small a random network can tell apart at all.
    """
    marked = self.backbone.network.get_input_embeddings().weight[:, 0] > 0
    liked = torch.stack([marked[answer].float().mean() for answer in answers])
    return Scores(liked, torch.zeros(len(answers)))


@pytest.mark.parametrize(("tuning", "critic"), [("lora", "shared"), ("lora", "own"), ("full", "shared")])
def test_ppo_learns_to_write_what_is_liked(
    run: PPORun, tuning: str, critic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RewardNetwork, "score", marked_share)
    wanted = {"steps": 15, "batch": 32, "minibatch": 16, "epochs": 3, "lr": 1e-2 if tuning == "lora" else 2e-3}
    run = changed(run, tuning=tuning, critic=critic, missing_eos_penalty=0, kl_coef=0.01, kl_target=None, **wanted)
    result = train_ppo(run)
    assert result.metrics["score"] > result.metrics["reference_score"] + 0.15
    assert result.metrics["win_rate"] > 0.8
    assert 0.5 < result.metrics["kl"] < 12
    assert lines(run)[0]["values"]["first_ratio"] == pytest.approx(1, abs=1e-5)


def test_the_result_is_an_ordinary_checkpoint_that_is_the_policy(run: PPORun) -> None:
    run = changed(run, lr=5e-2, kl_budget=None, kl_target=None, max_step_kl=None)
    result = train_ppo(run)
    opened = open_checkpoint(run.output)
    assert opened.record == result.record.model_copy(update={"weights_sha256": opened.weights_sha256})
    assert opened.record.kind == "policy"
    base = open_checkpoint(run.checkpoint)
    assert opened.record.base_sha256 == base.weights_sha256
    assert opened.record.reward_sha256 == read_reward_record(run.reward).weights_sha256
    assert opened.network.state_dict().keys() == base.network.state_dict().keys()
    ids = torch.tensor([[5, 6, 7, 8]])
    assert not torch.allclose(opened.network(ids).logits, base.network(ids).logits, atol=1e-2)


def test_the_last_policy_within_the_budget_is_kept(run: PPORun) -> None:
    run = changed(run, steps=30, lr=3e-2, kl_coef=0.0, kl_target=None, kl_budget=1.0, max_step_kl=None)
    result = train_ppo(run)
    assert result.metrics["kl_that_ended_the_run"] > 1.0
    assert result.metrics["kl"] < 1.5
    assert result.metrics["steps"] < 30


def steps_and_values(run: PPORun) -> list[tuple[int, Values]]:
    return [(line["step"], line["values"]) for line in lines(run)]


def test_a_cancelled_run_goes_on_as_if_nothing_had_been(run: PPORun, tmp_path: Path) -> None:
    """Statement 33, in process: weights, moments, price and prompts are where they were."""
    whole = changed(run, steps=4)
    train_ppo(whole)
    cut = whole.model_copy(update={"output": tmp_path / "cut"})

    def stop_after_two(step: int, total: int, values: Values) -> None:
        if step == 2:
            (cut.work / "cancel").touch()

    with pytest.raises(RunCancelled, match="after step 2"):
        train_ppo(cut, stop_after_two)
    assert not cut.output.exists()
    train_ppo(cut)
    assert steps_and_values(cut) == steps_and_values(whole)
    assert open_checkpoint(cut.output).weights_sha256 == open_checkpoint(whole.output).weights_sha256


def test_a_killed_run_goes_on_with_the_same_next_step(run: PPORun, tmp_path: Path) -> None:
    """Statement 33: kill -9 in the middle, then the same run file again: no step twice, none missing, same numbers."""
    whole = changed(run, steps=8, save_every=2)
    train_ppo(whole)
    file = tmp_path / "run.json"
    cut = whole.model_copy(update={"output": tmp_path / "cut"})
    file.write_text(cut.model_dump_json(exclude={"method"}))
    command = [sys.executable, "-m", "workers.training", "ppo", str(file)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    child = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    metrics, deadline = cut.work / "metrics.jsonl", time.monotonic() + 60
    while not (metrics.exists() and len(metrics.read_text().splitlines()) >= 3) and time.monotonic() < deadline:
        time.sleep(0.005)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert not cut.output.exists(), "the run was over before it could be killed"
    subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, check=True, timeout=120)
    assert [step for step, _ in steps_and_values(cut)] == list(range(1, 9))
    for (_, mine), (_, theirs) in zip(steps_and_values(cut), steps_and_values(whole), strict=True):
        assert mine == pytest.approx(theirs, rel=1e-3, abs=1e-5)


def test_a_finished_run_is_not_repeated(run: PPORun) -> None:
    first = train_ppo(run)
    again = train_ppo(run, lambda *_: pytest.fail("a step was taken"))
    assert again.record.metrics == first.record.metrics
    with pytest.raises(CheckpointRefused, match="choose another output"):
        train_ppo(run.model_copy(update={"seed": 1}))


def test_a_result_against_another_reward_model_is_another_runs_result(run: PPORun, tmp_path: Path) -> None:
    train_ppo(run)
    opened = open_checkpoint(run.checkpoint)
    other = load_reward(run.reward, Backbone(opened.network), opened.weights_sha256)
    with torch.no_grad():
        next(iter(other.trained().values())).add_(0.1)
    save_reward(tmp_path / "other", other, read_reward_record(run.reward))
    with pytest.raises(CheckpointRefused, match="choose another output"):
        train_ppo(run.model_copy(update={"reward": tmp_path / "other"}))


def test_a_state_of_another_configuration_is_not_taken_up(run: PPORun) -> None:
    stop = iter([False, True])
    with pytest.raises(RunCancelled):
        train_ppo(run, should_stop=lambda: next(stop))
    with pytest.raises(RunFailed, match="another configuration"):
        train_ppo(changed(run, lr=1e-3))


def test_a_loss_that_is_no_number_ends_the_run_with_a_sentence(run: PPORun, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = torch.full((8,), torch.nan)
    monkeypatch.setattr(ppo, "shape_scores", lambda rollout, standing, config: broken)
    with pytest.raises(RunFailed, match=r"policy_loss was not a number at step 1.*lr"):
        train_ppo(run)
    assert not run.output.exists()


def test_held_out_prompts_are_looked_at_now_and_then(run: PPORun, tmp_path: Path) -> None:
    """Statement 34."""
    evaluation = write(tmp_path / "evaluation.jsonl", make_prompts(4, seed=8))
    run = changed(run, steps=4, evaluate_every=2).model_copy(update={"evaluation": evaluation})
    result = train_ppo(run)
    looked = [line["step"] for line in lines(run) if "eval_win_rate" in line["values"]]
    assert looked == [2, 4]
    assert result.metrics["prompts"] == "set_apart"


def test_bf16_arithmetic_reads_its_logprobs_anew(run: PPORun) -> None:
    """Statement 3 in bf16: what the loss compares with comes from the pass that training uses."""
    run = changed(run, precision="bfloat16")
    actors, _, rollout = rolled(run)
    for part in parts(rollout, list(range(6)), run.config.token_budget, actors.opened.pad_id):
        with ppo.arithmetic("bfloat16", part.ids.device):
            logprobs, _, _ = ppo.read(actors, part)
        assert (logprobs - part.flat(rollout.logprobs)).abs().max() < 1e-5


def test_a_policy_beyond_the_budget_gives_way_to_the_last_one_within(run: PPORun) -> None:
    actors, _, rollout = rolled(changed(run, kl_target=None, kl_budget=2.0))
    standing = Standing(1, 0, 1, 1, 1, 1)
    assert standing.is_within_budget(rollout, actors)
    before = {name: tensor.detach().clone() for name, tensor in actors.policy_weights().items()}
    with torch.no_grad():
        for tensor in actors.policy_weights().values():
            tensor.add_(1.0)
    far = dataclasses.replace(rollout, ref_logprobs=rollout.logprobs - 1)  # a nat per token, some ten tokens
    assert not standing.is_within_budget(far, actors)
    assert standing.over_budget == pytest.approx(float(rollout.lengths.float().mean()), rel=1e-4)
    assert all(torch.equal(tensor, before[name]) for name, tensor in actors.policy_weights().items())
