"""Run files: JSON that names a method's inputs."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import ValidationError

from app.training.configs.ppo import BestRun, PPORun
from app.training.configs.reward import RewardRun
from app.training.configs.shared import RunRefused, first_complaint

AnyRun = RewardRun | PPORun
METHODS: dict[str, type[AnyRun]] = {"reward": RewardRun, "ppo": PPORun, "best": BestRun}


def read_run(method: str, file: Path) -> AnyRun:
    """A run file. Raises RunRefused with one sentence that names the file or the field."""
    try:
        content = json.loads(file.read_bytes())
    except OSError as error:
        raise RunRefused(f"{file} cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise RunRefused(f"{file} is not valid JSON: {error}.") from None
    try:
        run = METHODS[method].model_validate(content)
    except ValidationError as error:
        raise RunRefused(f"{file}: {first_complaint(error)}") from None
    places = {name: value for name, value in run if isinstance(value, Path)}
    return run.model_copy(update={name: file.resolve().parent / place for name, place in places.items()})
