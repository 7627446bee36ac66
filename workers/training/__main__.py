"""`hone train sft|reward|dpo|ppo|best …`: train on files, with no database (`command` says which words there are).

On a terminal a bar with the time left, else a line of JSON per step on standard output; when something is wrong, one
sentence as the last line of standard error. Exit codes: 0 done, 1 failed, 2 refused (words, run file, data or
checkpoint), 3 cancelled with its state saved. Under `torchrun` several processes train as one (`processes`), and the
first one tells. `hone train ray` has a Ray cluster start them (`cluster`), `hone train export` writes a run for other
programs (`exporting`).
"""

from __future__ import annotations

import json
import os
import signal
import sys
from contextlib import nullcontext
from types import FrameType
from typing import Any

from app.training.configs import RunRefused
from workers.training.command import parse, shown
from workers.training.exporting import export

stopping = False


def main(arguments: list[str]) -> int:
    signal.signal(signal.SIGTERM, ask_to_stop)
    try:
        if arguments[:1] == ["export"]:
            return told(export(arguments[1:]))
        if arguments[:1] == ["ray"]:
            return on_ray(arguments[1:])
        run, as_json = parse(arguments)
    except RunRefused as refusal:
        return say(refusal.sentence, 2)
    from workers.sampling.memory import OutOfMemory, is_out_of_memory
    from workers.training import processes  # torch takes seconds; a bad file is told at once
    from workers.training.checkpoints import CheckpointRefused
    from workers.training.progress import RunCancelled, RunFailed, quiet
    from workers.training.starting import start

    try:
        processes.join(run.device)
        with shown(run.method, as_json=as_json) if processes.is_first() else nullcontext(quiet) as show:
            folder = start(run, show, lambda: stopping)
    except (RunRefused, CheckpointRefused) as refusal:
        return say(refusal.sentence, 2)
    except RunCancelled as cancelled:  # all processes leave at once, and one of them says so
        return say(cancelled.sentence, 3) if processes.is_first() else 3
    except (RunFailed, OutOfMemory) as failure:
        return say(failure.sentence, 1)
    except Exception as reason:
        if not is_out_of_memory(reason):
            raise
        where = "outside of the passes, where a smaller token_budget does not help"
        return say(f"Memory ran out {where}: {str(reason).splitlines()[0]}", 1)
    if processes.is_first():
        told(folder)
    processes.leave()
    return 0


def on_ray(arguments: list[str]) -> int:
    """Raises RunRefused before anything starts."""
    from workers.training.cluster import Ended, train_on_ray

    try:
        return told(train_on_ray(arguments))
    except Ended as ended:
        return say(ended.sentence, ended.code)


def told(folder: Any) -> int:
    print(json.dumps({"done": str(folder)}), flush=True)  # noqa: T201
    return 0


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
