"""Schedules: when they fire, why they skip, what a fire does until its end, and that two schedulers fire once."""

import asyncio
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app import database
from app.checkpoints.tables import Checkpoint, CheckpointKind
from app.datasets.actions import conclude_freezing, give_up_freezing, write_dataset
from app.datasets.rules import split_of
from app.datasets.tables import Dataset
from app.loop import actions
from app.loop.actions import after_freeze, after_run, edit_schedule, make_schedule, switch_schedule
from app.loop.forms import Plan, ScheduleForm
from app.loop.queries import new_answers, preferring_by_component
from app.loop.tables import FireState, Schedule, ScheduleFire, Trigger
from app.projects.queries import default_batch
from app.projects.tables import Project
from app.prompts.actions import retire_prompt
from app.prompts.tables import Prompt, Root, Use
from app.settings import get_settings
from app.tasks.tables import Purpose, Task
from app.training.actions import cancel_run, fail, succeed, take_run
from app.training.configs import RewardConfig
from app.training.tables import Method, Run
from tests import make
from tests.app.evaluation.scene import here
from tests.app.scene import engineer
from tests.queue import waiting
from workers.handlers.loop import look_at_schedules
from workers.handlers.registry import Context

PLAN = Plan(heldout_share=0, seed=4, reward=RewardConfig(min_votes=4))
MONDAY = datetime(2026, 11, 16, 3, 0, tzinfo=UTC)


def weekly(**values: Any) -> ScheduleForm:
    return ScheduleForm(**{"name": "Weekly", "trigger": "weekly", "weekday": 0, "at": time(3), "plan": PLAN} | values)


def by_answers(every: int = 5, **values: Any) -> ScheduleForm:
    return ScheduleForm(**{"name": "Often", "trigger": "answers", "every": every, "plan": PLAN} | values)


async def ground(session: AsyncSession, answers: int = 6) -> Project:
    base = await make.checkpoint(session)
    project = await make.project(session, checkpoint_id=base.id)
    await answered(session, project, answers, at=await now_of(session) - timedelta(hours=1))
    return project


async def now_of(session: AsyncSession) -> datetime:
    """The database's clock, which stands still inside a transaction."""
    return (await session.execute(select(func.now()))).scalar_one()


async def answered(
    session: AsyncSession,
    project: Project,
    count: int,
    outcome: Any = 0,
    purpose: Purpose = Purpose.collect,
    at: datetime | None = None,
) -> list[Task]:
    """Answers by somebody new, a task each. at: when they were given; now."""
    person = await make.user(session)
    await make.member(session, project, person)
    batch = await default_batch(session, project.id)
    tasks = [await make.task(session, project, batch, purpose=purpose) for _ in range(count)]
    for task in tasks:
        await make.annotation(session, task, person, outcome, submitted_at=at or await now_of(session))
    return tasks


def clock(monkeypatch: pytest.MonkeyPatch, instant: datetime) -> None:
    async def now(_session: AsyncSession) -> datetime:
        return instant

    monkeypatch.setattr(actions, "database_now", now)


async def armed(session: AsyncSession, project: Project, form: ScheduleForm, since: datetime) -> Schedule:
    schedule = await make_schedule(session, project.id, form, None)
    schedule.armed_at = since
    await session.flush()
    return schedule


async def often(session: AsyncSession, project: Project, every: int = 5, **values: Any) -> Schedule:
    """A schedule by answers that was made a minute ago."""
    form = by_answers(every, **values)
    return await armed(session, project, form, await now_of(session) - timedelta(minutes=1))


async def tick(session: AsyncSession) -> None:
    """What housekeeping does once a minute; its transactions are savepoints of the test's own."""
    await look_at_schedules(here(session))


async def fires(session: AsyncSession) -> list[ScheduleFire]:
    query = select(ScheduleFire).order_by(ScheduleFire.id).execution_options(populate_existing=True)
    return list(await session.scalars(query))


