"""Freezing while people answer, and workers that die or run twice."""

import asyncio
from pathlib import Path
from typing import Any

import orjson
import psycopg
import pytest
from sqlalchemy.exc import OperationalError

from app import database
from app.datasets import actions
from app.datasets.actions import ask_to_freeze
from app.datasets.forms import FreezeForm
from app.datasets.jobs import FreezeDataset
from app.datasets.tables import Dataset, DatasetState
from app.projects.queries import default_batch
from app.settings import get_settings
from tests import make
from tests.app.datasets.scene import people
from tests.queue import waiting
from workers.handlers.datasets import freeze_dataset
from workers.handlers.registry import Context

TASKS = 12  # more than one fetch of the server-side cursor, which takes so many here
FETCHED = 5


async def set_up(tasks: int = 3) -> tuple[int, list[Any], Any]:
    """A project with tasks that r0 has answered; r1 has not yet."""
    async with database.transaction() as session:
        project = await make.project(session, k=2)
        one, two = await people(session, project, 2)
        batch, prompt = await default_batch(session, project.id), await make.prompt(session, project)
        made: list[Any] = []
        for _ in range(tasks):
            task = await make.task(session, project, batch, k=2, prompt_row=prompt)
            await make.annotation(session, task, one)
            made.append(task)
        dataset = await ask_to_freeze(session, project.id, FreezeForm(name="slice", heldout_share=0), None)
    return dataset.id, made, two


async def look(dataset_id: int) -> Dataset:
    async with database.transaction() as session:
        return await session.get_one(Dataset, dataset_id)


def lines_of(dataset: Dataset) -> list[dict[str, Any]]:
    file = get_settings().home / "datasets" / str(dataset.sha256) / "records.jsonl"
    return [orjson.loads(line) for line in file.read_bytes().splitlines()]


@pytest.fixture
def context(committed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Context:
    monkeypatch.setenv("HONE_HOME", str(tmp_path))
    get_settings.cache_clear()
    return Context(get_settings())


async def test_answers_that_arrive_while_it_is_frozen_are_not_half_in(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actions, "FETCHED", FETCHED)
    dataset_id, tasks, late = await set_up(TASKS)
    asked = asyncio.Event()
    plain = actions.rows_of

    async def slowly(*given: Any) -> Any:
        async for row in plain(*given):
            if not asked.is_set():
                asked.set()
                await answered.wait()
            yield row

    answered = asyncio.Event()
    monkeypatch.setattr(actions, "rows_of", slowly)
    freezing = asyncio.create_task(freeze_dataset(FreezeDataset(dataset_id=dataset_id), context))
    await asked.wait()
    async with database.transaction() as session:
        await make.annotation(session, tasks[-1], late, 1)
        await make.annotation(session, tasks[0], late, 1)
    assert list((get_settings().home / "datasets").glob("[!.]*")) == []  # no final name before the end
    answered.set()
    await freezing
    frozen = await look(dataset_id)
    assert {len(line["votes"]) for line in lines_of(frozen)} == {1}
    assert frozen.manifest["counts"]["votes"] == {"train": TASKS}


async def test_freezing_twice_at_once_freezes_once(context: Context) -> None:
    dataset_id, _tasks, _late = await set_up()
    await asyncio.gather(*[freeze_dataset(FreezeDataset(dataset_id=dataset_id), context) for _ in range(4)])
    frozen = await look(dataset_id)
    assert (frozen.state, frozen.lines) == (DatasetState.frozen, 3)
    assert [path.name for path in (get_settings().home / "datasets").iterdir()] == [frozen.sha256]
    async with database.transaction() as session:
        assert await waiting(session, "FreezingEnded") == [{"dataset_id": dataset_id}]


async def test_a_disk_that_is_full_fails_the_dataset_with_a_sentence(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset_id, _tasks, _late = await set_up()

    def full(*given: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(actions, "keep_folder", full)
    await freeze_dataset(FreezeDataset(dataset_id=dataset_id), context)
    failed = await look(dataset_id)
    assert (failed.state, failed.reason) == (
        DatasetState.failed,
        "The lines could not be written: No space left on device.",
    )
    assert list((get_settings().home / "datasets").iterdir()) == []


async def test_what_may_pass_is_tried_again_and_given_up_at_last(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset_id, _tasks, _late = await set_up()

    async def broken(*given: Any) -> None:
        raise RuntimeError("the connection is gone")

    monkeypatch.setattr("workers.handlers.datasets.write_dataset", broken)
    with pytest.raises(RuntimeError):
        await freeze_dataset(FreezeDataset(dataset_id=dataset_id), context)
    assert (await look(dataset_id)).state is DatasetState.freezing
    await freeze_dataset(FreezeDataset(dataset_id=dataset_id), Context(context.settings, attempt=5))
    assert "the connection is gone" in str((await look(dataset_id)).reason)


async def test_a_database_that_is_away_gives_no_dataset_up(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset_id, _tasks, _late = await set_up()

    async def away(*given: Any) -> None:
        raise OperationalError("SELECT 1", {}, psycopg.OperationalError("server closed the connection"))

    late = Context(context.settings, attempt=5)
    with monkeypatch.context() as patched:
        patched.setattr("workers.handlers.datasets.write_dataset", away)
        with pytest.raises(OperationalError):
            await freeze_dataset(FreezeDataset(dataset_id=dataset_id), late)
    assert (await look(dataset_id)).state is DatasetState.freezing
    await freeze_dataset(FreezeDataset(dataset_id=dataset_id), late)
    assert (await look(dataset_id)).state is DatasetState.frozen


async def test_nothing_to_freeze_is_said_on_the_dataset(context: Context) -> None:
    dataset_id, _tasks, _late = await set_up(0)
    await freeze_dataset(FreezeDataset(dataset_id=dataset_id), context)
    failed = await look(dataset_id)
    assert failed.state is DatasetState.failed
    assert "nothing to freeze" in str(failed.reason)
