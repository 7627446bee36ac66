"""`hone train ray N METHOD …`: the training that the other words name, by N workers of a Ray cluster.

Ray's TorchTrainer starts the workers and has them meet; in each runs what `torchrun` would have started, on the same
run file. Not the jobs client, which starts one program on the head node and needs Ray's dashboard there: it is what
hands this very command to a cluster from afar (`ray job submit -- hone train ray 4 ppo run.json`), and no workers.

The cluster is the one of RAY_ADDRESS; without it one is started on this machine's loopback, and ended. Files are read
and written by every worker under the names that the run file gives, so several machines need a shared folder.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import signal
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from threading import Event, Thread
from types import FrameType
from typing import Any

from pydantic import ValidationError

from app.training.configs import METHODS, AnyRun, RunRefused, first_complaint
from workers.training.checkpoints import CheckpointRefused
from workers.training.command import parse, shown
from workers.training.processes import LONGEST_WAIT, gpu_of
from workers.training.progress import CANCEL, METRICS, RunCancelled, RunFailed, quiet
from workers.training.starting import start

USAGE = "usage: hone train ray WORKERS METHOD … (the words behind are those of hone train)"
LOCAL = {
    "RAY_AUTH_MODE": "token",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # the name of the switch by which Ray stays on the loopback
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
}
LOCAL_OBJECTS = 1 << 27  # bytes of a local cluster's shared memory: nothing goes through it but the run's settings
PATIENCE = 0.5  # seconds between two looks at the figures


class Ended(Exception):
    """A run that came to no result. code: as `hone train` exits; sentence: why."""

    def __init__(self, code: int, sentence: str) -> None:
        super().__init__(code, sentence)
        self.code, self.sentence = code, sentence


def train_on_ray(arguments: Sequence[str]) -> str:
    """The result's place. Raises RunRefused before anything starts, Ended when it came to none."""
    if len(arguments) < 2 or not arguments[0].isdigit() or not int(arguments[0]):
        raise RunRefused(USAGE)
    workers = int(arguments[0])
    run, as_json = parse(arguments[1:])
    if find_spec("ray") is None:
        raise RunRefused("This needs ray: pip install 'hone[ray]'")
    run.work.mkdir(parents=True, exist_ok=True)
    with cluster(workers), shown(run.method, as_json=as_json) as show, followed(run.work / METRICS, show):
        signal.signal(signal.SIGTERM, asks_to_stop(run.work / CANCEL))  # in here: Ray puts its own there as it starts
        return fit(run, workers)


def asks_to_stop(mark: Path) -> Callable[[int, FrameType | None], None]:
    """A handler: the first signal leaves the mark, which all workers see at the same step; a second is not waited
    for."""
    asked = False

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            os._exit(128 + number)
        asked = True
        mark.touch()

    return handle


@contextmanager
def cluster(workers: int) -> Iterator[None]:
    """Join the cluster that RAY_ADDRESS names, or have one of our own for as long as this lasts."""
    with tempfile.TemporaryDirectory(prefix="hone-ray-", ignore_cleanup_errors=True) as place:
        told: dict[str, Any] = {}
        if not os.environ.get("RAY_ADDRESS"):
            os.environ.update(LOCAL, RAY_AUTH_TOKEN=secrets.token_hex())
            quietly = {"include_dashboard": False, "log_to_driver": False, "logging_level": logging.ERROR}
            told = {"address": "local", "num_cpus": workers, "object_store_memory": LOCAL_OBJECTS, "_temp_dir": place}
            told |= quietly
        ray = import_module("ray")  # it reads the environment here, once
        try:
            ray.init(**told)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise Ended(1, f"Ray could not be reached or started: {first_line(error)}") from None
        try:
            yield
        finally:
            ray.shutdown()


@contextmanager
def followed(file: Path, show: Any) -> Iterator[None]:
    """Inside, each new line of figures is shown: the first worker writes them, wherever it is."""
    last, over = max((step for step, _, _ in lines_of(file)), default=0), Event()

    def follow() -> None:
        nonlocal last
        while True:
            ending = over.wait(PATIENCE)
            lines = lines_of(file)
            last = min(last, max((step for step, _, _ in lines), default=0))  # a run that goes on rewinds
            for step, total, values in lines:
                if step > last:
                    last = step
                    show(step, total, {name: value for name, value in values.items() if value is not None})
            if ending:
                return

    thread = Thread(target=follow)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def lines_of(file: Path) -> list[tuple[int, int, dict[str, Any]]]:
    """Steps that are written whole."""
    whole = file.read_text(encoding="utf-8").rpartition("\n")[0] if file.exists() else ""
    found = [json.loads(line) for line in whole.splitlines()]
    return [(one["step"], one["total"], one["values"]) for one in found]


def fit(run: AnyRun, workers: int) -> str:
    gpus = int(import_module("ray").cluster_resources().get("GPU", 0))
    on_gpus = gpu_of(run.device, workers - 1, gpus) is not None
    train, torch = import_module("ray.train"), import_module("ray.train.torch")
    trainer = torch.TorchTrainer(
        work,
        train_loop_config={"method": run.method, "run": run.model_dump(mode="json")},
        torch_config=torch.TorchConfig(
            "cpu:gloo,cuda:nccl" if on_gpus else "gloo", timeout_s=int(LONGEST_WAIT.total_seconds())
        ),
        scaling_config=train.ScalingConfig(num_workers=workers, use_gpu=on_gpus),
        run_config=train.RunConfig(name="ray", storage_path=str(run.work.resolve())),
    )
    try:
        return str(trainer.fit().return_value)
    except train.TrainingFailedError as failure:
        raise ended_by(failure) from None


def ended_by(failure: Any) -> Ended:
    """What the workers said, or else the first line of what went wrong."""
    failures = list(getattr(failure, "worker_failures", {}).values())
    told = next((one for one in failures if isinstance(one, Ended)), None)
    if told is not None:
        return told
    return Ended(1, f"The workers ended: {first_line(failures[0] if failures else failure)}")


def first_line(error: Exception) -> str:
    """Of what it says, or its name."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def work(told: dict[str, Any]) -> str:
    """What each worker does. Ray has them met already."""
    try:
        return str(start(METHODS[told["method"]].model_validate(told["run"]), quiet))
    except ValidationError as error:  # of another Hone than the one that read the run file
        raise Ended(2, first_complaint(error)) from None
    except (RunRefused, CheckpointRefused) as refusal:
        raise Ended(2, refusal.sentence) from None
    except RunCancelled as cancelled:
        raise Ended(3, cancelled.sentence) from None
    except RunFailed as failure:
        raise Ended(1, failure.sentence) from None
