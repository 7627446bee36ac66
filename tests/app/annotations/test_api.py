"""REST: a script or a judge as an annotator, and answers for those who may read them."""

import json
import time
from typing import Any
from uuid import uuid4

import httpx
import orjson
import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app import database
from app.accounts.permissions import Role
from app.accounts.tables import User
from app.annotations.api import lines
from app.annotations.tables import Annotation
from tests import make
from tests.app.scene import Scene, broken, claimed, let_leases_run_out, prefers, scene, sweep_all


@pytest.fixture
async def there(session: AsyncSession) -> Scene:
    return await scene(session, people=2, tasks=3, k=2)


async def as_script(session: AsyncSession, there: Scene, nth: int = 0, **values: Any) -> dict[str, str]:
    person = (await session.scalars(select(User).where(User.id == there.people[nth].person.id))).one()
    return {"Authorization": f"Bearer {await make.api_token(session, person, **values)}"}


async def next_task(client: httpx.AsyncClient, there: Scene, head: dict[str, str]) -> Any:
    response = await client.post(f"/api/v1/projects/{there.project.public_id}/tasks/next", headers=head)
    assert response.status_code == 200, response.text
    return response.json()


def preferring(task: Any, side: int = 0, **changed: Any) -> dict[str, Any]:
    body = {"outcome": "preferred", "preferred": task["answers"][side]["handle"], "strength": 2} | changed
    return {"key": task["key"], "body": body}


async def test_a_script_takes_tasks_and_answers_them_until_none_is_left(
    client: httpx.AsyncClient, session: AsyncSession, there: Scene
) -> None:
    head = await as_script(session, there)
    texts = {one.parts[0]["text"] for one in await session.scalars(select(_completion()))}
    for _ in range(3):
        task = await next_task(client, there, head)
        assert task == await next_task(client, there, head)  # asking again gives the same
        assert {one["text"] for one in task["answers"]} <= texts
        assert task["prompt"][0]["role"] == "user"
        assert (task["kind"], task["levels"], task["protocol"]["scale"]) == ("comparison", 3, 7)
        saved = await client.post(f"/api/v1/tasks/{task['task']}/annotations", json=preferring(task), headers=head)
        assert saved.status_code == 200, saved.text
        assert (saved.json()["version"], saved.json()["state"]) == (1, "live")
    nothing = await next_task(client, there, head)
    assert (nothing["task"], nothing["reason"]) == (None, "nothing_free")
    assert await broken(session) == {}


def _completion() -> Any:
    from app.completions.tables import Completion

    return Completion


async def test_sending_again_gives_the_same_response_and_another_body_is_409(
    client: httpx.AsyncClient, session: AsyncSession, there: Scene
) -> None:
    head = await as_script(session, there)
    task = await next_task(client, there, head)
    address = f"/api/v1/tasks/{task['task']}/annotations"
    first = await client.post(address, json=preferring(task), headers=head)
    again = await client.post(address, json=preferring(task), headers=head)
    assert (again.status_code, again.json()) == (200, first.json())
    other = await client.post(address, json=preferring(task, side=1), headers=head)
    assert (other.status_code, other.json()["type"]) == (409, "urn:hone:key-used")
    kept = (await session.scalars(select(Annotation))).one()
    assert kept.body["preferred"] == kept.sides[0]


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"colour": "red"}, "body.colour"),
        ({"outcome": "best"}, "body.outcome"),
        ({"strength": "2"}, "body.strength"),
        ({"strength": 2.5}, "body.strength"),
        ({"strength": 0}, "body.strength"),
        ({"strength": 4}, "strength"),
        ({"strength": None}, "`strength` must say"),
        ({"preferred": None}, "`preferred` must name"),
        ({"outcome": "tie"}, "no completion is preferred"),
        ({"outcome": "tie", "preferred": None}, "there is no strength"),
        ({"outcome": "neither_valid", "preferred": None, "strength": None}, "does not offer"),
        ({"preferred": "of-another-task"}, "not one of this task's answers"),
        ({"justification": "a\0b"}, "character 2"),
        ({"justification": "x" * 100_000}, "body.justification"),
        ({"flags": ["a"] * 100}, "body.flags"),
        ({"flags": "spam"}, "body.flags"),
        ({"kind": "ranking"}, "body.outcome"),
        ({"kind": "poem"}, "body.kind"),
    ],
)
async def test_what_makes_no_sense_is_422_and_named(
    client: httpx.AsyncClient, session: AsyncSession, there: Scene, changed: dict[str, Any], named: str
) -> None:
    head = await as_script(session, there)
    task = await next_task(client, there, head)
    address = f"/api/v1/tasks/{task['task']}/annotations"
    response = await client.post(address, json=preferring(task, **changed), headers=head)
    assert response.status_code == 422
    assert named in response.text
    assert not (await session.scalars(select(Annotation))).all()
    assert (await client.post(address, json=preferring(task), headers=head)).status_code == 200


