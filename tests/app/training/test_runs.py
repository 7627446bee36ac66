"""Runs: who may start what, which attempt may write, and how they end."""

import re
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.permissions import Role
from app.checkpoints.tables import Checkpoint, CheckpointKind, CheckpointState, Place
from app.datasets.tables import Dataset, DatasetState
from app.projects.tables import Project
from app.training import actions
from app.training.actions import FenceLost, cancel_run, take_run
from app.training.configs import DPOConfig, PPOConfig, RewardConfig, SFTConfig, TuningConfig
from app.training.tables import Run, RunMetric, RunState
from tests import make
from tests.app.scene import engineer
from tests.queue import waiting


async def dataset_in(session: AsyncSession, project: Project, **values: Any) -> Dataset:
    values = {"name": "slice", "question": {}, "state": DatasetState.frozen, "sha256": "0" * 64, "lines": 9} | values
    dataset = Dataset(project_id=project.id, **values)
    session.add(dataset)
    await session.flush()
    await session.refresh(dataset)
    return dataset


async def a_run(session: AsyncSession, **values: Any) -> Run:
    project = await make.project(session)
    return await make.run(session, project, await make.checkpoint(session), **values)


async def taken(session: AsyncSession, run: Run) -> UUID:
    found = await take_run(session, run.id)
    assert found is not None
    assert found.fence is not None
    return found.fence


async def again(session: AsyncSession, run: Run) -> Run:
    await session.refresh(run)
    return run


async def let_the_heart_stop(session: AsyncSession) -> None:
    await session.execute(text("UPDATE runs SET heartbeat_at = now() - interval '1 minute'"))


# ---- starting ------------------------------------------------------------------------------------------------------


async def test_a_reward_run_is_queued_with_its_whole_config(client: httpx.AsyncClient, session: AsyncSession) -> None:
    project = await make.project(session)
    base, dataset = await make.checkpoint(session), await dataset_in(session, project)
    await engineer(client, session, project)
    form = {"dataset": str(dataset.public_id), "base": str(base.public_id), "seed": 7, "config": {"epochs": 2}}
    answer = await client.post(f"/api/v1/projects/{project.public_id}/runs/reward", json=form)
    assert answer.status_code == 202, answer.text
    told = answer.json()
    assert (told["state"], told["seed"], told["result"]) == ("queued", 7, None)
    assert told["config"] == RewardConfig(epochs=2).model_dump(mode="json")
    assert told["code_version"]
    run = (await session.scalars(select(Run))).one()
    assert await waiting(session, "Train") == [{"run_id": run.id}]


async def test_the_projects_checkpoint_is_the_base_unless_named(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    base = await make.checkpoint(session)
    project = await make.project(session, checkpoint_id=base.id)
    dataset = await dataset_in(session, project)
    await engineer(client, session, project)
    form = {"dataset": str(dataset.public_id)}
    answer = await client.post(f"/api/v1/projects/{project.public_id}/runs/reward", json=form)
    assert answer.status_code == 202, answer.text
    assert (await session.scalars(select(Run.base_id))).one() == base.id


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"dataset": "freezing"}, "dataset: it is not frozen yet"),
        ({"base": "endpoint"}, "on another server"),
        ({"base": "reward"}, "scores answers"),
        ({"base": "refused"}, "no such checkpoint that is ready"),
        ({"base": "foreign"}, "no such checkpoint that is ready"),
        ({"config": {"lr": 5}}, "lr"),
        ({"config": {"min_votes": 2}}, "a fold would be empty"),
    ],
)
async def test_what_cannot_be_trained_is_refused_by_name(
    client: httpx.AsyncClient, session: AsyncSession, change: dict[str, Any], words: str
) -> None:
    project = await make.project(session)
    await engineer(client, session, project)
    elsewhere = await make.project(session)
    made = {
        "freezing": await dataset_in(session, project, state=DatasetState.freezing, sha256=None),
        "endpoint": await make.checkpoint(session, place=Place.endpoint, location="http://x"),
        "reward": await make.checkpoint(session, CheckpointKind.reward),
        "refused": await make.checkpoint(session, state=CheckpointState.refused),
        "foreign": await make.checkpoint(session, project_id=elsewhere.id),
    }
    good = {"dataset": await dataset_in(session, project), "base": await make.checkpoint(session)}
    change = {name: str(made[value].public_id) if isinstance(value, str) else value for name, value in change.items()}
    form: dict[str, Any] = {name: str(row.public_id) for name, row in good.items()} | change
    answer = await client.post(f"/api/v1/projects/{project.public_id}/runs/reward", json=form)
    assert answer.status_code == 422
    assert words in answer.text
    assert (await session.scalars(select(Run))).all() == []


