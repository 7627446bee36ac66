"""A live chat from the page that makes the project to the file, by the page's own forms without scripts: project →
conversation → stored body → preference → frozen record → export, what a reward model reads of it, and import."""

import re
from collections import Counter
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import orjson
from pydantic import TypeAdapter
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.annotations.jobs import TurnAsked
from app.annotations.kinds import read_kept
from app.annotations.tables import Annotation
from app.checkpoints.tables import Place
from app.datasets.importing import import_dataset
from app.datasets.records import ComparisonRecord, DatasetRecord
from app.datasets.rules import Form, rewritten, sha256_of
from app.projects.tables import Project
from app.settings import get_settings
from app.tasks.actions import ask_about_prompts
from tests import make
from tests.app.annotations.test_conversations import Here
from tests.app.datasets.test_freezing import frozen
from tests.app.projects.test_sitting import fields
from tests.conftest import sign_in
from tests.endpoint import endpoint
from tests.journeys.chain import exported
from tests.journeys.test_presets import PROMPT, Answering
from tests.queue import waiting
from workers.handlers.conversations import answer_turn
from workers.training.lines import read_records

READER: TypeAdapter[Any] = TypeAdapter(DatasetRecord)
HIDDEN = re.compile(r'<input type="hidden" name="([^"]+)" value="([^"]*)"')


async def drawn(client: httpx.AsyncClient, project: Project) -> str:
    return (await client.get(f"/projects/{project.public_id}/annotate")).text


async def post(client: httpx.AsyncClient, address: str, said: dict[str, Any]) -> None:
    answer = await client.post(address, data=said)
    assert answer.status_code == 303, answer.text  # back to the whole page


async def led(client: httpx.AsyncClient, session: AsyncSession, project: Project, words: str, best: int) -> None:
    """One turn: written, answered, every answer rated, the one at `best` highest."""
    html = await drawn(client, project)
    address = re.search(r'formaction="([^"]+/turns)"', html)
    assert address, html
    await post(client, address[1], dict(HIDDEN.findall(html)) | {"words": words})
    assert "being written" in await drawn(client, project)
    job = TurnAsked.model_validate((await waiting(session, "TurnAsked"))[-1])
    await answer_turn(job, Here(get_settings(), held=session))
    html = await drawn(client, project)
    form = re.search(
        r'<form method="post" action="([^"]+)" autocomplete="off" class="judge choices"(.*?)</form>', html, re.DOTALL
    )
    assert form, html
    names = re.findall(r'type="number" name="(value\.[^"]+)"', form[2])
    scores = {name: str(95 if place == best else 30 + place) for place, name in enumerate(names)}
    await post(client, form[1], dict(HIDDEN.findall(form[2])) | scores)


async def test_prism_is_a_live_chat_from_the_first_page_to_the_file(
    client: httpx.AsyncClient, session: AsyncSession, tmp_path: Path
) -> None:
    await sign_in(client, session, await make.user(session, is_admin=True))
    sent = fields((await client.get("/projects/new?purpose=prism")).text)
    made = await client.post("/projects", data=sent, files={"prompts_file": ("p.jsonl", PROMPT)})
    assert made.status_code == 303, made.text
    project = (await session.scalars(select(Project))).one()
    async with endpoint("North") as north, endpoint("South") as south:
        for served in (north, south):
            values = {"place": Place.endpoint, "location": served.address, "revision": "m", "project_id": project.id}
            await make.checkpoint(session, name=served.name, **values)
        assert await ask_about_prompts(session, project.id) > 0
        await led(client, session, project, "What is tea good for?", best=2)
        await led(client, session, project, "And at night?", best=1)
    html = await drawn(client, project)
    assert "And at night?" in html
    filled = Answering(html)
    answer = await client.post(filled.address, data=filled.said)
    assert answer.status_code == 200, answer.text

    stored = (await session.scalars(select(Annotation))).one()
    assert read_kept(stored.body).model_dump(mode="json") == stored.body
    chat, closing = stored.body["parts"]
    assert [len(turn["replies"]) for turn in chat["turns"]] == [4, 2]
    assert len({reply["checkpoint"] for reply in chat["turns"][0]["replies"]}) == 2
    assert len({reply["checkpoint"] for reply in chat["turns"][1]["replies"]}) == 1  # the winner alone
    assert closing["task"]["helpfulness"] == 61

    dataset, lines = await frozen(session, project, tmp_path)
    assert [line["kind"] for line in lines] == ["rating", "ranking", "rating", "comparison", "questions"]
    assert [orjson.loads(READER.validate_python(line).model_dump_json(exclude_unset=True)) for line in lines] == lines
    file = tmp_path / "datasets" / str(dataset.sha256) / "records.jsonl"
    pairs = [orjson.loads(one) for one in b"".join(rewritten(file, sha256_of(file), Form.trl)).splitlines()]
    assert len(pairs) == 6 + 1
    assert [turn["content"] for turn in pairs[-1]["prompt"]][::2] == ["What is tea good for?", "And at night?"]
    others: Counter[str] = Counter()
    (read,) = read_records(file, [ComparisonRecord], others)
    assert read.votes[0].strength == 95 - 30
    assert others == {"rating": 2, "ranking": 1, "questions": 1}

    fresh = await make.project(session)
    report = await import_dataset(session, fresh.id, "moved.jsonl", BytesIO(exported(tmp_path, dataset)), None)
    assert (report.new, report.refused) == (4, 1)  # what follows from two scores says more than a comparison can
    assert [(line.line, line.outcome) for line in report.lines] == [(4, "refused")]
    _dataset, back = await frozen(session, fresh, tmp_path)
    assert [line["kind"] for line in back] == ["rating", "ranking", "rating", "questions"]
    for before, after in zip([*lines[:3], lines[4]], back, strict=True):
        kept = ("kind", "prompt", "votes", "criteria", "questions")
        assert {name: before.get(name) for name in kept} == {name: after.get(name) for name in kept}
        parts = [[answer["parts"] for answer in line["answers"]] for line in (before, after)]
        assert parts[0] == parts[1]