DEEP = "[" * 10_000 + "]" * 10_000


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"justification": "x" * 20_000_000}, 413),
        ({"justification": "x" * 100_000}, 422),
        ({"outcome": orjson.Fragment(DEEP)}, 422),
    ],
    ids=["20 MB", "a hundred thousand letters", "ten thousand deep"],
)
async def test_what_is_far_too_large_is_refused_within_a_tenth_of_a_second(
    client: httpx.AsyncClient, session: AsyncSession, there: Scene, changed: dict[str, Any], status: int
) -> None:
    head = await as_script(session, there)
    task = await next_task(client, there, head)
    content, address = orjson.dumps(preferring(task, **changed)), f"/api/v1/tasks/{task['task']}/annotations"
    begun = time.process_time()  # the machine may have other things to do
    response = await client.post(address, content=content, headers=head | {"Content-Type": "application/json"})
    assert time.process_time() - begun < 0.1
    assert response.status_code == status, response.text[:500]
    assert not (await session.scalars(select(Annotation))).all()


@pytest.mark.parametrize(
    "raw",
    [
        '{"outcome": "preferred", "preferred": "%s", "strength": NaN}',
        '{"outcome": "preferred", "preferred": "%s", "strength": Infinity}',
        '{"outcome": "preferred", "preferred": "%s", "strength": 1, "justification": "\\ud800"}',
        '{"outcome": ' + "[" * 10_000 + "]" * 10_000 + ', "preferred": "%s"}',
    ],
    ids=["NaN", "Infinity", "half a letter", "ten thousand deep"],
)
async def test_json_that_only_half_exists_is_refused(
    client: httpx.AsyncClient, session: AsyncSession, there: Scene, raw: str
) -> None:
    head = await as_script(session, there) | {"Content-Type": "application/json"}
    task = await next_task(client, there, head)
    said = f'{{"key": "{task["key"]}", "body": {raw % task["answers"][0]["handle"]}}}'
    response = await client.post(f"/api/v1/tasks/{task['task']}/annotations", content=said, headers=head)
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    assert not (await session.scalars(select(Annotation))).all()


async def test_what_is_not_mine_is_404(client: httpx.AsyncClient, session: AsyncSession, there: Scene) -> None:
    mine, theirs = await as_script(session, there), await as_script(session, there, 1)
    task = await next_task(client, there, mine)
    elsewhere = await scene(session, people=1)
    outsider = await as_script(session, elsewhere)
    for address, head, key in (
        (task["task"], theirs, task["key"]),
        (task["task"], outsider, task["key"]),
        (str(uuid4()), mine, task["key"]),
        (task["task"], mine, str(uuid4())),
        ("no-id", mine, task["key"]),
    ):
        said = preferring(task) | {"key": key}
        response = await client.post(f"/api/v1/tasks/{address}/annotations", json=said, headers=head)
        assert response.status_code == 404, (address, response.text)


async def test_what_a_program_receives_never_tells_who_wrote_an_answer_or_why_it_is_asked(
    client: httpx.AsyncClient, session: AsyncSession, there: Scene
) -> None:
    checkpoint = await make.checkpoint(session, name="secret-policy")
    await session.execute(text("UPDATE completions SET checkpoint_id = :it, author = 'secret'"), {"it": checkpoint.id})
    await session.execute(text("UPDATE tasks SET purpose = 'gold'"))
    first = await claimed(session, there.people[1])
    from app.annotations.actions import submit

    await submit(session, there.project.id, there.people[1].person.id, first.task, first.key, prefers(first))
    completions = [str(one) for one in await session.scalars(text("SELECT public_id FROM completions"))]
    task = json.dumps(await next_task(client, there, await as_script(session, there)))
    for word in ("secret", "gold", "purpose", "checkpoint", str(checkpoint.public_id), *completions):
        assert word not in task


