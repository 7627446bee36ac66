"""Datasets over REST: asked for, looked at, and taken as lines in the forms that trainers read."""

from hashlib import sha256
from json import dumps
from typing import Any

import httpx
import orjson
import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.permissions import Role
from app.datasets.records import ComparisonRecord
from app.datasets.rules import LinesChanged
from app.datasets.tables import Dataset, DatasetState
from app.main import app
from app.projects.queries import default_batch
from app.projects.tables import Batch, Project
from app.settings import get_settings
from tests import make
from tests.app.datasets.scene import frozen, people
from tests.app.scene import engineer
from tests.queue import waiting


async def filled(session: AsyncSession, tasks: int = 3) -> tuple[Project, Dataset]:
    """A frozen dataset with one preference for b, one for a, and a tie; its folder stands below home."""
    project = await make.project(session)
    (one,) = await people(session, project, 1)
    for number in range(tasks):
        task = await make.task(session, project, await default_batch(session, project.id))
        await make.annotation(session, task, one, (1, 0, "tie")[number % 3], strength=2)
    dataset, _lines = await frozen(session, project, get_settings().home, heldout_share=0.4)
    return project, dataset


async def lines(client: httpx.AsyncClient, dataset: Dataset, **asked: str) -> list[dict[str, Any]]:
    answer = await client.get(f"/api/v1/datasets/{dataset.public_id}/records", params=asked)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert answer.headers["x-dataset-id"] == str(dataset.public_id)
    if "x-dataset-sha256" in answer.headers:  # who checks it against what came must find it true
        assert answer.headers["x-dataset-sha256"] == dataset.sha256 == sha256(answer.content).hexdigest()
    return [orjson.loads(line) for line in answer.content.splitlines()]


async def test_a_name_that_cannot_be_stored_is_refused_in_words(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    name = "a\0b"
    project = await make.project(session)
    await engineer(client, session, project)
    client.headers["Content-Type"] = "application/json"
    home = f"/api/v1/projects/{project.public_id}"
    body = {"name": name, "trigger": "answers", "every": 5}
    for answer in (
        await client.post(f"{home}/datasets", content=dumps({"name": name})),
        await client.post(f"{home}/schedules", content=dumps(body)),
        await client.post(f"{home}/runs/reward", content=dumps({"name": name, "dataset": str(project.public_id)})),
    ):
        assert answer.status_code == 422, answer.text
        assert "cannot be stored" in answer.text


async def test_native_lines_are_our_records(client: httpx.AsyncClient, session: AsyncSession) -> None:
    project, dataset = await filled(session)
    await engineer(client, session, project)
    found = [ComparisonRecord.model_validate(line) for line in await lines(client, dataset)]
    assert [record.conclusion.value for record in found] == ["b", "a", "tie"]


@pytest.mark.parametrize(
    ("form", "keys"),
    [
        ("trl", {"prompt", "chosen", "rejected", "margin", "group"}),
        ("trl_standard", {"prompt", "chosen", "rejected", "margin", "group"}),
        ("hh", {"chosen", "rejected"}),
    ],
)
async def test_other_forms_hold_preferences_only(
    client: httpx.AsyncClient, session: AsyncSession, form: str, keys: set[str]
) -> None:
    project, dataset = await filled(session)
    await engineer(client, session, project)
    found = await lines(client, dataset, form=form)
    assert [set(line) for line in found] == [keys, keys]
    assert all(line.get("margin", 2 / 3) == pytest.approx(2 / 3) for line in found)


async def test_the_two_sides_of_the_split_are_all_lines(client: httpx.AsyncClient, session: AsyncSession) -> None:
    project, dataset = await filled(session, 24)
    await engineer(client, session, project)
    train, heldout = await lines(client, dataset, split="train"), await lines(client, dataset, split="heldout")
    assert {line["split"] for line in train} == {"train"}
    assert {line["split"] for line in heldout} == {"heldout"}
    assert len(train) + len(heldout) == 24


@pytest.mark.parametrize("asked", [{}, {"form": "native"}])
async def test_the_hash_comes_with_the_frozen_lines_as_they_are(
    client: httpx.AsyncClient, session: AsyncSession, asked: dict[str, str]
) -> None:
    project, dataset = await filled(session)
    await engineer(client, session, project)
    answer = await client.get(f"/api/v1/datasets/{dataset.public_id}/records", params=asked)
    assert answer.headers["x-dataset-sha256"] == sha256(answer.content).hexdigest()


async def test_a_dataset_that_is_not_frozen_gives_no_lines(client: httpx.AsyncClient, session: AsyncSession) -> None:
    project = await make.project(session)
    await engineer(client, session, project)
    asked = await client.post(f"/api/v1/projects/{project.public_id}/datasets", json={"name": "now"})
    assert asked.status_code == 202
    assert asked.json()["state"] == "freezing"
    assert len(await waiting(session, "FreezeDataset")) == 1
    answer = await client.get(f"/api/v1/datasets/{asked.json()['id']}/records")
    assert answer.status_code == 409
    assert answer.json()["type"].endswith("not-frozen-yet")


async def test_lines_that_are_not_on_this_machine_are_said_to_be_missing(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    project, dataset = await filled(session)
    dataset.sha256 = "0" * 64
    await session.flush()
    await engineer(client, session, project)
    answer = await client.get(f"/api/v1/datasets/{dataset.public_id}/records")
    assert answer.status_code == 409
    assert "not on this machine" in answer.json()["title"]


async def test_a_download_of_lines_that_were_changed_is_broken_off(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    project, dataset = await filled(session)
    await engineer(client, session, project)
    file = get_settings().home / "datasets" / str(dataset.sha256) / "records.jsonl"
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + b" \n")
    client._transport = httpx.ASGITransport(app)  # the error that breaks a stream off comes up
    try:
        for asked in ({}, {"form": "trl"}, {"split": "train"}):
            with pytest.raises(LinesChanged):
                await client.get(f"/api/v1/datasets/{dataset.public_id}/records", params=asked)
    finally:
        file.write_bytes(whole)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "x", "heldout_share": 1}, "heldout_share"),
        ({"name": "x", "minimum_agreement": 2}, "minimum_agreement"),
        ({"name": "x", "purposes": ["training"]}, "purposes"),
        ({"name": "x", "colour": "red"}, "colour"),
        ({"name": "x", "since": "yesterday"}, "since"),
    ],
)
async def test_a_question_that_makes_no_sense_is_refused_by_its_field(
    client: httpx.AsyncClient, session: AsyncSession, wrong: dict[str, Any], field: str
) -> None:
    project = await make.project(session)
    await engineer(client, session, project)
    answer = await client.post(f"/api/v1/projects/{project.public_id}/datasets", json=wrong)
    assert answer.status_code == 422
    assert field in answer.text
    assert (await session.scalars(select(Dataset))).all() == []


