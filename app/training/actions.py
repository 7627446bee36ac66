"""Runs: asked for, taken by one attempt at a time (its fence), told of as they go, ended once."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from app import events
from app.checkpoints.actions import register_result
from app.checkpoints.queries import ready_checkpoint
from app.checkpoints.rules import heads_in
from app.checkpoints.tables import Checkpoint, CheckpointKind, Place
from app.datasets.queries import dataset_of
from app.datasets.tables import DatasetState
from app.errors import Conflict, Invalid
from app.jobs.queue import enqueue
from app.preferences.formula import FormulaWrong, checked
from app.training.configs import PPOConfig
from app.training.forms import DPOForm, LearnsFromDataset, PPOForm
from app.training.jobs import RunEnded, Train
from app.training.tables import Method, Run, RunMetric, RunSample, RunState
from app.translation import _, stored_in_english
from app.version import code_version

HEARTBEAT_LIMIT = timedelta(seconds=20)
MOST_ATTEMPTS = 20  # a run that takes its trainer down each time must not do so for ever
LOG_LIMIT = 16_000  # characters of log kept with a run
NAMES = {Method.sft: _("Fine-tuning"), Method.reward: _("Reward model"), Method.dpo: _("DPO")}
TERMINAL = (RunState.succeeded, RunState.failed, RunState.cancelled)


class FenceLost(Conflict):
    code = "fence-lost"
    sentence = _("Another attempt has taken over this run.")


async def start_dataset_run(
    session: AsyncSession,
    project_id: int,
    form: LearnsFromDataset,
    default_base: UUID | None,
    actor_id: int | None,
    **more: Any,
) -> Run:
    """What the form's method makes of a frozen dataset on `form.base`, else on the project's checkpoint."""
    dataset = await dataset_of(session, project_id, form.dataset)
    if dataset.state is not DatasetState.frozen:
        raise Invalid(field="dataset", reason=_("it is not frozen yet"))
    chosen = form.base or default_base
    if chosen is None:
        raise Invalid(field="base", reason=_("the project has no checkpoint; name one"))
    base = await ready_checkpoint(session, project_id, chosen, "base")
    must_have_weights(base)
    judge = form.reward if isinstance(form, DPOForm) else None
    values = {
        "reward_id": (await reward_model(session, project_id, judge)).id if judge else None,
        "dataset_id": dataset.id,
        "base_id": base.id,
        "name": form.name or f"{_(NAMES[form.method])} · {dataset.name}",
    }
    return await _queue(session, project_id, form.method, form, values | more, actor_id)


async def start_ppo_run(
    session: AsyncSession, project_id: int, form: PPOForm, actor_id: int | None, **more: Any
) -> Run:
    """A policy against a reward model, starting at `form.base`, else at the reward model's own base."""
    reward = await reward_model(session, project_id, form.reward)
    must_have_heads(form.config, heads_in(reward.record))
    if form.base is not None:
        base = await ready_checkpoint(session, project_id, form.base, "base")
    else:
        base = await session.get_one(Checkpoint, reward.parent_id)
    must_have_weights(base)
    values = {"reward_id": reward.id, "base_id": base.id, "name": form.name or f"{_('PPO')} · {reward.name}"}
    return await _queue(session, project_id, Method.ppo, form, values | more, actor_id)


async def reward_model(session: AsyncSession, project_id: int, asked: UUID) -> Checkpoint:
    reward = await ready_checkpoint(session, project_id, asked, "reward")
    if reward.kind is not CheckpointKind.reward:
        raise Invalid(field="reward", reason=_("that checkpoint writes answers; name one that scores them"))
    return reward


def must_have_heads(config: PPOConfig, heads: Sequence[str]) -> None:
    """What is to count must be there. heads: of the reward model; with none told, the trainer looks."""
    there = _("its heads are: {names}").format(names=", ".join(heads))
    for name in config.head_weights if heads else ():
        if name not in heads:
            reason = _("this reward model has no head “{name}”; {there}").format(name=name, there=there)
            raise Invalid(field="config.head_weights", reason=reason)
    try:
        if heads and config.formula:
            checked(config.formula, heads)
    except FormulaWrong as wrong:
        raise Invalid(field="config.formula", reason=f"{wrong}; {there}") from None


