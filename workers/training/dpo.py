"""Preference optimisation without a reward model: DPO, IPO and KTO, by the loop that SFT has.

The policy's log-ratio to the reference is the reward, times beta. The reference's log-probabilities are taken once,
before the first step, when the policy is still the reference: no second network is kept, and none is asked again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from app.training.configs import DPOConfig, DPORun
from workers.training.bases import open_base
from workers.training.checkpoints import CheckpointRecord, digest_of, file_sha256, weights_sha256
from workers.training.learning import keep, learn
from workers.training.lessons import Lesson, Student, open_student, parts_of
from workers.training.opinions import Example, Liked, Preferred, read_liked, read_preferred
from workers.training.own_pairs import drawn_pairs
from workers.training.packing import Text
from workers.training.processes import spread
from workers.training.progress import Progress, Report, RunFailed, done_before, fingerprint_of, never, quiet
from workers.training.sharding import even, opened_on, parted

Row = TypeVar("Row", bound=Example)


@dataclass(frozen=True)
class DPOResult:
    folder: Path
    record: CheckpointRecord

    @property
    def metrics(self) -> dict[str, Any]:
        return self.record.metrics


def train_dpo(run: DPORun, report: Report = quiet, should_stop: Callable[[], bool] = never) -> DPOResult:
    """Run file in, policy checkpoint out. Raises RunFailed, RunRefused, CheckpointRefused, each with a sentence."""
    progress = Progress(run.work, report, should_stop)
    inputs = inputs_of(run)
    if done := done_before(run, inputs):
        return DPOResult(run.output, done)
    drawn = drawn_pairs(run, fingerprint_of(run, inputs), should_stop)
    files = [run.dataset, *drawn.files]
    opened = open_base(run.checkpoint, opened_on(run), run.config.base_precision)
    if run.config.loss == "kto":
        singles, left_out = read_liked(files, opened, run.config)
        lesson: Lesson[Any] = Liking(*sides_of(singles), run.config)
    else:
        pairs, left_out = read_preferred(files, opened, run.config)
        lesson = Preferring(*sides_of(pairs), run.config)
    if len(lesson.train) < run.config.min_lines:
        what = "judged answers" if run.config.loss == "kto" else "pairs"
        raise RunFailed(f"{len(lesson.train)} {what} for training; {run.config.min_lines} are needed.")
    torch.manual_seed(run.seed)  # here, so that adapters begin alike whether pairs were drawn just now or before a kill
    student = open_student(opened, run.config, parted(run))
    metrics = learn(run, student, lesson, progress, identity_of(run, inputs, drawn.files))
    record = keep(run, student, "policy", inputs, metrics | drawn.figures | {"left_out": left_out + drawn.left_out})
    return DPOResult(run.output, record)


def inputs_of(run: DPORun) -> dict[str, str]:
    """Digests of what a run reads, by their names in its result's record."""
    read = {"base_sha256": weights_sha256(run.checkpoint), "dataset_sha256": file_sha256(run.dataset)}
    if run.reward:
        read["reward_sha256"] = digest_of([*run.reward.glob("*.safetensors")])
    if run.prompts:
        read["prompts_sha256"] = file_sha256(run.prompts)
    return read


def identity_of(run: DPORun, inputs: dict[str, str], drawn: Sequence[Path]) -> str:
    """What a state belongs to: the pairs that were drawn are in it, since a card may draw others from the same seed."""
    return fingerprint_of(run, inputs | {f"drawn_{number}": file_sha256(file) for number, file in enumerate(drawn)})


def sides_of(rows: list[Row]) -> tuple[list[Row], list[Row]]:
    """(train, held out)"""
    return [one for one in rows if one.split == "train"], [one for one in rows if one.split != "train"]


class Referred(Lesson[Row]):
    """Lines with the reference's log-probabilities of their texts, (all lines, texts), by the lines' rows."""

    def __init__(self, train: list[Row], heldout: list[Row], config: DPOConfig) -> None:
        super().__init__(train, heldout)
        self.config = config
        self.reference = torch.empty(0)

    def size(self, example: Row) -> float:
        return example.weight

    def read(self, example: Row) -> list[Text]:
        """What the reference reads of a line, which may be more than what gradients are for."""
        return self.texts(example)

    def prepare(self, student: Student) -> None:
        everyone = [*self.train, *self.heldout]
        texts = len(self.read(everyone[0]))
        lines = 1 + max(one.row for one in everyone)
        found = torch.zeros((lines, texts), dtype=torch.double, device=student.backbone.device)

        def sums(some: Sequence[Row]) -> list[list[float]]:
            return student.within_memory(partial(passes, some))

        def passes(some: Sequence[Row]) -> list[list[float]]:
            told: dict[int, list[float]] = {}
            for part, _ in even(parts_of(student, some, self.read), lambda: list(some[:1]), student.backbone):
                read = student.answer_sums([text for one in part for text in self.read(one)]).double()
                told |= dict(zip((one.row for one in part), read.reshape(len(part), texts).tolist(), strict=True))
            return [told[one.row] for one in some]

        found[[one.row for one in everyone]] = found.new_tensor(spread(sums, everyone))
        held = next(student.backbone.network.parameters()).dtype
        self.reference = found.to(torch.promote_types(held, torch.float32))

    def kept(self) -> dict[str, Tensor]:
        return {"reference": self.reference}

    def resume(self, kept: dict[str, Tensor]) -> None:
        self.reference = kept["reference"]


