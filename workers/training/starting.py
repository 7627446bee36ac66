"""From a run file to the method that it asks for, with its figures told to whom it names."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

from app.training.configs import AnyRun, BestRun, DPORun, PPORun, RewardRun
from workers.training import processes
from workers.training.best import keep_best
from workers.training.dpo import train_dpo
from workers.training.ppo import train_ppo
from workers.training.progress import Report, never
from workers.training.reward import train_reward
from workers.training.sft import train_sft
from workers.training.tracking import tracked


def start(run: AnyRun, show: Report, should_stop: Callable[[], bool] = never) -> Path:
    """The result's place. Of several processes the first alone has figures to tell. Raises as the methods do."""
    with tracked(run, show) if processes.is_first() else nullcontext(show) as report:
        return train(run, report, should_stop)


def train(run: AnyRun, report: Report, should_stop: Callable[[], bool]) -> Path:
    if isinstance(run, BestRun):
        return keep_best(run, report, should_stop)
    if isinstance(run, PPORun):
        return train_ppo(run, report, should_stop).folder
    if isinstance(run, RewardRun):
        return train_reward(run, report, should_stop).folder
    if isinstance(run, DPORun):
        return train_dpo(run, report, should_stop).folder
    return train_sft(run, report, should_stop).folder