async def test_an_annotator_sees_no_dataset(client: httpx.AsyncClient, session: AsyncSession) -> None:
    project, dataset = await filled(session)
    await engineer(client, session, project, Role.annotator)
    answer = await client.get(f"/api/v1/datasets/{dataset.public_id}/records")
    assert answer.status_code == 403


async def test_the_page_freezes_and_shows_what_came_of_it(client: httpx.AsyncClient, session: AsyncSession) -> None:
    project, dataset = await filled(session)
    await engineer(client, session, project)
    home = f"/projects/{project.public_id}/datasets"
    sent = await client.post(home, data={"name": "Round <1>", "heldout_share": "0.2", "minimum_votes": "1"})
    assert sent.status_code == 303
    page = (await client.get(sent.headers["location"])).text
    assert "Round &lt;1&gt;" in page
    assert 'hx-trigger="every 1s"' in page
    page = (await client.get(f"/datasets/{dataset.public_id}")).text
    assert str(dataset.sha256) in page
    assert "hx-trigger" not in page.split('id="dataset"')[1].split(">")[0]
    assert f"/api/v1/datasets/{dataset.public_id}/records?form=trl" in page
    assert "their prompt was retired" in page
    page = (await client.get(home)).text
    assert "slice" in page
    assert "Answers to prompts that were retired stay out of it." in page


async def test_a_failed_dataset_says_why_on_its_page(client: httpx.AsyncClient, session: AsyncSession) -> None:
    project = await make.project(session)
    failed = Dataset(
        project_id=project.id, name="none", question={}, state=DatasetState.failed, reason="No room on the disk."
    )
    session.add(failed)
    await session.flush()
    await engineer(client, session, project)
    page = (await client.get(f"/datasets/{failed.public_id}")).text
    assert "No room on the disk." in page


async def test_the_page_offers_rounds_once_there_are_several(client: httpx.AsyncClient, session: AsyncSession) -> None:
    project, _dataset = await filled(session)
    await engineer(client, session, project)
    home = f"/projects/{project.public_id}/datasets"
    assert 'name="batch"' not in (await client.get(home)).text
    second = Batch(project_id=project.id, name="Round two")
    session.add(second)
    await session.flush()
    await session.refresh(second)
    await make.task(session, project, second)
    assert "Round two" in (await client.get(home)).text
    sent = await client.post(home, data={"name": "two", "batch": str(second.public_id)})
    assert sent.status_code == 303
    made = (await session.scalars(select(Dataset).where(Dataset.name == "two"))).one()
    assert made.question["batches"] == [str(second.public_id)]
