"""A frozen base in bf16 or 4 bits: what it holds, how adapters learn on it, and that the stored base is kept."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from app.training.configs import (
    DPOConfig,
    DPORun,
    PPOConfig,
    PPORun,
    RewardConfig,
    RewardRun,
    RunRefused,
    SFTConfig,
    SFTRun,
)
from tests.training.conftest import make_checkpoint, make_tokenizer
from tests.training.make import make_comparisons, write
from tests.training.rolling import changed, lines, rolled
from workers.training import ppo
from workers.training.bases import open_base
from workers.training.checkpoints import CheckpointRecord, CheckpointRefused, open_checkpoint, save_checkpoint
from workers.training.dpo import train_dpo
from workers.training.lessons import open_student
from workers.training.networks import Backbone
from workers.training.packed import Packed
from workers.training.packing import Text
from workers.training.ppo import train_ppo
from workers.training.reward import train_reward
from workers.training.rollouts import parts
from workers.training.sft import train_sft

needs_library = pytest.mark.usefixtures("library")
IDS = torch.tensor([[5, 9, 30, 31, 7, 2], [8, 6, 5, 40, 41, 42]])


@pytest.fixture
def library() -> Any:
    return pytest.importorskip("bitsandbytes")


@pytest.fixture(scope="module")
def wide_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Maps wide enough that scales are small beside them."""
    return make_checkpoint(tmp_path_factory.mktemp("wide") / "base", hidden=256)


@pytest.fixture
def shown(tmp_path: Path) -> Path:
    file = tmp_path / "shown.jsonl"
    told = ({"prompt": f"the day {n}", "completion": "good fine happy sure", "split": "train"} for n in range(16))
    file.write_text("".join(json.dumps(line) + "\n" for line in told))
    return file


def bytes_of(network: nn.Module) -> int:
    """Of all linear maps of the layers, packed or not."""
    whole = 0
    for part in network.model.layers.modules():
        if isinstance(part, Packed):
            held = (part.packed, part.state.absmax, part.state.code, part.state.state2.absmax, part.state.state2.code)
            whole += sum(tensor.numel() * tensor.element_size() for tensor in held)
        elif isinstance(part, nn.Linear):
            whole += part.weight.numel() * part.weight.element_size()
    return whole


@needs_library
def test_maps_of_the_base_take_a_quarter_of_bf16_and_the_rest_stays(wide_folder: Path) -> None:
    plain, half, packed = (open_base(wide_folder, "cpu", held) for held in ("float32", "bfloat16", "nf4"))
    assert bytes_of(half.network) == bytes_of(plain.network) / 2
    assert bytes_of(packed.network) / bytes_of(half.network) == pytest.approx(0.25, abs=0.03)
    assert packed.network.lm_head.weight.dtype == torch.float32
    assert torch.equal(packed.network.lm_head.weight, plain.network.lm_head.weight)


@needs_library
def test_four_bits_read_nearly_what_the_base_reads(wide_folder: Path) -> None:
    texts = [Text([7, 8, 9], [20 + n, 30, 40, 50]) for n in range(6)]
    told = []
    for held in ("float32", "bfloat16", "nf4"):
        student = open_student(open_base(wide_folder, "cpu", held), SFTConfig(base_precision=held, rank=4))
        assert student.packing, "half precision tells texts apart as well"
        told.append(student.answer_sums(texts).detach())
    assert told[1] == pytest.approx(told[0], rel=0.02)
    assert told[2] == pytest.approx(told[0], rel=0.1)
    assert not torch.allclose(told[2], told[0], rtol=1e-4), "it is held in 4 bits"


@needs_library
@pytest.mark.parametrize("held", ["bfloat16", "nf4"])
def test_sft_learns_on_it_and_saves_the_stored_base_with_the_adapters(
    wide_folder: Path, shown: Path, tmp_path: Path, held: str
) -> None:
    """Losses near the fp32 run's at each step; the checkpoint is stored + adapters, and writes what was learned."""
    told: dict[str, list[float]] = {}
    for precision in ("float32", held):
        config = SFTConfig(rank=4, epochs=4, batch=8, lr=3e-3, base_precision=precision)
        run = SFTRun(
            checkpoint=wide_folder, dataset=shown, output=tmp_path / precision, device="cpu", config=config, seed=1
        )
        train_sft(run)
        told[precision] = [
            json.loads(line)["values"]["loss"] for line in (run.work / "metrics.jsonl").read_text().splitlines()
        ]
    assert told[held][-1] < 0.5 * told[held][0]
    assert told[held] == pytest.approx(told["float32"], rel=0.15, abs=0.15)
    stored, saved = (load_file(folder / "model.safetensors") for folder in (wide_folder, tmp_path / held))
    assert stored.keys() == saved.keys()
    maps = {name for name in stored if "proj" in name}
    for name, tensor in stored.items():
        change = saved[name] - tensor
        rank = int(torch.linalg.matrix_rank(change, atol=1e-5)) if name in maps else 0
        assert torch.equal(saved[name], tensor) if name not in maps else 0 < rank <= 4, name
    opened = open_checkpoint(tmp_path / held)
    text = Text(opened.prompt_ids([("user", "the day 3")]), opened.answer_ids("good fine happy sure"))
    after = float(-open_student(opened, SFTConfig()).answer_sums([text]).detach()) / len(text.answer)
    assert after == pytest.approx(told[held][-1], abs=0.4)


