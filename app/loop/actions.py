"""Schedules: a due one fires once, whoever looks; a fire freezes, trains a reward model, trains a policy, and ends."""

from datetime import datetime

from pydantic import ValidationError
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from app import events
from app.checkpoints.tables import Checkpoint
from app.datasets.actions import ask_to_freeze
from app.datasets.forms import LONGEST_NAME, FreezeForm
from app.datasets.rules import split_of
from app.datasets.tables import Dataset, DatasetState
from app.errors import Conflict, DomainError
from app.loop.forms import Plan, ScheduleForm
from app.loop.queries import (
    database_now,
    is_anything_new,
    is_running,
    new_answers,
    preferring_by_component,
    schedule_to_look_at,
)
from app.loop.rules import latest_due
from app.loop.tables import FireState, Schedule, ScheduleFire, Trigger
from app.projects.tables import Project
from app.training.actions import start_dataset_run, start_ppo_run
from app.training.configs import first_complaint
from app.training.forms import PPOForm, RewardForm
from app.training.queries import default_base
from app.training.tables import Method, Run, RunState
from app.translation import _


class PlanNotRead(Conflict):
    code = "plan-not-read"
    sentence = _(
        "This schedule's plan was kept by another version of Hone and cannot be read: {reason} "
        "Give it a new one over REST, or make a new schedule."
    )


async def make_schedule(session: AsyncSession, project_id: int, form: ScheduleForm, actor_id: int | None) -> Schedule:
    """A new schedule; answers that are already in do not count for its first fire."""
    schedule = Schedule(project_id=project_id, created_by_id=actor_id)
    fill(schedule, form)
    session.add(schedule)
    await session.flush()
    await session.refresh(schedule)
    await events.record(session, "schedule.made", actor_id=actor_id, project_id=project_id, subject=schedule.public_id)
    return schedule


async def edit_schedule(session: AsyncSession, schedule: Schedule, form: ScheduleForm, actor_id: int | None) -> None:
    """Change it from now on: an hour that has passed already, or passed while it was off, is not made up for, and
    answers that are already in do not count."""
    await session.refresh(schedule, with_for_update=True)
    before = when_of(schedule)
    fill(schedule, form)
    await _changed(session, schedule, before, actor_id)


async def switch_schedule(session: AsyncSession, schedule: Schedule, actor_id: int | None, *, enabled: bool) -> None:
    """On, from now on, or off. Saying what is so already changes nothing."""
    await session.refresh(schedule, with_for_update=True)
    before = when_of(schedule)
    schedule.enabled = enabled
    await _changed(session, schedule, before, actor_id)


async def _changed(session: AsyncSession, schedule: Schedule, before: tuple[object, ...], actor_id: int | None) -> None:
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


def plan_of(schedule: Schedule) -> Plan:
    """What it does when it fires.

    :raises PlanNotRead: it was kept by another version, and says what this one does not know.
    """
    try:
        return Plan.model_validate(schedule.plan)
    except ValidationError as error:
        raise PlanNotRead(reason=first_complaint(error)) from None


async def fire_if_due(session: AsyncSession, schedule_id: int) -> None:
    """Look at one schedule and fire it if it is due."""
    found = await schedule_to_look_at(session, schedule_id)
    if found is None:
        return
    schedule, project = found
    due_at = await due_of(session, schedule, project.zone)
    if due_at is None or (schedule.trigger is Trigger.answers and await is_running(session, schedule.id)):
        return  # a count stays above its mark, so such a schedule fires when the one before has ended
    fire = await _begin(session, schedule, due_at)
    if fire is not None:
        await start(session, fire, schedule, project)


async def note_trouble(session: AsyncSession, schedule_id: int, reason: str) -> None:
    """A due schedule could not fire for a reason that nobody foresaw: this time has failed, and the next comes."""
    found = await schedule_to_look_at(session, schedule_id)
    if found is None:
        return
    schedule, project = found
    due_at = await due_of(session, schedule, project.zone)
    fire = await _begin(session, schedule, due_at) if due_at else None
    if fire is not None:
        await end(session, fire, FireState.failed, reason)


async def due_of(session: AsyncSession, schedule: Schedule, zone: str) -> datetime | None:
    """The tick that should have happened by now; None where none is due."""
    now = await database_now(session)
    if schedule.trigger is Trigger.answers:
        assert schedule.every is not None
        return now if await new_answers(session, schedule) >= schedule.every else None
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


async def start(session: AsyncSession, fire: ScheduleFire, schedule: Schedule, project: Project) -> None:
    """Freeze what is there, or say why not."""
    try:
        plan = plan_of(schedule)
    except PlanNotRead as refused:
        await end(session, fire, FireState.failed, str(refused))
        return
    reason = await why_not(session, fire, schedule, plan)
    if reason:
        await end(session, fire, FireState.skipped, reason)
        return
    question = FreezeForm(name=name_of(schedule, fire), heldout_share=plan.heldout_share)
    dataset = await ask_to_freeze(session, project.id, question, schedule.created_by_id)
    fire.dataset_id = dataset.id
    await events.record(session, "schedule.fired", project_id=project.id, subject=schedule.public_id)


def name_of(schedule: Schedule, fire: ScheduleFire) -> str:
    """Of the fire's dataset: the schedule's own, as much of it as there is room for, and when."""
    when = f" · {fire.due_at:%Y-%m-%d %H:%M}"
    return schedule.name[: LONGEST_NAME - len(when)] + when


async def why_not(session: AsyncSession, fire: ScheduleFire, schedule: Schedule, plan: Plan) -> str | None:
    """A sentence where this fire would be pointless; None where it may go on."""
    if await is_running(session, schedule.id, other_than=fire.id):
        return _("The last one is still running.")
    by_component = await preferring_by_component(session, schedule.project_id)
    practised = sum(count for key, count in by_component if split_of(key, plan.heldout_share) == "train")
    needed = plan.reward.min_votes
    if practised < needed:
        apart = sum(count for _key, count in by_component) - practised
        sentence = _("Answers for training that prefer a side: {n}; needed: {needed}; held out besides: {apart}.")
        return sentence.format(n=practised, needed=needed, apart=apart)
    if not await is_anything_new(session, schedule):
        return _("No new answers since the last time.")
    return None


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
    base = await default_base(session, fire.project_id)
    try:
        plan = plan_of(schedule)
        form = RewardForm(dataset=dataset.public_id, base=plan.base, seed=plan.seed, config=plan.reward)
        await start_dataset_run(session, fire.project_id, form, base, schedule.created_by_id, schedule_fire_id=fire.id)
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
    reward = await session.get_one(Checkpoint, reward_run.result_id)
    try:
        plan = plan_of(schedule)
        form = PPOForm(reward=reward.public_id, base=plan.base, seed=plan.seed, config=plan.ppo)
        await start_ppo_run(session, fire.project_id, form, schedule.created_by_id, schedule_fire_id=fire.id)
    except DomainError as refused:
        await end(session, fire, FireState.failed, str(refused))


async def _run_of_fire(session: AsyncSession, fire: ScheduleFire, method: Method) -> Run | None:
    return (await session.scalars(select(Run).where(Run.schedule_fire_id == fire.id, Run.method == method))).first()
