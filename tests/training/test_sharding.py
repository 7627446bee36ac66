"""Weights in parts: two processes that hold half of everything each make the update of one that holds it all."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from app.training.configs import PPORun, RewardConfig, RewardRun, SFTConfig
from tests.training.conftest import WORDS
from tests.training.make import uneven, write
from tests.training.rolling import changed
from tests.training.together import beside, learned, same_lines, same_weights, side_by_side
from workers.training import figures, learning, ppo, processes
from workers.training.ppo import train_ppo
from workers.training.progress import RunCancelled
from workers.training.reward import train_reward
from workers.training.sharding import even, shard

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="a process that has met a GPU cannot be forked")


@pytest.fixture(autouse=True)
def few_to_look_at_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "END_LOOK", 8)


@pytest.mark.parametrize(
    "way",
    [
        {"tuning": "full", "critic": "own", "critic_warmup": 1, "sample_every": 2, "token_budget": 64},
        {"tuning": "full", "minibatch": 2, "gradient_checkpointing": True, "save_every": 1},
        {"tuning": "layers", "layers": 1, "advantage": "grpo", "samples_per_prompt": 4, "kl_in": "loss_k3"},
        {"tuning": "lora", "critic": "own", "token_budget": 64},
    ],
    ids=["full, own critic", "full, recomputed", "one layer, grpo", "lora"],
)
def test_two_that_share_ppos_weights_out_make_the_update_of_one(
    run: PPORun, way: dict[str, Any], tmp_path: Path
) -> None:
    """Pretraining texts too. Small budgets: processes have different numbers of passes."""
    texts = tmp_path / "texts.jsonl"
    texts.write_text("".join(json.dumps({"text": " ".join(WORDS[n : n + 3 + n])}) + "\n" for n in range(5)))
    way = {"steps": 2, "pretraining_coef": 1.0, "pretraining_batch": 3, **way}
    run = changed(run, **way).model_copy(update={"pretraining": texts})
    train_ppo(run)
    two = beside(run, tmp_path, sharding="full")
    assert side_by_side(lambda: train_ppo(two) and 0) == [0, 0]
    same_weights(run.output, two.output)
    same_lines(run, two)


@pytest.mark.parametrize("tuning", ["full", "lora"])
def test_sft_dpo_kto_and_reward_models_learn_alike_from_weights_in_parts(
    base_folder: Path, tmp_path: Path, tuning: str
) -> None:
    (tmp_path / "two").mkdir()
    runs = learned(base_folder, tmp_path, tuning=tuning)
    for run, train in runs:
        train(run)
    there = tmp_path / "two"
    doubles = [
        (run.model_copy(update={"output": there / run.output.name, "sharding": "full"}), train) for run, train in runs
    ]
    assert side_by_side(lambda: [train(run) for run, train in doubles] and 0) == [0, 0]
    for (one, _), (two, _) in zip(runs, doubles, strict=True):
        same_weights(one.output, two.output)
        same_lines(one, two)


def test_a_reward_models_folds_of_unlike_sizes_are_looked_at_in_step(base_folder: Path, tmp_path: Path) -> None:
    """Pairs of very different lengths: each process makes as many passes as the other, whichever parts are its own."""
    one = RewardRun(
        dataset=write(tmp_path / "pairs.jsonl", uneven()), checkpoint=base_folder, output=tmp_path / "one",
        device="cpu", config=RewardConfig(members=3, epochs=1, batch=5, read="mean", token_budget=256),
    )  # fmt: skip
    two = one.model_copy(update={"output": tmp_path / "two", "sharding": "full"})
    train_reward(one)
    assert side_by_side(lambda: train_reward(two) and 0) == [0, 0]
    same_weights(one.output, two.output)
    same_lines(one, two)


def test_each_process_holds_half_and_one_layer_at_a_time_is_whole(
    run: PPORun, base_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of weights, gradients and moments; also of a frozen reference's weights. After each step, in each process."""
    (tmp_path / "there").mkdir()
    sft, train = learned(base_folder, tmp_path, tuning="full")[0]
    run = changed(run, tuning="full", critic="own", steps=1)
    watch(monkeypatch, learning, lambda student: [student.backbone.network])
    watch(monkeypatch, ppo, lambda actors: [actors.policy.network, actors.critic.network, actors.reference.network])

    def both() -> int:
        train(beside(sft, tmp_path / "there", sharding="full"))
        train_ppo(beside(run, tmp_path, sharding="full"))
        return 0 if len(seen) > 2 else 5

    seen.clear()
    assert side_by_side(both) == [0, 0]
    train(sft)
    assert all(share == 1 for share in seen[-1]), "alone a process holds everything"


