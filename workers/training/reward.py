"""The reward network learns from every vote: read, fit, calibrate, measure, save.

Ties follow Davidson (1970), not Rao and Kupper: with strengths pi = exp(score) the three outcomes weigh pi_a, pi_b and
nu * sqrt(pi_a * pi_b). A vote that chose a side then still has probability sigmoid(score_a - score_b) exactly, so the
same score serves accuracy, calibration and PPO; Rao and Kupper's threshold would change what a difference means.
Where no tie was cast nu is left out and this is Bradley-Terry.

Raters follow Crowd-BT (Chen et al. 2013): rater k names the side that the scores favour with probability eta_k, and
flips it otherwise; eta_k has a Beta prior and is learned with the network. A careless rater's eta sinks and her votes
stop teaching. It is on by default: with equal raters it costs nothing measurable, since all eta stay together.

Each member of the ensemble is blind to one fold of the prompts (by group). Its best epoch and the temperature come
from votes it never saw, and still every vote teaches all members but one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from app.training.configs import RewardConfig, RewardRun
from workers.training.batches import Pair, Votes, read_pairs, votes_of
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
from workers.training.stems import Stems
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


class Nuisance(nn.Module):
    """What explains votes and is no score: share of ties, raters' reliability, gain of standing first; per member."""

    def __init__(self, raters: int, tie_share: float, config: RewardConfig) -> None:
        super().__init__()
        self.ties = tie_share > 0
        # two equal answers tie with probability nu / (2 + nu)
        nu = max(2 * tie_share, 1e-6) / max(1 - tie_share, 1e-6)
        self.log_nu = nn.Parameter(torch.full((config.members,), math.log(nu)))
        expected = config.reliability_expected
        self.reliability = nn.Parameter(torch.full((config.members, raters), math.log(expected / (1 - expected))))
        self.position = nn.Parameter(torch.zeros(config.members))

    def learned(self, config: RewardConfig) -> dict[str, Any]:
        """Means over the members, for the record."""
        found: dict[str, Any] = {}
        if config.position_bias:
            found["position_bias"] = float(self.position.detach().mean())
        if self.ties:
            found["tie_log_weight"] = float(self.log_nu.detach().mean())
        return found


def train_reward(run: RewardRun, report: Report = quiet, should_stop: Callable[[], bool] = never) -> RewardResult:
    """Run file in, reward checkpoint out. Raises RunFailed, RunRefused, CheckpointRefused, each with a sentence."""
    torch.manual_seed(run.seed)
    progress = Progress(run.work, report, should_stop)
    opened = open_checkpoint(run.checkpoint, run.device)
    inputs = {"base_sha256": opened.weights_sha256, "dataset_sha256": file_sha256(run.dataset)}
    if done := done_before(run, inputs):
        return RewardResult(run.output, done)
    pairs, left_out = read_pairs(run.dataset, opened, run.config)
    train = [pair for pair in pairs if pair.split == "train"]
    heldout = [pair for pair in pairs if pair.split == "heldout"]
    require_votes(train, run.config)
    reward = RewardNetwork(Backbone(opened.network), run.config, opened.weights_sha256, opened.reply_ids())

    fingerprint = fingerprint_of(run, inputs)
    stems = Stems(reward, opened.pad_id)
    blind, learned = fit(reward, train, stems, run, progress, fingerprint)
    metrics = {
        "reliability": reliability_of(blind, choices_of(train), run.config),
        **settle(reward, train, blind, opened, run, stems),
        **learned,
        "heldout": measure_pairs(reward, heldout, opened.pad_id),
        "length_only": length_baseline(train, heldout) if heldout else None,
        "agreement": agreement_ceiling(pairs),
        "left_out": +left_out,
    }
    record = record_of(run, opened, metrics)
    save_reward(run.output, reward, record)
    return RewardResult(run.output, record)


def preference_loss(
    differences: Tensor, votes: Votes, member: Tensor, nuisance: Nuisance, config: RewardConfig
) -> Tensor:
    """Negative log-likelihood of each vote, (v,) nats, before its weight.

    differences (v,): score of a less score of b for the vote's pair; member (v,): who scored it.
    """
    side = torch.where(votes.outcome == 0, 1.0, -1.0) * (votes.outcome != 2)
    gap = differences - side * votes.margin
    if config.position_bias:
        gap = gap + nuisance.position[member] * votes.first
    weights = [gap / 2, -gap / 2]
    if nuisance.ties:
        weights.append(nuisance.log_nu[member].expand_as(gap))
    outcomes = torch.stack(weights, -1).log_softmax(-1)  # (v, 2 or 3)
    a, b = outcomes[:, 0], outcomes[:, 1]
    if config.reliability:
        trust = nuisance.reliability[member, votes.rater]
        right, wrong = functional.logsigmoid(trust), functional.logsigmoid(-trust)
        a, b = torch.logaddexp(right + a, wrong + b), torch.logaddexp(right + b, wrong + a)
    chosen, other = torch.where(side > 0, a, b), torch.where(side > 0, b, a)
    decided = -(votes.target * chosen + (1 - votes.target) * other)
    return torch.where(votes.outcome == 2, -outcomes[:, -1], decided)


def prior_loss(nuisance: Nuisance, votes: int, config: RewardConfig) -> Tensor:
    """What the priors say, (members,), on the scale of a mean over `votes` votes."""
    loss = 2.0 * nuisance.position.square()  # N(0, 1/2): standing first seldom moves odds by more than e
    if config.reliability:
        right, wrong = functional.logsigmoid(nuisance.reliability), functional.logsigmoid(-nuisance.reliability)
        loss = loss - ((config.prior_right - 1) * right + (config.prior_wrong - 1) * wrong).sum(1)
    return loss / votes


