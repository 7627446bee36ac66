"""The loop that SFT and DPO share: a batch, passes within a token budget, a step, a look at what is held out.

Order and batches follow from (seed, epoch) alone, so a run that was killed goes on from its last saved state with the
same next step, and no generator's state needs saving. A method is a `Lesson`: what it reads, and its loss.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from app.training.configs import DPORun, SFTRun, TuningConfig
from workers.training.checkpoints import CheckpointRecord, save_checkpoint
from workers.training.lessons import Lesson, Student, measured
from workers.training.processes import once, sum_gradients
from workers.training.progress import (
    NotANumber,
    Progress,
    RunCancelled,
    Values,
    code_version,
    copy_into,
    grad_norm,
    load_state,
    optimizer_state,
    restore_optimizer,
    save_state,
    taken_from,
)
from workers.training.tensors import seed_of

Example = TypeVar("Example")


def descend(
    student: Student, lesson: Lesson[Example], batch: Sequence[Example], optimizer: torch.optim.Optimizer
) -> Values:
    """One optimizer step."""
    values = measured(student, lesson, batch, backward=True)
    sum_gradients(student.weights().values())
    norm = grad_norm(student.weights().values(), student.config.max_grad_norm)
    if math.isfinite(norm):  # a broken step changes nothing, and the loss that broke it fails the run
        optimizer.step()
    return values | {"grad_norm": norm, "lr": optimizer.param_groups[0]["lr"]}


@torch.no_grad()
def look(student: Student, lesson: Lesson[Example]) -> Values:
    """Figures on held-out lines, in batches as they are learned from; nothing where none are."""
    size, total = student.config.batch, sum(map(lesson.size, lesson.heldout))
    found: Values = {}
    for first in range(0, len(lesson.heldout), size):
        batch = lesson.heldout[first : first + size]
        share = sum(map(lesson.size, batch)) / total
        for name, value in measured(student, lesson, batch).items():
            found[f"heldout_{name}"] = found.get(f"heldout_{name}", 0.0) + share * value
    return found


@dataclass
class Course:
    """Where a run stands. best: the weights of the least held-out loss so far, where such are kept."""

    step: int
    before: Values
    best: dict[str, Tensor]
    best_step: int = 0
    best_loss: float = math.inf

    def consider(self, step: int, values: Values, weights: dict[str, nn.Parameter]) -> None:
        loss = values.get("heldout_loss", math.inf)
        if loss < self.best_loss:
            self.best_loss, self.best_step = loss, step
            self.best = {name: tensor.detach().clone() for name, tensor in weights.items()}


def learn(
    run: SFTRun | DPORun, student: Student, lesson: Lesson[Example], progress: Progress, fingerprint: str
) -> dict[str, Any]:
    """The loop. Leaves the weights that are to be kept; returns figures for the record. A loss that is no number ends
    it with the best weights that a look has found; raises NotANumber where there are none."""
    config: TuningConfig = run.config
    weights = student.weights()
    optimizer = torch.optim.AdamW(weights.values(), lr=config.lr, weight_decay=config.weight_decay, fused=True)
    course = load(run, student, lesson, optimizer, fingerprint) or begin(student, lesson)
    progress.rewind(course.step)
    per_epoch = math.ceil(len(lesson.train) / config.batch)
    ended_by: str | None = None
    steps, every = per_epoch * config.epochs, config.evaluate_every or per_epoch
    for step in range(course.step + 1, steps + 1):
        for group in optimizer.param_groups:
            group["lr"] = config.lr * rate_at(step - 1, steps, config.warmup)
        rows = batch_rows(len(lesson.train), config.batch, step - 1, run.seed)
        values = descend(student, lesson, [lesson.train[row] for row in rows], optimizer)
        values |= student.memory.figures(config.token_budget)
        if step % every == 0 or step == steps:
            values |= look(student, lesson)
            if config.keep == "best":
                course.consider(step, values, weights)
        course.step = step
        try:
            progress.step(step, steps, values)
        except NotANumber as broken:
            if not course.best:  # nothing was seen to be good
                raise
            ended_by = broken.sentence
            break
        leave_if_asked(run, student, lesson, optimizer, course, progress, fingerprint)
    if course.best:
        copy_into(weights, course.best)
    return {
        "steps": steps,
        "kept_step": course.best_step or steps,
        "ended_by": ended_by,
        "packed": student.packing,
        "lines": {"train": len(lesson.train), "heldout": len(lesson.heldout)},
        "before": course.before,
        "after": look(student, lesson),
    }


@torch.no_grad()
def begin(student: Student, lesson: Lesson[Example]) -> Course:
    lesson.prepare(student)
    return Course(0, look(student, lesson), {})


def batch_rows(lines: int, batch: int, step: int, seed: int) -> list[int]:
    """Rows of step `step` (from 0): each epoch goes through all lines once, in an order of its own."""
    epoch, number = divmod(step, math.ceil(lines / batch))
    order = torch.randperm(lines, generator=torch.Generator().manual_seed(seed_of(seed, epoch)))
    return [int(row) for row in order[number * batch : (number + 1) * batch]]


def rate_at(step: int, steps: int, warmup: float) -> float:
    """Share of the peak rate: a short rise, then a cosine to 0. Steps count from 0."""
    rise = max(1, round(warmup * steps))
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))


def leave_if_asked(
    run: SFTRun | DPORun,
    student: Student,
    lesson: Lesson[Example],
    optimizer: torch.optim.Optimizer,
    course: Course,
    progress: Progress,
    fingerprint: str,
) -> None:
    """Save the state when it is time to, and always before leaving."""
    try:
        progress.stop_if_asked(course.step)
    except RunCancelled:
        save(run, student, lesson, optimizer, course, fingerprint)
        raise
    if course.step % run.config.save_every == 0:
        save(run, student, lesson, optimizer, course, fingerprint)


def save(
    run: SFTRun | DPORun,
    student: Student,
    lesson: Lesson[Example],
    optimizer: torch.optim.Optimizer,
    course: Course,
    fingerprint: str,
) -> None:
    tensors = {f"weights.{name}": tensor for name, tensor in student.weights().items()}
    tensors |= {f"best.{name}": tensor for name, tensor in course.best.items()}
    tensors |= {f"lesson.{name}": tensor for name, tensor in lesson.kept().items()} | optimizer_state(optimizer)
    told = {"step": course.step, "before": course.before, "best_step": course.best_step, "best_loss": course.best_loss}
    save_state(run.work, tensors, {"fingerprint": fingerprint, "course": told})


def load(
    run: SFTRun | DPORun,
    student: Student,
    lesson: Lesson[Example],
    optimizer: torch.optim.Optimizer,
    fingerprint: str,
) -> Course | None:
    """Weights, optimizer and standing as they were saved; None where nothing was."""
    saved = load_state(run.work, fingerprint)
    if saved is None:
        return None
    tensors, values = saved
    copy_into(student.weights(), tensors, "weights.")
    restore_optimizer(optimizer, tensors)
    best, kept = (taken_from(tensors, prefix, student.weights()) for prefix in ("best.", "lesson."))
    lesson.resume({name: tensor.to(student.backbone.device) for name, tensor in kept.items()})
    return Course(best=best, **values["course"])


def keep(
    run: SFTRun | DPORun, student: Student, kind: str, inputs: dict[str, str], metrics: dict[str, Any]
) -> CheckpointRecord:
    """Save what was learned as a checkpoint that writes."""
    record = CheckpointRecord(
        kind=kind,
        method=run.method,
        parent=run.parent or run.checkpoint.name,
        config=run.config.model_dump(mode="json"),
        code_version=code_version(),
        seed=run.seed,
        metrics=metrics,
        **inputs,
    )
    network, tokenizer = student.backbone.network, student.opened.tokenizer
    state = student.state()
    once(lambda: save_checkpoint(run.output, network, tokenizer, record, state_dict=state))
    return record
