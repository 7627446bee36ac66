import io
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app import lines
from app.accounts.permissions import Role
from app.checkpoints.tables import CheckpointKind
from app.completions.actions import import_completions, importing
from app.completions.tables import Completion, Flaw
from app.prompts.actions import import_prompts
from tests import make
from tests.conftest import sign_in
from tests.queue import waiting

ALPACA = Path(__file__).parents[4] / "shared" / "data" / "alpaca_eval"


def jsonl(*rows: object) -> io.BytesIO:
    return io.BytesIO(b"\n".join(json.dumps(row).encode() for row in rows))


async def test_answers_find_their_prompts_and_every_line_is_told_of(session: AsyncSession) -> None:
    project = await make.project(session)
    prompt = await make.prompt(session, project, external_id="p-1")
    elsewhere = await make.prompt(session, await make.project(session), external_id="p-9")
    rows = [
        {"prompt_id": "p-1", "text": "Fold *it*.", "model": "somebody"},
        {"prompt_id": str(prompt.public_id), "completion": "Cut it."},
        {"prompt_id": "p-1", "text": "Fold *it*.", "model": "somebody"},
        {"prompt_id": "p-1", "text": "Fold *it*.", "model": "somebody else"},
        {"prompt_id": "p-9", "text": "x"},
        {"prompt_id": str(elsewhere.public_id), "text": "x"},
        {"prompt_id": "p-1", "text": " "},
        {"text": "x"},
        {"prompt_id": "p-1", "text": "sorry " * 100},
    ]
    report = await import_completions(session, project.id, "file", jsonl(*rows), None)
    assert report.sentence == "4 new, 1 identical, 0 conflicting, 4 refused"
    assert [(line.line, line.reason) for line in report.lines if line.reason] == [
        (5, "prompt_id: no prompt here is called “p-9”"),
        (6, f"prompt_id: no prompt here is called “{elsewhere.public_id}”"),
        (7, "text: it is empty"),
        (8, "prompt_id: it is missing"),
    ]
    stored = list(await session.scalars(select(Completion).order_by(Completion.id)))
    assert [row.author for row in stored] == ["somebody", None, "somebody else", None]
    assert "<em>it</em>" in stored[0].html
    assert stored[3].flaw is Flaw.degenerate
    assert [job["prompt_ids"] for job in await waiting(session, "CompletionsArrived")] == [[prompt.id]]


async def test_the_same_file_twice_and_a_dry_run_bring_nothing(session: AsyncSession) -> None:
    project = await make.project(session)
    await make.prompt(session, project, external_id="p-1")
    row = {"prompt_id": "p-1", "text": "Fold it."}
    dry = await import_completions(session, project.id, "file", jsonl(row), None, dry_run=True)
    assert (dry.new, await session.scalar(select(Completion.id))) == (1, None)
    await import_completions(session, project.id, "file", jsonl(row), None)
    again = await import_completions(session, project.id, "file", jsonl(row), None)
    assert again.sentence == "0 new, 1 identical, 0 conflicting, 0 refused"


@pytest.mark.skipif(not ALPACA.exists(), reason="real material: the folder ../shared is not here")
async def test_3218_real_answers_come_in(session: AsyncSession) -> None:
    project = await make.project(session)
    prompts, answers = (io.BytesIO((ALPACA / f"{name}.jsonl").read_bytes()) for name in ("prompts", "completions"))
    await import_prompts(session, project.id, "prompts", prompts, None)
    report = await import_completions(session, project.id, "file", answers, None)
    assert report.total == 3218
    assert report.new > 3000
    assert {line.reason for line in report.lines if line.outcome == "refused"} <= {"text: it is empty"}


