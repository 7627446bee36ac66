"""Runs through their real child process, on a database that commits: ends of every kind, and kills."""

import asyncio
import json
import os
import signal
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import delete, func, select, text, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncSession

from app import database
from app.checkpoints.tables import Checkpoint, CheckpointKind, Place
from app.datasets.records import PromptRecord
from app.jobs.actions import bid
from app.jobs.rules import Card, Use
from app.jobs.tables import CardBid
from app.settings import get_settings
from app.training import actions
from app.training.configs import DPOConfig, PPOConfig, read_run
from app.training.forms import DPOForm, PPOForm
from app.training.jobs import Train
from app.training.tables import Method, Run, RunMetric, RunSample, RunState
from tests import make
from tests.app.training.test_runs import dataset_in
from tests.queue import waiting
from tests.workers.handlers.scene import REWARD, Ground, ground, look, reward_run, until
from workers.attempts import Attempt, apart, write_inputs
from workers.handlers import training
from workers.handlers.registry import Context
from workers.handlers.training import train
from workers.training.lines import read_lines

PPO = PPOConfig(
    steps=2, batch=4, minibatch=4, epochs=1, max_tokens=8, rank=2, reference_samples=8, save_every=1, evaluate_every=1
)


@pytest.fixture
def context(committed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Context:
    monkeypatch.setenv("HONE_HOME", str(tmp_path))
    monkeypatch.setenv("HONE_THREADS", "1")
    monkeypatch.setenv("HONE_DEVICE", "cpu")
    monkeypatch.setattr(training, "BEAT", 0.2)
    get_settings.cache_clear()
    return Context(get_settings())


async def do(run_id: int, context: Context) -> Run:
    await train(Train(run_id=run_id), context)
    return await look(run_id)


async def ppo_run(there: Ground, reward: Checkpoint, config: PPOConfig = PPO) -> int:
    async with database.transaction() as session:
        form = PPOForm(reward=reward.public_id, seed=1, config=config)
        return (await actions.start_ppo_run(session, there.project.id, form, None)).id


async def result_of(run: Run) -> Checkpoint:
    async with database.transaction() as session:
        return await session.get_one(Checkpoint, run.result_id)


async def count(what: object) -> int:
    async with database.transaction() as session:
        return int(await session.scalar(select(func.count()).select_from(what)) or 0)  # type: ignore[arg-type]


async def let_the_heart_stop() -> None:
    async with database.transaction() as session:
        await session.execute(text("UPDATE runs SET heartbeat_at = now() - interval '1 minute'"))


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def command_of(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text()


async def child_of(pid: int) -> int:
    for _ in range(300):
        mine = [one for one in children_of(pid) if "workers.training" in command_of(one)]
        if mine:
            return mine[0]
        await asyncio.sleep(0.1)
    raise AssertionError("no training was started")


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def test_a_reward_model_and_a_policy_from_it(context: Context) -> None:
    there = await ground(context)
    run = await do(await reward_run(there), context)
    assert (run.state, run.reason) == (RunState.succeeded, None)
    reward = await result_of(run)
    assert (reward.kind, reward.place, reward.parent_id) == (CheckpointKind.reward, Place.run, there.base.id)
    assert (there.home / reward.location / "hone.json").is_file()
    assert reward.record["dataset_sha256"] == there.dataset.sha256
    assert {"heldout", "blind", "length_only", "reliability", "temperature"} <= set(run.report)
    assert (run.step, run.steps, await count(RunMetric)) == (2, 2, 2)

    run = await do(await ppo_run(there, reward), context)
    assert (run.state, run.reason) == (RunState.succeeded, None)
    policy = await result_of(run)
    assert (policy.kind, policy.parent_id) == (CheckpointKind.policy, there.base.id)
    assert policy.weights_sha256 == policy.record["weights_sha256"]
    assert {"kl", "win_rate", "length_ratio"} <= set(run.report)
    assert run.report["prompts"] == "practised", "24 are too few to set some apart"
    async with database.transaction() as session:
        assert await waiting(session, "RunEnded") == [{"run_id": 1}, {"run_id": 2}]
    assert await count(CardBid) == 0, "on a CPU nothing is leased"


async def test_a_policy_straight_from_preferences(context: Context) -> None:
    there = await ground(context)
    config = DPOConfig(rank=2, epochs=1, batch=8, min_lines=4)
    async with database.transaction() as session:
        form = DPOForm(dataset=there.dataset.public_id, base=there.base.public_id, config=config)
        run_id = (await actions.start_dataset_run(session, there.project.id, form, None, None)).id
    run = await do(run_id, context)
    assert (run.state, run.reason) == (RunState.succeeded, None)
    policy = await result_of(run)
    assert (policy.kind, policy.parent_id, policy.record["method"]) == (CheckpointKind.policy, there.base.id, "dpo")
    assert {"heldout_accuracy", "heldout_loss"} <= set(run.report["after"])


@pytest.mark.parametrize(("pairs", "outcome"), [(3, None), (12, "tie")])
async def test_too_few_usable_votes_fail_with_the_count_that_is_needed(
    context: Context, pairs: int, outcome: str | None
) -> None:
    there = await ground(context, pairs=pairs, outcome=outcome)
    run = await do(await reward_run(there, REWARD.model_copy(update={"min_votes": 20})), context)
    assert run.state is RunState.failed
    assert "choose a side; 20 are needed" in str(run.reason)
    assert await count(Checkpoint) == 1


async def test_a_checkpoint_with_a_pickle_fails_by_its_files_name(context: Context) -> None:
    there = await ground(context)
    run_id = await reward_run(there)
    (there.home / "base" / "pytorch_model.bin").write_bytes(b"x")
    run = await do(run_id, context)
    assert run.state is RunState.failed
    assert "pytorch_model.bin" in str(run.reason)


async def test_lines_that_are_gone_fail_the_run(context: Context) -> None:
    there = await ground(context)
    run_id = await reward_run(there)
    (there.home / "datasets" / str(there.dataset.sha256) / "records.jsonl").unlink()
    run = await do(run_id, context)
    assert (run.state, run.reason) == (
        RunState.failed,
        "The file with the lines of “slice” is not on this machine.",
    )


async def test_lines_that_were_changed_after_they_were_frozen_fail_the_run(context: Context) -> None:
    there = await ground(context, pairs=4)
    run_id = await reward_run(there)
    file = there.home / "datasets" / str(there.dataset.sha256) / "records.jsonl"
    file.write_bytes(file.read_bytes().replace(b'"outcome":"a"', b'"outcome":"b"'))
    run = await do(run_id, context)
    assert run.state is RunState.failed
    assert str(run.reason).startswith("The file with the lines of “slice” is not as it was frozen: its SHA-256 is ")


async def test_what_breaks_again_and_again_is_given_up(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    there = await ground(context, pairs=4)
    run_id = await reward_run(there)

    def full(*given: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(training, "take_over_folder", full)
    with pytest.raises(OSError, match="No space"):
        await do(run_id, context)
    assert (await look(run_id)).state is RunState.queued
    with pytest.raises(OSError, match="No space"):  # however often its job was tried: the run counts for itself
        await do(run_id, Context(context.settings, attempt=50))
    async with database.transaction() as session:
        await session.execute(update(Run).values(attempt=actions.MOST_ATTEMPTS - 1))
    run = await do(run_id, context)
    assert run.state is RunState.failed
    assert "No space left on device" in str(run.reason)


async def test_heartbeats_may_be_missed_for_a_while(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was not told meanwhile is told afterwards."""
    there = await ground(context)
    run_id = await reward_run(there)
    beat, missed = actions.beat, []

    async def away(*given: Any, **more: Any) -> bool:
        if len(missed) < 3:
            missed.append(given)
            raise OperationalError("", {}, Exception("away"))
        return await beat(*given, **more)

    monkeypatch.setattr(actions, "beat", away)
    run = await do(run_id, context)
    assert (run.state, run.attempt, len(missed)) == (RunState.succeeded, 1, 3)
    assert await count(RunMetric) == run.steps


async def test_a_database_that_stays_away_ends_the_attempt_and_not_the_run(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = await ground(context)
    run_id = await reward_run(there, REWARD.model_copy(update={"epochs": 500, "patience": 500}))

    async def away(*_given: Any, **_more: Any) -> bool:
        raise OperationalError("", {}, Exception("away"))

    monkeypatch.setattr(actions, "beat", away)
    monkeypatch.setattr(actions, "HEARTBEAT_LIMIT", timedelta(seconds=1))
    with pytest.raises(OperationalError):
        await do(run_id, Context(context.settings, attempt=5))
    assert (await look(run_id)).state is RunState.queued


async def test_a_result_outlasts_a_database_that_is_away_at_the_end(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = await ground(context)
    run_id = await reward_run(there)
    succeed = actions.succeed

    async def away(*_given: Any, **_more: Any) -> Checkpoint:
        raise OperationalError("", {}, Exception("away"))

    monkeypatch.setattr(actions, "succeed", away)
    with pytest.raises(OperationalError):
        await do(run_id, context)
    monkeypatch.setattr(actions, "succeed", succeed)

    async def no_second_training(*_given: Any, **_more: Any) -> Any:
        raise AssertionError("it was trained once more")

    monkeypatch.setattr(training, "start_python", no_second_training)
    run = await do(run_id, context)
    assert (run.state, run.attempt, await count(RunMetric)) == (RunState.succeeded, 2, run.steps)


async def test_a_killed_training_fails_and_says_how(context: Context) -> None:
    there = await ground(context)
    run_id = await reward_run(there, REWARD.model_copy(update={"epochs": 500, "patience": 500}))
    going_on = asyncio.create_task(do(run_id, context))
    await until(run_id, lambda run: run.step > 0)
    os.kill(await child_of(os.getpid()), signal.SIGKILL)
    run = await going_on
    assert run.state is RunState.failed
    assert "ended by signal 9" in str(run.reason)


async def test_a_cancelled_training_stops_and_leaves_no_checkpoint(context: Context) -> None:
    there = await ground(context)
    run_id = await reward_run(there, REWARD.model_copy(update={"epochs": 500, "patience": 500}))
    going_on = asyncio.create_task(do(run_id, context))
    await until(run_id, lambda run: run.step > 0)
    async with database.transaction() as session:
        await actions.cancel_run(session, await session.get_one(Run, run_id), None)
    run = await going_on
    assert (run.state, run.reason) == (RunState.cancelled, "Cancelled on request.")
    assert await count(Checkpoint) == 1
    assert not (there.home / "checkpoints").exists()


async def test_a_run_whose_whole_trainer_was_killed_goes_on_and_ends_once(context: Context) -> None:
    there = await ground(context)
    # long enough to be found at work after its third step, short enough to be ended
    long = REWARD.model_copy(update={"epochs": 150, "patience": 150})
    run_id = await reward_run(there, long)
    words = (sys.executable, "-m", "workers", "train")
    worker = await asyncio.create_subprocess_exec(*words, env={**os.environ, "PYTHONUNBUFFERED": "1"})
    before = await until(run_id, lambda run: run.step >= 3)
    child = await child_of(worker.pid)
    worker.kill()
    await worker.wait()
    for _ in range(10):
        if not is_alive(child):
            break
        await asyncio.sleep(0.1)
    assert not is_alive(child)  # nothing trains on without anybody knowing
    await let_the_heart_stop()
    async with database.transaction() as session:
        await actions.take_up_again(session)
        assert await waiting(session, "Train") == [{"run_id": run_id}] * 2  # the dead worker's own is still there
    run = await do(run_id, context)
    assert (run.state, run.attempt, run.step) == (RunState.succeeded, 2, run.step)
    assert run.step >= before.step
    assert await count(Checkpoint) == 2
    log = (there.home / "runs" / str(run.public_id)).glob("*/work/metrics.jsonl")
    steps = [line.split(",")[0] for file in log for line in file.read_text().splitlines()]
    assert len(steps) == len(set(steps))  # it went on from its saved state, and no step was written twice
    again = await do(run_id, context)
    assert again.finished_at == run.finished_at


async def test_an_attempt_that_lost_its_fence_leaves_quietly(context: Context) -> None:
    there = await ground(context)
    run_id = await reward_run(there, REWARD.model_copy(update={"epochs": 500, "patience": 500}))
    going_on = asyncio.create_task(do(run_id, context))
    await until(run_id, lambda run: run.step > 0)
    child = await child_of(os.getpid())
    await let_the_heart_stop()
    async with database.transaction() as session:
        taken = await actions.take_run(session, run_id)
    assert taken is not None
    await going_on
    assert not is_alive(child)
    run = await look(run_id)
    assert (run.state, run.fence) == (RunState.running, taken.fence)


async def test_a_training_steps_aside_for_somebody_who_talks_and_keeps_its_state(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    card, person = Card("GPU-1", "Test card"), uuid4()

    async def here(_device: str) -> Card:
        return card

    monkeypatch.setattr(training, "card_of", here)
    there = await ground(context)
    run_id = await reward_run(there, REWARD.model_copy(update={"epochs": 500, "patience": 500}))
    going_on = asyncio.create_task(do(run_id, context))
    await until(run_id, lambda run: run.step > 0)
    async with database.transaction() as session:
        assert not (await bid(session, card, person, Use.talk)).has
    run = await going_on
    assert (run.state, run.attempt, run.fence) == (RunState.queued, 0, None)
    assert "The sampler has the card Test card." in str(run.reason)
    assert list((there.home / "runs" / str(run.public_id)).glob("*/work/state.safetensors"))
    async with database.transaction() as session:
        assert (await bid(session, card, person, Use.talk)).has
    run = await do(run_id, context)
    assert (run.state, run.attempt) == (RunState.queued, 0), "and it waits until the card is free"


async def test_a_heartbeat_tells_new_figures_and_samples_once(context: Context, tmp_path: Path) -> None:
    async with database.transaction() as session:
        run = await make.run(session, await make.project(session), await make.checkpoint(session))
        taken = await actions.take_run(session, run.id)
    assert taken is not None
    assert taken.fence is not None
    attempt = Attempt(run.id, taken.fence, run.public_id, run.method, tmp_path / "attempt")
    attempt.work.mkdir(parents=True)
    for step in (1, 2):
        for name, content in (
            ("metrics", {"total": 2, "values": {"kl": 1.0}}),
            ("samples", {"samples": [{"kl": 1.0}]}),
        ):
            with (attempt.work / f"{name}.jsonl").open("a") as file:
                file.write(json.dumps({"step": step} | content) + "\n")
        await training.tell(attempt, context)
        assert (await count(RunMetric), await count(RunSample)) == (step, step)
    async with database.transaction() as session:
        await session.execute(delete(RunSample))
    await training.tell(attempt, context)
    assert await count(RunSample) == 0, "what was told is not told again"


async def test_where_figures_also_go_is_said_by_the_installation(session: AsyncSession, tmp_path: Path) -> None:
    project, base = await make.project(session), await make.checkpoint(session)
    dataset = await dataset_in(session, project)
    lines = tmp_path / "datasets" / ("0" * 64) / "records.jsonl"
    lines.parent.mkdir(parents=True)
    lines.touch()
    run = await make.run(session, project, base, method=Method.sft, dataset_id=dataset.id, name="Mine")
    attempt = Attempt(run.id, uuid4(), run.public_id, run.method, tmp_path)
    await write_inputs(session, run, attempt, tmp_path, "cpu", "trackio")
    told = read_run("sft", tmp_path / "run.json")
    assert (told.track, told.name) == ("trackio", "Mine")


async def test_a_judged_dpo_run_reads_its_dataset_the_reward_model_and_the_prompts_of_practice(
    session: AsyncSession, tmp_path: Path
) -> None:
    project, base = await make.project(session), await make.checkpoint(session)
    reward = await make.checkpoint(session, CheckpointKind.reward, parent_id=base.id)
    dataset = await dataset_in(session, project)
    lines = tmp_path / "datasets" / ("0" * 64) / "records.jsonl"
    lines.parent.mkdir(parents=True)
    lines.touch()
    for number in range(3):
        await make.prompt(session, project, f"prompt {number}")
    run = await make.run(session, project, base, method=Method.dpo, dataset_id=dataset.id, reward_id=reward.id)
    attempt = Attempt(run.id, uuid4(), run.public_id, run.method, tmp_path)
    await write_inputs(session, run, attempt, tmp_path, "cpu")
    told = read_run("dpo", tmp_path / "run.json")
    assert told.dataset == lines
    assert told.reward is not None
    assert told.prompts == tmp_path / "prompts.jsonl"
    assert len(read_lines(told.prompts, PromptRecord)) == 3


def test_missing_torch_is_told_as_what_to_install(tmp_path: Path) -> None:
    attempt = Attempt(1, uuid4(), uuid4(), Method.reward, tmp_path)
    attempt.log.write_text("Traceback (most recent call last):\n …\nModuleNotFoundError: No module named 'torch'\n")
    assert (
        training.reason_of(attempt, 1) == "Training needs torch, which comes with the extra: pip install 'hone[train]'"
    )
    attempt.log.write_text("")
    assert training.reason_of(attempt, 1) == "The training ended with code 1 and said nothing."


def test_prompts_that_are_looked_at_share_no_root_with_those_practised_on() -> None:
    found = [(f"root-{n // 2}", {"group": f"g{n // 2}", "id": n}) for n in range(400)]
    practised, looked_at = apart(found)
    assert 0 < len(looked_at) <= 32
    assert {line["group"] for line in practised}.isdisjoint(line["group"] for line in looked_at)
    assert apart(found[:40]) == ([line for _root, line in found[:40]], [])
