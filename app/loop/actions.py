"""Schedules: a due one fires once, whoever looks; a fire freezes, trains a reward model, trains a policy, and ends."""

from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from app import events
from app.checkpoints.tables import Checkpoint
from app.datasets.actions import ask_to_freeze
from app.datasets.forms import FreezeForm
from app.datasets.tables import Dataset, DatasetState
from app.errors import DomainError
from app.loop.forms import Plan, ScheduleForm
from app.loop.queries import (
    answers_for_training,
    database_now,
    enabled_schedules,
    ended_datasets_of_fires,
    ended_runs_of_fires,
    is_running,
)
from app.loop.rules import latest_due
from app.loop.tables import FireState, Schedule, ScheduleFire, Trigger
from app.projects.tables import Project
from app.training.actions import start_ppo_run, start_reward_run
from app.training.forms import PPOForm, RewardForm
from app.training.queries import default_base
from app.training.tables import Method, Run, RunState
from app.translation import _


async def make_schedule(session: AsyncSession, project_id: int, form: ScheduleForm, actor_id: int | None) -> Schedule:
    """A new schedule; answers that are already in do not count for its first fire."""
    answers, _preferring = await answers_for_training(session, project_id)
    schedule = Schedule(project_id=project_id, answers_seen=answers, created_by_id=actor_id)
    fill(schedule, form)
    session.add(schedule)
    await session.flush()
    await session.refresh(schedule)
    await events.record(session, "schedule.made", actor_id=actor_id, project_id=project_id, subject=schedule.public_id)
    return schedule


async def edit_schedule(session: AsyncSession, schedule: Schedule, form: ScheduleForm, actor_id: int | None) -> None:
    """Change it from now on: an hour that has passed already, or passed while it was off, is not made up for."""
    await session.refresh(schedule, with_for_update=True)
    before = when_of(schedule)
    fill(schedule, form)
    if schedule.enabled and when_of(schedule) != before:
        schedule.armed_at = func.now()
    await session.flush()
    await session.refresh(schedule)
    await events.record(
        session, "schedule.edited", actor_id=actor_id, project_id=schedule.project_id, subject=schedule.public_id
    )


def fill(schedule: Schedule, form: ScheduleForm) -> None:
    for name in ("name", "trigger", "weekday", "at", "every", "enabled"):
        setattr(schedule, name, getattr(form, name))
    schedule.plan = form.plan.model_dump(mode="json")


def when_of(schedule: Schedule) -> tuple[object, ...]:
    """What decides when it fires."""
    return schedule.enabled, schedule.trigger, schedule.weekday, schedule.at, schedule.every


async def tick(session: AsyncSession) -> None:
    """Look at every schedule once and fire those that are due."""
    now = await database_now(session)
    await go_on_with_stuck_fires(session)
    for schedule, project in await enabled_schedules(session):
        answers, preferring = await answers_for_training(session, project.id)
        due_at = due_of(schedule, project.zone, now, answers)
        if due_at is None or (schedule.trigger is Trigger.answers and await is_running(session, schedule.id)):
            continue  # a count stays above its mark, so such a schedule fires when the one before has ended
        fire = await _begin(session, schedule, due_at)
        if fire is not None:
            await start(session, fire, schedule, project, answers, preferring)


async def go_on_with_stuck_fires(session: AsyncSession) -> None:
    """Repeat the next step of fires whose last step has ended: the job that should have gone on may have been lost,
    and a fire that stays started would keep its schedule from ever firing again. Both steps are safe to repeat."""
    for dataset_id in await ended_datasets_of_fires(session):
        await after_freeze(session, dataset_id)
    for run_id in await ended_runs_of_fires(session):
        await after_run(session, run_id)


def due_of(schedule: Schedule, zone: str, now: datetime, answers: int) -> datetime | None:
    """The tick that should have happened by now; None where none is due."""
    if schedule.trigger is Trigger.answers:
        assert schedule.every is not None
        return now if answers >= schedule.answers_seen + schedule.every else None
    assert schedule.weekday is not None
    assert schedule.at is not None
    due_at = latest_due(schedule.weekday, schedule.at, zone, now)
    return due_at if due_at > schedule.armed_at else None


async def _begin(session: AsyncSession, schedule: Schedule, due_at: datetime) -> ScheduleFire | None:
    """The row of this tick, or None when it was there already: the unique index decides."""
    added = (
        upsert(ScheduleFire)
        .values(project_id=schedule.project_id, schedule_id=schedule.id, due_at=due_at)
        .on_conflict_do_nothing(index_elements=["schedule_id", "due_at"])
        .returning(ScheduleFire.id)
    )
    fire_id = await session.scalar(added)
    return None if fire_id is None else await session.get_one(ScheduleFire, fire_id)