def fit(
    reward: RewardNetwork, train: list[Pair], stems: Stems, run: RewardRun, progress: Progress, fingerprint: str
) -> tuple[Numbers, dict[str, Any]]:
    """Fit all members side by side, each on its own pairs; keep each member's best epoch.

    Returns the score differences (n,) that members made blind, and what was learned about raters and ties.
    """
    config = run.config
    raters = {name: number for number, name in enumerate(sorted({v.rater for pair in train for v in pair.votes}))}
    votes = votes_of(train, raters, config).to(reward.backbone.device)
    nuisance = Nuisance(len(raters), float((votes.outcome == 2).float().mean()), config).to(reward.backbone.device)
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
            losses.append(descend(reward, nuisance, batch, raters, len(votes.pair), stems))
            clip_members([*reward.trained().values()], config.max_grad_norm)
            share = rate_at((epoch - 1) * per_epoch + number, per_epoch * config.epochs, config.warmup)
            set_rates(optimizer, share)
            optimizer.step()
        blind, blind_losses = look_at_folds(reward, nuisance, train, folds, votes, stems)
        keeper.consider(epoch, blind, blind_losses)
        progress.step(epoch, config.epochs, epoch_values(losses, blind, blind_losses, train))
        keeper.save(run.work, epoch, optimizer, fingerprint)
    keeper.restore()
    return keeper.blind.double().numpy(), {**nuisance.learned(config), "best_epochs": keeper.best_epochs}


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


def epoch_values(losses: list[float], blind: Tensor, blind_losses: Tensor, train: list[Pair]) -> Values:
    choices = choices_of(train)
    hits = right(blind.double().numpy()[choices.pair], choices.won)
    return {
        "loss": sum(losses) / len(losses),
        "blind_loss": float(blind_losses.mean()),
        "blind_accuracy": float(hits.mean()),
    }


@torch.no_grad()
def look_at_folds(
    reward: RewardNetwork, nuisance: Nuisance, train: list[Pair], folds: list[list[int]], votes: Votes, stems: Stems
) -> tuple[Tensor, Tensor]:
    """Each member on the fold it never sees: score differences (n,) of all pairs, and loss per vote (members,)."""
    device = reward.backbone.device
    blind, owner = torch.zeros(len(train), device=device), torch.zeros(len(train), dtype=torch.long, device=device)
    for rows in fold_parts(train, folds, reward.config.token_budget):
        scores = pair_scores(reward, [[train[row] for row in mine] for mine in rows], stems)
        for member, mine in enumerate(rows):
            blind[mine], owner[mine] = scores[member, :, 0] - scores[member, :, 1], member
    losses = preference_loss(blind[votes.pair], votes, owner[votes.pair], nuisance, reward.config)
    summed = torch.zeros(2, len(folds), device=device)
    summed.index_add_(1, owner[votes.pair], torch.stack([losses * votes.weight, votes.weight]))
    return blind.cpu(), (summed[0] / summed[1]).cpu()


def descend(
    reward: RewardNetwork, nuisance: Nuisance, batch: list[list[Pair]], raters: dict[str, int], votes: int, stems: Stems
) -> float:
    """Gradients of one step: batch[m] are member m's pairs, equally many for each. Returns the mean loss per vote."""
    config = reward.config
    for parameter in [*reward.parameters(), *nuisance.parameters()]:
        parameter.grad = None
    whole = [float(votes_of(pairs, raters, config).weight.sum()) for pairs in batch]
    total = 0.0
    for part in within_budget(batch, config.token_budget):
        with arithmetic(config.precision, reward.backbone.device):
            scores = pair_scores(reward, part, stems)  # (members, n, 2)
        losses, member, cast = vote_losses(scores, part, nuisance, raters, config)
        per_member = torch.zeros_like(nuisance.log_nu).index_add(0, member, losses * cast.weight)
        mean = per_member / torch.tensor(whole, device=member.device)
        pull = config.centering * scores.sum(2).square().sum(1) / len(batch[0])
        (mean + pull).sum().backward()
        total += float(mean.detach().mean())
    prior_loss(nuisance, votes, config).sum().backward()
    return total


def vote_losses(
    scores: Tensor, part: list[list[Pair]], nuisance: Nuisance, raters: dict[str, int], config: RewardConfig
) -> tuple[Tensor, Tensor, Votes]:
    """scores (members, n, 2) of part[m][i] → loss per vote, the member it belongs to, the votes."""
    cast = votes_of([pair for pairs in part for pair in pairs], raters, config).to(scores.device)
    differences = (scores[..., 0] - scores[..., 1]).reshape(-1)[cast.pair]
    member = cast.pair // len(part[0])
    return preference_loss(differences, cast, member, nuisance, config), member, cast


def pair_scores(reward: RewardNetwork, part: list[list[Pair]], stems: Stems) -> Tensor:
    """part[m]: the n pairs that member m reads → raw scores (members, n, 2) of a and b."""
    rows = [(pair.prompt, answer + reward.tail) for pairs in part for pair in pairs for answer in (pair.a, pair.b)]
    starts = [len(prompt) for prompt, _ in rows]
    ends = [len(prompt) + len(answer) for prompt, answer in rows]
    stem = stems.of([prompt + answer for prompt, answer in rows])
    return reward.block_scores(stem, starts, ends).reshape(len(part), -1, 2)


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
