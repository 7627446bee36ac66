"""What is so of a run as a whole: one test a statement, by its number."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from app.training.configs import PPORun
from tests.training.make import make_prompts, write
from tests.training.rolling import changed, lesson_of, lines, make_rollout, rolled, steps_and_values
from workers.training import ppo
from workers.training.checkpoints import open_checkpoint
from workers.training.ppo import train_ppo
from workers.training.practice import read_prompts
from workers.training.progress import RunCancelled, Values
from workers.training.rollouts import draw_ahead, judge, parts

ROOT = Path(__file__).parents[2]


def test_33_a_killed_run_goes_on_with_the_same_next_step(run: PPORun, tmp_path: Path) -> None:
    """kill -9 in the middle, then the same run file again: no step twice, none missing, same numbers. What the next
    step depends on is all in the state: weights, moments of optimizer and scores, price, place in the prompts, and
    answers that are sampled but not learned from (they are of three steps here)."""
    whole = changed(run, steps=8, save_every=2, sample_every=3, score_scale="running")
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


@pytest.mark.parametrize("extra", [{}, {"sample_every": 4, "score_scale": "running"}])
def test_33_a_cancelled_run_goes_on_to_the_bit(run: PPORun, tmp_path: Path, extra: dict[str, object]) -> None:
    whole = changed(run, steps=4, **extra)
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


def test_34_held_out_prompts_are_looked_at_every_so_many_steps(run: PPORun, tmp_path: Path) -> None:
    """By the same code as training samples with: win rate over the reference, KL, length and score."""
    evaluation = write(tmp_path / "evaluation.jsonl", make_prompts(4, seed=8))
    run = changed(run, steps=4, evaluate_every=2).model_copy(update={"evaluation": evaluation})
    result = train_ppo(run)
    looked = [line for line in lines(run) if "eval_win_rate" in line["values"]]
    assert [line["step"] for line in looked] == [2, 4]
    assert {"eval_score", "eval_reference_score", "eval_kl", "eval_length_ratio"} <= looked[0]["values"].keys()
    assert result.metrics["prompts"] == "set_apart"
    first, last = (json.loads(line) for line in (run.work / "samples.jsonl").read_text().splitlines())
    assert (first["step"], last["step"]) == (2, 4)
    for look, line in ((first, looked[0]), (last, looked[1])):
        assert [one["prompt"] for one in look["samples"]] == [one.prompt[-1].text for one in make_prompts(4, seed=8)]
        for name, metric in (("score", "eval_score"), ("reference_score", "eval_reference_score"), ("kl", "eval_kl")):
            mean = sum(one[name] for one in look["samples"]) / 4
            assert mean == pytest.approx(line["values"][metric], rel=1e-4, abs=1e-6)
    assert [one["reference"] for one in first["samples"]] == [one["reference"] for one in last["samples"]]


def test_35_answers_of_a_past_policy_are_tagged_and_weighed(run: PPORun) -> None:
    """Sampled at step 1, learned from at step 2: ratios are to the policy of step 2, and each token counts for its
    chance under that one over its chance when it was drawn, at most behaviour_cap."""
    run = changed(run, sample_every=2, behaviour_cap=1.1)
    actors, judges, _ = rolled(run)
    first, second = draw_ahead(actors, read_prompts(run, actors.opened), 1, run.seed)
    fresh = judge(actors, judges, first, 1)
    assert (fresh.versions == 1).all()
    assert torch.equal(fresh.weights(1.1), torch.ones_like(fresh.logprobs))
    with torch.no_grad():
        for tensor in actors.policy_weights().values():
            tensor.add_(torch.randn_like(tensor) * 0.05)
    stale = judge(actors, judges, second, 2)
    assert (stale.versions == 1).all()
    assert not torch.allclose(stale.logprobs, stale.behaviour, atol=1e-2)
    lesson = lesson_of(stale)
    for part in parts(stale, list(range(8)), 200, actors.opened.pad_id):
        old = ppo.old_of(lesson, part, run.config)
        assert (ppo.read(actors, part).logprobs - old.logprobs).abs().max() < 1e-5
        chance = (old.logprobs - part.flat(stale.behaviour)).exp()
        assert torch.allclose(old.weights, chance.clamp(max=1.1))
        assert (chance > 1.1).any()
    made = make_rollout([3], behaviour=make_rollout([3]).logprobs - 1)
    assert (made.weights(None) == 1).all()


def test_35_a_run_with_stale_answers_says_how_stale(run: PPORun) -> None:
    train_ppo(changed(run, steps=4, sample_every=3))
    assert [line["values"]["staleness"] for line in lines(run)] == [0, 1, 2, 0]
