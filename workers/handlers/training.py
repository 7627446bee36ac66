"""Does runs: the training is a child process, the heartbeat stays here, and every write carries the run's fence."""

import asyncio
import json
import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

from app.checkpoints.tables import CheckpointKind
from app.errors import DomainError
from app.training import actions
from app.training.jobs import Train
from app.training.tables import Method, Run
from app.translation import _
from workers.attempts import Attempt, new_metrics, tail_of, take_over_folder, write_inputs
from workers.children import end, start_python
from workers.handlers.registry import Context, every, handles

log = logging.getLogger("hone.training")

BEAT = 2.0  # seconds between two heartbeats
PATIENCE = 30.0  # seconds a cancelled training has to save its state
KIND = {Method.reward: CheckpointKind.reward, Method.ppo: CheckpointKind.policy}


@handles(Train)
async def train(job: Train, context: Context) -> None:
    """Take the run, train in a child, tell what it tells, and end the run exactly once."""
    try:
        await attempt_run(job.run_id, context)
    except actions.FenceLost:
        return  # another attempt has the run; it also has the folder
    except Exception as error:
        if not context.is_last_attempt:
            raise
        log.exception("run %s is given up", job.run_id)
        async with context.session() as session:
            await actions.give_up(session, job.run_id, f"{type(error).__name__}: {error}")


async def attempt_run(run_id: int, context: Context) -> None:
    home = context.settings.home.resolve()
    async with context.session() as session:
        run = await actions.take_run(session, run_id)
    if run is None:
        return
    assert run.fence is not None
    try:
        await do_run(run, run.fence, context, home)
    except actions.FenceLost:
        raise
    except Exception:
        async with context.session() as session:
            await actions.let_go(session, run.id, run.fence)
        raise


async def do_run(run: Run, fence: UUID, context: Context, home: Path) -> None:
    """Write what the training reads, then see it through; what cannot be had fails the run with its sentence."""
    attempt = Attempt(run.id, fence, run.public_id, run.method, take_over_folder(home, run))
    try:
        async with context.session() as session:
            await write_inputs(session, run, attempt, home, context.settings.device)
    except DomainError as refused:
        async with context.session() as session:
            await actions.fail(session, run.id, fence, str(refused))
        return
    if (home / path_of(attempt.public_id)).exists():  # an earlier attempt died between naming and registering
        await register(attempt, context, home)
    else:
        await see_through(attempt, context, home)


async def see_through(attempt: Attempt, context: Context, home: Path) -> None:
    """Start the child, beat until it ends, then write the end."""
    threads = {"OMP_NUM_THREADS": str(context.settings.threads)} if context.settings.threads else {}
    child = await start_python(
        "workers.training", attempt.method, str(attempt.folder / "run.json"), log=attempt.log, environment=threads
    )
    try:
        while child.returncode is None:
            await tell(attempt, context)
            await wait_for_end(child)
        await tell(attempt, context)
    finally:
        await end(child, patience=PATIENCE)
    await conclude(attempt, context, home, child.returncode or 0)


async def wait_for_end(child: asyncio.subprocess.Process) -> None:
    try:
        await asyncio.wait_for(child.wait(), BEAT)
    except TimeoutError:
        return


async def tell(attempt: Attempt, context: Context) -> None:
    """One heartbeat: new metrics and the log's tail go to the database, a wish to cancel goes to the child."""
    lines = new_metrics(attempt)
    async with context.session() as session:
        await actions.write_metrics(session, attempt.run_id, attempt.fence, lines)
        cancelled = await actions.beat(
            session, attempt.run_id, attempt.fence, stage=stage_of(lines), log=tail_of(attempt.log)
        )
    if cancelled and not attempt.cancelling:
        attempt.cancelling = True
        attempt.work.mkdir(exist_ok=True)
        (attempt.work / "cancel").touch()


def stage_of(lines: list[Mapping[str, Any]]) -> str | None:
    return str(lines[-1].get("stage", "training")) if lines else "training"


async def conclude(attempt: Attempt, context: Context, home: Path, code: int) -> None:
    """Write how it ended; a result becomes a checkpoint under its final name first."""
    if code == 0:
        keep_result(attempt, home)
        await register(attempt, context, home)
        return
    async with context.session() as session:
        if attempt.cancelling:
            await actions.stop(session, attempt.run_id, attempt.fence)
        else:
            await actions.fail(session, attempt.run_id, attempt.fence, reason_of(attempt, code))


def path_of(public_id: UUID) -> str:
    """Where a run's result stands below home: one place a run, so that finishing twice is finishing once."""
    return f"checkpoints/{public_id}"


def keep_result(attempt: Attempt, home: Path) -> None:
    """Give the finished folder its final name."""
    final = home / path_of(attempt.public_id)
    final.parent.mkdir(parents=True, exist_ok=True)
    if not final.exists():
        attempt.result.rename(final)


async def register(attempt: Attempt, context: Context, home: Path) -> None:
    path = path_of(attempt.public_id)
    record = json.loads((home / path / "hone.json").read_bytes(), parse_constant=lambda _word: None)
    async with context.session() as session:
        await actions.succeed(
            session, attempt.run_id, attempt.fence, path=path, kind=KIND[attempt.method], record=record
        )


def reason_of(attempt: Attempt, code: int) -> str:
    """The trainer's last sentence; where the kernel ended it there is none."""
    if code < 0:
        return _("The training was ended by signal {number}; out of memory, perhaps.").format(number=-code)
    lines = [line for line in tail_of(attempt.log).splitlines() if line.strip()]
    if not lines:
        return _("The training ended with code {code} and said nothing.").format(code=code)
    missing = re.match(r"ModuleNotFoundError: No module named '(\w+)", lines[-1])
    if missing:
        sentence = _("Training needs {name}, which comes with the extra: pip install 'hone[train]'")
        return sentence.format(name=missing[1])
    return lines[-1][:1000]


@every(10)
async def take_up_abandoned_runs(context: Context) -> None:
    async with context.session() as session:
        await actions.take_up_again(session)