async def test_no_transaction_is_open_while_a_file_of_answers_is_read(
    client: httpx.AsyncClient, session: AsyncSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = await engineer_of(session, client)
    await make.prompt(session, project, external_id="p-1")
    read, was_open = importing._read, []

    def noting(*given: Any) -> object:
        was_open.append(session.in_transaction())
        return read(*given)

    monkeypatch.setattr(importing, "_read", noting)
    monkeypatch.setattr(lines, "CHUNK", 2)
    sent = {"file": ("five.jsonl", jsonl(*[{"prompt_id": "p-1", "text": f"Fold {n}."} for n in range(5)]))}
    page = await client.post(f"/projects/{project.public_id}/completions/import", files=sent, data={"confirm": "1"})
    one = jsonl({"prompt_id": "p-1", "text": "Cut it."}).getvalue()
    rest = await client.post(f"/api/v1/projects/{project.public_id}/completions", content=one)
    assert (page.status_code, rest.json()["new"]) == (303, 1), (page.text, rest.text)
    assert was_open == [False] * 6
    assert len(list(await session.scalars(select(Completion)))) == 6


async def engineer_of(session: AsyncSession, client: httpx.AsyncClient, **values: object):
    person, project = await make.user(session), await make.project(session, **values)
    await make.member(session, project, person, Role.engineer)
    await sign_in(client, session, person)
    return project


async def test_generations_and_completions_over_rest(client: httpx.AsyncClient, session: AsyncSession) -> None:
    checkpoint = await make.checkpoint(session)
    project = await engineer_of(session, client, checkpoint_id=checkpoint.id)
    prompt = await make.prompt(session, project)
    base = f"/api/v1/projects/{project.public_id}"
    body = {"prompts": [str(prompt.public_id)], "n": 3, "seed": 4, "sampling": {"temperature": 0.7}}
    asked = await client.post(f"{base}/generations", json=body)
    assert (asked.status_code, asked.json()["wanted"], asked.json()["state"]) == (202, 3, "waiting")
    assert asked.json()["checkpoint"] == str(checkpoint.public_id)
    one = await client.get(f"/api/v1/generations/{asked.json()['id']}")
    assert one.json() == asked.json()
    stopped = await client.post(f"/api/v1/generations/{asked.json()['id']}/cancel")
    assert stopped.json()["state"] == "cancelled"
    assert len((await client.get(f"{base}/generations")).json()["rows"]) == 1
    line = json.dumps({"prompt_id": str(prompt.public_id), "text": "Mine", "model": "me"})
    assert (await client.post(f"{base}/completions", content=line)).json()["new"] == 1
    listed = (await client.get(f"{base}/completions", params={"prompt": str(prompt.public_id)})).json()["rows"]
    assert [(row["author"], row["parts"][0]["text"]) for row in listed] == [("me", "Mine")]
    assert (await client.get(f"/api/v1/completions/{listed[0]['id']}")).json() == listed[0]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"n": 0}, "n"),
        ({"n": "two"}, "n"),
        ({"sampling": {"temperature": -1}}, "sampling.temperature"),
        ({"sampling": {"heat": 1}}, "sampling.heat"),
        ({"surprise": 1}, "surprise"),
        ({"use": "everything"}, "use"),
        ({"seed": -1}, "seed"),
    ],
)
async def test_a_bad_request_is_refused_by_the_name_of_its_field(
    client: httpx.AsyncClient, session: AsyncSession, body: dict, field: str
) -> None:
    project = await engineer_of(session, client)
    answer = await client.post(f"/api/v1/projects/{project.public_id}/generations", json=body)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)


async def test_a_reward_checkpoint_or_none_at_all_is_told_in_a_sentence(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    project = await engineer_of(session, client)
    await make.prompt(session, project)
    address = f"/api/v1/projects/{project.public_id}/generations"
    none = await client.post(address, json={})
    assert (none.status_code, none.json()["title"]) == (
        422, "checkpoint: none answers for this project yet; choose one",
    )  # fmt: skip
    reward = await make.checkpoint(session, CheckpointKind.reward)
    scoring = await client.post(address, json={"checkpoint": str(reward.public_id)})
    assert scoring.status_code == 409


async def test_the_pages_ask_show_progress_and_import(client: httpx.AsyncClient, session: AsyncSession) -> None:
    checkpoint = await make.checkpoint(session, name="Sage")
    project = await engineer_of(session, client, checkpoint_id=checkpoint.id)
    base = f"/projects/{project.public_id}/completions"
    empty = await client.post(base, data={"checkpoint": str(checkpoint.public_id)})
    assert empty.status_code == 422
    assert "No prompt is in use for that" in empty.text
    prompt = await make.prompt(session, project, external_id="p-1", tags=["sea"])
    assert "sea" in (await client.get(f"{base}/new")).text
    sent = {"checkpoint": str(checkpoint.public_id), "n": "2", "most": "5", "tags": "sea", "sampling.top_p": "0.9"}
    asked = await client.post(base, data=sent)
    assert asked.status_code == 303
    page = (await client.get(asked.headers["Location"])).text
    assert "top-p 0.9" in page
    assert "0 of 2" in page
    assert "Sage" in (await client.get(base)).text
    files = {"file": ("a.jsonl", json.dumps({"prompt_id": "p-1", "text": "Mine"}).encode())}
    assert "Import 1 answer" in (await client.post(f"{base}/import", files=files)).text
    assert (await client.post(f"{base}/import", files=files, data={"confirm": "yes"})).status_code == 303
    assert "Mine" in (await client.get(f"/prompts/{prompt.public_id}")).text
