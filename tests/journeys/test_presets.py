"""Every preset from the page that makes the project to the file: project → first task on the page → stored body →
frozen record → export, native and as TRL takes it → read back equal; what imports exist take it in again, equal."""

from html.parser import HTMLParser
from io import BytesIO
from typing import Any

import httpx
import orjson
import pytest
from pydantic import TypeAdapter
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.annotations.kinds import read_kept
from app.annotations.tables import Annotation
from app.completions.actions import import_completions
from app.completions.tables import Completion
from app.datasets.records import DatasetRecord
from app.projects.presets import PRESETS
from app.projects.protocols import CombinedProtocol
from app.projects.queries import default_batch
from app.projects.tables import Project
from app.prompts.actions import import_prompts
from app.prompts.tables import Prompt
from app.settings import get_settings
from app.tasks.actions import make_tasks
from tests import make
from tests.app.datasets.test_freezing import frozen
from tests.app.projects.test_sitting import fields
from tests.conftest import sign_in

PROMPT = b'{"id": "sea", "prompt": "What is the sea?"}\n'
TEXTS = ("Salt and water.", "A large lake.", "The sea is wide and blue.", "I do not know.")
ANSWERS = b"".join(orjson.dumps({"prompt_id": "sea", "text": text}) + b"\n" for text in TEXTS)
READER: TypeAdapter[Any] = TypeAdapter(DatasetRecord)
RECORDS = {"comparison": "comparison", "ranking": "ranking", "rating": "rating"}  # what a task of two yields


class Answering(HTMLParser):
    """Fills in the page's form as somebody in a hurry: the first choice of everything, places from top to bottom."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.address, self.is_inside = "", False
        self.said: dict[str, list[str]] = {}
        self.place = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        name = given.get("name", "")
        if tag == "form":
            self.is_inside = "data-choices" in given
            self.address = given["action"] if self.is_inside else self.address
        if not self.is_inside or not name:
            return
        if tag == "select":
            place = str(sum(field.startswith(name.rpartition(".")[0]) for field in self.said) + 1)
            self.said[name] = [place]
        elif (tag == "button" and name == "choice") or given.get("type") == "radio":
            self.said.setdefault(name, [given["value"]])
        elif given.get("type") == "hidden":
            self.said.setdefault(name, []).append(given.get("value", ""))
        elif given.get("type") == "number":
            self.said[name] = ["61"]

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self.is_inside = False


async def begun(client: httpx.AsyncClient, session: AsyncSession, key: str) -> Project:
    """A project made on the page, with one task."""
    await sign_in(client, session, await make.user(session, is_admin=True))
    sent = fields((await client.get(f"/projects/new?purpose={key}")).text)
    files = {"prompts_file": ("p.jsonl", PROMPT), "answers_file": ("a.jsonl", ANSWERS)}
    made = await client.post("/projects", data=sent, files=files)
    assert made.status_code == 303, made.text
    project = (await session.scalars(select(Project))).one()
    prompt = (await session.scalars(select(Prompt))).one()
    prompt.use = "label"  # whichever side the split drew
    batch = await default_batch(session, project.id)
    assert await make_tasks(session, project.id, batch.id, [prompt.id]) >= 1
    return project


LIVE = ("prism",)  # their tasks are conversations: see test_conversation.py


@pytest.mark.parametrize("key", [key for key in PRESETS if key not in LIVE])
async def test_from_the_first_page_to_the_file_and_back(
    client: httpx.AsyncClient, session: AsyncSession, key: str
) -> None:
    project = await begun(client, session, key)
    preset = PRESETS[key]
    filled = Answering((await client.get(f"/projects/{project.public_id}/annotate")).text)
    answer = await client.post(filled.address, data=filled.said, headers={"HX-Request": "true"})
    assert answer.status_code == 200, answer.text

    stored = (await session.scalars(select(Annotation))).one()
    assert stored.kind == preset.protocol.kind
    assert read_kept(stored.body).model_dump(mode="json") == stored.body

    dataset, lines = await frozen(session, project, get_settings().home)
    parts = preset.protocol.parts if isinstance(preset.protocol, CombinedProtocol) else (preset.protocol,)
    assert sorted(line["kind"] for line in lines) == sorted(RECORDS[part.kind] for part in parts)

    exported = await client.get(f"/api/v1/datasets/{dataset.public_id}/records")
    assert exported.status_code == 200, exported.text
    native = [orjson.loads(line) for line in exported.content.splitlines()]
    assert native == lines
    assert [orjson.loads(READER.validate_python(line).model_dump_json(exclude_unset=True)) for line in native] == native
    pairs = await client.get(f"/api/v1/datasets/{dataset.public_id}/records?form=trl")
    taken = [orjson.loads(line) for line in pairs.content.splitlines()]
    shown = preset.protocol.completions or 0
    ranked = shown * (shown - 1) // 2 if any(part.kind == "ranking" for part in parts) else 0
    assert len(taken) == ranked + sum(part.kind == "comparison" for part in parts)
    assert all({"prompt", "chosen", "rejected", "margin", "group"} == set(pair) for pair in taken)
    await brought_back(session, native[0])


async def brought_back(session: AsyncSession, line: dict[str, Any]) -> None:
    """Prompts and completions have an import: a line's own come in again with the content they had."""
    other = await make.project(session)
    prompt = {"id": line["id"], "messages": line["prompt"], "use": "label"}
    assert (await import_prompts(session, other.id, "p", BytesIO(orjson.dumps(prompt)), None)).new == 1
    answers = line.get("answers") or [line["a"], line["b"]]
    told = [orjson.dumps({"prompt_id": line["id"], "parts": answer["parts"]}) for answer in answers]
    assert (await import_completions(session, other.id, "a", BytesIO(b"\n".join(told)), None)).new == len(answers)
    here = (await session.scalars(select(Prompt).where(Prompt.project_id == other.id))).one()
    assert here.messages == line["prompt"]
    texts = await session.scalars(select(Completion.parts).where(Completion.project_id == other.id))
    assert sorted(part["text"] for parts in texts for part in parts) == sorted(
        part["text"] for answer in answers for part in answer["parts"]
    )
