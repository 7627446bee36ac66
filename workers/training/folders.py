"""A checkpoint's folder as files: what `hone.json` says, and how one is written whole."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from app.checkpoints.rules import (
    RECORD,
    WEIGHTS,
    CheckpointRefused,
    check_safetensors,
    check_writer,
    digest_of,
    file_sha256,
    refuse_code,
    weight_files_of,
)

__all__ = [
    "RECORD",
    "WEIGHTS",
    "CheckpointRecord",
    "CheckpointRefused",
    "check_safetensors",
    "check_writer",
    "digest_of",
    "file_sha256",
    "flush_to_disk",
    "read_record",
    "refuse_code",
    "save_folder",
    "weights_sha256",
    "write_folder",
]


class CheckpointRecord(BaseModel):
    """`hone.json`: where weights come from. One reader per `schema_version`.

    parent is the name that the run file gave; the digests are what identifies. weights_sha256 is written by
    `save_folder` and says what the weights were then. prompts: that a DPO run drew answers to; PPO's are its dataset.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    kind: Literal["base", "sft", "reward", "policy"]
    method: str | None = None
    parent: str | None = None
    base_sha256: str | None = None
    reward_sha256: str | None = None
    weights_sha256: str | None = None
    config: dict[str, Any] = {}
    dataset_sha256: str | None = None
    prompts_sha256: str | None = None
    code_version: str | None = None
    seed: int | None = None
    metrics: dict[str, Any] = {}


def weights_sha256(folder: Path) -> str:
    """Digest of a folder's weights: of the one file, or of the shards' digests in order of name."""
    return digest_of(weight_files_of(folder))


def read_record(folder: Path) -> CheckpointRecord | None:
    if not (folder / RECORD).is_file():
        return None
    try:
        return CheckpointRecord.model_validate_json((folder / RECORD).read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "the file"
        raise CheckpointRefused(f"{RECORD} in {folder.name} is not readable: {field}: {first['msg']}.") from None


def save_folder(folder: Path, record: CheckpointRecord, write: Callable[[Path], None]) -> None:
    """As `write_folder`, with the record."""

    def write_all(place: Path) -> None:
        write(place)
        told = record.model_copy(update={"weights_sha256": digest_of([*place.glob("*.safetensors")])})
        (place / RECORD).write_text(told.model_dump_json(indent=2) + "\n", encoding="utf-8")

    write_folder(folder, write_all)


def write_folder(folder: Path, write: Callable[[Path], None]) -> None:
    """Whole or not at all: written beside its place, flushed to disk, renamed. Never replaces a folder."""
    if folder.exists():
        raise CheckpointRefused(f"{folder} is there already; a checkpoint is never overwritten.")
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)  # of a run that was killed while it saved
    partial.mkdir(parents=True)
    write(partial)
    for file in partial.iterdir():
        file.chmod(0o644)  # safetensors writes for its owner alone; sampler and trainer may be two users
        flush_to_disk(file)
    flush_to_disk(partial)
    partial.rename(folder)
    flush_to_disk(folder.parent)


def flush_to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
