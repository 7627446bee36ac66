"""Prompts that are near to each other stand on one side of every split, also when files put them into two groups."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app import database
from app.datasets.rules import split_of
from app.projects.queries import default_batch
from app.projects.tables import Project
from app.prompts.rules import group_key
from app.prompts.tables import Prompt, Root
from app.training.queries import practice_prompts
from tests import make
from tests.app.datasets.scene import frozen, people
from tests.app.prompts.test_import import bring, jsonl
from tests.conftest import ROOT

EGGS = (
    {"prompt": "How do I boil an egg?", "group": "a", "use": "label"},
    {"prompt": "How do I boil an egg??", "group": "b", "use": "label"},
)
WORDS = [f"word{number}" for number in range(100)]


def changed(*places: int) -> str:
    """A hundred words, in each of these places four others: near to what differs in one place and to nothing else."""
    words = list(WORDS)
    for place in places:
        words[place : place + 4] = [f"other{number}" for number in range(place, place + 4)]
    return " ".join(words)


def line(group: str, *places: int) -> dict[str, str]:
    return {"prompt": changed(*places), "group": group, "use": "label"}


async def components(session: AsyncSession, project: Project) -> dict[str, str]:
    asked = select(Root.key, Root.component).where(Root.project_id == project.id)
    found = await session.execute(asked.execution_options(populate_existing=True))
    return {key.removeprefix("group:"): component.removeprefix("group:") for key, component in found}


def share_between(keys: Sequence[str]) -> float:
    """A held-out share that would put roots of these keys on two sides."""
    shares = [number / 100 for number in range(1, 100)]
    return next(share for share in shares if len({split_of(group_key(key), share) for key in keys}) > 1)


async def test_nearly_the_same_prompts_of_two_groups_are_frozen_on_one_side(
    session: AsyncSession, tmp_path: Path
) -> None:
    project = await make.project(session)
    (one,) = await people(session, project, 1)
    assert (await bring(session, project, jsonl(*EGGS))).new == 2
    for prompt in await session.scalars(select(Prompt).order_by(Prompt.id)):
        task = await make.task(session, project, await default_batch(session, project.id), prompt_row=prompt)
        await make.annotation(session, task, one)
    share = share_between(["a", "b"])
    _dataset, lines = await frozen(session, project, tmp_path, heldout_share=share)
    assert len(lines) == 2
    assert len({line["split"] for line in lines}) == 1
    assert len({line["group"] for line in lines}) == 1  # what the trainer makes its folds of
    practised = [(key, line["group"]) async for key, line in practice_prompts(session, project.id)]
    assert len(practised) == 2
    assert len(set(practised)) == 1


@pytest.mark.parametrize("at_once", [True, False])
async def test_a_newcomer_joins_components_and_all_that_hang_on_them(session: AsyncSession, at_once: bool) -> None:
    project = await make.project(session)
    first, second, third = line("first"), line("second", 0, 10), line("third", 0, 10, 20)
    between, apart = line("between", 0), line("apart", 40, 50, 60)
    rows = [first, second, third, apart]
    if at_once:
        assert (await bring(session, project, jsonl(*rows, between))).new == 5
    else:
        for row in rows:
            assert (await bring(session, project, jsonl(row))).new == 1
        before = {"first": "first", "second": "second", "third": "second", "apart": "apart"}
        assert await components(session, project) == before
        assert (await bring(session, project, jsonl(between))).new == 1
    name = "between" if at_once else "first"  # the smallest key, whatever the order of lines; else the oldest root's
    together = dict.fromkeys(["first", "second", "third", "between"], name)
    assert await components(session, project) == together | {"apart": "apart"}


@pytest.mark.committed
async def test_roots_that_were_here_before_are_given_their_components(committed: str) -> None:
    async with database.transaction() as session:
        project, other = await make.project(session), await make.project(session)
        for row in (*EGGS, line("first"), line("second", 0, 10), line("third", 0, 10, 20), line("between", 0)):
            await bring(session, project, jsonl(row))
        await bring(session, project, jsonl(line("apart", 40, 50, 60)))
        await bring(session, other, jsonl(line("elsewhere")))
        told = await components(session, project), await components(session, other)
        await session.execute(text("UPDATE roots SET component = key"))
    config = Config(toml_file=str(ROOT / "pyproject.toml"))
    await database.dispose()
    await asyncio.to_thread(command.downgrade, config, "0007-1")
    await asyncio.to_thread(command.upgrade, config, "head")
    async with database.transaction() as session:
        assert (await components(session, project), await components(session, other)) == told
    assert len(set(told[0].values())) == 3
