"""Does runs: the training is a child process, the heartbeat stays here, and every write carries the run's fence."""

import asyncio
import json
import logging
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

from app.checkpoints.tables import CheckpointKind
from app.datasets.queries import check_lines
from app.errors import DomainError
from app.jobs.actions import give_up
from app.jobs.rules import Card
from app.training import actions, sharing
from app.training.jobs import Train
from app.training.tables import Method, Run
from app.translation import _
from workers.attempts import Attempt, new_lines, tail_of, take_over_folder, write_inputs
from workers.cards import card_of
from workers.children import end, start_python
from workers.handlers.registry import Context, every, handles

log = logging.getLogger("hone.training")

BEAT = 2.0  # seconds between two heartbeats
TOLD = ("metrics.jsonl", "samples.jsonl")
PATIENCE = 30.0  # seconds a cancelled training has to save its state
CANCELLED = 3  # exit code of a training that stopped on request, its state saved
KIND = {
    Method.sft: CheckpointKind.sft,
    Method.reward: CheckpointKind.reward,
    Method.dpo: CheckpointKind.policy,
    Method.ppo: CheckpointKind.policy,
}


@handles(Train)
async def train(job: Train, context: Context) -> None:
    """Take the run, train in a child, tell what it tells, and end the run exactly once. How often it may be tried the
    run itself counts: what keeps an attempt from beginning at all, such as a database that is away, counts for nothing.
    """
    try:
        await attempt_run(job.run_id, context)
    except actions.FenceLost:
        return  # another attempt has the run; it also has the folder


async def attempt_run(run_id: int, context: Context) -> None:
    home, card = context.settings.home.resolve(), await card_of(context.settings.device)
    async with context.session() as session:
        if card is not None and await sharing.must_wait(session, run_id, card):
            return
        run = await actions.take_run(session, run_id)
    if run is None:
        return
    assert run.fence is not None
    try:
        await do_run(run, run.fence, context, home, card)
        if card is not None:
            async with context.session() as session:
                await give_up(session, card, run.public_id)
    except actions.FenceLost:
        raise
    except Exception as error:
        is_last = run.attempt >= actions.MOST_ATTEMPTS
        async with context.session() as session:
            if card is not None:
                await give_up(session, card, run.public_id)
            if is_last:
                await actions.fail(session, run.id, run.fence, f"{type(error).__name__}: {error}")
            else:
                await actions.let_go(session, run.id, run.fence)
        if not is_last:
            raise
        log.exception("run %s is given up", run.id)


async def do_run(run: Run, fence: UUID, context: Context, home: Path, card: Card | None) -> None:
    """Write what the training reads, then see it through; what cannot be had fails the run with its sentence."""
    attempt = Attempt(run.id, fence, run.public_id, run.method, take_over_folder(home, run), card)
    try:
        async with context.session() as session:
            dataset = await write_inputs(session, run, attempt, home, context.settings.device, context.settings.track)
        if dataset is not None:  # it may be large: no transaction is open meanwhile
            await asyncio.to_thread(check_lines, home, dataset)
    except DomainError as refused:
        async with context.session() as session:
            await actions.fail(session, run.id, fence, str(refused))
        return
    if (home / path_of(attempt.public_id)).exists():  # an earlier attempt died between naming and registering
        await tell(attempt, context)
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
            await tell_or_miss(attempt, context)
            await wait_for_end(child)
    finally:
        await end(child, patience=PATIENCE)
    await conclude(attempt, context, home, child.returncode or 0)


async def wait_for_end(child: asyncio.subprocess.Process) -> None:
    try:
        await asyncio.wait_for(child.wait(), BEAT)
    except TimeoutError:
        return


async def tell_or_miss(attempt: Attempt, context: Context) -> None:
    """A heartbeat may be missed, say while the database is started anew: until the limit nobody else takes the run, and
    the training needs no database."""
    try:
        await tell(attempt, context)
    except actions.FenceLost:
        raise
    except Exception:
        if time.monotonic() - attempt.told_at > actions.HEARTBEAT_LIMIT.total_seconds():
            raise
        log.warning("run %s: a heartbeat was missed", attempt.run_id, exc_info=True)


async def tell(attempt: Attempt, context: Context) -> None:
    """One heartbeat: new metrics, samples and the log's tail go to the database, a wish to stop goes to the child."""
    (lines, told), (samples, shown) = (new_lines(attempt, name) for name in TOLD)
    leaves = False
    async with context.session() as session:
        await actions.write_metrics(session, attempt.run_id, attempt.fence, lines)
        await actions.write_samples(session, attempt.run_id, attempt.fence, samples)
        cancelled = await actions.beat(
            session, attempt.run_id, attempt.fence, stage=stage_of(lines), log=tail_of(attempt.log)
        )
        if attempt.card is not None:
            leaves = await sharing.must_leave(session, attempt.public_id, attempt.card)
    attempt.read = dict(zip(TOLD, (told, shown), strict=True))  # what was not told is read once more
    attempt.told_at = time.monotonic()
    is_told = attempt.cancelling or attempt.leaving
    attempt.cancelling, attempt.leaving = attempt.cancelling or cancelled, attempt.leaving or leaves
    if (cancelled or leaves) and not is_told:
        attempt.work.mkdir(exist_ok=True)
        (attempt.work / "cancel").touch()


def stage_of(lines: list[Mapping[str, Any]]) -> str | None:
    return str(lines[-1].get("stage", "training")) if lines else "training"


async def conclude(attempt: Attempt, context: Context, home: Path, code: int) -> None:
    """Write how it ended; a result gets its final name first, which outlasts a database that is away just now."""
    if code == 0:
        keep_result(attempt, home)
    await tell(attempt, context)
    if code == 0:
        await register(attempt, context, home)
        return
    async with context.session() as session:
        if attempt.cancelling:
            await actions.stop(session, attempt.run_id, attempt.fence)
        elif attempt.card is not None and attempt.leaving and code == CANCELLED:
            await sharing.step_aside(session, attempt.run_id, attempt.fence, attempt.card)
        else:
            await actions.fail(session, attempt.run_id, attempt.fence, reason_of(attempt, code))


def path_of(public_id: UUID) -> str:
    """Where a run's result stands below home: one place a run, so that finishing twice is finishing once."""
    return f"checkpoints/{public_id}"


def keep_result(attempt: Attempt, home: Path) -> None:
    """Give the finished folder its final name.

    :raises FenceLost: another attempt has taken the folder over.
    """
    final = home / path_of(attempt.public_id)
    final.parent.mkdir(parents=True, exist_ok=True)
    try:
        if not final.exists():
            attempt.result.rename(final)
    except FileNotFoundError:
        raise actions.FenceLost from None


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