async def start(
    session: AsyncSession, fire: ScheduleFire, schedule: Schedule, project: Project, answers: int, preferring: int
) -> None:
    """Freeze what is there, or say why not."""
    plan = Plan.model_validate(schedule.plan)
    reason = await why_not(session, fire, schedule, answers, preferring, plan)
    schedule.answers_seen = answers
    if reason:
        await end(session, fire, FireState.skipped, reason)
        return
    question = FreezeForm(name=f"{schedule.name} · {fire.due_at:%Y-%m-%d %H:%M}", heldout_share=plan.heldout_share)
    dataset = await ask_to_freeze(session, project.id, question, schedule.created_by_id)
    fire.dataset_id = dataset.id
    await events.record(session, "schedule.fired", project_id=project.id, subject=schedule.public_id)


async def why_not(
    session: AsyncSession, fire: ScheduleFire, schedule: Schedule, answers: int, preferring: int, plan: Plan
) -> str | None:
    """A sentence where this fire would be pointless; None where it may go on."""
    if await is_running(session, schedule.id, other_than=fire.id):
        return _("The last one is still running.")
    needed = plan.reward.min_votes
    if preferring < needed:
        return _("{n} answers prefer a side; {needed} are needed.").format(n=preferring, needed=needed)
    if answers == schedule.answers_seen and await _has_finished_once(session, schedule.id):
        return _("No new answers since the last time.")
    return None


async def _has_finished_once(session: AsyncSession, schedule_id: int) -> bool:
    done = select(ScheduleFire.id).where(
        ScheduleFire.schedule_id == schedule_id, ScheduleFire.state == FireState.finished
    )
    return await session.scalar(done.limit(1)) is not None


async def end(session: AsyncSession, fire: ScheduleFire, state: FireState, reason: str | None = None) -> None:
    fire.state, fire.reason, fire.finished_at = state, reason, func.now()
    await session.flush()
    await events.record(session, f"schedule.{state.value}", project_id=fire.project_id, subject=fire.id, reason=reason)


async def fire_of_dataset(session: AsyncSession, dataset_id: int) -> ScheduleFire | None:
    query = select(ScheduleFire).where(ScheduleFire.dataset_id == dataset_id, ScheduleFire.state == FireState.started)
    return (await session.scalars(query.with_for_update())).first()


async def after_freeze(session: AsyncSession, dataset_id: int) -> None:
    """A schedule's dataset is frozen: train its reward model. Safe to run twice."""
    fire = await fire_of_dataset(session, dataset_id)
    if fire is None or await _run_of_fire(session, fire, Method.reward):
        return
    dataset, schedule = await session.get_one(Dataset, dataset_id), await session.get_one(Schedule, fire.schedule_id)
    if dataset.state is not DatasetState.frozen:
        await end(session, fire, FireState.failed, dataset.reason)
        return
    plan, project = Plan.model_validate(schedule.plan), await session.get_one(Project, fire.project_id)
    base = await default_base(session, project.id)
    form = RewardForm(dataset=dataset.public_id, base=plan.base, seed=plan.seed, config=plan.reward)
    try:
        await start_reward_run(session, project.id, form, base, schedule.created_by_id, schedule_fire_id=fire.id)
    except DomainError as refused:
        await end(session, fire, FireState.failed, str(refused))


async def after_run(session: AsyncSession, run_id: int) -> None:
    """A schedule's run has ended: go on with the policy, or end the fire. Safe to run twice."""
    run = await session.get_one(Run, run_id)
    if run.schedule_fire_id is None:
        return
    fire = await session.scalar(select(ScheduleFire).where(ScheduleFire.id == run.schedule_fire_id).with_for_update())
    if fire is None or fire.state is not FireState.started:
        return
    if run.state is not RunState.succeeded:
        await end(session, fire, FireState.failed, run.reason)
    elif run.method is Method.ppo:
        await end(session, fire, FireState.finished)
    elif not await _run_of_fire(session, fire, Method.ppo):
        await _start_policy(session, fire, run)


async def _start_policy(session: AsyncSession, fire: ScheduleFire, reward_run: Run) -> None:
    schedule = await session.get_one(Schedule, fire.schedule_id)
    plan = Plan.model_validate(schedule.plan)
    reward = await session.get_one(Checkpoint, reward_run.result_id)
    form = PPOForm(reward=reward.public_id, base=plan.base, seed=plan.seed, config=plan.ppo)
    try:
        await start_ppo_run(session, fire.project_id, form, schedule.created_by_id, schedule_fire_id=fire.id)
    except DomainError as refused:
        await end(session, fire, FireState.failed, str(refused))


async def _run_of_fire(session: AsyncSession, fire: ScheduleFire, method: Method) -> Run | None:
    return (await session.scalars(select(Run).where(Run.schedule_fire_id == fire.id, Run.method == method))).first()
