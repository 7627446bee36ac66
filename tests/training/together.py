"""Processes side by side in tests, as a launcher would start them, and whether two of them did what one does."""

from __future__ import annotations

import json
import multiprocessing
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from app.training.configs import DPOConfig, DPORun, RewardConfig, RewardRun, Run, SFTConfig, SFTRun
from tests.training.conftest import WORDS
from tests.training.make import make_comparisons, write
from workers.training import processes
from workers.training.dpo import train_dpo
from workers.training.reward import train_reward
from workers.training.sft import train_sft

FORKED = multiprocessing.get_context("fork")  # torch is there already


def side_by_side(work: Callable[[], Any], count: int = 2) -> list[int]:
    """`work` in as many processes as a launcher would start; their exit codes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def enter(number: int) -> None:
        place = {"RANK": number, "LOCAL_RANK": number, "WORLD_SIZE": count, "MASTER_PORT": port}
        os.environ.update({name: str(value) for name, value in place.items()}, MASTER_ADDR="127.0.0.1")
        os.environ["GLOO_SOCKET_IFNAME"] = "lo"
        torch.set_num_threads(1)
        processes.join()
        code = work()
        processes.leave()
        os._exit(code or 0)

    started = [FORKED.Process(target=enter, args=(number,)) for number in range(count)]
    for one in started:
        one.start()
    for one in started:
        one.join(240)
        one.kill()  # of one that waits for another that is gone
        one.join()
    return [-1 if one.exitcode is None else one.exitcode for one in started]


def beside(run: Any, folder: Path, **told: Any) -> Any:
    return run.model_copy(update={"output": folder / "two", **told})


def same_lines(one: Run, two: Run) -> None:
    """But for DPO's accuracy, which at its first step asks for the sign of nothing."""
    told = [[json.loads(line) for line in (run.work / "metrics.jsonl").read_text().splitlines()] for run in (one, two)]
    assert [line["step"] for line in told[1]] == [line["step"] for line in told[0]], "one process writes"
    for single, double in zip(*told, strict=True):
        signed = {"accuracy": single["values"].get("accuracy")} if "accuracy" in single["values"] else {}
        assert double["values"] | signed == pytest.approx(single["values"], rel=1e-3, abs=1e-4)


def same_weights(one: Path, two: Path) -> None:
    (file,) = one.glob("*.safetensors")
    before, after = load_file(file), load_file(two / file.name)
    assert before.keys() == after.keys()
    gap = max(float((before[name] - after[name]).abs().max()) for name in before)
    assert gap < 1e-5


def learned(base: Path, tmp_path: Path, **tuning: Any) -> list[tuple[Any, Callable[[Any], Any]]]:
    """Small runs of what else learns. tuning: of those that learn to write."""
    pairs = write(tmp_path / "pairs.jsonl", [*make_comparisons(24), *make_comparisons(8, split="heldout")])
    texts = tmp_path / "texts.jsonl"
    lines = ({"prompt": f"the day {n}", "completion": " ".join(WORDS[n : n + 2 + n % 5])} for n in range(14))
    texts.write_text("".join(json.dumps(line) + "\n" for line in lines))
    told = {"checkpoint": base, "device": "cpu"}
    small = {"epochs": 1, "batch": 5, "token_budget": 128, **tuning}
    return [
        (SFTRun(dataset=texts, output=tmp_path / "sft", config=SFTConfig(**small), **told), train_sft),
        (DPORun(dataset=pairs, output=tmp_path / "dpo", config=DPOConfig(**small), **told), train_dpo),
        (DPORun(dataset=pairs, output=tmp_path / "kto", config=DPOConfig(loss="kto", **small), **told), train_dpo),
        (
            RewardRun(
                dataset=pairs, output=tmp_path / "reward", **told,
                config=RewardConfig(members=2, epochs=2, batch=5, read="mean", token_budget=256),
            ),
            train_reward,
        ),
    ]  # fmt: skip