async def test_an_answer_is_changed_and_taken_back_by_its_author_only(
    client: httpx.AsyncClient, session: AsyncSession, there: Scene
) -> None:
    mine, theirs = await as_script(session, there), await as_script(session, there, 1)
    task = await next_task(client, there, mine)
    saved = (await client.post(f"/api/v1/tasks/{task['task']}/annotations", json=preferring(task), headers=mine)).json()
    address = f"/api/v1/annotations/{saved['id']}"
    change = {"version": 1, "body": {"outcome": "tie"}}
    assert (await client.put(address, json=change, headers=theirs)).status_code == 404
    assert (await client.put(address, json=change, headers=mine)).json()["version"] == 2
    late = await client.put(address, json={"version": 1, "body": {"outcome": "both_bad"}}, headers=mine)
    assert (late.status_code, late.json()["type"]) == (409, "urn:hone:edited-meanwhile")
    await session.execute(text("UPDATE annotations SET submitted_at = now() - interval '61 minutes'"))
    over = await client.put(address, json={"version": 2, "body": {"outcome": "both_bad"}}, headers=mine)
    assert (over.status_code, over.json()["type"]) == (409, "urn:hone:edit-window-over")
    await session.execute(text("UPDATE projects SET edit_minutes = 100"))
    assert (await client.delete(address, headers=theirs)).status_code == 404
    assert (await client.delete(address, headers=mine)).json()["state"] == "withdrawn"
    assert await session.scalar(text("SELECT count(*) FROM slots WHERE state = 0")) == 6
    assert (await next_task(client, there, mine))["task"] != task["task"]  # somebody else is asked
    assert await broken(session) == {}


async def test_a_late_answer_that_went_to_another_slot_is_edited_with_the_handles_it_was_shown_with(
    client: httpx.AsyncClient, session: AsyncSession, there: Scene
) -> None:
    mine, theirs = await as_script(session, there), await as_script(session, there, 1)
    task = await next_task(client, there, mine)
    await let_leases_run_out(session)
    await sweep_all(session)
    assert (await next_task(client, there, theirs))["task"] == task["task"]  # the other takes the slot that came free
    answered = await client.post(f"/api/v1/tasks/{task['task']}/annotations", json=preferring(task), headers=mine)
    saved, moved = answered.json(), text("SELECT a.slot_id <> l.slot_id FROM annotations a, lapses l")
    assert saved["state"] == "live"
    assert await session.scalar(moved)
    address = f"/api/v1/annotations/{saved['id']}"
    change = {"version": 1, "body": preferring(task, side=1)["body"]}
    foreign = {"version": 1, "body": preferring(await next_task(client, there, mine))["body"]}
    refused = await client.put(address, json=foreign, headers=mine)
    assert (refused.status_code, refused.json()["type"]) == (422, "urn:hone:not-one-of-these")
    changed = await client.put(address, json=change, headers=mine)
    assert (changed.status_code, changed.json().get("version")) == (200, 2), changed.text
    kept = (await session.scalars(select(Annotation))).one()
    assert kept.body["preferred"] == kept.sides[1]
    assert await broken(session) == {}


async def test_answers_are_read_under_pseudonyms_a_page_at_a_time_or_in_one_stream(
    client: httpx.AsyncClient, session: AsyncSession, there: Scene
) -> None:
    from app.annotations.actions import submit

    for _ in range(3):
        shown = await claimed(session, there.me)
        await submit(session, there.project.id, there.me.person.id, shown.task, shown.key, prefers(shown))
    engineer = await make.user(session, name="Emmy Engineer")
    await make.member(session, there.project, engineer, Role.engineer)
    head = {"Authorization": f"Bearer {await make.api_token(session, engineer)}"}
    address = f"/api/v1/projects/{there.project.public_id}/annotations"
    assert (await client.get(address, headers=await as_script(session, there))).status_code == 403
    page = (await client.get(address, params={"limit": 2}, headers=head)).json()
    rest = (await client.get(address, params={"limit": 2, "cursor": page["next"]}, headers=head)).json()
    found = page["annotations"] + rest["annotations"]
    assert (len(page["annotations"]), len(found), rest["next"]) == (2, 3, None)
    assert len({one["rater"] for one in found}) == 1
    for one in found:
        assert one["body"]["preferred"] == one["shown"][0]  # the completion's id, not its number
        assert (one["protocol"], one["guidelines"]) == (1, 1)
    person = there.me.person
    assert str(person.public_id) not in json.dumps(found)
    for wrong in ({"limit": -1}, {"limit": 10**9}, {"cursor": "made-up"}):
        assert (await client.get(address, params=wrong, headers=head)).status_code == 422


