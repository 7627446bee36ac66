"""One process's go at a run: its folder, the files that its training reads, and what the training tells in them."""

import json
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy.ext.asyncio import AsyncSession

from app.checkpoints.queries import location_of
from app.checkpoints.tables import Checkpoint
from app.datasets.queries import lines_of
from app.datasets.rules import split_of
from app.datasets.tables import Dataset
from app.errors import Conflict
from app.jobs.rules import Card
from app.training.actions import LOG_LIMIT
from app.training.queries import practice_prompts
from app.training.tables import Method, Run
from app.translation import _

LOOKED_AT, MOST_LOOKED_AT, FEWEST_TO_PART = 0.1, 32, 50  # share of roots, prompts, prompts


class NothingToPractiseOn(Conflict):
    """The project has no prompt that PPO may use."""

    code = "nothing-to-practise-on"
    sentence = _("The project has no prompts for training; import some with use train or label.")


@dataclass
class Attempt:
    """One process's go at a run. folder is named by the fence.

    card: what it computes on, where that is leased. cancelling, leaving: it was told to stop, for good or for now.
    read: how far its files have been told, by name, as (number of the file, bytes of it). told_at: when, by a monotonic
    clock.
    """

    run_id: int
    fence: UUID
    public_id: UUID
    method: Method
    folder: Path
    card: Card | None = None
    cancelling: bool = False
    leaving: bool = False
    read: dict[str, tuple[int, int]] = field(default_factory=dict)
    told_at: float = field(default_factory=time.monotonic)

    @property
    def log(self) -> Path:
        return self.folder / "log.txt"

    @property
    def work(self) -> Path:
        return self.folder / "work"

    @property
    def result(self) -> Path:
        return self.folder / "result"


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


async def write_inputs(
    session: AsyncSession, run: Run, attempt: Attempt, home: Path, device: str, track: str | None = None
) -> Dataset | None:
    """The run file and what it points at. The dataset, where the run reads one: its lines are still to be checked."""
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
        "track": track,
        "name": run.name,
    }
    dataset = await session.get_one(Dataset, run.dataset_id) if run.dataset_id is not None else None
    if dataset is not None:
        told["dataset"] = str(lines_of(home, dataset))
    if run.reward_id is not None:
        told |= await practice_inputs(session, run, attempt)
    (attempt.folder / "run.json").write_bytes(orjson.dumps(told, option=orjson.OPT_INDENT_2))
    return dataset


async def practice_inputs(session: AsyncSession, run: Run, attempt: Attempt) -> dict[str, Any]:
    """Of a run that a reward model judges: the model, and the prompts that answers are drawn to."""
    reward = await session.get_one(Checkpoint, run.reward_id)
    told = {"reward": str(location_of(reward)), "prompts": "prompts.jsonl"}
    if reward.parent_id not in (None, run.base_id):
        told["reward_base"] = str(location_of(await session.get_one(Checkpoint, reward.parent_id)))
    file, looked_at = attempt.folder / "prompts.jsonl", attempt.folder / "looked_at.jsonl"
    if not file.exists():  # a resumed run practises on the prompts it began with
        found = [line async for line in practice_prompts(session, run.project_id)]
        if not found:
            raise NothingToPractiseOn
        practised, only_looked_at = apart(found)
        if only_looked_at:
            write_lines(looked_at, only_looked_at)
        write_lines(file, practised)
    is_looked_at = run.method is Method.ppo and looked_at.exists()
    return told | ({"evaluation": looked_at.name} if is_looked_at else {})


def apart(found: list[tuple[str, dict[str, Any]]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Lines to practise on, and a few that PPO only looks at, apart by root: mostly the side that the reward model was
    measured on. The project's held-out prompts are neither: evaluations by people come to them unseen."""
    looked_at = [line for root, line in found if split_of(root, LOOKED_AT) == "heldout"][:MOST_LOOKED_AT]
    if len(found) < FEWEST_TO_PART or not looked_at:
        return [line for _root, line in found], []
    roots = {line["group"] for line in looked_at}
    return [line for _root, line in found if line["group"] not in roots], looked_at


def write_lines(file: Path, lines: list[dict[str, Any]]) -> None:
    partial = file.with_suffix(".partial")
    partial.write_bytes(b"".join(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE) for line in lines))
    partial.rename(file)


def new_lines(attempt: Attempt, name: str) -> tuple[list[Mapping[str, Any]], tuple[int, int]]:
    """Whole lines of a working file written since the last look, and how far that is. A resume rewinds by replacing
    the file, which is then read anew."""
    file, before = attempt.work / name, attempt.read.get(name, (0, 0))
    if not file.exists():
        return [], before
    with file.open("rb") as stream:
        number = os.fstat(stream.fileno()).st_ino
        begin = before[1] if before[0] == number else 0
        stream.seek(begin)
        whole, _newline, _rest = stream.read().rpartition(b"\n")
    read = (number, begin + len(whole) + 1 if whole else begin)
    return [json.loads(line) for line in whole.splitlines()], read


def tail_of(file: Path) -> str:
    """The last lines a person would want to see."""
    if not file.exists():
        return ""
    with file.open("rb") as stream:
        stream.seek(max(0, file.stat().st_size - LOG_LIMIT))
        return stream.read().decode("utf-8", errors="replace")