class Preferring(Referred[Preferred]):
    """Pairs, the preferred answer first."""

    def texts(self, example: Preferred) -> list[Text]:
        return [example.a, example.b]

    def loss(self, part: Sequence[Preferred], sums: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        share, weight = (sums.new_tensor([getattr(one, name) for one in part]) for name in ("share", "weight"))
        lengths = sums.new_tensor([[len(one.a.answer), len(one.b.answer)] for one in part])
        ratios = sums - self.reference[[one.row for one in part]]
        if self.config.per_token:
            ratios = ratios / lengths
        longer = lengths[:, 0] - lengths[:, 1]
        losses = pair_losses(ratios, share, longer, self.config) - self.config.sft_coef * sums[:, 0] / lengths[:, 0]
        rewards = self.config.beta * ratios.detach()
        gap = rewards[:, 0] - rewards[:, 1]
        figures = {
            "accuracy": torch.where(gap == 0, 0.5, (gap > 0).to(gap)),
            "margin": gap,
            "reward_chosen": rewards[:, 0],
            "reward_rejected": rewards[:, 1],
            "chosen_logprob": sums[:, 0].detach() / lengths[:, 0],
        }
        return (weight * losses).sum(), {name: (weight * value).sum() for name, value in figures.items()}


def pair_losses(ratios: Tensor, share: Tensor, longer: Tensor, config: DPOConfig) -> Tensor:
    """ratios (n, 2): log-ratios to the reference of the preferred and of the other answer; share (n,): of the votes for
    the preferred one; longer (n,): by how many tokens that one is → (n,).

    sigmoid (Rafailov et al. 2023, eq. 7) with soft labels: the cross-entropy between the share and what the policy
    says. With length_coef the length has its own say in that (R-DPO, Park et al. 2024), so that what it explains of a
    vote is not learned. ipo (Azar et al. 2024, eq. 17): the gap is drawn to 1 / (2 beta), to its negative for the other
    votes.
    """
    gap = ratios[:, 0] - ratios[:, 1]
    if config.loss == "ipo":
        wanted = 1 / (2 * config.beta)
        return share * (gap - wanted).square() + (1 - share) * (gap + wanted).square()
    odds = config.beta * gap + config.length_coef * longer
    return -(share * logsigmoid(odds) + (1 - share) * logsigmoid(-odds))


class Liking(Referred[Liked]):
    """Single answers. The reference reads each, and its prompt with another prompt's answer."""

    def __init__(self, train: list[Liked], heldout: list[Liked], config: DPOConfig) -> None:
        super().__init__(train, heldout, config)
        liked, not_liked = (sum(one.weight for one in train if one.liked is side) for side in (True, False))
        # the paper wants the weights of both sides alike, within a third
        balanced = config.desirable_weight * liked / not_liked if not_liked else 1.0
        self.weights = {True: config.desirable_weight, False: config.undesirable_weight or balanced or 1.0}
        self.divergence = torch.zeros(())

    def texts(self, example: Liked) -> list[Text]:
        return [example.text]

    def read(self, example: Liked) -> list[Text]:
        return [example.text, example.other]

    def meet(self, student: Student, batch: Sequence[Liked]) -> None:
        """The batch's divergence, by answers that belong to other prompts; never below 0, and without gradients."""

        def gaps(some: Sequence[Liked]) -> list[float]:
            return student.within_memory(partial(passes, some))

        def passes(some: Sequence[Liked]) -> list[float]:
            """In any order: they are for a mean."""
            parts = even(parts_of(student, some, lambda one: [one.other]), lambda: list(some[:1]), student.backbone)
            told = [(student.answer_sums([one.other for one in part]) - self.reference[[one.row for one in part], 1],
                    counts) for part, counts in parts]  # fmt: skip
            return [gap for gaps, counts in told if counts for gap in gaps.tolist()]

        self.divergence = self.reference.new_tensor(spread(gaps, batch)).mean().clamp(min=0)

    def loss(self, part: Sequence[Liked], sums: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        liked = torch.tensor([one.liked for one in part], device=sums.device)
        weight = sums.new_tensor([one.weight for one in part])
        pulls = sums.new_tensor([self.weights[one.liked] for one in part])
        ratios = sums[:, 0] - self.reference[[one.row for one in part], 0]
        losses = single_losses(ratios, liked, self.divergence, self.config)
        right = (ratios.detach() > self.divergence) == liked
        figures = {"accuracy": right.to(sums), "divergence": self.divergence.expand(len(part))}
        return (weight * pulls * losses).sum(), {name: (weight * value).sum() for name, value in figures.items()}


def single_losses(ratios: Tensor, liked: Tensor, divergence: Tensor, config: DPOConfig) -> Tensor:
    """1 less the value of each answer, (n,) (Ethayarajh et al. 2024, eq. 8): a liked one is to be more probable than
    the policy has become on the whole, another one less."""
    gain = config.beta * (ratios - divergence)
    return 1 - torch.where(liked, gain, -gain).sigmoid()