def must_have_weights(checkpoint: Checkpoint) -> None:
    """Training needs the weights here, and weights that write."""
    if checkpoint.place is Place.endpoint:
        raise Invalid(field="base", reason=_("its weights are on another server, so it cannot be trained here"))
    if checkpoint.kind is CheckpointKind.reward:
        raise Invalid(field="base", reason=_("that checkpoint scores answers; name one that writes them"))


async def _queue(
    session: AsyncSession,
    project_id: int,
    method: Method,
    form: LearnsFromDataset | PPOForm,
    values: dict[str, Any],
    actor_id: int | None,
) -> Run:
    run = Run(
        project_id=project_id,
        method=method,
        config=form.config.model_dump(mode="json"),
        seed=form.seed,
        code_version=code_version(),
        created_by_id=actor_id,
        **values,
    )
    session.add(run)
    await session.flush()
    await session.refresh(run)
    await enqueue(session, Train(run_id=run.id))
    await events.record(session, "run.asked_for", actor_id=actor_id, project_id=project_id, subject=run.public_id)
    return run


@stored_in_english
async def cancel_run(session: AsyncSession, run: Run, actor_id: int | None) -> None:
    """Ask a run to end. A waiting one ends now; a running one at its next heartbeat; an ended one stays as it is."""
    await session.refresh(run, with_for_update=True)
    if run.state in TERMINAL or run.cancel_requested_at:
        return
    run.cancel_requested_at = func.now()
    await events.record(
        session, "run.cancel_asked_for", actor_id=actor_id, project_id=run.project_id, subject=run.public_id
    )
    if run.state is RunState.queued:
        await _end(session, run, RunState.cancelled, _("Cancelled before it began."))
    await session.flush()
    await session.refresh(run)  # the database's now() is read back before anybody shows it


async def take_run(session: AsyncSession, run_id: int) -> Run | None:
    """Make this attempt the one that may write; None when the run has ended or a living attempt holds it."""
    run = await session.scalar(select(Run).where(Run.id == run_id).with_for_update())
    if run is None or run.state in TERMINAL:
        return None
    if run.state is RunState.running and await is_alive(session, run):
        return None
    if run.cancel_requested_at:  # its trainer died before it could obey
        await _end(session, run, RunState.cancelled, _("Cancelled on request."))
        return None
    if run.attempt >= MOST_ATTEMPTS:
        sentence = _("It was begun {n} times and never came to an end; the log's end may say why.")
        await _end(session, run, RunState.failed, sentence.format(n=run.attempt))
        return None
    run.state, run.reason, run.fence, run.attempt = RunState.running, None, uuid4(), run.attempt + 1
    run.heartbeat_at, run.started_at = func.now(), run.started_at or func.now()
    await session.flush()
    await session.refresh(run)
    return run


async def is_alive(session: AsyncSession, run: Run) -> bool:
    """Whether its attempt has given a sign of life lately."""
    alive = select(Run.id).where(Run.id == run.id, Run.heartbeat_at > func.now() - HEARTBEAT_LIMIT)
    return await session.scalar(alive) is not None


async def beat(session: AsyncSession, run_id: int, fence: UUID, *, stage: str | None, log: str) -> bool:
    """Say that the attempt lives. True when its end is asked for.

    :raises FenceLost: another attempt has taken over.
    """
    asked = await session.execute(
        update(Run)
        .where(Run.id == run_id, Run.fence == fence, Run.state == RunState.running)
        .values(heartbeat_at=func.now(), stage=stage, log=log[-LOG_LIMIT:])
        .returning(Run.cancel_requested_at)
    )
    row = asked.one_or_none()
    if row is None:
        raise FenceLost
    return row.cancel_requested_at is not None