seen: list[list[float]] = []  # by step: shares of all weights, gradients and moments that this process holds


def watch(monkeypatch: pytest.MonkeyPatch, method: Any, networks_of: Callable[[Any], list[nn.Module]]) -> None:
    """Look at what there is behind each optimizer step of a method; in several processes it has to be half."""
    step = method.descend

    def watched(learner: Any, *told: Any) -> Any:
        networks = networks_of(learner)
        layers = [layer for network in networks for layer in network.model.layers]
        open_at_once: list[int] = []
        hooks = [layer.register_forward_pre_hook(lambda *_: open_at_once.append(sum(map(is_whole, layers))))
                 for layer in layers]  # fmt: skip
        values = step(learner, *told)
        for hook in hooks:
            hook.remove()
        optimizer = next(one for one in told if isinstance(one, torch.optim.Optimizer))
        weights = [weight for one in networks for path, weight in one.named_parameters() if ".adapters." not in path]
        trained = [weight for weight in weights if weight.requires_grad]
        moments = [optimizer.state[weight][name] for weight in trained for name in ("exp_avg", "exp_avg_sq")]
        gradients = [weight.grad for weight in trained if weight.grad is not None]
        seen.append([held(tensors) for tensors in (weights, gradients, moments)])
        if processes.size() > 1:
            assert seen[-1] == pytest.approx([0.5, 0.5, 0.5], abs=0.01)
            assert max(open_at_once) == 1
        return values

    monkeypatch.setattr(method, "descend", watched)


def is_whole(layer: nn.Module) -> bool:
    return not isinstance(next(layer.parameters()), DTensor)


def held(tensors: list[Tensor]) -> float:
    """The share of them that lies in this process's memory."""
    here = [(one.to_local() if isinstance(one, DTensor) else one).untyped_storage() for one in tensors]
    bytes_here = sum({memory.data_ptr(): memory.nbytes() for memory in here}.values())
    return bytes_here / sum(one.numel() * one.element_size() for one in tensors)


@pytest.mark.parametrize(("first", "second"), [("full", "none"), ("none", "full")])
def test_what_two_began_with_parts_one_ends_and_the_other_way_round(
    run: PPORun, base_folder: Path, tmp_path: Path, first: str, second: str
) -> None:
    """The state knows neither: weights, Adam's moments, the best so far and the last policy within budget are whole."""
    (tmp_path / "there").mkdir()
    sft, train = learned(base_folder, tmp_path, tuning="full")[0]
    sft = sft.model_copy(update={"config": SFTConfig(**{**sft.config.model_dump(), "evaluate_every": 1})})
    run = changed(run, tuning="full", critic="own", steps=2)
    halves = [(sft, train, beside(sft, tmp_path / "there")), (run, train_ppo, beside(run, tmp_path))]
    for one, learn, two in halves:
        learn(one)
        go(learn, two, first, lambda step, _, __, work=two.work: (work / "cancel").touch())
        assert not two.output.exists(), "it was stopped"
        go(learn, two, second)
        same_weights(one.output, two.output)
        same_lines(one, two)


def go(learn: Callable[..., Any], run: Any, sharding: str, report: Callable[..., None] = lambda *_: None) -> None:
    """With parts in two processes, without in this one; until it is stopped, or its end."""

    def work() -> int:
        try:
            learn(run.model_copy(update={"sharding": sharding}), report)
        except RunCancelled:
            return 3
        return 0

    codes = side_by_side(work) if sharding == "full" else [work()]
    assert set(codes) in ({0}, {3})


def test_a_run_alone_shares_nothing_out(run: PPORun, tmp_path: Path) -> None:
    run = changed(run, tuning="full", steps=1)
    two = beside(run, tmp_path, sharding="full")
    train_ppo(run)
    train_ppo(two)
    same_weights(run.output, two.output)


def test_every_process_makes_as_many_passes_as_the_one_with_most() -> None:
    """But for those who hold everything, who need nobody."""

    def work() -> int:
        network = nn.Linear(2, 2)
        own = ["a"] * (1 + 2 * processes.number())
        alone = list(even(own, lambda: "spare", network))
        shard(network, torch.device("cpu"))
        together = list(even(own, lambda: "spare", network))
        missing = [("spare", False)] * (3 - len(own))
        return 0 if alone == [("a", True)] * len(own) and together == alone + missing else 1

    assert side_by_side(work) == [0, 0]
