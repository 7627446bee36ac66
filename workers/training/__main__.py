"""`python -m workers.training reward|ppo|best run.json`: train on files, with no database.

A line of JSON per step on standard output; when something is wrong, one sentence as the last line of standard error.
Exit codes: 0 done, 1 failed, 2 refused (run file, data or checkpoint), 3 cancelled with its state saved.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from types import FrameType

from app.training.configs import METHODS, BestRun, PPORun, RunRefused, read_run

USAGE = f"usage: python -m workers.training {'|'.join(METHODS)} run.json"
stopping = False


def main(arguments: list[str]) -> int:
    if len(arguments) != 2 or arguments[0] not in METHODS:
        return say(USAGE, 2)
    signal.signal(signal.SIGTERM, ask_to_stop)
    try:
        run = read_run(arguments[0], Path(arguments[1]))
    except RunRefused as refusal:
        return say(refusal.sentence, 2)
    from workers.training.best import keep_best
    from workers.training.checkpoints import CheckpointRefused  # torch takes seconds; a bad file is told at once
    from workers.training.ppo import train_ppo
    from workers.training.progress import RunCancelled, RunFailed
    from workers.training.reward import train_reward

    try:
        if isinstance(run, BestRun):
            result_folder = keep_best(run, show, lambda: stopping)
        elif isinstance(run, PPORun):
            result_folder = train_ppo(run, show, lambda: stopping).folder
        else:
            result_folder = train_reward(run, show, lambda: stopping).folder
    except (RunRefused, CheckpointRefused) as refusal:
        return say(refusal.sentence, 2)
    except RunCancelled as cancelled:
        return say(cancelled.sentence, 3)
    except RunFailed as failure:
        return say(failure.sentence, 1)
    print(json.dumps({"done": str(result_folder)}), flush=True)  # noqa: T201
    return 0


def show(step: int, total: int, values: dict[str, float]) -> None:
    rounded = {name: float(f"{value:.4g}") for name, value in values.items()}
    print(json.dumps({"step": step, "total": total, "values": rounded}), flush=True)  # noqa: T201


def say(sentence: str, code: int) -> int:
    print(sentence, file=sys.stderr, flush=True)  # noqa: T201
    return code


def ask_to_stop(number: int, frame: FrameType | None) -> None:
    """The first signal asks; a second one is not waited for."""
    global stopping
    if stopping:
        os._exit(128 + number)
    stopping = True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
