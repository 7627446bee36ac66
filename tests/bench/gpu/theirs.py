"""TRL's live trainers at the same sizes, where TRL is installed: every weight in fp32, bf16 arithmetic, AdamW."""

from __future__ import annotations

import statistics
import tempfile
import time
from typing import Any

import torch
from transformers import LlamaForSequenceClassification, TrainerCallback

from tests.bench.gpu.shapes import Shape, Sizes, device, make_tokenizer, network_of, token_rows
from tests.bench.gpu.stages import Figures, even, judged, learned, pairs_of, wait


class Marks(TrainerCallback):
    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_step_end(self, *given: Any, **named: Any) -> None:
        wait()
        self.ends.append(time.perf_counter())

    @property
    def seconds(self) -> float:
        return statistics.median(b - a for a, b in zip(self.ends, self.ends[1:], strict=False))


def arguments(sizes: Sizes, rows: int) -> dict[str, Any]:
    """rows: of a forward pass; gradients of so many passes make a step, as a token budget does with us."""
    here = torch.cuda.is_available()
    return {
        "output_dir": tempfile.mkdtemp(), "per_device_train_batch_size": rows, "max_steps": sizes.steps,
        "gradient_accumulation_steps": max(1, sizes.batch // rows), "learning_rate": 1e-6, "bf16": here,
        "use_cpu": not here, "gradient_checkpointing": False, "save_strategy": "no", "report_to": [],
        "disable_tqdm": True, "logging_steps": 10_000, "seed": 0,
    }  # fmt: skip


def said(ids: list[int]) -> str:
    return " ".join(f"w{token}" for token in ids)


def written_pairs(shape: Shape, sizes: Sizes) -> Any:
    from datasets import Dataset

    rows = [
        {"prompt": said(prompt) + " ", "chosen": said(a[:-1]), "rejected": said(b[:-1])}
        for prompt, a, b in pairs_of(shape, sizes)
    ]
    return Dataset.from_list(rows * sizes.steps)


def dpo(shape: Shape, sizes: Sizes) -> Figures:
    from trl import DPOConfig, DPOTrainer

    told = arguments(sizes, max(1, sizes.micro // 2))  # a pair is two rows
    args = DPOConfig(precompute_ref_log_probs=True, max_length=sizes.context + 8, **told)
    marks = Marks()
    network = network_of(shape, sizes.context + 16, torch.float32).requires_grad_(True)
    DPOTrainer(
        model=network, args=args, train_dataset=written_pairs(shape, sizes), callbacks=[marks],
        processing_class=make_tokenizer(min(2000, shape.vocabulary)),
    ).train()  # fmt: skip
    return judged(shape, sizes, marks.seconds, full=True, heads=True)


def reward(shape: Shape, sizes: Sizes) -> Figures:
    """One network with every weight free; ours is an ensemble of adapters, so speed alone says little."""
    from trl import RewardConfig, RewardTrainer

    torch.manual_seed(0)
    config = shape.config(sizes.context + 16)
    config.num_labels = 1
    with device():
        network = LlamaForSequenceClassification(config)
    args = RewardConfig(max_length=sizes.context + 8, **arguments(sizes, max(1, sizes.micro // 2)))
    marks = Marks()
    RewardTrainer(
        model=network, args=args, train_dataset=written_pairs(shape, sizes), callbacks=[marks],
        processing_class=make_tokenizer(min(2000, shape.vocabulary)),
    ).train()  # fmt: skip
    return judged(shape, sizes, marks.seconds, full=True, heads=False)


def grpo(shape: Shape, sizes: Sizes) -> Figures:
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    n = min(8, sizes.batch // 2)
    args = GRPOConfig(
        num_generations=n, max_completion_length=sizes.answer, temperature=1.0, beta=0.0,
        **arguments(sizes, max(n, sizes.micro)),
    )  # fmt: skip
    asked = [{"prompt": said(row)} for row in token_rows(sizes.batch * sizes.steps, sizes.prompt, shape)]
    marks = Marks()
    network = network_of(shape, sizes.context + 16, torch.float32).requires_grad_(True)

    def rewarded(prompts: list[str], completions: list[str], **more: Any) -> list[float]:
        return even(prompts, completions)

    GRPOTrainer(
        model=network, reward_funcs=rewarded, args=args, train_dataset=Dataset.from_list(asked), callbacks=[marks],
        processing_class=make_tokenizer(min(2000, shape.vocabulary)),
    ).train()  # fmt: skip
    tokens = sizes.batch * (sizes.answer + sizes.prompt * 0.75)
    return {
        "seconds": marks.seconds, "rate": sizes.batch / marks.seconds, "unit": "samples/s",
        "tflops": learned(shape, sizes, tokens, sizes.batch * sizes.answer, full=True) / marks.seconds,
    }  # fmt: skip


THEIRS = {"trl-dpo": dpo, "trl-reward": reward, "trl-grpo": grpo}
