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
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from app.datasets.records import SampleRecord
from app.training.configs import RewardConfig, RewardRun
from workers.training.batches import Pair, Votes, encode_samples, read_lines, read_pairs, votes_of
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
from workers.training.measures import (
    Numbers,
    agreement_ceiling,
    choices_of,
    fit_slope,
    length_baseline,
    measure,
    right,
)
from workers.training.networks import Backbone, arithmetic
from workers.training.progress import Progress, Report, RunFailed, Values, code_version, never, quiet
from workers.training.scoring import RewardNetwork, save_reward
from workers.training.tensors import pad_right


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

    def learned(self, raters: dict[str, int], config: RewardConfig) -> dict[str, Any]:
        """Means over the members, for the record."""
        found: dict[str, Any] = {}
        if config.reliability:
            shares = self.reliability.detach().sigmoid().mean(0).tolist()
            found["reliability"] = {name: shares[number] for name, number in raters.items()}
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
    pairs, left_out = read_pairs(run.dataset, opened, run.config)
    train = [pair for pair in pairs if pair.split == "train"]
    heldout = [pair for pair in pairs if pair.split == "heldout"]
    require_votes(train, run.config)
    reward = RewardNetwork(Backbone(opened.network), run.config, opened.weights_sha256)
    blind, learned = fit(reward, train, opened.pad_id, run, progress)
    metrics = {
        **settle(reward, train, blind, opened, run),
        **learned,
        "heldout": measure_pairs(reward, heldout, opened.pad_id),
        "length_only": length_baseline(train, heldout) if heldout else None,
        "agreement": agreement_ceiling(pairs),
        "left_out": +left_out,
    }
    record = record_of(run, opened, metrics)
    save_reward(run.output, reward, record)
    return RewardResult(run.output, record)


def require_votes(train: Sequence[Pair], config: RewardConfig) -> None:
    """Refuse to begin where there is nothing to learn, with the count that is needed."""
    choices = choices_of(train)
    if len(choices) < config.min_votes:
        raise RunFailed(
            f"{len(choices)} votes for training choose a side; {config.min_votes} are needed"
            f" (of {sum(len(pair.votes) for pair in train)} votes in all)."
        )
    firsts = sum(vote.outcome == vote.shown_first for pair in train for vote in pair.votes if vote.strength)
    fewest, needed = min(firsts, len(choices) - firsts), max(1, config.min_votes // 10)
    if fewest < needed:
        raise RunFailed(
            f"All but {fewest} of {len(choices)} votes chose the same place on the screen;"
            f" {needed} for the other place are needed to tell answers from places."
        )
    if len({pair.group for pair in train}) < config.members:
        raise RunFailed(f"The votes for training are on fewer than {config.members} prompts, the number of members.")


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
    reward: RewardNetwork, train: list[Pair], pad: int, run: RewardRun, progress: Progress
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
    optimizer, schedule = optimizer_for(reward, nuisance, steps_per_epoch(folds, config.batch) * config.epochs)
    for epoch in range(1, config.epochs + 1):
        losses = []
        for batch in epoch_batches(train, folds, config.batch, seed=run.seed * 1_000_003 + epoch):
            progress.stop_if_asked(epoch - 1)
            losses.append(descend(reward, nuisance, batch, raters, len(votes.pair), pad))
            clip_members([*reward.trained().values()], config.max_grad_norm)
            optimizer.step()
            schedule.step()
        blind, blind_losses = look_at_folds(reward, nuisance, train, folds, votes, pad)
        keeper.consider(epoch, blind, blind_losses)
        progress.step(epoch, config.epochs, epoch_values(losses, blind, blind_losses, train))
        if keeper.is_done(epoch, config.patience):
            break
    keeper.restore()
    return keeper.blind.double().numpy(), {**nuisance.learned(raters, config), "best_epochs": keeper.best_epochs}


def optimizer_for(
    reward: RewardNetwork, nuisance: Nuisance, steps: int
) -> tuple[torch.optim.AdamW, torch.optim.lr_scheduler.LambdaLR]:
    """AdamW with a short rise and a cosine to 0. The nuisance's few numbers move freely and do not decay."""
    config = reward.config
    groups = [
        {"params": list(reward.trained().values()), "lr": config.lr, "weight_decay": config.weight_decay},
        {"params": list(nuisance.parameters()), "lr": 0.02, "weight_decay": 0.0},
    ]
    rise = max(1, round(config.warmup * steps))

    def rate(step: int) -> float:
        if step < rise:
            return (step + 1) / rise
        return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - rise) / max(1, steps - rise))))

    optimizer = torch.optim.AdamW(groups, eps=1e-5)
    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, rate)


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
    reward: RewardNetwork, nuisance: Nuisance, train: list[Pair], folds: list[list[int]], votes: Votes, pad: int
) -> tuple[Tensor, Tensor]:
    """Each member on the fold it never sees: score differences (n,) of all pairs, and loss per vote (members,)."""
    device = reward.backbone.device
    blind, owner = torch.zeros(len(train), device=device), torch.zeros(len(train), dtype=torch.long, device=device)
    for rows in fold_parts(train, folds, reward.config.token_budget):
        scores = pair_scores(reward, [[train[row] for row in mine] for mine in rows], pad)
        for member, mine in enumerate(rows):
            blind[mine], owner[mine] = scores[member, :, 0] - scores[member, :, 1], member
    losses = preference_loss(blind[votes.pair], votes, owner[votes.pair], nuisance, reward.config)
    summed = torch.zeros(2, len(folds), device=device)
    summed.index_add_(1, owner[votes.pair], torch.stack([losses * votes.weight, votes.weight]))
    return blind.cpu(), (summed[0] / summed[1]).cpu()


