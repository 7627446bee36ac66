"""What a run tells while it runs, how it is told to stop, and what it needs to go on after a kill.

In the run's folder: `metrics.jsonl` (a line per step), `samples.jsonl` (a line per look), TensorBoard files,
`state.safetensors` (all that the next step depends on, replaced by one rename), and `cancel`, which anybody may create.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter
from torch import Tensor, nn

from app.training.configs import AnyRun
from app.version import code_version as code_version
from workers.training.checkpoints import CheckpointRecord, CheckpointRefused, flush_to_disk, read_record
from workers.training.processes import anyone, is_first, once
from workers.training.sharding import alike, for_file, full

METRICS = "metrics.jsonl"
SAMPLES = "samples.jsonl"
STATE = "state.safetensors"
CANCEL = "cancel"
CURVES = "events.out.tfevents.1.hone"

Values = dict[str, float]
Samples = list[dict[str, Any]]
Report = Callable[[int, int, Values], None]
"""Called with (step, total, values) after each step."""


class RunFailed(Exception):
    """A run that ended badly. `sentence` says why, for the person who started it."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


class NotANumber(RunFailed):
    """A loss was infinite or no number."""


class RunCancelled(RunFailed):
    """Somebody asked for the end. The state is saved: the same run file goes on from here."""


def quiet(step: int, total: int, values: Values) -> None:
    """A report nobody reads."""


def never() -> bool:
    return False


@dataclass
class Progress:
    """Where steps are written down. `state` on disk and these lines never tell two stories: see `rewind`."""

    folder: Path
    report: Report = quiet
    should_stop: Callable[[], bool] = never

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)

    def step(self, step: int, total: int, values: Values) -> None:
        """Write one step down. Raises NotANumber when a loss is none."""
        if is_first():
            line = {"step": step, "total": total, "values": {name: tidy(value) for name, value in values.items()}}
            append_line(self.folder / METRICS, line)
            draw_curves(self.folder / "tensorboard", step, values)
            self.report(step, total, values)
        broken = [name for name, value in values.items() if "loss" in name and not math.isfinite(value)]
        if broken:
            raise NotANumber(
                f"{broken[0]} was not a number at step {step}: the learning rate (lr) is probably too high."
            )

    def show(self, step: int, samples: Samples) -> None:
        """Keep what policy and reference said at one look."""
        if is_first() and samples:
            append_line(self.folder / SAMPLES, {"step": step, "samples": samples})

    def stop_if_asked(self, step: int) -> None:
        """Raises RunCancelled. A mark that was obeyed is gone, so that the run can be taken up again."""
        if anyone((self.folder / CANCEL).exists() or self.should_stop()):
            (self.folder / CANCEL).unlink(missing_ok=True)
            raise RunCancelled(f"Cancelled after step {step}.")

    def rewind(self, step: int) -> None:
        """Forget what is written of steps after `step`, which a killed run wrote after its last saved state."""
        for file in (self.folder / METRICS, self.folder / SAMPLES):
            if is_first() and file.exists():
                kept = [line for line in file.read_text(encoding="utf-8").splitlines() if step_of(line) <= step]
                replace_file(file, "".join(f"{line}\n" for line in kept).encode())
        curves = self.folder / "tensorboard" / CURVES
        if is_first() and curves.exists():
            events = [one for one in records_in(curves.read_bytes()) if Event.FromString(one[12:-4]).step <= step]
            replace_file(curves, b"".join(events))


def append_line(file: Path, content: dict[str, Any]) -> None:
    with file.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(content) + "\n")


def step_of(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError):
        return math.inf  # the last line of a killed run may be half a line


def tidy(value: float) -> float | None:
    return float(f"{value:.6g}") if math.isfinite(value) else None


def draw_curves(folder: Path, step: int, values: Values) -> None:
    """Append one step to a TensorBoard file, by tensorboard's own record writer (no TensorFlow, no torch.utils)."""
    folder.mkdir(exist_ok=True)
    summary = Summary(value=[Summary.Value(tag=name, simple_value=value) for name, value in values.items()])
    with (folder / CURVES).open("ab") as stream:
        if not stream.tell():
            RecordWriter(stream).write(Event(wall_time=time.time(), file_version="brain.Event:2").SerializeToString())
        RecordWriter(stream).write(Event(wall_time=time.time(), step=step, summary=summary).SerializeToString())