# ---- when ----------------------------------------------------------------------------------------------------------


async def test_a_weekly_schedule_fires_at_its_hour_and_once(
    session: AsyncSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = await ground(session)
    await armed(session, project, weekly(), MONDAY - timedelta(days=2))
    clock(monkeypatch, MONDAY - timedelta(seconds=1))
    await tick(session)
    assert await fires(session) == []
    for minutes in (0, 1, 60):
        clock(monkeypatch, MONDAY + timedelta(minutes=minutes))
        await tick(session)
    (fire,) = await fires(session)
    assert (fire.due_at, fire.state) == (MONDAY, FireState.started)


async def test_after_weeks_of_silence_one_is_made_up_for(
    session: AsyncSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = await ground(session)
    await armed(session, project, weekly(), MONDAY - timedelta(days=40))
    clock(monkeypatch, MONDAY + timedelta(days=3))
    await tick(session)
    await tick(session)
    assert [fire.due_at for fire in await fires(session)] == [MONDAY]


async def test_the_hour_is_the_projects_own(session: AsyncSession, monkeypatch: pytest.MonkeyPatch) -> None:
    project = await ground(session)
    project.zone = "America/New_York"
    await armed(session, project, weekly(), MONDAY - timedelta(days=2))
    clock(monkeypatch, MONDAY + timedelta(hours=4, minutes=59))
    await tick(session)
    assert await fires(session) == []
    clock(monkeypatch, MONDAY + timedelta(hours=5))
    await tick(session)
    assert [fire.due_at for fire in await fires(session)] == [MONDAY + timedelta(hours=5)]


async def test_a_night_whose_hour_is_jumped_over_fires_after_the_jump(
    session: AsyncSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = await ground(session)
    project.zone = "Europe/Berlin"
    jump = datetime(2026, 3, 29, 1, 0, tzinfo=UTC)  # 02:00 becomes 03:00
    await armed(session, project, weekly(weekday=6, at=time(2, 30)), jump - timedelta(days=2))
    clock(monkeypatch, jump + timedelta(minutes=1))
    await tick(session)
    assert [fire.due_at for fire in await fires(session)] == [jump]


async def test_a_doubled_hour_fires_once(session: AsyncSession, monkeypatch: pytest.MonkeyPatch) -> None:
    project = await ground(session)
    project.zone = "Europe/Berlin"
    first = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)  # 02:30, and again an hour later
    await armed(session, project, weekly(weekday=6, at=time(2, 30)), first - timedelta(days=2))
    for hours in (0, 1, 2):
        clock(monkeypatch, first + timedelta(hours=hours))
        await tick(session)
    assert [fire.due_at for fire in await fires(session)] == [first]


async def test_a_changed_hour_makes_up_for_nothing(session: AsyncSession) -> None:
    project = await ground(session)
    now = (await session.execute(select(func.now()))).scalar_one()
    yesterday = now - timedelta(days=1)
    form = weekly(weekday=(now.weekday() + 3) % 7)
    schedule = await armed(session, project, form, now - timedelta(days=1, hours=1))
    await edit_schedule(session, schedule, weekly(weekday=yesterday.weekday(), at=yesterday.time()), None)
    await tick(session)
    assert await fires(session) == []


async def test_a_schedule_that_was_off_makes_up_for_nothing(session: AsyncSession) -> None:
    project = await ground(session)
    now = (await session.execute(select(func.now()))).scalar_one()
    yesterday = now - timedelta(days=1)
    when = {"weekday": yesterday.weekday(), "at": yesterday.time()}
    schedule = await armed(session, project, weekly(enabled=False, **when), now - timedelta(days=9))
    await tick(session)
    await edit_schedule(session, schedule, weekly(**when), None)
    await tick(session)
    assert await fires(session) == []


async def test_so_many_new_answers_fire(session: AsyncSession) -> None:
    project = await ground(session)
    await often(session, project)
    await answered(session, project, 4)
    await answered(session, project, 9, purpose=Purpose.evaluation)  # those are not for training
    await tick(session)
    assert await fires(session) == []
    await answered(session, project, 1)
    await tick(session)
    await tick(session)
    assert len(await fires(session)) == 1


async def test_answers_that_come_while_it_runs_are_waited_with(
    session: AsyncSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = await ground(session)
    await often(session, project)
    await answered(session, project, 5)
    await tick(session)
    later = await now_of(session) + timedelta(minutes=1)
    await answered(session, project, 5, at=later)
    await tick(session)
    (fire,) = await fires(session)
    await actions.end(session, fire, FireState.finished)
    clock(monkeypatch, later)
    await tick(session)
    assert [one.state for one in await fires(session)] == [FireState.finished, FireState.started]


@pytest.mark.parametrize("state", ["paused", "archived"])
async def test_a_project_that_rests_fires_nothing(session: AsyncSession, state: str) -> None:
    project = await ground(session)
    await often(session, project)
    await answered(session, project, 5)
    project.state = state  # type: ignore[assignment]
    await session.flush()
    await tick(session)
    assert await fires(session) == []


async def test_answers_from_before_it_was_switched_on_again_do_not_count(session: AsyncSession) -> None:
    project = await ground(session)
    schedule = await often(session, project)
    await switch_schedule(session, schedule, None, enabled=False)
    await answered(session, project, 30)
    await switch_schedule(session, schedule, None, enabled=True)
    await tick(session)
    assert await fires(session) == []
    assert await new_answers(session, schedule) == 0


async def test_a_weekly_schedule_that_is_changed_to_answers_counts_from_then_on(session: AsyncSession) -> None:
    project = await ground(session)
    schedule = await armed(session, project, weekly(), await now_of(session) - timedelta(days=1))
    await answered(session, project, 30)
    await edit_schedule(session, schedule, by_answers(5), None)
    await tick(session)
    assert await fires(session) == []
    await answered(session, project, 5, at=await now_of(session) + timedelta(seconds=1))
    await tick(session)
    assert len(await fires(session)) == 1


async def test_prompts_that_are_retired_ask_for_no_answers_in_their_place(session: AsyncSession) -> None:
    project = await ground(session)
    old = await answered(session, project, 10, at=await now_of(session) - timedelta(hours=1))
    schedule = await often(session, project)
    for task in old:
        await retire_prompt(session, await session.get_one(Prompt, task.prompt_id), None, retired=True)
    await answered(session, project, 4)
    assert await new_answers(session, schedule) == 4
    await answered(session, project, 1)
    await tick(session)
    assert [fire.state for fire in await fires(session)] == [FireState.started]


async def test_answers_that_no_dataset_takes_count_for_nothing(session: AsyncSession) -> None:
    project = await ground(session, answers=0)
    schedule = await often(session, project)
    for task in await answered(session, project, 5):
        prompt = await session.get_one(Prompt, task.prompt_id)
        prompt.use = Use.heldout
    await session.flush()
    assert (await new_answers(session, schedule), await preferring_by_component(session, project.id)) == (0, [])


# ---- one schedule's trouble is its own -----------------------------------------------------------------------------


async def test_a_long_name_is_cut_so_that_its_dataset_can_have_one(session: AsyncSession) -> None:
    project = await ground(session)
    await often(session, project, name="n" * 120)
    await answered(session, project, 5)
    await tick(session)
    (fire,) = await fires(session)
    assert (fire.state, fire.reason) == (FireState.started, None)
    name = (await session.get_one(Dataset, fire.dataset_id)).name
    assert name == "n" * 101 + f" · {fire.due_at:%Y-%m-%d %H:%M}"


async def test_a_schedule_that_breaks_says_so_and_the_others_fire(
    session: AsyncSession, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    project = await ground(session)
    for name in ("breaks", "works"):
        await often(session, project, name=name)
    await answered(session, project, 5)
    ask = actions.ask_to_freeze

    async def ask_or_break(session: AsyncSession, project_id: int, question: Any, actor: Any) -> Dataset:
        if question.name.startswith("breaks"):
            raise RuntimeError("nobody thought of \0 this")
        return await ask(session, project_id, question, actor)

    monkeypatch.setattr(actions, "ask_to_freeze", ask_or_break)
    for _twice in range(2):
        await tick(session)
    broken, working = await fires(session)
    assert (broken.state, broken.reason) == (
        FireState.failed,
        "It could not begin: RuntimeError: nobody thought of � this.",
    )
    assert (working.state, working.reason) == (FireState.started, None)
    assert "nobody thought of" in caplog.text


async def test_a_database_that_is_away_for_a_moment_uses_no_turn_up(
    session: AsyncSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = await ground(session)
    await often(session, project)
    await answered(session, project, 5)

    async def away(*_given: Any) -> Any:
        raise psycopg.errors.AdminShutdown

    with monkeypatch.context() as now:
        now.setattr(actions, "ask_to_freeze", away)
        await tick(session)
    assert await fires(session) == []
    await tick(session)
    assert [fire.state for fire in await fires(session)] == [FireState.started]


async def test_a_plan_of_another_version_ends_its_fires_with_a_sentence(session: AsyncSession, tmp_path: Path) -> None:
    """Before anything is frozen, and also where the plan was overtaken between two steps."""
    project = await ground(session)
    fire, _dataset = await fired(session, project, tmp_path)
    schedule = await session.get_one(Schedule, fire.schedule_id)
    schedule.plan = schedule.plan | {"gone": 1}
    second = await often(session, project, 1)
    second.plan = schedule.plan
    await session.flush()
    await tick(session)
    told = [(one.state, one.reason) for one in await fires(session)]
    sentence = (
        "This schedule's plan was kept by another version of Hone and cannot be read: gone is not a field here. "
        "Give it a new one over REST, or make a new schedule."
    )
    assert told == [(FireState.failed, sentence)] * 2


async def test_a_schedule_whose_plan_cannot_be_read_can_be_switched_off(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    project = await ground(session)
    schedule = await often(session, project)
    schedule.plan = {"gone": 1}
    await engineer(client, session, project)
    sent = await client.post(f"/schedules/{schedule.public_id}/switch", data={"enabled": "false"})
    assert sent.status_code == 303
    fields = {"name": "x", "trigger": "answers", "every": "5"}
    refused = await client.post(f"/schedules/{schedule.public_id}", data=fields)
    assert refused.status_code == 409
    assert "gone is not a field here" in refused.text


# ---- why not -------------------------------------------------------------------------------------------------------


async def test_too_few_preferences_skip_with_the_count_that_is_needed(session: AsyncSession) -> None:
    project = await ground(session, answers=0)
    await often(session, project)
    await answered(session, project, 3)
    await answered(session, project, 9, outcome="tie")
    await tick(session)
    (fire,) = await fires(session)
    assert (fire.state, fire.reason) == (
        FireState.skipped,
        "Answers for training that prefer a side: 3; needed: 4; held out besides: 0.",
    )
    assert await waiting(session, "FreezeDataset") == []


async def test_roots_that_are_near_to_each_other_are_counted_on_the_side_where_a_dataset_puts_them(
    session: AsyncSession,
) -> None:
    project = await ground(session, answers=0)
    await answered(session, project, 5)
    one, *others = await session.scalars(select(Root).where(Root.project_id == project.id).order_by(Root.id))
    for other in others[:3]:
        other.component = one.component
    await session.flush()
    assert sorted(count for _component, count in await preferring_by_component(session, project.id)) == [1, 4]


async def test_preferences_that_are_held_out_do_not_make_a_training(session: AsyncSession) -> None:
    project = await ground(session, answers=0)
    await often(session, project, plan=PLAN.model_copy(update={"heldout_share": 0.9}))
    await answered(session, project, 12)
    roots = (await session.scalars(select(Root).where(Root.project_id == project.id).order_by(Root.id))).all()
    for number, root in enumerate(roots):
        root.component = f"component {number}"
    await session.flush()
    keys = [key for key, _count in await preferring_by_component(session, project.id)]
    practised = [split_of(key, 0.9) for key in keys].count("train")
    assert practised < 4 < len(keys), "these names fall so; others may not"
    await tick(session)
    (fire,) = await fires(session)
    assert fire.state is FireState.skipped
    assert fire.reason == (
        f"Answers for training that prefer a side: {practised}; needed: 4; held out besides: {12 - practised}."
    )


async def test_a_week_without_new_answers_is_skipped(session: AsyncSession, monkeypatch: pytest.MonkeyPatch) -> None:
    project = await ground(session)
    await armed(session, project, weekly(), MONDAY - timedelta(days=2))
    clock(monkeypatch, MONDAY)
    await tick(session)
    (fire,) = await fires(session)
    await actions.end(session, fire, FireState.finished)
    clock(monkeypatch, MONDAY + timedelta(days=7))
    await tick(session)
    assert (await fires(session))[1].reason == "No new answers since the last time."


async def test_a_week_whose_training_still_runs_is_skipped(
    session: AsyncSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = await ground(session)
    await armed(session, project, weekly(), MONDAY - timedelta(days=2))
    for days in (0, 7):
        clock(monkeypatch, MONDAY + timedelta(days=days))
        await answered(session, project, 1)
        await tick(session)
    assert [fire.reason for fire in await fires(session)] == [None, "The last one is still running."]


# ---- the chain -----------------------------------------------------------------------------------------------------


async def fired(session: AsyncSession, project: Project, home: Path) -> tuple[ScheduleFire, Dataset]:
    """A schedule's fire with its dataset frozen."""
    await often(session, project, 1)
    await answered(session, project, 1)
    await tick(session)
    (fire,) = await fires(session)
    dataset = await session.get_one(Dataset, fire.dataset_id)
    manifest = await write_dataset(await session.connection(), dataset, home)
    await conclude_freezing(session, dataset.id, manifest)
    return fire, dataset


async def run_of(session: AsyncSession, method: Method) -> Run:
    return (await session.scalars(select(Run).where(Run.method == method))).one()


async def trained(session: AsyncSession, run: Run, kind: CheckpointKind) -> Checkpoint:
    taken = await take_run(session, run.id)
    assert taken is not None
    assert taken.fence is not None
    return await succeed(session, run.id, taken.fence, path=f"checkpoints/{run.public_id}", kind=kind, record={})


async def test_a_fire_freezes_then_trains_a_reward_model_then_a_policy(session: AsyncSession, tmp_path: Path) -> None:
    project = await ground(session)
    fire, dataset = await fired(session, project, tmp_path)
    for _twice in range(2):
        await after_freeze(session, dataset.id)
    run = await run_of(session, Method.reward)
    assert (run.dataset_id, run.seed, run.config["min_votes"]) == (dataset.id, 4, 4)
    assert run.base_id == project.checkpoint_id
    reward = await trained(session, run, CheckpointKind.reward)
    for _twice in range(2):
        await after_run(session, run.id)
    run = await run_of(session, Method.ppo)
    assert (run.reward_id, run.base_id, run.schedule_fire_id) == (reward.id, project.checkpoint_id, fire.id)
    policy = await trained(session, run, CheckpointKind.policy)
    for _twice in range(2):
        await after_run(session, run.id)
    (fire,) = await fires(session)
    assert (fire.state, fire.reason) == (FireState.finished, None)
    assert fire.finished_at is not None
    await session.refresh(project)
    assert project.checkpoint_id != policy.id  # registered, and not put to serve


async def test_a_step_whose_job_was_lost_is_taken_at_the_next_tick(session: AsyncSession, tmp_path: Path) -> None:
    """Neither FreezingEnded nor RunEnded is ever handled here: the ticks alone bring the fire to its end."""
    fire, _dataset = await fired(session, await ground(session), tmp_path)
    await tick(session)
    await trained(session, await run_of(session, Method.reward), CheckpointKind.reward)
    await tick(session)
    await tick(session)
    await trained(session, await run_of(session, Method.ppo), CheckpointKind.policy)
    await tick(session)
    await session.refresh(fire)
    assert fire.state is FireState.finished


async def test_a_dataset_that_fails_ends_the_fire_with_its_reason(session: AsyncSession) -> None:
    project = await ground(session)
    await often(session, project, 1)
    await answered(session, project, 1)
    await tick(session)
    (fire,) = await fires(session)
    assert fire.dataset_id is not None
    await give_up_freezing(session, fire.dataset_id, "No room.")
    await after_freeze(session, fire.dataset_id)
    (fire,) = await fires(session)
    assert (fire.state, fire.reason) == (FireState.failed, "No room.")


async def test_a_run_that_fails_or_is_cancelled_ends_the_fire_with_its_reason(
    session: AsyncSession, tmp_path: Path
) -> None:
    project = await ground(session)
    _fire, dataset = await fired(session, project, tmp_path)
    await after_freeze(session, dataset.id)
    run = await run_of(session, Method.reward)
    taken = await take_run(session, run.id)
    assert taken is not None
    assert taken.fence is not None
    await fail(session, run.id, taken.fence, "Too little of it.")
    await after_run(session, run.id)
    (fire,) = await fires(session)
    assert (fire.state, fire.reason) == (FireState.failed, "Too little of it.")


async def test_cancelling_the_run_of_a_fire_ends_the_fire(session: AsyncSession, tmp_path: Path) -> None:
    project = await ground(session)
    _fire, dataset = await fired(session, project, tmp_path)
    await after_freeze(session, dataset.id)
    run = await run_of(session, Method.reward)
    await cancel_run(session, run, None)
    await after_run(session, run.id)
    (fire,) = await fires(session)
    assert (fire.state, fire.reason) == (FireState.failed, "Cancelled before it began.")


async def test_a_checkpoint_that_cannot_be_trained_ends_the_fire_with_the_sentence(
    session: AsyncSession, tmp_path: Path
) -> None:
    project = await ground(session)
    _fire, dataset = await fired(session, project, tmp_path)
    base = await session.get_one(Checkpoint, project.checkpoint_id)
    base.state = "refused"  # type: ignore[assignment]
    await session.flush()
    await after_freeze(session, dataset.id)
    (fire,) = await fires(session)
    assert fire.state is FireState.failed
    assert "no such checkpoint that is ready" in str(fire.reason)


# ---- two schedulers ------------------------------------------------------------------------------------------------


async def set_up_committed() -> None:
    async with database.transaction() as session:
        project = await ground(session)
        now = (await session.execute(select(func.now()))).scalar_one()
        last = now - timedelta(hours=1)
        form = weekly(weekday=last.weekday(), at=last.time())
        await armed(session, project, form, now - timedelta(days=2))
        await often(session, project, 2)
        await answered(session, project, 3, at=now + timedelta(seconds=1))


async def tick_alone() -> None:
    await look_at_schedules(Context(get_settings()))


async def test_eight_schedulers_at_once_fire_each_schedule_once(committed: str) -> None:
    await set_up_committed()
    for _round in range(3):
        await asyncio.gather(*[tick_alone() for _ in range(8)])
    async with database.transaction() as session:
        counts = (await session.execute(select(ScheduleFire.schedule_id, func.count()).group_by("schedule_id"))).all()
        assert sorted(count for _schedule, count in counts) == [1, 1]
        assert len(await waiting(session, "FreezeDataset")) == 2


async def test_without_lock_and_unique_index_the_same_race_fires_more_than_once(
    committed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control: the race above is one, and this test would see it lost."""
    await set_up_committed()

    async def unlocked(session: AsyncSession, schedule_id: int) -> Any:
        schedule = await session.get_one(Schedule, schedule_id)
        return schedule, await session.get_one(Project, schedule.project_id)

    async def insert(session: AsyncSession, schedule: Schedule, due_at: datetime) -> ScheduleFire:
        await asyncio.sleep(0.05)
        fire = ScheduleFire(project_id=schedule.project_id, schedule_id=schedule.id, due_at=due_at)
        session.add(fire)
        await session.flush()
        return fire

    monkeypatch.setattr(actions, "schedule_to_look_at", unlocked)
    monkeypatch.setattr(actions, "_begin", insert)
    async with database.transaction() as session:
        await session.execute(text("ALTER TABLE schedule_fires DROP CONSTRAINT uq_schedule_fires_schedule_id_due_at"))
    await asyncio.gather(*[tick_alone() for _ in range(8)])
    async with database.transaction() as session:
        assert (await session.scalar(select(func.count()).select_from(ScheduleFire)) or 0) > 2


# ---- over HTTP -----------------------------------------------------------------------------------------------------


async def test_a_schedule_over_rest(client: httpx.AsyncClient, session: AsyncSession) -> None:
    project = await ground(session)
    await engineer(client, session, project)
    address = f"/api/v1/projects/{project.public_id}/schedules"
    refused = await client.post(address, json={"name": "x", "trigger": "weekly", "weekday": 0})
    assert refused.status_code == 422
    assert "needs weekday and at" in refused.text
    made = await client.post(address, json={"name": "x", "trigger": "weekly", "weekday": 0, "at": "03:00"})
    assert made.status_code == 201, made.text
    one = f"/api/v1/schedules/{made.json()['id']}"
    changed = await client.put(one, json={"name": "y", "trigger": "answers", "every": 500, "plan": {"seed": 9}})
    assert changed.status_code == 200, changed.text
    told = (await client.get(one)).json()
    assert (told["schedule"]["name"], told["schedule"]["every"], told["schedule"]["at"]) == ("y", 500, None)
    assert told["schedule"]["plan"]["seed"] == 9
    assert told["fires"] == []


async def test_the_page_makes_changes_and_switches_schedules_and_says_what_happened(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    project = await ground(session, answers=0)
    await engineer(client, session, project)
    home = f"/projects/{project.public_id}/schedules"
    fields = {"name": "Mondays", "trigger": "weekly", "weekday": "0", "at": "03:00", "every": "500"}
    assert (await client.post(home, data=fields)).status_code == 303
    assert "Every Monday at 03:00 (UTC)" in (await client.get(home)).text
    schedule = (await session.scalars(select(Schedule))).one()
    form = (await client.get(f"/schedules/{schedule.public_id}/edit")).text
    assert 'value="Mondays"' in form
    sent = await client.post(f"/schedules/{schedule.public_id}", data=fields | {"trigger": "answers", "every": "5"})
    assert sent.status_code == 303
    assert "Whenever 5 new answers have come in" in (await client.get(home)).text
    for _twice in range(2):
        await client.post(f"/schedules/{schedule.public_id}/switch", data={"enabled": "false"})
    schedule = (await session.scalars(select(Schedule).execution_options(populate_existing=True))).one()
    assert (schedule.enabled, schedule.trigger) == (False, Trigger.answers)
    await client.post(f"/schedules/{schedule.public_id}/switch", data={"enabled": "true"})
    schedule = (await session.scalars(select(Schedule).execution_options(populate_existing=True))).one()
    schedule.plan = schedule.plan | {"heldout_share": 0}  # a share may take some of so few, by their keys
    project = await session.get_one(Project, project.id)
    later = await now_of(session) + timedelta(seconds=1)
    await answered(session, project, 2, at=later)
    await answered(session, project, 3, outcome="tie", at=later)
    await tick(session)
    page = (await client.get(home)).text
    assert "Answers for training that prefer a side: 2; needed: 20" in page
