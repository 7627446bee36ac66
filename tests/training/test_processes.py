"""Several processes train as one: the update of two is the update of one, and only the first writes."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import distributed

from app.training.configs import PPORun, RunRefused
from tests.training.conftest import WORDS
from tests.training.rolling import changed
from tests.training.together import beside, learned, same_lines, same_weights, side_by_side
from workers.training import figures, processes
from workers.training.__main__ import main
from workers.training.ppo import train_ppo
from workers.training.progress import RunCancelled, done_before

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="a process that has met a GPU cannot be forked")


@pytest.fixture(autouse=True)
def few_to_look_at_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "END_LOOK", 8)


@pytest.mark.parametrize(
    "way",
    [
        {"minibatch": 2, "whiten_rewards": False, "save_every": 1},
        {"tuning": "full", "critic": "own", "critic_warmup": 1, "sample_every": 2, "rules": [{"kind": "distinct"}]},
        {"advantage": "grpo", "samples_per_prompt": 4, "kl_in": "loss_k3", "score_scale": "running"},
    ],
    ids=["lora, one answer each", "full, own critic", "grpo"],
)
def test_two_processes_make_the_update_of_one(run: PPORun, way: dict[str, Any], tmp_path: Path) -> None:
    """Pretraining texts are shared out too."""
    texts = tmp_path / "texts.jsonl"
    texts.write_text("".join(json.dumps({"text": " ".join(WORDS[n : n + 3 + n])}) + "\n" for n in range(5)))
    way = {"steps": 2, "pretraining_coef": 1.0, "pretraining_batch": 3, **way}
    run = changed(run, **way).model_copy(update={"pretraining": texts})
    train_ppo(run)
    two = beside(run, tmp_path)
    assert side_by_side(lambda: train_ppo(two) and 0) == [0, 0]
    same_weights(run.output, two.output)
    same_lines(run, two)


def test_nobody_gives_the_others_up_while_the_first_one_waits_for_a_server() -> None:
    """Half an hour is too little for answers from elsewhere, which may take ten minutes and are asked for again."""

    def patient() -> int:
        group = distributed.group.WORLD._get_backend(torch.device("cpu"))
        return 0 if group.options._timeout == timedelta(days=1) else 4

    assert side_by_side(patient) == [0, 0]


def test_one_of_two_may_run_out_of_memory_alone(run: PPORun, tmp_path: Path) -> None:
    """It goes on in smaller passes, the other one does not; the update is that of one, and the first tells of it."""
    run = changed(run, steps=1, token_budget=64, whiten_rewards=False)
    train_ppo(run)
    two = beside(run, tmp_path)

    def short_of_memory() -> int:
        calls = count()
        whole = torch.Tensor.backward

        def backward(self: Any, *rest: Any, **more: Any) -> None:
            whole(self, *rest, **more)
            if processes.number() == 1 and next(calls) == 1:
                raise torch.OutOfMemoryError("CUDA out of memory.")

        torch.Tensor.backward = backward
        train_ppo(two)
        return 0 if next(calls) > 2 or processes.is_first() else 5

    assert side_by_side(short_of_memory) == [0, 0]
    same_weights(run.output, two.output)
    (values,) = (json.loads(line)["values"] for line in (two.work / "metrics.jsonl").read_text().splitlines())
    assert values.pop("token_budget") == 32
    (alone,) = (json.loads(line)["values"] for line in (run.work / "metrics.jsonl").read_text().splitlines())
    assert values == pytest.approx(alone, rel=1e-3, abs=1e-4)


def test_two_that_were_stopped_go_on_by_the_entry_point_which_tells_once(
    run: PPORun, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The mark is seen by all at the same step; both leave when the state is there."""
    run = changed(run, steps=2)
    train_ppo(run)
    two = beside(run, tmp_path)

    def stopped() -> int:
        try:
            train_ppo(two, lambda step, *_: (two.work / "cancel").touch())
        except RunCancelled:
            return 3
        return 0

    assert side_by_side(stopped) == [3, 3]
    file = tmp_path / "run.json"
    file.write_text(two.model_dump_json(exclude_none=True))
    assert side_by_side(lambda: main(["ppo", str(file)])) == [0, 0]
    assert capfd.readouterr().out.count('"done"') == 1
    same_weights(run.output, two.output)
    same_lines(run, two)


def test_sft_dpo_kto_and_reward_models_learn_alike_in_two_processes(base_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "two").mkdir()
    runs = learned(base_folder, tmp_path)
    for run, train in runs:
        train(run)
    doubles = [(run.model_copy(update={"output": tmp_path / "two" / run.output.name}), train) for run, train in runs]
    assert side_by_side(lambda: [train(run) for run, train in doubles] and 0) == [0, 0]
    for (one, _), (two, _) in zip(runs, doubles, strict=True):
        same_weights(one.output, two.output)
        same_lines(one, two)


@pytest.mark.parametrize(("device", "place", "gpus"), [("cuda:0", 0, 2), ("auto", 2, 2), ("cuda", 0, 0)])
def test_processes_that_cannot_have_a_gpu_each_are_refused_in_a_sentence(device: str, place: int, gpus: int) -> None:
    with pytest.raises(RunRefused, match="cpu"):
        processes.gpu_of(device, place, gpus)
    assert processes.gpu_of("cpu", place, gpus) is None
    assert processes.gpu_of("auto", 1, 2) == 1


def test_none_looks_for_a_result_after_another_has_written_it(run: PPORun, tmp_path: Path) -> None:
    """The second looks late, as soon as it could see what the first writes."""

    def look() -> int:
        tries = 0 if processes.is_first() else 20
        while tries and not run.output.exists():
            tries -= 1
            time.sleep(0.01)
        found = done_before(run, {})
        run.output.mkdir(exist_ok=True)
        return 0 if found is None else 4

    assert side_by_side(look) == [0, 0]


def test_a_gradient_that_one_process_lacks_is_the_others_and_one_that_all_lack_stays_none(tmp_path: Path) -> None:
    def work() -> int:
        some, other, nobody = (torch.nn.Parameter(torch.zeros(2)) for _ in range(3))
        some.grad = torch.ones(2) * (1 + processes.number())
        other.grad = torch.ones(2) if processes.is_first() else None
        processes.sum_gradients([some, other, nobody])
        grads = [None if one.grad is None else one.grad.tolist() for one in (some, other, nobody)]
        spread = processes.spread(lambda rows: [row * 10 for row in rows], range(5)) == [0, 10, 20, 30, 40]
        return 0 if spread and grads == [[3, 3], [1, 1], None] else 1

    assert side_by_side(work) == [0, 0]
