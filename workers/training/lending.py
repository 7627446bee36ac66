"""The policy as files that another server reads: its adapter in PEFT's format, or a checkpoint whose weights are
replaced from step to step."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from safetensors.torch import load_file, save_file
from transformers.pytorch_utils import Conv1D

from workers.training.actors import Actors
from workers.training.checkpoints import (
    RECORD,
    VERSION,
    WEIGHTS,
    CheckpointRecord,
    CheckpointRefused,
    flush_to_disk,
    read_record,
    save_checkpoint,
)
from workers.training.folders import write_folder

METHOD = "rollouts"  # in the record of a folder whose weights are replaced, so that no other is ever written over
ONE_FILE = "1000TB"  # weights in shards could not be replaced by one rename


def write_adapter(folder: Path, actors: Actors) -> None:
    """The policy's adapter as `peft` would save it, which vLLM and SGLang load: out = W x + alpha / r · B (A x).

    Ours are (inputs, rank) and (rank, outputs), PEFT's A is (rank, inputs) and its B (outputs, rank), and its names
    have the wrapped network's before them (PEFT's page on its checkpoint format).
    """
    assert actors.policy_adapter is not None
    tensors, linears = {}, {path: place.linear for path, place in actors.policy.adapted.items()}
    for path, place in actors.policy.adapted.items():
        adapter = place.adapters[actors.policy_adapter]
        tensors[f"base_model.model.{path}.lora_A.weight"] = adapter.down[0].T.detach().cpu().contiguous()
        tensors[f"base_model.model.{path}.lora_B.weight"] = adapter.up[0].T.detach().cpu().contiguous()
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": actors.opened.folder.name,
        "r": actors.config.rank,
        "lora_alpha": actors.config.scale,
        "lora_dropout": 0.0,
        "bias": "none",
        "target_modules": sorted({path.rpartition(".")[2] for path in linears}),
        "fan_in_fan_out": any(isinstance(linear, Conv1D) for linear in linears.values()),
        "inference_mode": True,
    }

    def write(place: Path) -> None:
        save_file(tensors, place / "adapter_model.safetensors", {"format": "pt"})
        (place / "adapter_config.json").write_text(json.dumps(config, indent=2) + "\n")

    write_folder(folder, write)


def write_checkpoint(folder: Path, actors: Actors) -> None:
    """The policy as an ordinary checkpoint."""
    network, tokenizer = actors.policy.network, actors.opened.tokenizer
    save_checkpoint(folder, network, tokenizer, _record(actors), state_dict=actors.policy_state())


def replace_weights(folder: Path, actors: Actors, version: str) -> None:
    """Into the checkpoint that stands there for this purpose, or a new one: its one weight file is replaced by a
    rename, its version inside, so that no reader ever finds half. Raises CheckpointRefused for any other folder."""
    if not folder.exists():
        network, tokenizer = actors.policy.network, actors.opened.tokenizer

        def write(place: Path) -> None:
            network.save_pretrained(place, state_dict=actors.policy_state(), max_shard_size=ONE_FILE)
            tokenizer.save_pretrained(place)
            # without a digest, for the next weights would make it untrue
            (place / RECORD).write_text(_record(actors).model_dump_json(indent=2) + "\n", encoding="utf-8")

        write_folder(folder, write)
    record = read_record(folder) if folder.is_dir() else None
    if record is None or record.method != METHOD:
        raise CheckpointRefused(f"{folder} holds something else than rollouts' weights, and is not overwritten.")
    if record.base_sha256 != actors.opened.weights_sha256:
        raise CheckpointRefused(f"{folder} holds the rollouts' weights of a run that began from another checkpoint.")
    _replace(folder / WEIGHTS, actors, version)


def _replace(file: Path, actors: Actors, version: str) -> None:
    scratch = file.parent / ".partial"
    shutil.rmtree(scratch, ignore_errors=True)  # of a run that was killed meanwhile
    try:
        actors.policy.network.save_pretrained(scratch, state_dict=actors.policy_state(), max_shard_size=ONE_FILE)
        whole = scratch / "versioned"
        save_file(load_file(scratch / WEIGHTS), whole, {"format": "pt", VERSION: version})
        whole.chmod(0o644)  # sampler and trainer may be two users
        flush_to_disk(whole)
        os.replace(whole, file)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _record(actors: Actors) -> CheckpointRecord:
    return CheckpointRecord(kind="policy", method=METHOD, base_sha256=actors.opened.weights_sha256)