def descend(
    reward: RewardNetwork, nuisance: Nuisance, batch: list[list[Pair]], raters: dict[str, int], votes: int, pad: int
) -> float:
    """Gradients of one step: batch[m] are member m's pairs, equally many for each. Returns the mean loss per vote."""
    config = reward.config
    for parameter in [*reward.parameters(), *nuisance.parameters()]:
        parameter.grad = None
    whole = [float(votes_of(pairs, raters, config).weight.sum()) for pairs in batch]
    total = 0.0
    for part in within_budget(batch, config.token_budget):
        with arithmetic(config.precision, reward.backbone.device):
            scores = pair_scores(reward, part, pad)  # (members, n, 2)
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


def pair_scores(reward: RewardNetwork, part: list[list[Pair]], pad: int) -> Tensor:
    """part[m]: the n pairs that member m reads → raw scores (members, n, 2) of a and b."""
    rows = [(pair.prompt, answer) for pairs in part for pair in pairs for answer in (pair.a, pair.b)]
    ids, _ = pad_right([prompt + answer for prompt, answer in rows], pad)
    starts = [len(prompt) for prompt, _ in rows]
    ends = [len(prompt) + len(answer) for prompt, answer in rows]
    return reward.block_scores(ids.to(reward.backbone.device), starts, ends).reshape(len(part), -1, 2)


@torch.no_grad()
def settle(reward: RewardNetwork, train: list[Pair], blind: Numbers, opened: Opened, run: RewardRun) -> dict[str, Any]:
    """Fix the constants of the score: every member's zero, the temperature, and the reference's mean and sd.

    The temperature comes from differences that a member made blind. The mean of all members varies a little less, so
    probabilities err towards one half, the harmless side.
    """
    pairs = [(pair.prompt, answer) for pair in train for answer in (pair.a, pair.b)]
    prompts, answers = [prompt for prompt, _ in pairs], [answer for _, answer in pairs]
    reward.offsets = reward.raw_scores(prompts, answers, opened.pad_id).mean(1)
    choices = choices_of(train)
    reward.temperature = 1 / fit_slope(blind[choices.pair], choices.won)
    if run.reference_samples is not None:
        prompts, answers = encode_samples(read_lines(run.reference_samples, SampleRecord), opened)
    if len(prompts) < 2:
        raise RunFailed(f"{run.reference_samples} has {len(prompts)} samples; 2 are needed for a mean and a spread.")
    reward.normalise(prompts, answers, opened.pad_id)
    blind_figures = measure(blind / reward.temperature, choices)
    return {"blind": blind_figures, "temperature": reward.temperature, "moments": list(reward.moments)}


def measure_pairs(reward: RewardNetwork, pairs: list[Pair], pad: int) -> dict[str, Any] | None:
    """Figures on pairs by the calibrated mean score of all members; None where there are none."""
    if not pairs:
        return None
    prompts = [pair.prompt for pair in pairs]
    a = reward.score(prompts, [pair.a for pair in pairs], pad).mean
    b = reward.score(prompts, [pair.b for pair in pairs], pad).mean
    return measure((a - b).double().cpu().numpy(), choices_of(pairs))


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
