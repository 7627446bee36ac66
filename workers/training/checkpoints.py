"""Checkpoint folders: what may be opened, what is refused and why, and how one is written.

A checkpoint that writes is a folder in the Hugging Face layout: `config.json`, `model.safetensors` (or shards with
`model.safetensors.index.json`), `tokenizer.json`, `tokenizer_config.json`, a chat template, and our own `hone.json`
that says where the weights come from. Nothing in it may run code: pickles and repositories that bring their own
Python (`auto_map`) are refused by name, and `trust_remote_code` is never passed to anything.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerFast
from transformers.utils import logging as transformers_logging

from workers.training.folders import (
    RECORD,
    WEIGHTS,
    CheckpointRecord,
    CheckpointRefused,
    check_safetensors,
    check_writer,
    digest_of,
    file_sha256,
    flush_to_disk,
    read_record,
    refuse_code,
    save_folder,
    weights_sha256,
)

__all__ = [
    "RECORD",
    "WEIGHTS",
    "CheckpointRecord",
    "CheckpointRefused",
    "Opened",
    "check_safetensors",
    "check_writer",
    "choose_device",
    "digest_of",
    "file_sha256",
    "flush_to_disk",
    "open_checkpoint",
    "read_record",
    "refuse_code",
    "save_checkpoint",
    "save_folder",
    "weights_sha256",
]

transformers_logging.disable_progress_bar()

# stands where a control token that somebody typed is parted; a noncharacter, so templates and tokenizers know none
PARTED = "\ufdd0"
VERSION = "hone_version"  # among a weight file's metadata, so that weights and version are replaced as one
DTYPES = {"F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16, "F64": torch.float64}


@dataclass(frozen=True)
class Opened:
    """A checkpoint in memory, in evaluation mode (no dropout anywhere) with gradients off.

    stored_dtype: of the weights on disk, which a policy trained from here is saved in.
    stop_ids: every token that ends an answer. pad_id is none of them. version: what whoever writes the weights anew, as
    PPO does for the server that draws its answers, calls these; else empty.
    precision: what a base that stays frozen is held in (`bases`); else float32 stands for whatever was asked for.
    """

    folder: Path
    network: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    record: CheckpointRecord | None
    pad_id: int
    stop_ids: frozenset[int]
    stored_dtype: torch.dtype
    context: int
    precision: str = "float32"
    version: str = ""

    @cached_property
    def weights_sha256(self) -> str:
        return weights_sha256(self.folder)

    @property
    def eos_id(self) -> int:
        return int(self.tokenizer.eos_token_id)

    def prompt_ids(self, messages: Sequence[tuple[str, str]]) -> list[int]:
        """Token ids of (role, text) turns through the chat template, up to where the answer begins.

        Control tokens come from the template only: `<|end|>` that somebody typed is read as seven characters.
        """
        turns = [{"role": role, "content": self._parted(text)} for role, text in messages]
        if all(turn["content"] == text for turn, (_role, text) in zip(turns, messages, strict=True)):
            encoded = self.tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_dict=True)
            return list(encoded["input_ids"])
        return self._ids_of_parts(self.tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False))

    def answer_ids(self, text: str) -> list[int]:
        """Token ids of an answer with the end-of-answer token, as the policy would have sampled it.

        No other control token is in it, whatever the text spells.
        """
        parted = self._parted(text)
        if parted != text:
            return [*self._ids_of_parts(parted), self.eos_id]
        return [*self.tokenizer(text, add_special_tokens=False)["input_ids"], self.eos_id]

    @cached_property
    def _controls(self) -> re.Pattern[str]:
        """Finds the first character of every control token that a text spells, also of those that overlap."""
        names = [token.content for token in self.tokenizer.added_tokens_decoder.values() if token.special]
        return re.compile(
            f"(?=(?:{'|'.join(re.escape(name) for name in names if len(name) > 1) or '(?!)'})).", re.DOTALL
        )

    def _parted(self, text: str) -> str:
        return self._controls.sub(rf"\g<0>{PARTED}", text)

    def _ids_of_parts(self, text: str) -> list[int]:
        """Each part for itself: what is parted is no control token any more. (The tokenizer's own switch for this is
        shared by all threads that use it.)"""
        parts = (self.tokenizer(part, add_special_tokens=False)["input_ids"] for part in text.split(PARTED))
        return [token for part in parts for token in part]

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
    headers = check_writer(folder)
    record = read_record(folder)
    if record is not None and record.kind == "reward":
        raise CheckpointRefused(f"{folder.name} is a reward checkpoint: it scores answers and writes none.")
    stored = _stored_dtype(next(iter(headers.values())))
    network = _load_network(folder, dtype or stored).to(choose_device(device))
    tokenizer = _load_tokenizer(folder)
    stop_ids = _stop_ids(network, tokenizer)
    pad_id = _check_tokens(network, tokenizer, stop_ids)
    context = int(getattr(network.config, "max_position_embeddings", 0) or 1 << 20)
    return Opened(folder, network, tokenizer, record, pad_id, stop_ids, stored, context, version=_version(folder))


def choose_device(device: str | torch.device) -> torch.device:
    """auto: the GPU where there is one; of several processes on one machine each takes its own."""
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    found = torch.device(device)
    if found.type == "cuda" and found.index is None and "LOCAL_RANK" in os.environ:
        return torch.device("cuda", int(os.environ["LOCAL_RANK"]))
    return found


def save_checkpoint(
    folder: Path, network: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, record: CheckpointRecord, **options: Any
) -> None:
    """Write a folder that `open_checkpoint` reads. `options` go to `save_pretrained` (state_dict=…)."""

    def write(place: Path) -> None:
        network.save_pretrained(place, **options)
        tokenizer.save_pretrained(place)

    save_folder(folder, record, write)


def _version(folder: Path) -> str:
    if not (folder / WEIGHTS).is_file():
        return ""
    with safe_open(folder / WEIGHTS, "pt") as weights:
        return (weights.metadata() or {}).get(VERSION, "")


def _stored_dtype(header: dict[str, Any]) -> torch.dtype:
    names = [entry["dtype"] for entry in header.values()]
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
