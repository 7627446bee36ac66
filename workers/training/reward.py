"""The reward network learns from everything that was said: read, fit, calibrate, measure, save.

Votes on pairs, orders of several answers and ratings are one likelihood of one score (`hearing`).

Each member of the ensemble is blind to one fold of the prompts (by group). Its best epoch and the temperature come
from votes it never saw, and still every vote teaches all members but one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from app.training.configs import RewardRun
from workers.training.batches import Pair, read_pairs
from workers.training.calibration import measure_pairs, reliability_of, settle
from workers.training.checkpoints import CheckpointRecord, Opened, file_sha256, open_checkpoint
from workers.training.folds import (
    Keeper,
    clip_members,
    epoch_batches,
    fold_parts,
    folds_of,
    steps_per_epoch,
    within_budget,
)
from workers.training.groups import Item, as_pairs, raters_in, read_groups, scales_in, ties_in
from workers.training.hearing import Nuisance, Said, prior_loss
from workers.training.learning import rate_at
from workers.training.measures import (
    Numbers,
    agreement_ceiling,
    choices_of,
    length_baseline,
    require_votes,
    right,
)
from workers.training.networks import Backbone, arithmetic
from workers.training.progress import Progress, Report, Values, code_version, done_before, fingerprint_of, never, quiet
from workers.training.scoring import RewardNetwork, save_reward
from workers.training.stems import Stems, item_scores
from workers.training.strengths import as_strengths
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
    opened = open_checkpoint(run.checkpoint, run.device)
    inputs = {"base_sha256": opened.weights_sha256, "dataset_sha256": file_sha256(run.dataset)}
    if done := done_before(run, inputs):
        return RewardResult(run.output, done)
    found, left_out = read_pairs(run.dataset, opened, run.config)
    items: list[Item] = [*found, *read_groups(run.dataset, opened, run.config, left_out)]
    train = [item for item in items if item.split == "train"]
    pairs, heldout = as_pairs(train)[0], as_pairs([item for item in items if item.split == "heldout"])[0]
    require_votes(pairs, run.config)
    reward = RewardNetwork(Backbone(opened.network), run.config, opened.weights_sha256, opened.reply_ids())

    fingerprint = fingerprint_of(run, inputs)
    stems = Stems(reward, opened.pad_id)
    blind, learned = fit(reward, train, stems, run, progress, fingerprint)
    metrics = {
        "reliability": reliability_of(blind, choices_of(pairs), run.config),
        **settle(reward, train, pairs, blind, opened, run, stems),
        **learned,
        "heldout": measure_pairs(reward, heldout, opened.pad_id),
        "length_only": length_baseline(pairs, heldout) if heldout else None,
        "agreement": agreement_ceiling([*pairs, *heldout]),
        "left_out": +left_out,
    }
    record = record_of(run, opened, metrics)
    save_reward(run.output, reward, record)
    return RewardResult(run.output, record)


def fit(
    reward: RewardNetwork, train: list[Item], stems: Stems, run: RewardRun, progress: Progress, fingerprint: str
) -> tuple[Numbers, dict[str, Any]]:
    """Fit all members side by side, each on its own items; keep each member's best epoch.

    Returns the score differences that members made blind, one for each of `as_pairs`, and what was learned about
    raters and ties.
    """
    config = run.config
    pairs, places = as_pairs(train)
    if config.way != "joint":
        train = as_strengths(train, config)
    raters = {name: number for number, name in enumerate(raters_in(train))}
    tied, scales = ties_in(train), scales_in(train)
    nuisance = Nuisance(len(raters), float(torch.tensor(tied.share)), config, scales).to(reward.backbone.device)
    said = Said(nuisance, raters, tied.most, config)
    folds = folds_of(train, config.members, run.seed)
    keeper = Keeper({**reward.trained(), **dict(nuisance.named_parameters())}, folds)
    optimizer = optimizer_for(reward, nuisance)
    per_epoch = steps_per_epoch(folds, config.batch)
    begun = keeper.load(run.work, optimizer, fingerprint)
    progress.rewind(begun)
    for epoch in range(begun + 1, config.epochs + 1):
        if keeper.is_done(epoch - 1, config.patience):
            break
        losses = []
        for number, batch in enumerate(epoch_batches(train, folds, config.batch, seed_of(run.seed, epoch))):
            progress.stop_if_asked(epoch - 1)
            losses.append(descend(reward, said, batch, tied.votes, stems))
            clip_members([*reward.trained().values()], config.max_grad_norm)
            share = rate_at((epoch - 1) * per_epoch + number, per_epoch * config.epochs, config.warmup)
            set_rates(optimizer, share)
            optimizer.step()
        blind, blind_losses = look_at_folds(reward, said, train, folds, stems)
        keeper.consider(epoch, blind, blind_losses)
        progress.step(epoch, config.epochs, epoch_values(losses, gaps_of(blind, places), blind_losses, pairs))
        keeper.save(run.work, epoch, optimizer, fingerprint)
    keeper.restore()
    return gaps_of(keeper.blind, places), {**nuisance.learned(config), "best_epochs": keeper.best_epochs}


def optimizer_for(reward: RewardNetwork, nuisance: Nuisance) -> torch.optim.AdamW:
    """The nuisance's few numbers move freely and do not decay."""
    groups = [
        {
            "params": list(reward.trained().values()),
            "peak": reward.config.lr,
            "weight_decay": reward.config.weight_decay,
        },
        {"params": list(nuisance.parameters()), "peak": NUISANCE_RATE, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, eps=1e-5)


def set_rates(optimizer: torch.optim.Optimizer, share: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * share


def gaps_of(scores: Tensor, places: list[tuple[int, int, int]]) -> Numbers:
    """scores (items, k) → differences between the two answers of each pair."""
    row, a, b = torch.tensor(places).T
    found: Numbers = (scores[row, a] - scores[row, b]).double().numpy()
    return found


def epoch_values(losses: list[float], blind: Numbers, blind_losses: Tensor, pairs: list[Pair]) -> Values:
    choices = choices_of(pairs)
    hits = right(blind[choices.pair], choices.won)
    return {
        "loss": sum(losses) / len(losses),
        "blind_loss": float(blind_losses.mean()),
        "blind_accuracy": float(hits.mean()),
    }


@torch.no_grad()
def look_at_folds(
    reward: RewardNetwork, said: Said, train: list[Item], folds: list[list[int]], stems: Stems
) -> tuple[Tensor, Tensor]:
    """Each member on the fold it never sees: scores (n, k) of all items, and its mean loss (members,)."""
    device = reward.backbone.device
    most = max(len(item.answers) for item in train)
    blind, owner = (
        torch.zeros(len(train), most, device=device),
        torch.zeros(len(train), dtype=torch.long, device=device),
    )
    for rows in fold_parts(train, folds, reward.config.token_budget):
        scores = item_scores(reward, [[train[row] for row in mine] for mine in rows], stems)
        for member, mine in enumerate(rows):
            blind[mine, : scores.shape[2]], owner[mine] = scores[member], member
    summed = torch.zeros(2, len(folds), device=device)
    for heard in said.losses(blind, train, owner):
        summed.index_add_(1, heard.member, torch.stack([heard.losses * heard.weight, heard.weight]))
    return blind.cpu(), (summed[0] / summed[1]).cpu()


def descend(reward: RewardNetwork, said: Said, batch: list[list[Item]], votes: int, stems: Stems) -> float:
    """Gradients of one step: batch[m] are member m's items, equally many for each. Returns the mean loss per vote."""
    config = reward.config
    for parameter in [*reward.parameters(), *said.nuisance.parameters()]:
        parameter.grad = None
    whole = torch.tensor([said.weight_of(items) for items in batch], device=reward.backbone.device)
    total = 0.0
    for part in within_budget(batch, config.token_budget):
        with arithmetic(config.precision, reward.backbone.device):
            scores = item_scores(reward, part, stems)  # (members, n, k)
        member = torch.arange(len(part), device=scores.device).repeat_interleave(len(part[0]))
        per_member = torch.zeros_like(said.nuisance.log_nu)
        for heard in said.losses(scores.flatten(0, 1), [item for items in part for item in items], member):
            per_member = per_member.index_add(0, heard.member, heard.losses * heard.weight)
        mean = per_member / whole
        pull = config.centering * scores[..., :2].sum(2).square().sum(1) / len(batch[0])
        (mean + pull).sum().backward()
        total += float(mean.detach().mean())
    prior_loss(said.nuisance, votes, config).sum().backward()
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