def records_in(content: bytes) -> Iterator[bytes]:
    """Whole records of a TensorBoard file: length (8 bytes) and its checksum (4), the event, its checksum (4). The last
    one of a killed run may be a part, behind which nothing could be read."""
    at = 0
    while at + 12 <= len(content) and (end := at + 16 + int.from_bytes(content[at : at + 8], "little")) <= len(content):
        yield content[at:end]
        at = end


def replace_file(file: Path, content: bytes) -> None:
    partial = file.with_name(f".{file.name}.partial")
    partial.write_bytes(content)
    flush_to_disk(partial)
    os.replace(partial, file)


def save_state(folder: Path, tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
    """All that the next step depends on, in one file that is replaced whole and knows no number of processes."""
    whole = {name: for_file(tensor).contiguous() for name, tensor in tensors.items()}

    def write() -> None:
        partial = folder / f".{STATE}.partial"
        save_file(whole, partial, {"values": json.dumps(values)})
        flush_to_disk(partial)
        os.replace(partial, folder / STATE)
        flush_to_disk(folder)

    once(write)


def load_state(folder: Path, fingerprint: str) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """The saved state, None where there is none. Raises RunFailed for a state of another run file."""
    file = folder / STATE
    if not file.exists():
        return None
    try:
        with safe_open(file, "pt") as stream:
            values = json.loads(stream.metadata()["values"])
            tensors = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118  not a dict
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise RunFailed(f"{file} is not readable ({error}); delete it to begin anew.") from None
    if values.get("fingerprint") != fingerprint:
        raise RunFailed(f"{file} belongs to another configuration; choose another folder or delete it.")
    return tensors, values


def optimizer_state(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Adam's moments by number of parameter, as tensors that safetensors can hold."""
    return {
        f"optimizer.{number}.{name}": torch.as_tensor(value)
        for number, entries in optimizer.state_dict()["state"].items()
        for name, value in entries.items()
    }


def fingerprint_of(run: AnyRun, inputs: Mapping[str, str | None]) -> str:
    """What a saved state belongs to: everything that the next step depends on, and no path."""
    # a field that came with an upgrade has its default, and does not make the state another's
    parts = {"config": run.config.model_dump(mode="json", exclude_defaults=True), "seed": run.seed, **inputs}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def done_before(run: AnyRun, inputs: Mapping[str, str | None]) -> CheckpointRecord | None:
    """The record of this very run's result, where it is there already (a kill came between saving and telling).

    inputs: the digests that the record must name. Raises CheckpointRefused where the output is something else's.
    """
    there = run.output.exists()
    record = read_record(run.output) if run.output.is_dir() else None
    anyone(there)  # none goes on to write it before all have looked
    if not there:
        return None
    wanted = {**inputs, "seed": run.seed}
    if (
        record is None
        or any(getattr(record, name) != value for name, value in wanted.items())
        or not same_config(run, record)
    ):
        raise CheckpointRefused(f"{run.output} is there already, and is not this run's result; choose another output.")
    return record


def same_config(run: AnyRun, record: CheckpointRecord) -> bool:
    """Whether the record's config is the run's; one from before an upgrade lacks its newest fields."""
    try:
        return type(run.config).model_validate(record.config) == run.config
    except ValidationError:
        return False


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    for path, tensor in tensors.items():
        if path.startswith("optimizer."):
            _, number, name = path.split(".")
            weight = weights[int(number)]
            state.setdefault(int(number), {})[name] = alike(tensor, weight) if tensor.shape == weight.shape else tensor
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})


def copy_into(parameters: dict[str, nn.Parameter], tensors: dict[str, Tensor], prefix: str = "") -> None:
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(alike(tensors[prefix + name], parameter))


def taken_from(tensors: dict[str, Tensor], prefix: str, weights: Mapping[str, nn.Parameter]) -> dict[str, Tensor]:
    """What is saved under the prefix; copies of weights lie where the weights lie."""
    found = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    return {name: alike(tensor, weights[name]) if name in weights else tensor for name, tensor in found.items()}


def forget(parameters: Iterable[nn.Parameter]) -> None:
    """Whatever gradients they have."""
    for parameter in parameters:
        parameter.grad = None


def grad_norm(parameters: Iterable[nn.Parameter], limit: float) -> float:
    """Clip to `limit` and return the norm before."""
    return float(full(nn.utils.clip_grad_norm_(list(parameters), limit)))