async def write_metrics(session: AsyncSession, run_id: int, fence: UUID, lines: list[Mapping[str, Any]]) -> None:
    """Keep steps ({step, total, values}); a step told twice, after a resume, keeps its newest numbers."""
    if not lines:
        return
    held = await session.execute(
        update(Run)
        .where(Run.id == run_id, Run.fence == fence)
        .values(step=lines[-1]["step"], steps=lines[-1]["total"], heartbeat_at=func.now())
    )
    if held.rowcount == 0:  # type: ignore[attr-defined]
        raise FenceLost
    newest = {line["step"]: {"run_id": run_id, "step": line["step"], "values": line["values"]} for line in lines}
    added = upsert(RunMetric).values(list(newest.values()))
    replaced = added.on_conflict_do_update(
        index_elements=["run_id", "step"], set_={"values": added.excluded["values"], "at": func.now()}
    )
    await session.execute(replaced)


async def write_samples(session: AsyncSession, run_id: int, fence: UUID, lines: list[Mapping[str, Any]]) -> None:
    """Keep looks ({step, samples}); one that is told twice keeps its newest words."""
    if not lines:
        return
    if await session.scalar(select(Run.id).where(Run.id == run_id, Run.fence == fence).with_for_update()) is None:
        raise FenceLost
    newest = {line["step"]: {"run_id": run_id, "step": line["step"], "samples": line["samples"]} for line in lines}
    added = upsert(RunSample).values(list(newest.values()))
    await session.execute(
        added.on_conflict_do_update(index_elements=["run_id", "step"], set_={"samples": added.excluded["samples"]})
    )


async def succeed(
    session: AsyncSession, run_id: int, fence: UUID, *, path: str, kind: CheckpointKind, record: dict[str, Any]
) -> Checkpoint:
    """Register the result (a folder below home that has its final name) and end the run, in one transaction."""
    run = await held_run(session, run_id, fence)
    checkpoint = await register_result(
        session,
        project_id=run.project_id,
        run_id=run.id,
        name=run.name,
        kind=kind,
        path=path,
        parent_id=run.base_id,
        record=record,
        weights_sha256=record.get("weights_sha256"),
        actor_id=run.created_by_id,
    )
    run.result_id, run.report = checkpoint.id, record.get("metrics", {})
    await _end(session, run, RunState.succeeded, None)
    return checkpoint


async def fail(session: AsyncSession, run_id: int, fence: UUID, reason: str) -> None:
    """End the run with a sentence that says why."""
    await _end(session, await held_run(session, run_id, fence), RunState.failed, reason)


async def let_go(session: AsyncSession, run_id: int, fence: UUID) -> None:
    """An attempt that broke hands the run back, so that its job's next try need not wait for a silent heart."""
    held = update(Run).where(Run.id == run_id, Run.fence == fence, Run.state == RunState.running)
    await session.execute(held.values(state=RunState.queued, fence=None))


async def stop(session: AsyncSession, run_id: int, fence: UUID) -> None:
    """End the run as cancelled, once its attempt has stopped."""
    await _end(session, await held_run(session, run_id, fence), RunState.cancelled, _("Cancelled on request."))


async def held_run(session: AsyncSession, run_id: int, fence: UUID) -> Run:
    """:raises FenceLost: another attempt has it, or it has ended."""
    run = await session.scalar(select(Run).where(Run.id == run_id, Run.fence == fence).with_for_update())
    if run is None or run.state in TERMINAL:
        raise FenceLost
    return run


async def _end(session: AsyncSession, run: Run, state: RunState, reason: str | None) -> None:
    run.state, run.reason, run.finished_at, run.fence = state, reason, func.now(), None
    await session.flush()
    await enqueue(session, RunEnded(run_id=run.id))
    await events.record(session, f"run.{state.value}", project_id=run.project_id, subject=run.public_id, reason=reason)


async def abandoned_runs(session: AsyncSession) -> list[int]:
    """Runs whose attempt has gone quiet: to be taken up again."""
    quiet = select(Run.id).where(Run.state == RunState.running, Run.heartbeat_at < func.now() - HEARTBEAT_LIMIT)
    return list((await session.scalars(quiet)).all())


async def take_up_again(session: AsyncSession) -> None:
    """Queue a job for each abandoned run; `take_run` sees to it that one attempt wins."""
    for run_id in await abandoned_runs(session):
        await enqueue(session, Train(run_id=run_id), once=f"train-{run_id}")
