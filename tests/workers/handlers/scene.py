"""A project on a committed database with votes enough to train from, and a trainer that can be killed."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app import database
from app.checkpoints.tables import Checkpoint
from app.datasets.actions import ask_to_freeze
from app.datasets.forms import FreezeForm
from app.datasets.jobs import FreezeDataset
from app.datasets.tables import Dataset
from app.projects.queries import default_batch
from app.projects.tables import Project
from app.training.actions import start_dataset_run
from app.training.configs import RewardConfig
from app.training.forms import RewardForm
from app.training.tables import Run
from tests import make
from tests.training.conftest import make_checkpoint
from tests.training.make import planted, words
from workers.handlers.datasets import freeze_dataset
from workers.handlers.registry import Context

REWARD = RewardConfig(epochs=2, members=2, rank=2, min_votes=4, batch=4, max_tokens=96, token_budget=512)


@dataclass(frozen=True)
class Ground:
    context: Context
    project: Project
    base: Checkpoint
    dataset: Dataset

    @property
    def home(self) -> Path:
        return self.context.settings.home


async def ground(context: Context, *, pairs: int = 24, outcome: str | None = None) -> Ground:
    """outcome: what everybody says; None, one side or the other."""
    folder = await asyncio.to_thread(make_checkpoint, context.settings.home / "base")
    chance = random.Random(1)
    async with database.transaction() as session:
        base = await make.checkpoint(session, location=str(folder))
        project = await make.project(session, checkpoint_id=base.id)
        person = await make.user(session)
        await make.member(session, project, person, pseudonym="r0")
        batch = await default_batch(session, project.id)
        for _ in range(pairs):
            prompt = await make.prompt(session, project, words(chance, 5))
            pair = [await make.completion(session, prompt, planted(chance)) for _ in "ab"]
            task = await make.task(session, project, batch, prompt_row=prompt, completions=pair)
            said = outcome or chance.choice([0, 1])
            await make.annotation(session, task, person, said, strength=1, sides=chance.choice([[0, 1], [1, 0]]))
        dataset = await ask_to_freeze(session, project.id, FreezeForm(name="slice", heldout_share=0.25), None)
    await freeze_dataset(FreezeDataset(dataset_id=dataset.id), context)
    async with database.transaction() as session:
        return Ground(context, project, base, await session.get_one(Dataset, dataset.id))


async def reward_run(there: Ground, config: RewardConfig = REWARD, **more: Any) -> int:
    form = RewardForm(dataset=there.dataset.public_id, base=there.base.public_id, seed=1, config=config)
    async with database.transaction() as session:
        return (await start_dataset_run(session, there.project.id, form, None, None, **more)).id


async def look(run_id: int) -> Run:
    async with database.transaction() as session:
        return await session.get_one(Run, run_id)


async def until(run_id: int, holds: Callable[[Run], bool], seconds: float = 90) -> Run:
    """The run as soon as `holds` says so."""
    for _ in range(int(seconds / 0.1)):
        run = await look(run_id)
        if holds(run):
            return run
        await asyncio.sleep(0.1)
    raise AssertionError(f"{run.state}: {run.reason}; step {run.step}; {run.log}")
