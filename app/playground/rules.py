"""What an answer of the playground is, and how its tokens are shaded. Pure arithmetic."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from pydantic import BaseModel, ConfigDict

STEPS = (0.1, 0.7, 2.0)  # nats at which a shade begins: ten per cent, twice, and seven times as likely


class Sample(BaseModel):
    """One answer. rewards: what each member of the reward model says, in log-odds; the mean of several criteria, in
    deviations of the reference's answers. heads: what each head says where there are several, in those deviations.
    finish: `stop` or `length`."""

    model_config = ConfigDict(frozen=True)
    text: str
    tokens: int
    finish: str
    logprob: float | None = None
    rewards: tuple[float, ...] = ()
    heads: dict[str, float] = {}

    @property
    def mean(self) -> float | None:
        return fmean(self.rewards) if self.rewards else None

    @property
    def spread(self) -> float | None:
        """Standard deviation between the members."""
        return stdev(self.rewards) if len(self.rewards) > 1 else None


class Result(BaseModel):
    """All samples of a checkpoint, and which is shown. ratios: of that one, its text in pieces with log π − log π_ref.

    no_reward, no_ratios: why these are not there, where they were wanted.
    """

    model_config = ConfigDict(frozen=True)
    samples: tuple[Sample, ...]
    best: int = 0
    ratios: tuple[tuple[str, float], ...] | None = None
    no_reward: str | None = None
    no_ratios: str | None = None

    @property
    def shown(self) -> Sample:
        return self.samples[self.best]

    @property
    def kl(self) -> float | None:
        """Nats; an estimate of the divergence where the answer was drawn at temperature 1 and nothing was cut off."""
        return None if self.ratios is None else sum(ratio for _text, ratio in self.ratios)

    def mean_of_all(self) -> float | None:
        means = [one.mean for one in self.samples if one.mean is not None]
        return fmean(means) if means else None


def best_of(samples: Sequence[Sample]) -> int:
    """Place of the sample with the highest mean reward; of those that say something, if any does."""
    said = [place for place, one in enumerate(samples) if one.text.strip()] or range(len(samples))
    return max(said, key=lambda place: samples[place].mean or 0.0)


@dataclass(frozen=True)
class Piece:
    """A piece of text as it is shaded. step: 0 hardly any different … 3; sign: `up` likelier than in the reference."""

    text: str
    ratio: float

    @property
    def step(self) -> int:
        return sum(abs(self.ratio) >= edge for edge in STEPS)

    @property
    def sign(self) -> str:
        return "up" if self.ratio > 0 else "down"


def strongest(ratios: Sequence[tuple[str, float]], most: int = 20) -> list[Piece]:
    """The pieces whose chances have changed most."""
    return [Piece(*one) for one in sorted(ratios, key=lambda one: -abs(one[1]))[:most]]