@pytest.mark.parametrize(("method", "config"), [("sft", SFTConfig(epochs=2)), ("dpo", DPOConfig(loss="kto", epochs=2))])
async def test_other_methods_learn_from_a_dataset_as_well(
    client: httpx.AsyncClient, session: AsyncSession, method: str, config: TuningConfig
) -> None:
    project = await make.project(session)
    base, dataset = await make.checkpoint(session), await dataset_in(session, project)
    await engineer(client, session, project)
    form = {"dataset": str(dataset.public_id), "base": str(base.public_id), "config": config.model_dump(mode="json")}
    answer = await client.post(f"/api/v1/projects/{project.public_id}/runs/{method}", json=form)
    assert answer.status_code == 202, answer.text
    assert (answer.json()["method"], answer.json()["config"]) == (method, config.model_dump(mode="json"))
    page = await client.get(f"/projects/{project.public_id}/runs/new?method={method}")
    assert 'name="config.keep"' in page.text
    sent = {"method": method, "dataset": form["dataset"], "base": form["base"], "config.epochs": "4"}
    assert (await client.post(f"/projects/{project.public_id}/runs", data=sent)).status_code == 303
    runs = (await session.scalars(select(Run).order_by(Run.id))).all()
    assert (runs[0].method.value, runs[0].base_id) == (method, base.id)
    assert runs[1].config["epochs"] == 4


async def test_a_reward_model_may_make_further_pairs_for_dpo(client: httpx.AsyncClient, session: AsyncSession) -> None:
    project = await make.project(session)
    base, dataset = await make.checkpoint(session), await dataset_in(session, project)
    reward = await make.checkpoint(session, CheckpointKind.reward, parent_id=base.id)
    await engineer(client, session, project)
    form = {"dataset": str(dataset.public_id), "base": str(base.public_id)}
    address = f"/api/v1/projects/{project.public_id}/runs/dpo"
    refused = await client.post(address, json=form | {"reward": str(base.public_id)})
    assert refused.status_code == 422
    assert "name one that scores" in refused.text
    unread = {"loss": "kto", "pairs_as_singles": False}
    refused = await client.post(address, json=form | {"reward": str(reward.public_id), "config": unread})
    assert (refused.status_code, "kto learns nothing from a reward model’s pairs" in refused.text) == (422, True)
    assert (await client.post(address, json=form | {"reward": str(reward.public_id)})).status_code == 202
    page = await client.get(f"/projects/{project.public_id}/runs/new?method=dpo")
    assert f'value="{reward.public_id}"' in page.text
    for chosen in (str(reward.public_id), ""):
        sent = form | {"method": "dpo", "reward": chosen}
        assert (await client.post(f"/projects/{project.public_id}/runs", data=sent)).status_code == 303
    runs = (await session.scalars(select(Run).order_by(Run.id))).all()
    assert [(run.dataset_id, run.reward_id) for run in runs] == [
        (dataset.id, reward.id), (dataset.id, reward.id), (dataset.id, None),
    ]  # fmt: skip


