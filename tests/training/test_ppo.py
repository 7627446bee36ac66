"""PPO with real parts, tiny: who may learn, what is refused, what is left at the end, and that it works."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from app.training.configs import PPOConfig, PPORun
from tests.training.conftest import make_checkpoint, make_tokenizer
from tests.training.rolling import changed, gradients, lesson_of, lines, marked_share, rolled
from workers.training import ppo, rollouts
from workers.training.actors import open_actors
from workers.training.checkpoints import CheckpointRecord, CheckpointRefused, open_checkpoint, save_checkpoint
from workers.training.networks import Backbone
from workers.training.ppo import train_ppo
from workers.training.practice import draw_prompts, read_prompts, seeds_of
from workers.training.progress import RunCancelled, RunFailed
from workers.training.rollouts import parts
from workers.training.scoring import RewardNetwork, load_reward, read_reward_record, save_reward
from workers.training.standing import Standing


def test_after_training_the_sampler_still_agrees_with_the_trainer(run: PPORun) -> None:
    actors, _, _ = rolled(run)
    with torch.no_grad():
        for tensor in actors.policy_weights().values():
            tensor.add_(torch.randn_like(tensor) * 0.05)
    prompts = read_prompts(run, actors.opened).practice[:6]
    drawn = rollouts.draw(actors, prompts, seeds_of(0, 1, 6), 1, reference=False)
    for prompt, answer in zip(prompts, drawn, strict=True):
        inputs = torch.tensor([prompt + answer.tokens[:-1]])
        part = rollouts.Part.of([prompt], [answer.tokens], rows=[0], ids=inputs)
        states = part.states(actors.policy, actors.policy_adapter)
        logprobs, _ = actors.policy.answer_logprobs(states, torch.tensor(answer.tokens), 1.0)
        assert logprobs.tolist() == pytest.approx(answer.logprobs, abs=1e-5)


@pytest.mark.parametrize("tuning", ["lora", "full", "layers"])
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
    ppo.descend(actors, lesson_of(rollout), list(range(6)), [], optimizer)
    ups = {name: t.grad for name, t in actors.trained().items() if not name.endswith(".down")}
    assert all(grad is not None and grad.abs().sum() > 0 for grad in ups.values())
    for name, tensor in before.items():
        assert torch.equal(actors.reference.get_parameter(name), tensor), name


def test_the_last_layers_learn_alone_and_the_rest_is_the_references_own(run: PPORun) -> None:
    actors, _, _ = rolled(changed(run, tuning="layers", layers=1))
    assert {name.split(".")[3] for name in actors.policy_weights()} == {"1"}  # policy.model.layers.1
    shared, base = (dict(backbone.network.named_parameters()) for backbone in (actors.policy, actors.reference))
    base = {name: tensor for name, tensor in base.items() if ".adapters." not in name}
    below = [name for name in base if "layers.1." not in name]
    assert all(shared[name].data_ptr() == base[name].data_ptr() for name in below)
    own = [name for name in base if "layers.1." in name]
    assert all(shared[name].data_ptr() != base[name].data_ptr() for name in own)


def test_biases_learn_alone_where_there_are_some(run: PPORun, tmp_path: Path) -> None:
    with pytest.raises(CheckpointRefused, match="llama has no biases"):
        open_actors(changed(run, tuning="biases"))
    tokenizer = make_tokenizer()
    ends = {"eos_token_id": tokenizer.eos_token_id, "bos_token_id": None, "pad_token_id": tokenizer.pad_token_id}
    network = GPT2LMHeadModel(GPT2Config(vocab_size=len(tokenizer), n_embd=16, n_layer=1, n_head=2, **ends))
    save_checkpoint(tmp_path / "gpt2", network, tokenizer, CheckpointRecord(kind="base"))
    config = PPOConfig(**{**run.config.model_dump(), "rules": [{"kind": "length"}], "tuning": "biases"})
    actors, _, rollout = rolled(
        run.model_copy(update={"checkpoint": tmp_path / "gpt2", "reward": None, "config": config})
    )
    assert actors.policy_weights()
    assert all(name.endswith(".bias") for name in actors.policy_weights())
    assert gradients(actors, lesson_of(rollout), [0, 1]).abs().sum() > 0


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


@pytest.mark.parametrize(
    "way",
    [
        {},
        {"critic": "own", "sample_every": 3},
        {"tuning": "full", "lr": 2e-3},
        {"advantage": "rloo", "samples_per_prompt": 4},
        {"advantage": "grpo", "samples_per_prompt": 4, "kl_in": "loss_k3"},
    ],
    ids=["lora", "own critic, stale answers", "full", "rloo", "grpo"],
)
def test_every_way_learns_to_write_what_is_liked(
    run: PPORun, way: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RewardNetwork, "score", marked_share)
    wanted = {"steps": 15, "batch": 32, "minibatch": 16, "epochs": 3, "lr": 1e-2, "missing_eos_penalty": 0}
    run = changed(run, **{**wanted, "kl_coef": 0.01, "kl_target": None, **way})
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


def test_a_loss_that_breaks_later_leaves_the_last_good_policy(run: PPORun, monkeypatch: pytest.MonkeyPatch) -> None:
    good: list[dict[str, torch.Tensor]] = []
    shape = ppo.shape_scores

    def break_in_step_3(rollout: rollouts.Rollout, standing: Standing, config: PPOConfig) -> torch.Tensor:
        good.append(standing.within)
        return shape(rollout, standing, config) * (math.nan if len(good) == 3 else 1)

    monkeypatch.setattr(ppo, "shape_scores", break_in_step_3)
    run = changed(run, steps=9)
    result = train_ppo(run)
    assert result.metrics["steps"] == 2
    assert result.metrics["ended_by"].startswith("policy_loss was not a number at step 3")
    assert len(lines(run)) == 3
    kept = Backbone(open_checkpoint(run.output).network)
    actors, _ = open_actors(run)
    with torch.no_grad():
        for name, tensor in actors.policy_weights().items():
            tensor.copy_(good[2][name])
    ids = torch.tensor([[5, 6, 7, 8]])
    with actors.policy.using(actors.policy_adapter):
        assert torch.allclose(kept.hidden(ids), actors.policy.hidden(ids), atol=1e-5)


def test_a_divergence_that_is_no_number_is_beyond_every_budget(run: PPORun) -> None:
    actors, _, rollout = rolled(changed(run, kl_target=None, kl_budget=None))
    standing = Standing(1, 0, 1, 1, 1, 1)
    assert standing.is_within_budget(rollout, actors)
    broken = dataclasses.replace(rollout, logprobs=torch.full_like(rollout.logprobs, math.nan))
    assert not standing.is_within_budget(broken, actors)


def test_bf16_arithmetic_reads_its_logprobs_anew(run: PPORun) -> None:
    """Statement 3 in bf16: what the loss compares with comes from the pass that training uses."""
    run = changed(run, precision="bfloat16")
    actors, _, rollout = rolled(run)
    for part in parts(rollout, list(range(6)), run.config.token_budget, actors.opened.pad_id):
        with ppo.arithmetic("bfloat16", part.ids.device):
            logprobs = ppo.read(actors, part).logprobs
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
