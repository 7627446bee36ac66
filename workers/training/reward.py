"""The reward network learns from everything that was said: read, fit, calibrate, measure, save.

Votes on pairs, orders of several answers and ratings are one likelihood of one score (`hearing`); on request each thing
that was asked has a score of its own (`subjects`, `heads`).

Each member of the ensemble is blind to one fold of the prompts (by group). Its best epoch and the temperature come
from votes it never saw, and still every vote teaches all members but one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from app.training.configs import RewardConfig, RewardRun
from workers.training.bases import open_base
from workers.training.batches import read_pairs
from workers.training.calibration import figures_of, reliability_of, settle
from workers.training.checkpoints import CheckpointRecord, Opened, file_sha256
from workers.training.folds import (
    Keeper,
    clip_members,
    epoch_batches,
    fold_parts,
    folds_of,
    steps_per_epoch,
    within_budget,
)
from workers.training.groups import OVERALL, Item, read_groups
from workers.training.learning import rate_at
from workers.training.measures import Numbers, choices_of, require_votes, right
from workers.training.networks import Backbone, arithmetic
from workers.training.processes import once, share, spread, sum_gradients, summed
from workers.training.progress import (
    Progress,
    Report,
    Values,
    code_version,
    done_before,
    fingerprint_of,
    forget,
    never,
    quiet,
)
from workers.training.scoring import RewardNetwork, save_reward
from workers.training.sharding import even, opened_on, parted, shard
from workers.training.stems import Stems, item_scores
from workers.training.subjects import Subject, Subjects, subjects_in
from workers.training.tensors import seed_of

# raters' reliability and the like are few numbers of unit scale: they may move quickly
NUISANCE_RATE = 0.05


@dataclass(frozen=True)
class RewardResult:
    folder: Path
    record: CheckpointRecord

    @property
    def metrics(self) -> dict[str, Any]:
        return self.record.metrics


def train_reward(run: RewardRun, report: Report = quiet, should_stop: Callable[[], bool] = never) -> RewardResult:
    """Run file in, reward checkpoint out. Raises RunFailed, RunRefused, CheckpointRefused, each with a sentence."""
    torch.manual_seed(run.seed)
    progress = Progress(run.work, report, should_stop)
    opened = open_base(run.checkpoint, opened_on(run), run.config.base_precision)
    inputs = {"base_sha256": opened.weights_sha256, "dataset_sha256": file_sha256(run.dataset)}
    if done := done_before(run, inputs):
        return RewardResult(run.output, done)
    found, left_out = read_pairs(run.dataset, opened, run.config)
    items: list[Item] = [*found, *read_groups(run.dataset, opened, run.config, left_out)]
    train, heldout = ([item for item in items if item.split == side] for side in ("train", "heldout"))
    subjects = subjects_in(train, run.config, parted(run) or opened.network.device, left_out)
    train = subjects.heard(train)
    first = [one for one in subjects.each if one.name == OVERALL] or subjects.each
    require_votes([pair for subject in first for pair in subject.pairs], run.config)
    names = [subject.name for subject in subjects.each]
    backbone = Backbone(opened.network)
    shard(backbone, parted(run))
    reward = RewardNetwork(backbone, run.config, opened.weights_sha256, opened.reply_ids(), names)
    reward.memory.together = parted(run) is not None

    order = {"heads": ",".join(names)} if len(names) > 1 else {}  # a state holds them by number
    fingerprint = fingerprint_of(run, inputs | order)
    stems = Stems(reward, opened.pad_id)
    blind, best_epochs = fit(reward, train, subjects, stems, run, progress, fingerprint)
    settle(reward, train, subjects, blind, opened, run, stems)
    figures = figures_of(reward, subjects, blind, heldout, opened.pad_id)
    heads = [
        {**told, **trusted(gaps, subject, run.config)}
        for told, gaps, subject in zip(figures, blind, subjects.each, strict=True)
    ]
    metrics = {**heads[0], "best_epochs": best_epochs, "left_out": +left_out}
    if names != [OVERALL]:
        metrics["heads"] = dict(zip(names, heads, strict=True))
    record = record_of(run, opened, metrics)
    once(lambda: save_reward(run.output, reward, record))
    return RewardResult(run.output, record)


def trusted(blind: Numbers, subject: Subject, config: RewardConfig) -> dict[str, Any]:
    """What was found out about raters and places."""
    choices = choices_of(subject.pairs)
    reliability = reliability_of(blind, choices, config) if len(choices) else {}
    return {"reliability": reliability, **subject.said.nuisance.learned(config)}


def fit(
    reward: RewardNetwork,
    train: list[Item],
    subjects: Subjects,
    stems: Stems,
    run: RewardRun,
    progress: Progress,
    fingerprint: str,
) -> tuple[list[Numbers], list[int]]:
    """Fit all members side by side, each on its own items; keep each member's best epoch.

    Returns, by head, the score differences that members made blind, one for each of its pairs; and the best epochs.
    """
    config = run.config
    items = subjects.taught(train)
    folds = folds_of(items, config.members, run.seed)
    keeper = Keeper({**reward.trained(), **subjects.parameters()}, folds)
    optimizer = optimizer_for(reward, subjects)
    per_epoch = steps_per_epoch(folds, config.batch)
    begun = keeper.load(run.work, optimizer, fingerprint)
    progress.rewind(begun)
    for epoch in range(begun + 1, config.epochs + 1):
        if keeper.is_done(epoch - 1, config.patience):
            break
        losses = []
        for number, batch in enumerate(epoch_batches(items, folds, config.batch, seed_of(run.seed, epoch))):
            progress.stop_if_asked(epoch - 1)
            losses.append(descend(reward, subjects, batch, stems))
            clip_members([*reward.trained().values()], config.max_grad_norm)
            share = rate_at((epoch - 1) * per_epoch + number, per_epoch * config.epochs, config.warmup)
            set_rates(optimizer, share)
            optimizer.step()
        blind, blind_losses = look_at_folds(reward, subjects, items, folds, stems)
        keeper.consider(epoch, blind, blind_losses)
        values = epoch_values(losses, gaps_of(blind, subjects), blind_losses, subjects)
        progress.step(epoch, config.epochs, values | reward.memory.figures(config.token_budget))
        keeper.save(run.work, epoch, optimizer, fingerprint)
    keeper.restore()
    return gaps_of(keeper.blind, subjects), keeper.best_epochs


def optimizer_for(reward: RewardNetwork, subjects: Subjects) -> torch.optim.AdamW:
    """What explains votes beside scores are few numbers, which move freely and do not decay."""
    groups = [
        {
            "params": list(reward.trained().values()),
            "peak": reward.config.lr,
            "weight_decay": reward.config.weight_decay,
        },
        {"params": list(subjects.parameters().values()), "peak": NUISANCE_RATE, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, eps=1e-5, fused=True)


def set_rates(optimizer: torch.optim.Optimizer, share: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * share


def gaps_of(scores: Tensor, subjects: Subjects) -> list[Numbers]:
    """scores (items, k, heads) → by head, differences between the two answers of each of its pairs."""
    return [subject.gaps(scores, number).numpy() for number, subject in enumerate(subjects.each)]


def epoch_values(losses: list[float], blind: list[Numbers], blind_losses: Tensor, subjects: Subjects) -> Values:
    accuracy = {}
    for gaps, subject in zip(blind, subjects.each, strict=True):
        choices = choices_of(subject.pairs)
        accuracy[subject.name] = float(right(gaps[choices.pair], choices.won).mean()) if len(choices) else math.nan
    told = {f"blind_accuracy_{name}": value for name, value in accuracy.items() if len(accuracy) > 1}
    first = next(value for value in accuracy.values() if not math.isnan(value))
    means = {"loss": sum(losses) / len(losses), "blind_loss": float(blind_losses.mean()), "blind_accuracy": first}
    return means | {name: value for name, value in told.items() if not math.isnan(value)}


@torch.no_grad()
def look_at_folds(
    reward: RewardNetwork, subjects: Subjects, items: list[Item], folds: list[list[int]], stems: Stems
) -> tuple[Tensor, Tensor]:
    """Each member on the fold it never sees: scores (n, k, heads) of all items, and its mean loss (members,)."""
    config, device = reward.config, reward.backbone.device
    most = max(len(item.answers) for item in items)
    blind = torch.zeros(len(items), most, len(subjects.each), device=device)
    owner = torch.zeros(len(items), dtype=torch.long, device=device)

    def scored(parts: Sequence[list[list[int]]]) -> list[Tensor]:
        # every process has the same parts; what a halved budget cuts further is put together again here
        mine = [[[items[row] for row in rows] for rows in part] for part in parts]
        found = even(mine, lambda: mine[0], reward.backbone)
        read = [(reward.memory.within(config.token_budget, partial(passes, part)), counts) for part, counts in found]
        return [scores for scores, counts in read if counts]

    def passes(part: list[list[Item]]) -> Tensor:
        cut = within_budget(part, reward.memory.budget(config.token_budget))
        pieces = [item_scores(reward, piece, stems).cpu() for piece in cut]
        k = max(piece.shape[2] for piece in pieces)
        return torch.cat([pad(piece, (0, 0, 0, k - piece.shape[2])) for piece in pieces], 1)

    parts = list(fold_parts(items, folds, config.token_budget))
    for rows, scores in zip(parts, spread(scored, parts), strict=True):
        for member, mine in enumerate(rows):
            blind[mine, : scores.shape[2]], owner[mine] = scores[member].to(device), member
    summed = torch.zeros(2, len(folds), device=device)
    for heard in subjects.losses(blind, items, owner):
        summed.index_add_(1, heard.member, torch.stack([heard.losses * heard.weight, heard.weight]))
    return blind.cpu(), (summed[0] / summed[1]).cpu()


def descend(reward: RewardNetwork, subjects: Subjects, batch: list[list[Item]], stems: Stems) -> float:
    """Gradients of one step: batch[m] are member m's items, equally many for each. Returns the mean loss per vote."""
    total = reward.memory.within(reward.config.token_budget, partial(gradients, reward, subjects, batch, stems))
    sum_gradients([*reward.trained().values(), *subjects.parameters().values()])
    subjects.priors().sum().backward()
    return summed({"loss": total})["loss"]


