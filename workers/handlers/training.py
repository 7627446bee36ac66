"""Does runs: the training is a child process, the heartbeat stays here, and every write carries the run's fence."""

import asyncio
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy.ext.asyncio import AsyncSession

from app.checkpoints.queries import location_of
from app.checkpoints.tables import Checkpoint, CheckpointKind
from app.datasets.queries import lines_of
from app.datasets.tables import Dataset
from app.training import actions
from app.training.jobs import Train
from app.training.queries import practice_prompts
from app.training.tables import Method, Run
from workers.children import end, start_python
from workers.handlers.registry import Context, every, handles

BEAT = 2.0  # seconds between two heartbeats
PATIENCE = 30.0  # seconds a cancelled training has to save its state
KIND = {Method.reward: CheckpointKind.reward, Method.ppo: CheckpointKind.policy}


class NothingToPractiseOn(Exception):
    """The project has no prompt that PPO may use."""


@dataclass
class Attempt:
    """One process's go at a run. folder is named by the fence; `read` is how far its metrics have been told."""

    run_id: int
    fence: UUID
    public_id: UUID
    method: Method
    folder: Path
    cancelling: bool = False
    read: int = field(default=0)

    @property
    def log(self) -> Path:
        return self.folder / "log.txt"

    @property
    def work(self) -> Path:
        return self.folder / "work"

    @property
    def result(self) -> Path:
        return self.folder / "result"


@handles(Train)
async def train(job: Train, context: Context) -> None:
    """Take the run, train in a child, tell what it tells, and end the run exactly once."""
    home = context.settings.home.resolve()
    async with context.session() as session:
        run = await actions.take_run(session, job.run_id)
        if run is None:
            return
        assert run.fence is not None
        attempt = Attempt(run.id, run.fence, run.public_id, run.method, take_over_folder(home, run))
        try:
            await write_inputs(session, run, attempt, home, context.settings.device)
        except NothingToPractiseOn:
            await actions.fail(session, run.id, run.fence, "The project has no prompts for training; import some.")
            return
    try:
        if (home / path_of(attempt.public_id)).exists():  # an earlier attempt died between naming and registering
            await register(attempt, context, home)
        else:
            await see_through(attempt, context, home)
    except actions.FenceLost:
        return  # another attempt has the run; it also has the folder


def take_over_folder(home: Path, run: Run) -> Path:
    """The run's only folder under this attempt's name. An earlier attempt's state comes along, and its late writes
    find no folder any more."""
    above = home / "runs" / str(run.public_id)
    above.mkdir(parents=True, exist_ok=True)
    mine = above / str(run.fence)
    earlier = sorted(above.iterdir(), key=lambda folder: folder.stat().st_mtime)
    if earlier:
        earlier[-1].rename(mine)
        shutil.rmtree(mine / "result", ignore_errors=True)
    else:
        mine.mkdir()
    return mine


async def write_inputs(session: AsyncSession, run: Run, attempt: Attempt, home: Path, device: str) -> None:
    """The run file and what it points at."""
    base = await session.get_one(Checkpoint, run.base_id)
    told: dict[str, Any] = {
        "method": run.method,
        "checkpoint": str(location_of(base)),
        "output": "result",
        "folder": "work",
        "seed": run.seed,
        "device": device,
        "parent": str(base.public_id),
        "config": run.config,
    }
    if run.method is Method.reward:
        dataset = await session.get_one(Dataset, run.dataset_id)
        told["dataset"] = str(lines_of(home, dataset))
    else:
        told |= await ppo_inputs(session, run, attempt)
    (attempt.folder / "run.json").write_bytes(orjson.dumps(told, option=orjson.OPT_INDENT_2))


async def ppo_inputs(session: AsyncSession, run: Run, attempt: Attempt) -> dict[str, Any]:
    reward = await session.get_one(Checkpoint, run.reward_id)
    told = {"reward": str(location_of(reward)), "prompts": "prompts.jsonl"}
    if reward.parent_id not in (None, run.base_id):
        told["reward_base"] = str(location_of(await session.get_one(Checkpoint, reward.parent_id)))
    file = attempt.folder / "prompts.jsonl"
    if not file.exists():  # a resumed run practises on the prompts it began with
        lines = [orjson.dumps(line) async for line in practice_prompts(session, run.project_id)]
        if not lines:
            raise NothingToPractiseOn
        file.write_bytes(b"\n".join(lines) + b"\n")
    return told


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


def new_metrics(attempt: Attempt) -> list[Mapping[str, Any]]:
    """Whole lines written since the last look. A file that shrank was rewound by a resume and is read anew."""
    file = attempt.work / "metrics.jsonl"
    if not file.exists():
        return []
    if file.stat().st_size < attempt.read:
        attempt.read = 0
    with file.open("rb") as stream:
        stream.seek(attempt.read)
        whole, _newline, _rest = stream.read().rpartition(b"\n")
    attempt.read += len(whole) + 1 if whole else 0
    return [json.loads(line) for line in whole.splitlines()]


def stage_of(lines: list[Mapping[str, Any]]) -> str | None:
    return str(lines[-1].get("stage", "training")) if lines else "training"


def tail_of(file: Path) -> str:
    """The last lines a person would want to see, as text that Postgres can hold."""
    if not file.exists():
        return ""
    with file.open("rb") as stream:
        stream.seek(max(0, file.stat().st_size - actions.LOG_LIMIT))
        return stream.read().decode("utf-8", errors="replace").replace("\0", "")


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
    record = json.loads((home / path / "hone.json").read_bytes())
    async with context.session() as session:
        await actions.succeed(
            session, attempt.run_id, attempt.fence, path=path, kind=KIND[attempt.method], record=record
        )


def reason_of(attempt: Attempt, code: int) -> str:
    """The trainer's last sentence; where the kernel ended it there is none."""
    if code < 0:
        return f"The training was ended by signal {-code}; out of memory, perhaps."
    lines = [line for line in tail_of(attempt.log).splitlines() if line.strip()]
    return lines[-1][:1000] if lines else f"The training ended with code {code} and said nothing."


@every(10)
async def take_up_abandoned_runs(context: Context) -> None:
    async with context.session() as session:
        await actions.take_up_again(session)
