"""Run files: JSON that names a method's inputs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from app.training.configs.ppo import BestRun, PPORun
from app.training.configs.reward import RewardRun
from app.training.configs.shared import RunRefused, first_complaint
from app.training.configs.tuning import DPORun, SFTRun

AnyRun = SFTRun | RewardRun | DPORun | PPORun
METHODS: dict[str, type[AnyRun]] = {"sft": SFTRun, "reward": RewardRun, "dpo": DPORun, "ppo": PPORun, "best": BestRun}


def read_run(method: str, file: Path) -> AnyRun:
    """A run file. Raises RunRefused with one sentence that names the file or the field."""
    try:
        run = METHODS[method].model_validate(read_content(file))
    except ValidationError as error:
        raise RunRefused(f"{file}: {first_complaint(error)}") from None
    places = {name: value for name, value in run if isinstance(value, Path)}
    return run.model_copy(update={name: file.resolve().parent / place for name, place in places.items()})


def read_content(file: Path) -> dict[str, Any]:
    """A file that holds one JSON object. Raises RunRefused naming it."""
    try:
        content = json.loads(file.read_bytes())
    except OSError as error:
        raise RunRefused(f"{file} cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise RunRefused(f"{file} is not valid JSON: {error}.") from None
    if not isinstance(content, dict):
        raise RunRefused(f"{file}: it holds no valid dictionary of fields.")
    return content
