"""The words behind `hone train METHOD`: a run out of a run file, of single options, or of both; and what is shown.

Torch-free, so that a wrong word is told at once.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from app.training.configs import METHODS, AnyRun, RunRefused, first_complaint, read_content

METHOD_NAMES = "|".join(METHODS)
USAGE = (
    f"usage: hone train {METHOD_NAMES} [run.json] [--config FILE] [--dataset FILE] [--base FOLDER] [--output FOLDER]"
    " [--reward FOLDER] [--seed N] [--device D] [--sharding none|full] [--track wandb|trackio] [--set FIELD=VALUE …]"
    " [--json]"
)
SHOWN = ("loss", "heldout_loss", "blind_loss", "blind_accuracy", "accuracy", "score", "kl", "lr")  # beside the bar


class Words(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise RunRefused(f"{message}; {USAGE}")


def parse(arguments: Sequence[str]) -> tuple[AnyRun, bool]:
    """The run that was asked for, and whether its steps are to be told as JSON. Raises RunRefused."""
    words = Words(add_help=False, allow_abbrev=False)
    words.add_argument("method", choices=METHODS)
    words.add_argument("run", nargs="?", type=Path)
    words.add_argument("--config", type=Path)
    for name in ("dataset", "base", "output", "reward"):
        words.add_argument(f"--{name}", type=Path)
    words.add_argument("--seed")
    words.add_argument("--device")
    words.add_argument("--sharding")
    words.add_argument("--track")
    words.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE")
    words.add_argument("--json", action="store_true")
    if not arguments or arguments[0] not in METHODS:
        raise RunRefused(USAGE)
    said = words.parse_args(arguments)
    return run_of(said), said.json


def run_of(said: argparse.Namespace) -> AnyRun:
    """Paths of the command are relative to where it was typed, those of the run file to the file."""
    content = placed(read_content(said.run), said.run.parent, METHODS[said.method]) if said.run else {}
    if said.config:
        told = read_content(said.config)
        content["config"] = content.get("config", {}) | told.get("config", told)
    data = "prompts" if said.method in ("ppo", "best") else "dataset"
    named = {"checkpoint": said.base, data: said.dataset, "output": said.output, "reward": said.reward}
    content |= {name: str(path.resolve()) for name, path in named.items() if path is not None}
    single = ("seed", "device", "sharding", "track")
    content |= {name: getattr(said, name) for name in single if getattr(said, name) is not None}
    content.setdefault("output", str(Path(said.method).resolve()))
    content["config"] = content.get("config", {}) | dict(map(setting, said.set))
    try:
        return METHODS[said.method].model_validate(content)
    except ValidationError as error:
        place = f"{said.run}: " if said.run else ""
        raise RunRefused(f"{place}{first_complaint(error)}") from None


def placed(content: dict[str, Any], folder: Path, kind: type[AnyRun]) -> dict[str, Any]:
    """Names of files as they are from everywhere."""
    paths = {name for name, field in kind.model_fields.items() if "Path" in str(field.annotation)}
    return {
        name: str(folder.resolve() / value) if name in paths and isinstance(value, str) else value
        for name, value in content.items()
    }


def setting(told: str) -> tuple[str, Any]:
    """`lr=1e-4` as field and value; `kl_budget=` is an empty field."""
    name, is_set, value = told.partition("=")
    if not is_set:
        raise RunRefused(f"--set {told}: a field, = and its value are needed.")
    return name.strip(), value.strip() or None


def show_json(step: int, total: int, values: dict[str, float]) -> None:
    rounded = {name: float(f"{value:.4g}") for name, value in values.items()}
    print(json.dumps({"step": step, "total": total, "values": rounded}), flush=True)  # noqa: T201


@contextmanager
def shown(method: str, *, as_json: bool) -> Iterator[Any]:
    """What is told of each step: on a terminal a bar with the time left and the figures that matter, else JSON."""
    if as_json or not sys.stdout.isatty():
        yield show_json
        return
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        TextColumn("left"), TimeRemainingColumn(), TextColumn("{task.fields[told]}"),
    )  # fmt: skip
    with Progress(*columns, console=Console()) as bar:
        task = bar.add_task(method, total=None, told="")

        def show(step: int, total: int, values: dict[str, float]) -> None:
            told = "  ".join(f"{name} {values[name]:.4g}" for name in SHOWN if name in values)
            bar.update(task, completed=step, total=total, told=told)

        yield show
