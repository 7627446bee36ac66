"""What stands around a task over HTTP: texts as written, the length limit, blind names, and how long it took."""

from typing import Any

import httpx
import pytest
from sqlalchemy import text, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.annotations.rules import active_of, is_fast
from app.completions.tables import Completion
from app.markup import render_markdown
from app.projects.protocols import protocol_of
from app.wording import THIN
from tests import make
from tests.app.annotations.test_api import as_script, next_task
from tests.app.annotations.test_workspace import open_page, person_at, press
from tests.app.scene import Scene, scene
from tests.conftest import sign_in

INTRODUCED = "I am ChatGPT & *well*."


@pytest.fixture
async def there(session: AsyncSession, client: httpx.AsyncClient) -> Scene:
    made = await scene(session, people=2, tasks=3, k=2)
    await person_at(client, session, made)
    return made


async def test_texts_as_written_are_told_to_whom_the_task_was_shown_without_names(
    client: httpx.AsyncClient, session: AsyncSession, there: Scene
) -> None:
    page = await open_page(client, there)
    texts = (await client.get(f"{page.address}/source")).json()
    shown = (
        await session.execute(text("SELECT sides, task_id FROM slots WHERE shown_key = :key"), {"key": page.key})
    ).one()
    parts = await written(session, shown.task_id)
    assert texts == [texts[0], *(parts[number] for number in shown.sides)]
    await session.execute(update(Completion).values(parts=[{"type": "text", "text": INTRODUCED}]))
    assert (await client.get(f"{page.address}/source")).json()[1] == "I am █████ &amp; *well*."
    assert await written(session, shown.task_id) == [INTRODUCED] * 2  # what is stored stays
    await person_at(client, session, there, nth=1)
    assert (await client.get(f"{page.address}/source")).status_code == 404
    await press(client, await open_page(client, there), (await open_page(client, there)).choices[0])
    await person_at(client, session, there)
    assert (await client.get(f"{page.address}/source")).status_code == 200


async def shown_ago(session: AsyncSession, ago: str) -> None:
    """What somebody holds was shown to them so long ago."""
    changed = "UPDATE slots SET shown_at = now() - CAST(:ago AS interval) WHERE state = 1"
    await session.execute(text(changed), {"ago": ago})


async def written(session: AsyncSession, task_id: int) -> list[str]:
    asked = "SELECT c.parts->0->>'text' FROM task_completions t JOIN completions c ON c.id = t.completion_id"
    return list(await session.scalars(text(f"{asked} WHERE t.task_id = :task ORDER BY t.number"), {"task": task_id}))


async def test_only_the_answer_that_was_stopped_says_so(
    client: httpx.AsyncClient, session: AsyncSession, there: Scene
) -> None:
    await session.execute(text("UPDATE completions SET finish_reason = 'stop', token_count = 4711"))
    assert "length limit" not in (await open_page(client, there)).html
    first = "SELECT min(completion_id) FROM task_completions GROUP BY task_id"
    await session.execute(text(f"UPDATE completions SET finish_reason = 'length' WHERE id IN ({first})"))
    page = await open_page(client, there)
    assert page.html.count("Stopped at the length limit") == 1
    assert "4711" not in page.html


@pytest.mark.parametrize(("sent", "kept"), [("3.25", 3.25), ("9999", 60.0), ("-5", None), ("nan", None), ("", None)])
async def test_active_time_is_kept_as_far_as_it_can_be_believed(
    client: httpx.AsyncClient, session: AsyncSession, there: Scene, sent: str, kept: float | None
) -> None:
    page = await open_page(client, there)
    await shown_ago(session, "1 minute")
    assert (await press(client, page, page.choices[0], active=sent)).status_code == 200
    stored = (await session.scalars(text("SELECT active_seconds FROM annotations"))).all()
    assert stored == [kept if kept is None else pytest.approx(kept, abs=0.5)]
    engineer = await make.user(session, is_admin=True)
    await sign_in(client, session, engineer)
    everybodys = await client.get(f"/projects/{there.project.public_id}/annotations")
    assert (f"1{THIN}min" in everybodys.text) is (kept == 60.0)


def test_what_was_not_read_is_fast_however_long_it_stood_there() -> None:
    assert active_of(None, 60.0) is None
    assert (active_of(2.0, 60.0), active_of(90.0, 60.0), active_of(2.0, -1.0)) == (2.0, 60.0, 0.0)
    assert is_fast(active_of(2.0, 600.0) or 0, 12_000)


async def test_an_answer_that_waited_unread_is_marked(
    client: httpx.AsyncClient, session: AsyncSession, there: Scene
) -> None:
    await session.execute(text("UPDATE completions SET html = :html"), {"html": render_markdown("word " * 600)})
    page = await open_page(client, there)
    await shown_ago(session, "1 hour")
    await press(client, page, page.choices[0], active="1.5")
    page = await open_page(client, there)
    await shown_ago(session, "1 hour")
    shown = await press(client, page, page.choices[0], active="60")
    assert (await session.scalars(text("SELECT fast FROM annotations ORDER BY id"))).all() == [True, False]
    assert "fast" not in shown.text.lower()  # nobody is told while they work


CRITERIA: dict[str, Any] = {
    "criteria": [
        {"key": "helpful", "label": "Helpful"},
        {"key": "honest", "label": "Honest", "required": False},
        {"key": "rhyme", "label": "Rhymes", "tags": ["poem"]},
    ],
    "neither_valid": True,
}


async def test_sides_by_criterion_come_in_by_form_and_rest_and_go_out_again(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    made = await scene(session, tasks=3, protocol=protocol_of(CRITERIA).as_json())
    await person_at(client, session, made)
    page = await open_page(client, made)
    assert "checked" not in page.html  # nothing is preset
    assert "Rhymes" not in page.html  # the prompt is no poem
    choice = page.html.split('name="choice" value="')[1].split('"')[0]
    handle = choice.split(".")[0]
    refused = await press(client, page, choice)
    assert refused.status_code == 422
    assert "“Helpful” is still open" in refused.text
    assert (await press(client, page, choice, **{"side.helpful": handle, "side.honest": "equal"})).status_code == 200
    kept = (await session.scalars(text("SELECT body FROM annotations"))).one()
    assert kept["criteria"] == {"helpful": kept["preferred"], "honest": "equal"}
    back = await client.get(f"/projects/{made.project.public_id}/annotate/back", headers={"HX-Request": "true"})
    assert back.text.count("checked") == 3

    head = await as_script(session, made)
    task = await next_task(client, made, head)
    body = {"outcome": "neither_valid", "criteria": {"poetry": task["answers"][0]["handle"]}}
    address = f"/api/v1/tasks/{task['task']}/annotations"
    wrong = await client.post(address, json={"key": task["key"], "body": body}, headers=head)
    assert "does not ask for “poetry”" in wrong.text
    body = {"outcome": "neither_valid"}  # where there is no answer, none need be ahead
    assert (await client.post(address, json={"key": task["key"], "body": body}, headers=head)).status_code == 200
