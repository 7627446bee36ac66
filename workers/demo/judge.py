"""The last judge of the demo loop: the hidden taste without noise. Only a finished policy is brought before it."""

from collections.abc import Sequence
from dataclasses import dataclass

from workers.demo.taste import better


@dataclass(frozen=True)
class Heard:
    """One prompt and what the new and the old checkpoint answered."""

    prompt: str
    new: str
    old: str


def true_win_rate(heard: Sequence[Heard]) -> float:
    """Share of the comparisons that the new answer wins; where the taste sees no difference each side has half."""
    return sum(better(case.prompt, case.new, case.old) for case in heard) / len(heard)