def gradients(reward: RewardNetwork, subjects: Subjects, batch: list[list[Item]], stems: Stems) -> float:
    """Set those of this process's share of a batch; whatever stood there goes. Returns its part of the mean loss."""
    config, device = reward.config, reward.backbone.device
    forget([*reward.parameters(), *subjects.parameters().values()])
    whole = torch.tensor([subjects.weight_of(items) for items in batch], device=device)
    total = 0.0
    own = [share(items) for items in batch]
    cut = within_budget(own, reward.memory.budget(config.token_budget)) if own[0] else ()
    for part, counts in even(cut, lambda: [items[:1] for items in batch], reward.backbone):
        with arithmetic(config.precision, device):
            scores = item_scores(reward, part, stems)  # (members, n, k, heads)
        member = torch.arange(len(part), device=device).repeat_interleave(len(part[0]))
        per_member = torch.zeros(len(part), device=device)
        for heard in subjects.losses(scores.flatten(0, 1), [item for items in part for item in items], member):
            per_member = per_member.index_add(0, heard.member, heard.losses * heard.weight)
        mean = per_member / whole
        sums = scores[:, :, :2].sum(2).square().mean(2).sum(1)
        (counts * (mean + config.centering * sums / len(batch[0])).sum()).backward()
        total += counts * float(mean.detach().mean())
    return total


def record_of(run: RewardRun, opened: Opened, metrics: dict[str, Any]) -> CheckpointRecord:
    return CheckpointRecord(
        kind="reward",
        method=run.method,
        parent=run.parent or run.checkpoint.name,
        base_sha256=opened.weights_sha256,
        config=run.config.model_dump(mode="json"),
        dataset_sha256=file_sha256(run.dataset),
        code_version=code_version(),
        seed=run.seed,
        metrics=metrics,
    )
