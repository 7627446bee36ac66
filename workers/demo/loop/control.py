"""The negative control: the same votes with their sides turned at random must teach nothing."""

import asyncio
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

TURNED = {"a": "b", "b": "a"}
REPEATS = 4
AT_ONCE = 2  # one thread each: two networks on two cores are done sooner than one after the other on both


def turned(lines: list[dict[str, Any]], seed: int, half: int = 0) -> list[dict[str, Any]]:
    """Training lines with exactly half of their sided votes turned round; held-out lines stay true. half 1: the votes
    that half 0 leaves."""
    rng = random.Random(f"control/{seed}")
    sided = [
        (place, number)
        for place, line in enumerate(lines)
        if line["split"] == "train"
        for number, vote in enumerate(line["votes"])
        if vote["outcome"] in TURNED
    ]
    rng.shuffle(sided)
    copies: list[dict[str, Any]] = json.loads(json.dumps(lines))
    middle = len(sided) // 2
    for place, number in sided[middle:] if half else sided[:middle]:
        vote = copies[place]["votes"][number]
        vote["outcome"] = TURNED[vote["outcome"]]
    return copies


async def accuracy_heldout(records: bytes, checkpoint: Path, config: dict[str, Any], folder: Path, seed: int) -> float:
    """Mean held-out accuracy over a few shuffles of a reward model that had nothing to learn: about a half.

    A mean, because one random direction in a network may agree with quality by chance. The shuffles come in pairs that
    turn each other's votes: what chance adds to one of them it takes from the other, while a held-out label that leaks
    into training lifts both.
    """
    lines = [json.loads(line) for line in records.splitlines()]
    places = asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> float:
        async with places:
            prepare(lines, checkpoint, config, folder / str(number), seed + number // 2, number % 2)
            return await trained(folder / str(number))

    return statistics.mean(await asyncio.gather(*map(one, range(REPEATS))))


def prepare(
    lines: list[dict[str, Any]], checkpoint: Path, config: dict[str, Any], folder: Path, seed: int, half: int
) -> None:
    """A folder with the turned lines and the run file of a reward model."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "records.jsonl").write_text("".join(json.dumps(line) + "\n" for line in turned(lines, seed, half)))
    run = {
        "method": "reward",
        "checkpoint": str(checkpoint.resolve()),
        "output": "result",
        "dataset": "records.jsonl",
        "seed": seed,
        "config": config,
    }
    (folder / "run.json").write_text(json.dumps(run))


async def trained(folder: Path) -> float:
    """Held-out accuracy of the run in this folder; whoever stops waiting ends it.

    :raises RuntimeError: the run failed; what it said stands on the terminal.
    """
    command = (sys.executable, "-m", "workers.training", "reward", str(folder / "run.json"))
    alone = os.environ | {"OMP_NUM_THREADS": "1"}
    run = await asyncio.create_subprocess_exec(*command, stdout=subprocess.DEVNULL, env=alone)
    try:
        if await run.wait():
            raise RuntimeError(f"the control's run in {folder} failed")
    finally:
        if run.returncode is None:
            run.terminate()
            await run.wait()
    record = json.loads((folder / "result" / "hone.json").read_bytes())
    return float(record["metrics"]["heldout"]["accuracy"])
