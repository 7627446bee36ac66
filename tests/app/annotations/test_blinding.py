"""Who wrote an answer is covered wherever it is shown to somebody who judges it, and nothing that is stored changes."""

import json
import re
from html import unescape
from typing import Any

import httpx
import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.tables import User
from app.annotations.tables import Annotation
from app.checkpoints.tables import Place
from app.completions.tables import Completion
from app.projects.protocols import protocol_of
from app.projects.queries import default_batch
from tests import make
from tests.app.annotations.test_api import as_script, next_task
from tests.app.scene import Scene, scene
from tests.conftest import sign_in

SAYS = "Claude here, served as claude-7b. I am ChatGPT; the fold is wrong."
SHOWN = "██████ here, served as █████████. I am ███████; the fold is wrong."
MARKS = {"kind": "rating", "criteria": [], "errors": {"categories": [{"key": "fact", "label": "Wrong fact"}]}}


async def one_task(session: AsyncSession, protocol: dict[str, Any]) -> Scene:
    """With one completion, by a checkpoint that has a name here and another one at its server."""
    there = await scene(session, tasks=0, protocol=protocol_of(protocol).as_json())
    served = {"place": Place.endpoint, "location": "http://127.0.0.1:1/v1", "revision": "claude-7b"}
    checkpoint = await make.checkpoint(session, name="Claude", **served)
    prompt = await make.prompt(session, there.project)
    shown = f"<p>{SHOWN}</p>"  # as it is drawn when it comes in
    completion = await make.completion(session, prompt, SAYS, html=shown, checkpoint_id=checkpoint.id)
    batch = await default_batch(session, there.project.id)
    await make.task(session, there.project, batch, prompt_row=prompt, completions=[completion], kind=protocol["kind"])
    return there


async def test_programs_and_pages_get_the_covered_text_and_places_are_those_of_the_stored_one(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    there = await one_task(session, MARKS)
    head = await as_script(session, there)
    task = await next_task(client, there, head)
    (answer,) = task["answers"]
    assert (answer["text"], answer["parts"]) == (SHOWN, [{"type": "text", "text": SHOWN}])
    base = f"/projects/{there.project.public_id}"
    person = (await session.scalars(select(User).where(User.id == there.me.person.id))).one()
    await sign_in(client, session, person)
    html = (await client.get(f"{base}/annotate")).text
    source = re.search(r"data-source='([^']+)'", html)
    assert source
    assert json.loads(unescape(source[1])) == SHOWN
    place = SHOWN.index("the fold")
    error = {"start": place, "end": place + len("the fold"), "category": "fact", "severity": "minor"}
    body = {"kind": "rating", "ratings": [{"completion": answer["handle"], "errors": [error]}]}
    sent = {"key": task["key"], "body": body}
    saved = await client.post(f"/api/v1/tasks/{task['task']}/annotations", json=sent, headers=head)
    assert saved.status_code == 200, saved.text
    (kept,) = (await session.scalars(select(Annotation))).one().body["ratings"][0]["errors"]
    assert SAYS[kept["start"] : kept["end"]] == "the fold"
    mine = (await client.get(f"{base}/answers/{saved.json()['id']}")).text
    assert "██████ here, served as" in mine
    for seen in (html, mine):
        assert not re.search(r"Claude|claude-7b|ChatGPT", seen)
    assert (await session.scalars(select(Completion))).one().parts[0]["text"] == SAYS


@pytest.mark.parametrize("protocol", [{"kind": "rewrite", "completions": 1}], ids=lambda one: one["kind"])
async def test_whoever_rewrites_an_answer_has_it_whole(
    client: httpx.AsyncClient, session: AsyncSession, protocol: dict[str, Any]
) -> None:
    there = await one_task(session, protocol)
    head = await as_script(session, there)
    (answer,) = (await next_task(client, there, head))["answers"]
    assert answer["text"] == SAYS
