"""Figures to a tracker outside, Weights & Biases or trackio, where the run file names one.

Both are spoken to alike: `init`, `log`, `finish`. Neither is imported unless it is asked for. A tracker that is away
costs a run nothing: it goes on without, and its log says so once.
"""

from __future__ import annotations

import importlib
import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

from app.training.configs import AnyRun, RunRefused
from workers.training.progress import Report, Values

PROJECT = "hone"
MARK = "tracker"  # file in the working folder: a run that is taken up again goes on under the name it had


@contextmanager
def tracked(run: AnyRun, report: Report) -> Iterator[Report]:
    """`report`, which also tells the tracker of each step. Raises RunRefused where its package is not installed."""
    if run.track is None:
        yield report
        return
    tracker = Tracker(run, package(run.track))

    def both(step: int, total: int, values: Values) -> None:
        report(step, total, values)
        tracker.log(step, values)

    try:
        yield both
    except BaseException:
        tracker.finish(1)
        raise
    tracker.finish(0)


def package(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise RunRefused(f"track: {name} cannot be imported ({error}); pip install 'hone[{name}]' brings it.") from None


class Tracker:
    """One run there. told: None once it has failed."""

    def __init__(self, run: AnyRun, module: Any) -> None:
        self.name = str(run.track)
        mark = mark_of(run)
        words = {
            "project": PROJECT,
            "name": f"{run.name or run.output.name} {mark}",
            "config": {"method": run.method, "seed": run.seed, **run.config.model_dump(mode="json")},
            "resume": "allow",
        }
        if self.name == "wandb":  # trackio knows a run by its name alone, and keeps its files in a place of its own
            words |= {"id": mark, "dir": str(run.work)}
        self.told: Any = None
        self.told = self.attempt(module.init, **words)

    def log(self, step: int, values: Values) -> None:
        if self.told is not None:
            numbers = {name: value for name, value in values.items() if math.isfinite(value)}
            self.attempt(self.told.log, numbers, step=step)

    def finish(self, code: int) -> None:
        if self.told is not None:
            self.attempt(self.told.finish, **({"exit_code": code} if self.name == "wandb" else {}))

    def attempt(self, call: Any, *values: Any, **words: Any) -> Any:
        try:
            return call(*values, **words)
        except Exception as error:  # whatever it is, the training is worth more
            print(f"{self.name} is told no more: {type(error).__name__}: {error}", file=sys.stderr, flush=True)  # noqa: T201
            self.told = None
            return None


def mark_of(run: AnyRun) -> str:
    """A word that no other run has, the same at every attempt at this one."""
    run.work.mkdir(parents=True, exist_ok=True)
    file = run.work / MARK
    if not file.exists():
        file.write_text(uuid4().hex[:12])
    return file.read_text()