@needs_library
@pytest.mark.parametrize("held", ["bfloat16", "nf4"])
def test_ppo_on_it_agrees_with_its_own_sampler_and_learns(run: PPORun, held: str) -> None:
    """Rollouts go through the maps as they are held; policy and trainer agree, and the reference is the held base."""
    run = changed(run, base_precision=held, epochs=1, minibatch=8)
    actors, _, rollout = rolled(run)
    gap = (rollout.behaviour - rollout.logprobs)[rollout.mask].abs().max()
    assert gap < (0.2 if held == "bfloat16" else 1e-3)
    assert torch.equal(rollout.logprobs, rollout.ref_logprobs), "adapters are fresh"
    (part,) = parts(rollout, list(range(6)), 8192, actors.opened.pad_id)
    assert ppo.read(actors, part).logprobs.detach() == pytest.approx(part.flat(rollout.logprobs), abs=1e-6)
    result = train_ppo(run)
    told = [values["values"] for values in lines(run)]
    assert [values["ratio"] for values in told] == pytest.approx([1.0] * 3, abs=1e-4)
    assert told[0]["kl"] == pytest.approx(0, abs=1e-4)
    assert told[-1]["grad_norm"] > 0
    saved, stored = (load_file(folder / "model.safetensors") for folder in (result.folder, run.checkpoint))
    changes = [float((saved[name] - stored[name]).abs().max()) for name in stored if "proj" in name]
    assert min(changes) > 0
    assert max(changes) < 0.1, "no rounding of the base is in it"


@needs_library
def test_packed_maps_are_not_copied_to_be_folded(base_folder: Path) -> None:
    backbone = Backbone(open_base(base_folder, "cpu", "nf4").network)
    backbone.add("policy", 4, 8.0)
    with torch.no_grad():
        for tensor in backbone.adapter("policy").values():
            tensor.add_(torch.randn_like(tensor) * 0.1)
        with backbone.using("policy"):
            beside = backbone.hidden(IDS)
        with backbone.folded("policy"):
            assert all(place.folded is None for place in backbone.adapted.values())
            assert torch.equal(backbone.hidden(IDS), beside)


@needs_library
def test_a_reward_model_learns_on_it(base_folder: Path, tmp_path: Path) -> None:
    dataset = write(tmp_path / "pairs.jsonl", [*make_comparisons(24), *make_comparisons(8, split="heldout")])
    config = RewardConfig(members=2, rank=2, epochs=2, batch=6, base_precision="nf4")
    found = train_reward(
        RewardRun(checkpoint=base_folder, dataset=dataset, output=tmp_path / "reward", device="cpu", config=config)
    )
    assert (found.folder / "reward.safetensors").exists()


@needs_library
@pytest.mark.parametrize(("held", "near"), [("bfloat16", 0.02), ("nf4", 1e-4)])
def test_dpo_begins_at_the_reference_as_it_is_held(base_folder: Path, tmp_path: Path, held: str, near: float) -> None:
    """No log-ratio yet: the loss is log 2, whatever was lost of the base."""
    dataset = write(tmp_path / "pairs.jsonl", make_comparisons(24))
    config = DPOConfig(rank=2, batch=8, base_precision=held, smoothing="none", ties="ignore", strength="ignore")
    run = DPORun(checkpoint=base_folder, dataset=dataset, output=tmp_path / "dpo", device="cpu", config=config)
    train_dpo(run)
    told = [json.loads(line)["values"] for line in (run.work / "metrics.jsonl").read_text().splitlines()]
    assert told[0]["loss"] == pytest.approx(math.log(2), abs=near)
    assert abs(told[-1]["margin"]) > 1e-4


@pytest.mark.parametrize("kind", [SFTConfig, PPOConfig])
def test_a_base_that_learns_itself_is_refused(kind: Any) -> None:
    with pytest.raises(ValueError, match="nf4 is for a base that stays frozen: it needs tuning lora"):
        kind(tuning="full", base_precision="nf4")


def test_without_the_library_the_extra_is_named(base_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(RunRefused) as refused:
        open_base(base_folder, "cpu", "nf4")
    assert refused.value.sentence == "base_precision nf4 needs bitsandbytes: pip install 'hone[bnb]'."
    open_base(base_folder, "cpu", "bfloat16")


@needs_library
def test_no_code_is_fetched_with_the_library() -> None:
    """It would be by `kernels`, where that is installed, when the library is imported on some CPUs."""
    found = """
import sys, types
from workers.training import packed
asked = types.ModuleType("kernels")
asked.get_kernel = lambda *given, **more: sys.exit("code was fetched")
sys.modules["kernels"] = asked
packed.bitsandbytes()
assert sys.modules["kernels"] is asked
"""
    done = subprocess.run([sys.executable, "-c", found], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@needs_library
def test_a_family_with_other_maps_is_refused(tmp_path: Path) -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    tokenizer = make_tokenizer()
    shape = GPT2Config(
        vocab_size=len(tokenizer), n_embd=32, n_layer=1, n_head=2, eos_token_id=1, bos_token_id=1, pad_token_id=0
    )
    save_checkpoint(tmp_path / "gpt2", GPT2LMHeadModel(shape), tokenizer, CheckpointRecord(kind="base"))
    with pytest.raises(CheckpointRefused, match="gpt2 keeps its maps turned round"):
        open_base(tmp_path / "gpt2", "cpu", "nf4")
