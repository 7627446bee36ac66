"""Who learns, and from what: the network with what is free in it, and a method's lines with its loss."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

from app.training.configs import TuningConfig
from workers.training.bases import state_to_keep
from workers.training.checkpoints import Opened
from workers.training.memory import Memory
from workers.training.networks import Backbone, arithmetic
from workers.training.packing import Text, answer_logprobs, can_pack, pack, parts_within
from workers.training.processes import share, summed
from workers.training.progress import forget
from workers.training.sharding import even, shard

ADAPTER = "tuned"
Example = TypeVar("Example")
Found = TypeVar("Found")


@dataclass
class Student:
    """The network that learns, and the adapter that is on for it (None: every weight of it is free)."""

    opened: Opened
    backbone: Backbone
    config: TuningConfig
    adapter: str | None
    packing: bool
    memory: Memory = field(default_factory=Memory)

    def weights(self) -> dict[str, nn.Parameter]:
        if self.adapter is not None:
            return self.backbone.adapter(self.adapter)
        return {path: tensor for path, tensor in self.backbone.network.named_parameters() if tensor.requires_grad}

    def state(self) -> dict[str, Tensor]:
        return state_to_keep(self.opened, self.backbone, self.adapter)

    def answer_sums(self, texts: Sequence[Text]) -> Tensor:
        """Log-probability of each text's answer, (texts,), with gradients where they are on."""
        packed = pack(texts, self.opened.pad_id, self.backbone.device, packing=self.packing)
        self.memory.enter(packed.ids.shape, packed.ids.device)
        with arithmetic(self.config.precision, self.backbone.device), self.backbone.using(self.adapter):
            logprobs = answer_logprobs(self.backbone, packed)
        return logprobs.new_zeros(len(texts)).index_add(0, packed.owner, logprobs)

    def within_memory(self, compute: Callable[[], Found]) -> Found:
        """`Memory.within` of the config's budget."""
        return self.memory.within(self.config.token_budget, compute)


def open_student(opened: Opened, config: TuningConfig, parted: torch.device | None = None) -> Student:
    """At first it writes exactly as the checkpoint does. parted: the device that its parts go to, where the processes
    share its weights out."""
    backbone = Backbone(opened.network)
    student = Student(opened, backbone, config, None, config.packing and can_pack(backbone))
    backbone.network.requires_grad_(config.tuning == "full")
    shard(backbone, parted)
    student.memory.together = parted is not None
    if config.tuning == "lora":
        backbone.add(ADAPTER, config.rank, config.scale)
        student.adapter = ADAPTER
    if config.gradient_checkpointing:
        backbone.network.activation_checkpointing_enable({"use_reentrant": False, "context_fn": backbone.as_it_is})
        backbone.network.train()  # transformers recomputes in training mode only; dropout is silenced in both
    return student


class Lesson(ABC, Generic[Example]):
    """What a method learns from. Every example has equally many texts."""

    def __init__(self, train: list[Example], heldout: list[Example]) -> None:
        self.train, self.heldout = train, heldout

    @abstractmethod
    def texts(self, example: Example) -> list[Text]: ...

    @abstractmethod
    def size(self, example: Example) -> float:
        """What it counts in a mean over a batch."""

    @abstractmethod
    def loss(self, part: Sequence[Example], sums: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Sums over the part: its loss, and figures to log. sums (part, texts): log-probabilities of the answers."""

    def prepare(self, student: Student) -> None:
        """Called once before the first step, without gradients."""

    def meet(self, student: Student, batch: Sequence[Example]) -> None:
        """Called with each batch before its losses, without gradients."""

    def kept(self) -> dict[str, Tensor]:
        """What a resumed run needs of what `prepare` found."""
        return {}

    def resume(self, kept: dict[str, Tensor]) -> None:
        """In place of `prepare`."""


def parts_of(
    student: Student, batch: Sequence[Example], texts: Callable[[Example], Sequence[Text]]
) -> Iterator[list[Example]]:
    """A batch in parts whose texts fit the token budget when packed."""
    sizes = [[len(text.inputs) for text in texts(example)] for example in batch]
    budget = student.memory.budget(student.config.token_budget)
    for rows in parts_within(sizes, budget, packing=student.packing):
        yield [batch[row] for row in rows]


def sums_of(student: Student, lesson: Lesson[Example], part: Sequence[Example]) -> Tensor:
    """(part, texts)"""
    return student.answer_sums([text for example in part for text in lesson.texts(example)]).reshape(len(part), -1)


def measured(
    student: Student, lesson: Lesson[Example], batch: Sequence[Example], *, backward: bool = False
) -> dict[str, float]:
    """Means over a batch, however it is cut into parts and shares; with `backward` the weights' gradients become those
    of this process's share."""
    with torch.no_grad():
        lesson.meet(student, batch)
    whole = sum(map(lesson.size, batch))
    own = share(batch, length=lambda one: sum(len(text.inputs) for text in lesson.texts(one)))

    def passes() -> dict[str, Tensor]:
        totals: dict[str, Tensor] = {}
        if backward:
            forget(student.weights().values())
        for part, counts in even(parts_of(student, own, lesson.texts), lambda: list(batch[:1]), student.backbone):
            loss, figures = lesson.loss(part, sums_of(student, lesson, part))
            if backward:
                (counts * loss / whole).backward()
            for name, value in {"loss": loss, **figures}.items():
                totals[name] = totals.get(name, torch.zeros_like(value)) + counts * value.detach()
        return totals

    return summed({name: float(value) / whole for name, value in student.within_memory(passes).items()})