@pytest.mark.committed
async def test_the_stream_holds_one_moment(committed: str) -> None:
    from app.annotations.actions import submit

    async with database.transaction() as session:
        there = await scene(session, people=1, tasks=2)
        shown = await claimed(session, there.me)
        await submit(session, there.project.id, there.me.person.id, shown.task, shown.key, prefers(shown))
    told = [json.loads(line) async for line in lines(there.project.id)]
    assert [one["body"]["outcome"] for one in told] == ["preferred"]
    assert told[0]["body"]["preferred"] in told[0]["shown"]


async def test_a_reviewer_sets_an_answer_aside_and_its_slot_is_opened_anew(
    client: httpx.AsyncClient, session: AsyncSession, there: Scene
) -> None:
    mine = await as_script(session, there)
    task = await next_task(client, there, mine)
    saved = (await client.post(f"/api/v1/tasks/{task['task']}/annotations", json=preferring(task), headers=mine)).json()
    reviewer = await make.user(session)
    await make.member(session, there.project, reviewer, Role.reviewer)
    head = {"Authorization": f"Bearer {await make.api_token(session, reviewer)}"}
    address = f"/api/v1/annotations/{saved['id']}/set-aside"
    assert (await client.post(address, json={"reason": "careless"}, headers=mine)).status_code == 403
    assert (await client.post(address, json={"reason": ""}, headers=head)).status_code == 422
    assert (await client.post(address, json={"reason": "careless"}, headers=head)).json()["state"] == "set_aside"
    assert (await client.post(address, json={"reason": "careless"}, headers=head)).json()["state"] == "set_aside"
    row = (await session.scalars(select(Annotation).execution_options(populate_existing=True))).one()
    assert row.body["outcome"] == "preferred"  # the row stays
    assert (await next_task(client, there, await as_script(session, there, 1)))["task"] == task["task"]
    assert await broken(session) == {}


async def test_the_schemas_tell_a_judge_what_to_send(client: httpx.AsyncClient) -> None:
    schema = (await client.get("/api/v1/openapi.json")).json()
    body = schema["components"]["schemas"]["ComparisonBody"]["properties"]
    assert body["outcome"]["enum"] == ["preferred", "tie", "both_bad", "neither_valid"]
    assert "handle" in body["preferred"]["description"]
    task = schema["components"]["schemas"]["NextTask"]["properties"]
    assert {"task", "key", "answers", "prompt", "protocol", "levels"} <= set(task)


async def test_tasks_are_listed_changed_and_cancelled_by_those_who_run_the_project(
    client: httpx.AsyncClient, session: AsyncSession, there: Scene
) -> None:
    manager = await make.user(session)
    await make.member(session, there.project, manager, Role.manager)
    head = {"Authorization": f"Bearer {await make.api_token(session, manager)}"}
    address = f"/api/v1/projects/{there.project.public_id}/tasks"
    listed = (await client.get(address, params={"state": "open"}, headers=head)).json()["rows"]
    assert [(one["k"], one["answers"], one["free"]) for one in listed] == [(2, 0, 2)] * 3
    task = listed[0]["id"]
    assert (await client.put(f"/api/v1/tasks/{task}/k", json={"k": 3}, headers=head)).status_code == 204
    assert (await client.put(f"/api/v1/tasks/{task}/k", json={"k": 51}, headers=head)).status_code == 422
    assert (await client.post(f"/api/v1/tasks/{listed[1]['id']}/cancel", headers=head)).status_code == 204
    again = {one["id"]: one for one in (await client.get(address, headers=head)).json()["rows"]}
    assert (again[task]["k"], again[task]["free"]) == (3, 3)
    assert again[listed[1]["id"]]["state"] == "cancelled"