async def test_a_policy_needs_a_checkpoint_that_scores_and_starts_at_its_base(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    project = await make.project(session)
    await engineer(client, session, project)
    base = await make.checkpoint(session)
    reward = await make.checkpoint(session, CheckpointKind.reward, parent_id=base.id)
    address = f"/api/v1/projects/{project.public_id}/runs/ppo"
    refused = await client.post(address, json={"reward": str(base.public_id)})
    assert refused.status_code == 422
    assert "name one that scores" in refused.text
    answer = await client.post(address, json={"reward": str(reward.public_id), "config": {"steps": 3}})
    assert answer.status_code == 202, answer.text
    run = (await session.scalars(select(Run))).one()
    assert (run.base_id, run.reward_id, run.config) == (
        base.id,
        reward.id,
        PPOConfig(steps=3).model_dump(mode="json"),
    )


@pytest.mark.parametrize("role", [Role.annotator, Role.viewer])
async def test_who_may_not_train_starts_and_stops_nothing(
    client: httpx.AsyncClient, session: AsyncSession, role: Role
) -> None:
    project = await make.project(session)
    run = await make.run(session, project, await make.checkpoint(session))
    await engineer(client, session, project, role)
    form = {"dataset": str(uuid4())}
    started = await client.post(f"/api/v1/projects/{project.public_id}/runs/reward", json=form)
    stopped = await client.post(f"/api/v1/runs/{run.public_id}/cancel")
    assert (started.status_code, stopped.status_code) == (403, 403)


async def test_the_page_says_what_is_wrong_above_the_form_and_keeps_it(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    project = await make.project(session)
    base, dataset = await make.checkpoint(session), await dataset_in(session, project)
    await engineer(client, session, project)
    sent = {"method": "reward", "dataset": str(dataset.public_id), "base": str(base.public_id), "config.lr": "7",
            "config.epochs": "5", "name": "mine", "seed": "3"}  # fmt: skip
    refused = await client.post(f"/projects/{project.public_id}/runs", data=sent)
    assert refused.status_code == 422
    assert "config.lr: " in refused.text.split('class="notice error"', 1)[1][:200]
    assert 'value="mine"' in refused.text
    assert 'value="5"' in refused.text
    started = await client.post(f"/projects/{project.public_id}/runs", data=sent | {"config.lr": "0.002"})
    assert started.status_code == 303
    run = (await session.scalars(select(Run))).one()
    assert (run.name, run.seed, run.config["lr"], run.config["epochs"]) == ("mine", 3, 0.002, 5)


async def test_the_form_of_ppo_shows_the_heads_of_the_chosen_reward_model(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    project = await make.project(session)
    base = await make.checkpoint(session)
    record = {"metrics": {"heads": {"accuracy": {}, "harmful": {}, "overall": {}}}}
    judge = await make.checkpoint(session, CheckpointKind.reward, parent_id=base.id, record=record)
    plain = await make.checkpoint(session, CheckpointKind.reward, parent_id=base.id)
    await engineer(client, session, project)
    place = f"/projects/{project.public_id}/runs"
    asked = {"method": "ppo", "heads": "true", "reward": str(judge.public_id)}
    part = (await client.get(f"{place}/new", params=asked, headers={"HX-Request": "true"})).text
    assert re.findall(r'name="config\.([^"]+)"', part) == [
        *(f"head_weights.{name}" for name in ("overall", "accuracy", "harmful")),
        "formula",
    ]
    page = (await client.get(f"{place}/new", params={"method": "ppo", "reward": str(plain.public_id)})).text
    assert ("config.head_weights" in page, "gives one score" in page) == (False, True)
    sent = {"method": "ppo", "reward": str(judge.public_id), "config.head_weights.accuracy": "0.6"}
    for wrong, said in (({"config.formula": "tone"}, "tone"), ({"config.head_weights.tone": "1"}, "no head “tone”")):
        refused = await client.post(place, data=sent | {"config.head_weights.accuracy": ""} | wrong)
        assert (refused.status_code, said in refused.text) == (422, True)
        assert "overall, accuracy, harmful" in refused.text
    assert (await client.post(place, data=sent)).status_code == 303
    assert (await session.scalars(select(Run))).one().config["head_weights"] == {"accuracy": 0.6}


# ---- one attempt at a time -----------------------------------------------------------------------------------------


async def test_a_living_attempt_keeps_its_run(session: AsyncSession) -> None:
    run = await a_run(session)
    await taken(session, run)
    assert await take_run(session, run.id) is None


async def test_a_silent_attempt_loses_its_run_and_may_write_nothing_more(session: AsyncSession) -> None:
    run = await a_run(session)
    old = await taken(session, run)
    await actions.write_metrics(session, run.id, old, [{"step": 1, "total": 9, "values": {"loss": 2.0}}])
    await let_the_heart_stop(session)
    new = await taken(session, run)
    assert new != old
    line = {"step": 2, "total": 9, "values": {"loss": 1.0}}
    for write in (
        actions.beat(session, run.id, old, stage="late", log="late"),
        actions.write_metrics(session, run.id, old, [line]),
        actions.succeed(session, run.id, old, path="checkpoints/x", kind=CheckpointKind.policy, record={}),
        actions.fail(session, run.id, old, "late"),
        actions.stop(session, run.id, old),
    ):
        with pytest.raises(FenceLost):
            await write
    await again(session, run)
    assert (run.state, run.fence, run.attempt, run.step, run.stage, run.log) == (RunState.running, new, 2, 1, None, "")
    assert (await session.scalars(select(RunMetric.step))).all() == [1]
    assert await session.scalar(select(func.count()).select_from(Checkpoint)) == 1
    assert await waiting(session, "RunEnded") == []


async def test_a_step_told_twice_keeps_its_newest_numbers(session: AsyncSession) -> None:
    run = await a_run(session)
    fence = await taken(session, run)
    for loss in (2.0, 1.5):
        await actions.write_metrics(session, run.id, fence, [{"step": 1, "total": 3, "values": {"loss": loss}}])
    row = (await session.scalars(select(RunMetric).execution_options(populate_existing=True))).one()
    assert row.values == {"loss": 1.5}


async def test_a_run_ends_once_and_says_so_once(session: AsyncSession) -> None:
    run = await a_run(session)
    fence = await taken(session, run)
    record = {"weights_sha256": "ab", "metrics": {"kl": 1.0}}
    done: dict[str, Any] = {"path": f"checkpoints/{run.public_id}", "kind": CheckpointKind.policy, "record": record}
    made = await actions.succeed(session, run.id, fence, **done)
    with pytest.raises(FenceLost):
        await actions.succeed(session, run.id, fence, **done)
    await again(session, run)
    assert (run.state, run.result_id, run.report, run.fence) == (RunState.succeeded, made.id, {"kl": 1.0}, None)
    assert (made.parent_id, made.run_id, made.place) == (run.base_id, run.id, Place.run)
    assert await waiting(session, "RunEnded") == [{"run_id": run.id}]
    assert await take_run(session, run.id) is None


async def test_abandoned_runs_are_queued_again_once(session: AsyncSession) -> None:
    run = await a_run(session)
    await taken(session, run)
    await actions.take_up_again(session)
    assert await waiting(session, "Train") == []
    await let_the_heart_stop(session)
    await actions.take_up_again(session)
    await actions.take_up_again(session)
    assert await waiting(session, "Train") == [{"run_id": run.id}]


async def test_a_run_that_never_ends_is_given_up_with_a_sentence(session: AsyncSession) -> None:
    run = await a_run(session, attempt=actions.MOST_ATTEMPTS)
    assert await take_run(session, run.id) is None
    await again(session, run)
    assert run.state is RunState.failed
    assert "begun 20 times" in str(run.reason)


async def test_what_a_program_says_is_kept_whatever_characters_it_holds(session: AsyncSession) -> None:
    run = await a_run(session)
    fence, said = await taken(session, run), "ValueError: \0 and half of \ud83d"
    assert await actions.beat(session, run.id, fence, stage=None, log=said) is False
    await actions.fail(session, run.id, fence, said)
    ended = await again(session, run)
    assert ended.reason == ended.log == "ValueError: � and half of �"
    noted = text("SELECT body ->> 'reason' FROM events WHERE kind = 'run.failed'")
    assert await session.scalar(noted) == ended.reason


async def test_a_run_handed_back_is_taken_again_at_once(session: AsyncSession) -> None:
    run = await a_run(session)
    fence = await taken(session, run)
    await actions.let_go(session, run.id, uuid4())  # somebody else's fence moves nothing
    assert await take_run(session, run.id) is None
    await actions.let_go(session, run.id, fence)
    await session.refresh(run)
    assert await taken(session, run) != fence


# ---- cancelling ----------------------------------------------------------------------------------------------------


async def test_a_waiting_run_is_cancelled_at_once(session: AsyncSession) -> None:
    run = await a_run(session)
    await cancel_run(session, run, None)
    assert (run.state, run.reason) == (RunState.cancelled, "Cancelled before it began.")
    assert await take_run(session, run.id) is None


async def test_a_running_one_hears_of_it_at_its_next_heartbeat(session: AsyncSession) -> None:
    run = await a_run(session)
    fence = await taken(session, run)
    assert await actions.beat(session, run.id, fence, stage=None, log="") is False
    await cancel_run(session, run, None)
    assert run.state is RunState.running
    assert await actions.beat(session, run.id, fence, stage=None, log="") is True
    await actions.stop(session, run.id, fence)
    assert (await again(session, run)).state is RunState.cancelled


async def test_cancelling_twice_or_after_the_end_changes_nothing(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    project = await make.project(session)
    run = await make.run(session, project, await make.checkpoint(session))
    await engineer(client, session, project)
    first = await client.post(f"/api/v1/runs/{run.public_id}/cancel")
    second = await client.post(f"/api/v1/runs/{run.public_id}/cancel")
    assert first.json() == second.json()
    assert first.json()["state"] == "cancelled"
    assert len(await waiting(session, "RunEnded")) == 1


async def test_a_cancelled_run_whose_trainer_died_ends_when_it_is_taken_up(session: AsyncSession) -> None:
    run = await a_run(session)
    await taken(session, run)
    await cancel_run(session, run, None)
    await let_the_heart_stop(session)
    assert await take_run(session, run.id) is None
    assert (await again(session, run)).state is RunState.cancelled


# ---- looking -------------------------------------------------------------------------------------------------------


async def test_metrics_are_told_from_where_one_left_off(client: httpx.AsyncClient, session: AsyncSession) -> None:
    project = await make.project(session)
    run = await make.run(session, project, await make.checkpoint(session))
    fence = await taken(session, run)
    lines = [{"step": step, "total": 3, "values": {"score": step / 2, "kl": None}} for step in (1, 2, 3)]
    await actions.write_metrics(session, run.id, fence, lines)
    await engineer(client, session, project)
    answer = await client.get(f"/api/v1/runs/{run.public_id}/metrics", params={"after": 1})
    assert answer.json() == [{"step": n, "values": {"score": n / 2, "kl": None}} for n in (2, 3)]
    shown = await client.get(f"/api/v1/runs/{run.public_id}")
    assert {name: shown.json()[name] for name in ("attempt", "step", "steps")} == {"attempt": 1, "step": 3, "steps": 3}


async def test_the_page_of_a_run_draws_its_curves_and_asks_again_while_it_runs(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    project = await make.project(session)
    run = await make.run(session, project, await make.checkpoint(session))
    fence = await taken(session, run)
    lines = [{"step": n, "total": 9, "values": {"score": n / 2, "kl": n / 9, "novel": 1.0}} for n in (1, 2, 3)]
    await actions.write_metrics(session, run.id, fence, lines)
    await engineer(client, session, project)
    page = (await client.get(f"/runs/{run.public_id}")).text
    assert 'hx-trigger="every 2s"' in page
    assert "Score by the reward model" in page
    assert "novel" in page  # a number nobody named is drawn all the same
    assert "3 / 9" in page
    block = await client.get(f"/runs/{run.public_id}", headers={"HX-Request": "true"})
    assert block.text.lstrip().startswith('<div id="run"')


async def test_a_failed_run_shows_its_reason_and_its_log_on_its_page(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    project = await make.project(session)
    run = await make.run(session, project, await make.checkpoint(session))
    fence = await taken(session, run)
    await actions.beat(session, run.id, fence, stage=None, log="loading\n<b>boom</b>")
    await actions.fail(session, run.id, fence, "There is too little of it.")
    await engineer(client, session, project)
    page = (await client.get(f"/runs/{run.public_id}")).text
    assert "There is too little of it." in page
    assert "&lt;b&gt;boom&lt;/b&gt;" in page
    assert "hx-trigger" not in page.split('id="run"')[1].split(">")[0]
