"""Every list of a project over REST comes in pages that put together are the whole, and carries no log."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from sqlalchemy import inspect
from sqlalchemy.ext.asyncio import AsyncSession

from app.checkpoints.tables import CheckpointKind
from app.datasets.tables import Dataset
from app.evaluation.tables import Evaluation
from app.loop.tables import Schedule, Trigger
from app.main import app
from app.projects.queries import default_batch
from app.projects.tables import Project
from app.training.queries import runs_of
from tests import make
from tests.app.scene import engineer

Row = Callable[[AsyncSession, Project, int], Awaitable[Any]]


async def a_dataset(session: AsyncSession, project: Project, n: int) -> Any:
    row = Dataset(project_id=project.id, name=f"slice {n}", question={})
    session.add(row)
    return row


async def a_run(session: AsyncSession, project: Project, n: int) -> Any:
    base = await make.checkpoint(session)
    made = await make.checkpoint(session, CheckpointKind.reward) if n else None
    return await make.run(session, project, base, log="epoch 1\n" * 50, result_id=made and made.id)


async def an_evaluation(session: AsyncSession, project: Project, n: int) -> Any:
    two = [await make.checkpoint(session) for _ in range(2)]
    row = Evaluation(
        project_id=project.id,
        batch_id=(await default_batch(session, project.id)).id,
        candidate_id=two[0].id,
        baseline_id=two[1].id,
        sampling={},
        seed=n,
        prompts=1,
        k=1,
    )
    session.add(row)
    return row


async def a_schedule(session: AsyncSession, project: Project, n: int) -> Any:
    row = Schedule(project_id=project.id, name=f"every {n}", trigger=Trigger.answers, every=n + 1)
    session.add(row)
    return row


async def a_checkpoint(session: AsyncSession, project: Project, n: int) -> Any:
    parent = await make.checkpoint(session, project_id=None, name="elsewhere") if n else None
    return await make.checkpoint(session, project_id=project.id, parent_id=parent and parent.id)


LISTS: dict[str, Row] = {
    "datasets": a_dataset,
    "runs": a_run,
    "evaluations": an_evaluation,
    "schedules": a_schedule,
    "checkpoints": a_checkpoint,
}


async def whole(client: httpx.AsyncClient, address: str, limit: int) -> tuple[list[dict[str, Any]], int]:
    """All rows, and how many pages they came in."""
    rows, pages, cursor = [], 0, {}
    while True:
        answer = await client.get(address, params={"limit": limit, **cursor})
        assert answer.status_code == 200, answer.text
        told = answer.json()
        assert set(told) == {"rows", "next"}
        rows, pages = rows + told["rows"], pages + 1
        assert pages < 20, "it goes round and round"
        if told["next"] is None:
            return rows, pages
        cursor = {"cursor": told["next"]}


@pytest.mark.parametrize("name", LISTS)
async def test_pages_put_together_are_the_list_newest_first(
    client: httpx.AsyncClient, session: AsyncSession, name: str
) -> None:
    project, other = await make.project(session), await make.project(session)
    made = [await LISTS[name](session, project, n) for n in range(3)]
    await LISTS[name](session, other, 0)
    await session.flush()
    wanted = [str(row.public_id) for row in made][::-1]
    await engineer(client, session, project)
    address = f"/api/v1/projects/{project.public_id}/{name}"
    rows, pages = await whole(client, address, 2)
    assert [row["id"] for row in rows if row["id"] in wanted] == wanted
    assert pages == -(-len(rows) // 2)
    assert len({row["id"] for row in rows}) == len(rows)
    if name != "checkpoints":  # of those, the ones of all projects are listed too
        assert len(rows) == 3
    assert (await client.get(address, params={"cursor": "made-up"})).status_code == 422
    assert (await client.get(address, params={"limit": 201})).status_code == 422


async def test_rows_name_what_belongs_to_them(client: httpx.AsyncClient, session: AsyncSession) -> None:
    project = await make.project(session)
    parent = await make.checkpoint(session)
    made = await make.checkpoint(session, CheckpointKind.reward, project_id=project.id, parent_id=parent.id)
    await make.run(session, project, parent, result_id=made.id)
    evaluation = await an_evaluation(session, project, 0)
    evaluation.candidate_id, evaluation.baseline_id = made.id, parent.id
    ids = [str(parent.public_id), str(made.public_id)]
    await session.flush()
    await engineer(client, session, project)
    home = f"/api/v1/projects/{project.public_id}"
    (run,) = (await client.get(f"{home}/runs")).json()["rows"]
    assert run["result"] == ids[1]
    (compared,) = (await client.get(f"{home}/evaluations")).json()["rows"]
    assert [compared["baseline"], compared["candidate"]] == ids
    checkpoints = {row["id"]: row for row in (await client.get(f"{home}/checkpoints")).json()["rows"]}
    assert checkpoints[ids[1]]["parent"] == ids[0]
    assert checkpoints[ids[0]]["parent"] is None


async def test_a_run_brings_its_log_where_it_stands_alone(client: httpx.AsyncClient, session: AsyncSession) -> None:
    project = await make.project(session)
    run = await a_run(session, project, 1)
    shown = run.public_id
    await engineer(client, session, project)
    home = f"/projects/{project.public_id}/runs"
    (listed,) = (await client.get(f"/api/v1{home}")).json()["rows"]
    alone = (await client.get(f"/api/v1/runs/{shown}")).json()
    assert alone == listed | {"log": "epoch 1\n" * 50}
    assert (await client.get(home)).status_code == 200
    session.expunge_all()
    (fetched,) = await runs_of(session, project.id)
    assert inspect(fetched).unloaded >= {"log"}, "not even fetched for a list"


def test_every_list_of_a_project_says_how_it_is_turned_over() -> None:
    """In OpenAPI: a list that could grow without end takes `cursor` and `limit` and answers with `next`."""
    described = app.openapi()
    paths = described["paths"]
    lists = [path for path in paths if path.startswith("/api/v1/projects/{project}/") and "get" in paths[path]]
    asked = [path for path in lists if path.rpartition("/")[2] in {*LISTS, "tasks", "prompts", "completions"}]
    assert len(asked) == 8
    for path in asked:
        take = described["paths"][path]["get"]
        assert {"cursor", "limit"} <= {given["name"] for given in take["parameters"]}, path
        schema = take["responses"]["200"]["content"]["application/json"]["schema"]
        page = described["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        assert "next" in page["required"], path
