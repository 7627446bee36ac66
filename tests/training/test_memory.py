"""Out of memory: the update is the one that would have been, once; the second time the sizes are told."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from app.training.configs import DPOConfig, DPORun, PPOConfig, PPORun, RewardConfig, RewardRun, SFTConfig, SFTRun
from tests.training.conftest import WORDS
from tests.training.make import make_comparisons, make_prompts, write
from workers.sampling.memory import OutOfMemory, is_out_of_memory
from workers.training import figures
from workers.training.__main__ import main
from workers.training.dpo import train_dpo
from workers.training.memory import Memory
from workers.training.ppo import train_ppo
from workers.training.reward import train_reward
from workers.training.sft import train_sft

BUDGET = 128
Train = Callable[..., Any]


@pytest.fixture(autouse=True)
def few_to_look_at_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "END_LOOK", 8)


def ways(base: Path, reward: Path, folder: Path) -> Iterator[tuple[str, Any, Train]]:
    """A run of one or a few updates for each method, whose minibatches take several passes."""
    pairs = write(folder / "pairs.jsonl", [*make_comparisons(16), *make_comparisons(6, split="heldout")])
    texts = folder / "texts.jsonl"
    shown = ({"prompt": f"the day {n}", "completion": " ".join(WORDS[n : n + 8 + n % 5])} for n in range(14))
    texts.write_text("".join(json.dumps(line) + "\n" for line in shown))
    mixed = folder / "mixed.jsonl"
    mixed.write_text("".join(json.dumps({"text": " ".join(WORDS[n : n + 9])}) + "\n" for n in range(8)))
    told = {"checkpoint": base, "device": "cpu"}
    small = {"epochs": 1, "batch": 16, "token_budget": BUDGET, "warmup": 0}
    yield (
        "sft",
        SFTRun(dataset=texts, output=folder / "sft", config=SFTConfig(**small | {"token_budget": 64}), **told),
        train_sft,
    )
    for loss in ("sigmoid", "kto"):
        config = DPOConfig(loss=loss, **small)
        yield loss, DPORun(dataset=pairs, output=folder / loss, config=config, **told), train_dpo
    config = RewardConfig(members=2, epochs=1, batch=8, read="mean", min_votes=4, warmup=0, token_budget=2 * BUDGET)
    yield "reward", RewardRun(dataset=pairs, output=folder / "reward", config=config, **told), train_reward
    config = PPOConfig(
        steps=1, batch=8, minibatch=8, epochs=1, max_tokens=10, reference_samples=8, token_budget=BUDGET,
        pretraining_coef=1.0,
    )  # fmt: skip
    prompts = write(folder / "prompts.jsonl", make_prompts(12))
    inputs = {"reward": reward, "prompts": prompts, "pretraining": mixed}
    yield "ppo", PPORun(output=folder / "ppo", config=config, **inputs, **told), train_ppo


@pytest.fixture(params=["sft", "sigmoid", "kto", "reward", "ppo"])
def way(
    request: pytest.FixtureRequest, base_folder: Path, reward_folder: Path, tmp_path: Path
) -> tuple[Any, Train, dict[str, torch.Tensor]]:
    """(run, its training, the weights of an undisturbed one)"""
    run, train = next(
        (run, train) for name, run, train in ways(base_folder, reward_folder, tmp_path) if name == request.param
    )
    train(run)
    undisturbed = weights(run.output)
    return run.model_copy(update={"output": tmp_path / "again", "name": run.output.name}), train, undisturbed


def weights(folder: Path) -> dict[str, torch.Tensor]:
    (file,) = folder.glob("*.safetensors")
    return load_file(file)


def gap(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    return max(float((one[name] - other[name]).abs().max()) for name in one)


def fail_at(monkeypatch: pytest.MonkeyPatch, *calls: int) -> list[tuple[int, int]]:
    """Memory runs out when these passes begin; returns the shapes of all."""
    whole, seen = Memory.enter, []

    def enter(self: Memory, shape: Any, device: torch.device) -> None:
        seen.append(tuple(shape[:2]))
        whole(self, shape, device)
        if len(seen) - 1 in calls:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1099511627776 bytes.")

    monkeypatch.setattr(Memory, "enter", enter)
    return seen


def fail_backwards(monkeypatch: pytest.MonkeyPatch, call: int) -> list[int]:
    """Memory runs out in this backward pass, when its gradients are there already."""
    whole, made = torch.Tensor.backward, []

    def backward(self: torch.Tensor, *rest: Any, **more: Any) -> None:
        whole(self, *rest, **more)
        made.append(len(made))
        if made[-1] == call:
            raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(torch.Tensor, "backward", backward)
    return made


def told(run: Any) -> list[dict[str, float]]:
    return [json.loads(line)["values"] for line in (run.work / "metrics.jsonl").read_text().splitlines()]


def test_a_step_that_ran_out_of_memory_is_done_again_from_its_beginning(
    way: tuple[Any, Train, dict[str, torch.Tensor]], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """In its second pass, behind gradients of both: the update is the undisturbed one to 1e-6; the budget is told."""
    run, train, undisturbed = way
    made = fail_backwards(monkeypatch, 1)
    train(run)
    assert len(made) > 4, "the step takes several passes"
    assert gap(weights(run.output), undisturbed) < 1e-6
    values, before = told(run)[0], told(run.model_copy(update={"output": run.output.with_name(run.name)}))[0]
    assert values.pop("token_budget") == run.config.token_budget // 2
    assert values == pytest.approx(before, rel=1e-4, abs=1e-6)
    assert str(run.config.token_budget) in caplog.text


def test_a_reading_that_ran_out_of_memory_is_done_again(
    way: tuple[Any, Train, dict[str, torch.Tensor]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run's very first pass: rollouts, the reference's log-probabilities, a look. Nothing is wider afterwards."""
    run, train, undisturbed = way
    seen = fail_at(monkeypatch, 0)
    train(run)
    assert gap(weights(run.output), undisturbed) < 1e-6
    if run.method != "ppo":  # there the reward network has a budget of its own
        assert all(rows * longest <= run.config.token_budget // 2 for rows, longest in seen[1:] if rows > 2)


def test_a_look_at_folds_is_put_together_from_smaller_passes(
    base_folder: Path, reward_folder: Path, tmp_path: Path
) -> None:
    """Every pass in turn may be the one that fails; the report's figures stay."""
    run, train = next(
        (run, train) for name, run, train in ways(base_folder, reward_folder, tmp_path) if name == "reward"
    )
    with pytest.MonkeyPatch.context() as patch:
        seen = fail_at(patch)
        before = train(run).metrics
    for call in range(0, len(seen), 3):
        with pytest.MonkeyPatch.context() as patch:
            fail_at(patch, call)
            again = train(run.model_copy(update={"output": tmp_path / f"again{call}"})).metrics
        assert again["blind"]["log_loss"] == pytest.approx(before["blind"]["log_loss"], abs=1e-5)
        assert again["moments"] == pytest.approx(before["moments"], abs=1e-5)


def test_the_second_time_the_sizes_are_told(
    way: tuple[Any, Train, dict[str, torch.Tensor]], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, train, _ = way
    whole, half = run.config.token_budget, run.config.token_budget // 2
    seen = fail_at(monkeypatch, 0, 2)
    with pytest.raises(OutOfMemory) as failed:
        train(run)
    (rows, longest) = seen[2]
    sentence = failed.value.sentence
    assert f"budget of {whole} tokens a pass, and again with {half}" in sentence
    assert f"a pass of {rows} rows of {longest} tokens, {rows * longest} in all" in sentence
    assert " GB of cpu " in sentence


def test_only_a_lack_of_memory_is_tried_again(
    way: tuple[Any, Train, dict[str, torch.Tensor]], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, train, _ = way

    def broken(self: Memory, *rest: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Memory, "enter", broken)
    with pytest.raises(ZeroDivisionError):
        train(run)


def test_where_weights_are_in_parts_nobody_reads_again_by_itself() -> None:
    """Each pass is all processes': one that made its own again would wait for the others for ever."""
    memory, passes = Memory(together=True), []

    def compute() -> None:
        passes.append(1)
        memory.enter((3, 40), torch.device("cpu"))
        raise torch.OutOfMemoryError("CUDA out of memory.")

    with pytest.raises(OutOfMemory, match=r"budget of 256 tokens a pass, in a pass of 3 rows of 40 tokens, 120 in all"):
        memory.within(256, compute)
    assert passes == [1]
    assert memory.budget(256) == 256


def test_what_a_lack_of_memory_is_called() -> None:
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory."))
    with pytest.raises(RuntimeError) as real:
        torch.empty(1 << 60)
    assert is_out_of_memory(real.value), "as torch says it here"
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))


def test_at_the_command_the_sentence_stands_alone(
    base_folder: Path, reward_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """Also where no pass ran out of it."""
    run = next(run for name, run, _ in ways(base_folder, reward_folder, tmp_path) if name == "sft")
    file = tmp_path / "run.json"
    file.write_text(run.model_dump_json(exclude_none=True))
    fail_at(monkeypatch, 0, 1)
    assert main(["sft", str(file)]) == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith("Memory ran out with a token budget of 64 tokens")

    def full(*_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nmore")

    monkeypatch.setattr("workers.training.sft.open_base", full)
    assert main(["sft", str(file)]) == 1
    assert "outside of the passes" in capsys.readouterr().err.splitlines()[-1]
