"""Supervised fine-tuning: the network learns to write what people wrote, from demonstrations and rewrites.

The loss is the mean negative log-likelihood of answer tokens, the end-of-answer token included, so that it learns to
stop as well. Prompts are read and never learned: no logits are computed there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from app.datasets.records import DemonstrationRecord
from app.training.configs import SFTConfig, SFTRun
from workers.training.bases import open_base
from workers.training.checkpoints import CheckpointRecord, Opened, file_sha256
from workers.training.learning import keep, learn
from workers.training.lessons import Lesson, open_student
from workers.training.lines import read_records, turns
from workers.training.packing import Text
from workers.training.progress import Progress, Report, RunFailed, done_before, fingerprint_of, never, quiet
from workers.training.sharding import opened_on, parted


@dataclass(frozen=True)
class SFTResult:
    folder: Path
    record: CheckpointRecord

    @property
    def metrics(self) -> dict[str, Any]:
        return self.record.metrics


@dataclass(frozen=True)
class Shown:
    """One written answer. weight: of the line."""

    text: Text
    weight: float
    split: str


def train_sft(run: SFTRun, report: Report = quiet, should_stop: Callable[[], bool] = never) -> SFTResult:
    """Run file in, a checkpoint that writes out. Raises RunFailed, RunRefused, CheckpointRefused."""
    torch.manual_seed(run.seed)
    progress = Progress(run.work, report, should_stop)
    opened = open_base(run.checkpoint, opened_on(run), run.config.base_precision)
    inputs = {"base_sha256": opened.weights_sha256, "dataset_sha256": file_sha256(run.dataset)}
    if done := done_before(run, inputs):
        return SFTResult(run.output, done)
    shown, left_out = read_shown(run.dataset, opened, run.config)
    lesson = Writing([one for one in shown if one.split == "train"], [one for one in shown if one.split != "train"])
    if not lesson.train:
        raise RunFailed(
            f"{run.dataset.name} has no written answer to learn from; {left_out.total()} lines are left out."
        )
    student = open_student(opened, run.config, parted(run))
    metrics = learn(run, student, lesson, progress, fingerprint_of(run, inputs))
    record = keep(run, student, "sft", inputs, metrics | {"left_out": +left_out})
    return SFTResult(run.output, record)


class Writing(Lesson[Shown]):
    """Every answer token counts alike, whatever the length of its answer, times the weight of its line."""

    def texts(self, example: Shown) -> list[Text]:
        return [example.text]

    def size(self, example: Shown) -> float:
        return example.weight * len(example.text.answer)

    def loss(self, part: Sequence[Shown], sums: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        weights = torch.tensor([one.weight for one in part], device=sums.device)
        return -(weights * sums[:, 0]).sum(), {}


def read_shown(file: Path, opened: Opened, config: SFTConfig) -> tuple[list[Shown], Counter[str]]:
    """Written answers in tokens, and what was left out by reason."""
    others: Counter[str] = Counter()
    left_out: Counter[str] = Counter()
    shown = []
    longest = min(config.max_tokens, opened.context)
    for record in read_records(file, [DemonstrationRecord], others, config.heldout_share):
        text = Text(opened.prompt_ids(turns(record.prompt)), opened.answer_ids(record.answer.text))
        if reason := reason_to_leave(record, text, longest, config):
            left_out[reason] += 1
        else:
            shown.append(Shown(text, record.weight, record.split))
    left_out.update({f"lines_{kind}": lines for kind, lines in others.items()})
    return shown, left_out


def reason_to_leave(record: DemonstrationRecord, text: Text, longest: int, config: SFTConfig) -> str | None:
    wanted = {"rewrites": record.rewritten_from is not None, "demonstrations": record.rewritten_from is None}
    if not wanted.get(config.learn_from, True):
        return "lines_written_otherwise"
    if record.weight == 0:
        return "lines_without_weight"
    return "lines_too_long" if len(text) > longest else None
