import json

import httpx
import pytest
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.permissions import Role
from app.projects.tables import Project
from app.prompts.tables import Prompt, Use
from tests import make
from tests.conftest import sign_in
from tests.queue import waiting


async def engineer_of(session: AsyncSession, client: httpx.AsyncClient) -> Project:
    person, project = await make.user(session), await make.project(session)
    await make.member(session, project, person, Role.engineer)
    await sign_in(client, session, person)
    return project


def file_of(*rows: object) -> dict:
    content = "\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows)
    return {"file": ("mine.jsonl", content.encode())}


async def count(session: AsyncSession) -> int:
    return await session.scalar(select(func.count()).select_from(Prompt)) or 0


async def test_a_file_is_shown_as_a_report_before_anything_comes_in(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    project = await engineer_of(session, client)
    address = f"/projects/{project.public_id}/prompts/import"
    files = file_of({"prompt": "One good prompt"}, '{"prompt": ', {"prompt": "Another about boats"})
    preview = await client.post(address, files=files)
    assert "Import 2 prompts" in preview.text
    assert "is the file cut off?" in preview.text
    assert await count(session) == 0
    done = await client.post(address, files=files, data={"confirm": "yes", "tags": "first, try"})
    assert done.status_code == 303
    assert await count(session) == 2
    assert (await session.scalars(select(Prompt.tags))).all() == [["first", "try"]] * 2
    report = await client.get(done.headers["Location"])
    assert "2 new, 0 identical, 0 conflicting, 1 refused" in report.text


async def test_no_file_is_told_so(client: httpx.AsyncClient, session: AsyncSession) -> None:
    project = await engineer_of(session, client)
    answer = await client.post(f"/projects/{project.public_id}/prompts/import", files={"file": ("", b"")})
    assert answer.status_code == 422


async def test_prompts_are_found_by_words_use_and_tag_and_pages_follow_each_other(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    project = await engineer_of(session, client)
    await make.prompt(session, project, "How do whales sing?", tags=["sea"])
    await make.prompt(session, project, "100% of owls", use=Use.heldout)
    base = f"/projects/{project.public_id}/prompts"
    assert "whales" in (await client.get(base, params={"words": "WHALES sing"})).text
    assert "whales" not in (await client.get(base, params={"use": "heldout"})).text
    assert "owls" not in (await client.get(base, params={"tag": "sea"})).text
    assert "whales" not in (await client.get(base, params={"words": "%"})).text
    for number in range(55):
        await make.prompt(session, project, f"Filler {number}")
    first = await client.get(f"/api/v1{base}", params={"limit": 50})
    second = await client.get(f"/api/v1{base}", params={"limit": 50, "cursor": first.json()["next"]})
    assert (len(first.json()["rows"]), len(second.json()["rows"]), second.json()["next"]) == (50, 7, None)


async def test_markup_in_a_prompt_stays_text(client: httpx.AsyncClient, session: AsyncSession) -> None:
    project = await engineer_of(session, client)
    line = json.dumps({"prompt": "<script>alert(1)</script> **bold**", "id": '"><img src=x>'})
    await client.post(f"/api/v1/projects/{project.public_id}/prompts", content=line)
    shown = await client.get(f"/projects/{project.public_id}/prompts")
    prompt = (await session.scalars(select(Prompt))).one()
    page = await client.get(f"/prompts/{prompt.public_id}")
    for text in (shown.text, page.text):
        assert "<script>alert" not in text
        assert "<img src=x" not in text
    assert "<strong>bold</strong>" in page.text


async def test_a_prompt_is_tagged_and_retired(client: httpx.AsyncClient, session: AsyncSession) -> None:
    project = await engineer_of(session, client)
    prompt = await make.prompt(session, project)
    address = f"/prompts/{prompt.public_id}"
    refused = await client.post(address, data={"tags": "fine, " + "t" * 101})
    assert refused.status_code == 422
    assert "at most 100 characters" in refused.text
    assert (await client.post(address, data={"tags": " a, b ,a"})).status_code == 303
    assert (await client.post(address, data={"retired": "true"})).status_code == 303
    prompt = (await session.scalars(select(Prompt))).one()
    assert (prompt.tags, prompt.retired_at is not None) == (["a", "b"], True)
    assert str(prompt.public_id) not in (await client.get(f"/projects/{project.public_id}/prompts")).text


async def test_ndjson_over_rest_is_reported_by_line_and_tells_later_chapters(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    project = await engineer_of(session, client)
    address = f"/api/v1/projects/{project.public_id}/prompts"
    content = b'{"prompt": "good", "use": "label"}\n{"prompt": "b\\u0000d"}\n'
    dry = await client.post(address, content=content, params={"dry_run": True})
    assert (dry.json()["new"], dry.json()["id"], await count(session)) == (1, None, 0)
    assert await waiting(session, "PromptsArrived") == []
    done = await client.post(address, content=content, params={"name": "mine"})
    assert (done.status_code, done.json()["new"], done.json()["refused"]) == (200, 1, 1)
    assert done.json()["lines"] == [
        {"line": 2, "outcome": "refused", "id": None, "reason": "prompt: character 2 (U+0000) cannot be stored"}
    ]
    assert await waiting(session, "PromptsArrived") == [{"project_id": project.id}]
    again = await client.get(f"/api/v1/projects/{project.public_id}/imports/{done.json()['id']}")
    assert again.json() == done.json()


@pytest.mark.parametrize(
    ("body", "field"),
    [({"tags": ["x"], "surprise": 1}, "surprise"), ({"tags": "x"}, "tags"), ({"retired": "soon"}, "retired")],
)
async def test_a_bad_edit_is_refused_by_the_name_of_its_field(
    client: httpx.AsyncClient, session: AsyncSession, body: dict, field: str
) -> None:
    project = await engineer_of(session, client)
    prompt = await make.prompt(session, project)
    answer = await client.patch(f"/api/v1/prompts/{prompt.public_id}", json=body)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)


async def test_prompts_of_other_projects_are_not_there(client: httpx.AsyncClient, session: AsyncSession) -> None:
    await engineer_of(session, client)
    other = await make.prompt(session, await make.project(session))
    assert (await client.get(f"/prompts/{other.public_id}")).status_code == 404
    assert (await client.get(f"/api/v1/prompts/{other.public_id}")).status_code == 404
