"""Checkpoint folders: what may be opened, what is refused and why, and how one is written.

A checkpoint that writes is a folder in the Hugging Face layout: `config.json`, `model.safetensors` (or shards with
`model.safetensors.index.json`), `tokenizer.json`, `tokenizer_config.json`, a chat template, and our own `hone.json`
that says where the weights come from. Nothing in it may run code: pickles and repositories that bring their own
Python (`auto_map`) are refused by name, and `trust_remote_code` is never passed to anything.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerFast
from transformers.utils import logging as transformers_logging

transformers_logging.disable_progress_bar()

RECORD = "hone.json"
WEIGHTS = "model.safetensors"
SHARDS = "model.safetensors.index.json"
PICKLES = {".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".npy", ".npz", ".msgpack", ".h5"}
DTYPES = {"F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16, "F64": torch.float64}


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


@dataclass(frozen=True)
class Opened:
    """A checkpoint in memory, in evaluation mode (no dropout anywhere) with gradients off.

    stored_dtype: of the weights on disk, which a policy trained from here is saved in.
    stop_ids: every token that ends an answer. pad_id is none of them.
    """

    folder: Path
    network: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    record: CheckpointRecord | None
    pad_id: int
    stop_ids: frozenset[int]
    stored_dtype: torch.dtype
    context: int

    @cached_property
    def weights_sha256(self) -> str:
        return weights_sha256(self.folder)

    @property
    def eos_id(self) -> int:
        return int(self.tokenizer.eos_token_id)

    def prompt_ids(self, messages: Sequence[tuple[str, str]]) -> list[int]:
        """Token ids of (role, text) turns through the chat template, up to where the answer begins."""
        turns = [{"role": role, "content": text} for role, text in messages]
        encoded = self.tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_dict=True)
        return list(encoded["input_ids"])

    def answer_ids(self, text: str) -> list[int]:
        """Token ids of an answer with the end-of-answer token, as the policy would have sampled it."""
        return [*self.tokenizer(text, add_special_tokens=False)["input_ids"], self.eos_id]

    def reply_ids(self) -> list[int]:
        """What the chat template writes between an answer and the user's reply; empty where that cannot be told."""
        turns = [("user", "yes"), ("assistant", "yes"), ("user", "yes")]
        messages = [{"role": role, "content": text} for role, text in turns]
        whole = list(self.tokenizer.apply_chat_template(messages, return_dict=True)["input_ids"])
        before, text = self.prompt_ids(turns[:1]) + self.answer_ids("yes"), self.answer_ids("yes")[:-1]
        rest = whole[len(before) :]
        for place in range(len(rest) - len(text) + 1):
            if whole[: len(before)] == before and rest[place : place + len(text)] == text:
                return rest[:place]
        return []


def open_checkpoint(
    path: str | Path, device: str | torch.device = "cpu", dtype: torch.dtype | None = torch.float32
) -> Opened:
    """Open a folder that writes (base, sft or policy). Raises CheckpointRefused.

    device: "auto" is the GPU where there is one. dtype None keeps the stored one.
    """
    folder = Path(path)
    weight_files = check_folder(folder)
    record = read_record(folder)
    if record is not None and record.kind == "reward":
        raise CheckpointRefused(f"{folder.name} is a reward checkpoint: it scores answers and writes none.")
    stored = _stored_dtype(weight_files)
    network = _load_network(folder, dtype or stored).to(choose_device(device))
    tokenizer = _load_tokenizer(folder)
    stop_ids = _stop_ids(network, tokenizer)
    pad_id = _check_tokens(network, tokenizer, stop_ids)
    context = int(getattr(network.config, "max_position_embeddings", 0) or 1 << 20)
    return Opened(folder, network, tokenizer, record, pad_id, stop_ids, stored, context)


def choose_device(device: str | torch.device) -> torch.device:
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(device)


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


def save_checkpoint(
    folder: Path, network: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, record: CheckpointRecord, **options: Any
) -> None:
    """Write a folder that `open_checkpoint` reads. `options` go to `save_pretrained` (state_dict=…)."""

    def write(place: Path) -> None:
        network.save_pretrained(place, **options)
        tokenizer.save_pretrained(place)

    save_folder(folder, record, write)


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


def _stored_dtype(files: list[Path]) -> torch.dtype:
    names = [entry["dtype"] for entry in check_safetensors(files[0]).values()]
    return DTYPES.get(max(set(names), key=names.count), torch.float32) if names else torch.float32


def _load_network(folder: Path, dtype: torch.dtype) -> PreTrainedModel:
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
        network, loading = AutoModelForCausalLM.from_pretrained(
            folder, config=config, dtype=dtype, local_files_only=True, use_safetensors=True, output_loading_info=True
        )
    except (ValueError, RuntimeError, OSError, KeyError, TypeError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise CheckpointRefused(f"The weights in {folder.name} do not fit its config.json: {reason}") from None
    for what, names in (("lacks", loading["missing_keys"]), ("has other shapes for", loading["mismatched_keys"])):
        if names:
            raise CheckpointRefused(
                f"{WEIGHTS} in {folder.name} {what} {len(names)} weights, first {min(map(str, names))}."
            )
    return network.eval().requires_grad_(False)


def _load_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    try:
        return PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # the tokenizers library raises bare Exception for a bad file
        raise CheckpointRefused(f"tokenizer.json in {folder.name} is not readable: {error}.") from None


def _stop_ids(network: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> frozenset[int]:
    """Every end the checkpoint names: in its generation settings, its config, its tokenizer."""
    stops: set[int] = set()
    for named in (
        getattr(network.generation_config, "eos_token_id", None),
        getattr(network.config, "eos_token_id", None),
    ):
        stops |= set(named) if isinstance(named, list) else set() if named is None else {named}
    return frozenset(stops | ({tokenizer.eos_token_id} if tokenizer.eos_token_id is not None else set()))


def _check_tokens(network: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, stop_ids: frozenset[int]) -> int:
    rows = network.get_input_embeddings().num_embeddings
    if len(tokenizer) > rows:
        raise CheckpointRefused(f"tokenizer.json has {len(tokenizer)} tokens, but the embedding has {rows} rows.")
    if tokenizer.eos_token_id is None:
        raise CheckpointRefused("tokenizer_config.json names no eos_token, so no answer would ever end.")
    if tokenizer.pad_token_id is None:
        raise CheckpointRefused("tokenizer_config.json names no pad_token.")
    if tokenizer.pad_token_id in stop_ids:
        raise CheckpointRefused(
            "tokenizer_config.json uses the end of an answer as its pad_token: padding would hide where answers end."
        )
    return int(tokenizer.pad_token_id)
