"""A checkpoint's folder as files: what is refused unread, what `hone.json` says, how one is written whole."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

RECORD = "hone.json"
WEIGHTS = "model.safetensors"
SHARDS = "model.safetensors.index.json"
PICKLES = {".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".npy", ".npz", ".msgpack", ".h5"}


class CheckpointRefused(Exception):
    """A folder that is not opened. `sentence` names the file and the reason."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


class CheckpointRecord(BaseModel):
    """`hone.json`: where weights come from. One reader per `schema_version`.

    parent is the name that the run file gave; the digests are what identifies. weights_sha256 is written by
    `save_folder` and says what the weights were then.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    kind: Literal["base", "sft", "reward", "policy"]
    method: str | None = None
    parent: str | None = None
    base_sha256: str | None = None
    weights_sha256: str | None = None
    config: dict[str, Any] = {}
    dataset_sha256: str | None = None
    code_version: str | None = None
    seed: int | None = None
    metrics: dict[str, Any] = {}


def check_folder(folder: Path) -> list[Path]:
    """Everything that can be said without loading: returns the weight files, raises CheckpointRefused."""
    if not folder.is_dir():
        raise CheckpointRefused(f"{folder} is not a folder.")
    refuse_code(folder)
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        if not (folder / name).is_file():
            raise CheckpointRefused(f"{name} is missing in {folder.name}.")
    template = _read_json(folder / "tokenizer_config.json").get("chat_template")
    if not template and not (folder / "chat_template.jinja").is_file():
        raise CheckpointRefused(
            f"tokenizer_config.json in {folder.name} has no chat_template, and there is no chat_template.jinja:"
            " without one nobody knows where a prompt ends and an answer begins."
        )
    files = weight_files_of(folder)
    for file in files:
        check_safetensors(file)
    return files


def refuse_code(folder: Path) -> None:
    """Refuse pickles (opening one can run anything) and folders that bring Python of their own."""
    for file in sorted(folder.rglob("*")):
        if file.suffix.lower() in PICKLES:
            raise CheckpointRefused(f"{file.name} is a file that can run code when opened: only safetensors are read.")
    for file in sorted(folder.glob("*.json")):
        content = _read_json(file) if file.name != SHARDS else {}
        if isinstance(content, dict) and "auto_map" in content:
            raise CheckpointRefused(f"{file.name} asks for code of its own (auto_map), which is never run.")


def weight_files_of(folder: Path) -> list[Path]:
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    if not (folder / SHARDS).is_file():
        raise CheckpointRefused(f"{WEIGHTS} is missing in {folder.name}.")
    names = sorted(set(_read_json(folder / SHARDS).get("weight_map", {}).values()))
    for name in names:
        if Path(name).name != name or not (folder / name).is_file():
            raise CheckpointRefused(f"{SHARDS} names {name}, which is not in {folder.name}.")
    if not names:
        raise CheckpointRefused(f"{SHARDS} names no weight files.")
    return [folder / name for name in names]


def check_safetensors(file: Path) -> dict[str, Any]:
    """The header of a safetensors file, after holding it against the file's size. Raises CheckpointRefused."""
    size = file.stat().st_size
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if size < 8 or length > min(size - 8, 100_000_000):
            raise CheckpointRefused(f"{file.name} is cut short or no safetensors file.")
        try:
            header = json.loads(stream.read(length))
        except ValueError:
            raise CheckpointRefused(f"{file.name} has an unreadable header.") from None
    tensors = {name: entry for name, entry in header.items() if name != "__metadata__"}
    end = 8 + length + max((entry["data_offsets"][1] for entry in tensors.values()), default=0)
    if end != size:
        raise CheckpointRefused(f"{file.name} is cut short: its header promises {end} bytes, the file has {size}.")
    return tensors


def weights_sha256(folder: Path) -> str:
    """Digest of a folder's weights: of the one file, or of the shards' digests in order of name."""
    return digest_of(weight_files_of(folder))


def digest_of(files: list[Path]) -> str:
    digests = [file_sha256(file) for file in sorted(files)]
    return digests[0] if len(digests) == 1 else hashlib.sha256("\n".join(digests).encode()).hexdigest()


def file_sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


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
    """Whole or not at all: written beside its place, flushed to disk, renamed. Never replaces a folder."""
    if folder.exists():
        raise CheckpointRefused(f"{folder} is there already; a checkpoint is never overwritten.")
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)  # of a run that was killed while it saved
    partial.mkdir(parents=True)
    write(partial)
    record = record.model_copy(update={"weights_sha256": digest_of([*partial.glob("*.safetensors")])})
    (partial / RECORD).write_text(record.model_dump_json(indent=2) + "\n", encoding="utf-8")
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


def _read_json(file: Path) -> Any:
    try:
        return json.loads(file.read_bytes())
    except ValueError:
        raise CheckpointRefused(f"{file.name} is not valid JSON.") from None
