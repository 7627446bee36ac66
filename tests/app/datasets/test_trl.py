"""A file exported here goes into TRL's RewardTrainer and DPOTrainer unchanged. TRL is installed for this test alone."""

import math
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson
import pytest
import torch

from app.datasets.rules import Form, rewritten
from tests.app.datasets.test_rules import line
from tests.training.conftest import make_checkpoint


def exported(folder: Path, form: Form) -> Path:
    """Eight preferences and a tie, as a download would save them."""
    native = folder / "records.jsonl"
    lines = [line("ab"[number % 2], id=f"t{number}") for number in range(8)] + [line("tie", id="t8")]
    raw = b"".join(orjson.dumps(one) + b"\n" for one in lines)
    native.write_bytes(raw)
    file = folder / f"{form}.jsonl"
    file.write_bytes(b"".join(rewritten(native, sha256(raw).hexdigest(), form)))
    return file


def loaded(file: Path, cache: Path) -> Any:
    from datasets import load_dataset

    return load_dataset("json", data_files=str(file), split="train", cache_dir=str(cache))


def settings(config: type[Any], folder: Path) -> Any:
    return config(
        output_dir=str(folder / "out"),
        max_steps=1,
        per_device_train_batch_size=2,
        max_length=64,
        use_cpu=True,
        bf16=False,
        activation_checkpointing=False,
        report_to=[],
        disable_tqdm=True,
        save_strategy="no",
        dataloader_pin_memory=False,
    )


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return make_checkpoint(tmp_path_factory.mktemp("trl") / "base")


@pytest.mark.parametrize("form", [Form.trl, Form.trl_standard])
@pytest.mark.parametrize("method", ["reward", "dpo"])
def test_trl_trains_on_an_exported_file_unchanged(method: str, form: Form, base: Path, tmp_path: Path) -> None:
    import trl
    from transformers import AutoTokenizer

    pairs = loaded(exported(tmp_path, form), tmp_path / "cache")
    assert len(pairs) == 8
    config, trainer = (trl.RewardConfig, trl.RewardTrainer) if method == "reward" else (trl.DPOConfig, trl.DPOTrainer)
    training = trainer(
        model=str(base),
        args=settings(config, tmp_path),
        train_dataset=pairs,
        processing_class=AutoTokenizer.from_pretrained(base),
    )
    assert math.isfinite(training.train().training_loss)
