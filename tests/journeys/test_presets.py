"""Every preset from the page that makes the project to a batch, and through export and import back: project → first
task on the page → stored body → frozen record → reward model's batch → export → a project of its own, equal."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import httpx
import orjson
import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.annotations.kinds import read_kept
from app.annotations.tables import Annotation
from app.projects.presets import PRESETS
from app.projects.protocols import CombinedProtocol
from app.projects.queries import default_batch
from app.projects.tables import Project
from app.prompts.tables import Prompt, Use
from app.settings import get_settings
from app.tasks.actions import make_tasks
from tests import make
from tests.app.datasets.scene import frozen
from tests.app.projects.test_sitting import fields
from tests.conftest import sign_in
from tests.journeys.chain import Batched, check_batch, check_records, check_return
from workers.training.checkpoints import Opened

PROMPT = b'{"id": "sea", "prompt": "What is the sea?"}\n'
TEXTS = ("Salt and water.", "A large lake.", "The sea is wide and blue.", "I do not know.")
ANSWERS = b"".join(orjson.dumps({"prompt_id": "sea", "text": text}) + b"\n" for text in TEXTS)
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
    prompt.use = Use.label  # whichever side the split drew
    batch = await default_batch(session, project.id)
    assert await make_tasks(session, project.id, batch.id, [prompt.id]) >= 1
    return project


LIVE = ("prism",)  # their tasks are conversations: see test_conversation.py


@pytest.mark.parametrize("key", [key for key in PRESETS if key not in LIVE])
async def test_from_the_first_page_to_a_batch_and_back(
    client: httpx.AsyncClient, session: AsyncSession, opened: Opened, key: str
) -> None:
    project = await begun(client, session, key)
    preset, home = PRESETS[key], get_settings().home
    filled = Answering((await client.get(f"/projects/{project.public_id}/annotate")).text)
    answer = await client.post(filled.address, data=filled.said, headers={"HX-Request": "true"})
    assert answer.status_code == 200, answer.text

    stored = (await session.scalars(select(Annotation))).one()
    assert stored.kind == preset.protocol.kind
    assert read_kept(stored.body).model_dump(mode="json") == stored.body

    dataset, lines = await frozen(session, project, home)
    parts = preset.protocol.parts if isinstance(preset.protocol, CombinedProtocol) else (preset.protocol,)
    assert sorted(line["kind"] for line in lines) == sorted(RECORDS[part.kind] for part in parts)
    check_records(lines)
    check_batch(home, dataset, opened, batched(stored.body, parts, WEIGHTS.get(key, 0.0)))

    response = await client.get(f"/api/v1/datasets/{dataset.public_id}/records")
    assert response.status_code == 200, response.text
    assert [orjson.loads(line) for line in response.content.splitlines()] == lines
    pairs = await client.get(f"/api/v1/datasets/{dataset.public_id}/records?form=trl")
    taken = [orjson.loads(line) for line in pairs.content.splitlines()]
    shown = preset.protocol.completions or 0
    ranked = shown * (shown - 1) // 2 if any(part.kind == "ranking" for part in parts) else 0
    assert len(taken) == ranked + sum(part.kind == "comparison" for part in parts)
    assert all({"prompt", "chosen", "rejected", "margin", "group"} == set(pair) for pair in taken)
    await check_return(session, dataset, lines, home)


def batched(body: dict[str, Any], parts: Sequence[Any], weight: float) -> Batched:
    """What the one person said, by the numbers of the completions in the task, as the page was filled in."""
    said = {part["kind"]: part for part in body.get("parts", [body])}
    sides, found = (0, 0, 0), Batched()
    if "comparison" in said:
        sides = ((1, 0, 0), (0, 1, 0))[said["comparison"]["preferred"]]
        found = replace(found, pairs=1)
    if "ranking" in said:
        tiers = tuple(map(tuple, said["ranking"]["tiers"]))
        found = replace(found, groups=1, orders={("order", tiers): 1})
    if "rating" in said:
        (criteria,) = (part.criteria for part in parts if part.kind == "rating")
        grades = dict.fromkeys(grades_of(said["rating"], {one.key: one for one in criteria}), 1)
        found = replace(found, groups=found.groups + 1, grades=grades)
    return replace(found, sides=sides, weight=weight)


def grades_of(rating: dict[str, Any], criteria: dict[str, Any]) -> Iterator[tuple[int, str, float, float]]:
    """All that is said of one answer weighs as one vote. Scales of at most eleven levels count them from 0."""
    for rated in rating["ratings"]:
        for key, value in rated["criteria"].items():
            assert criteria[key].most - criteria[key].least < 11, key
            level = float(value - criteria[key].least)
            yield rated["completion"], key, level, round(1 / len(rated["criteria"]), 6)


# A vote's weight in the loss, where there is a comparison: the strongest of l levels counts 2 l / (l + 1).
WEIGHTS = {
    "hh": 1.6,  # 4 levels
    "llama2": 1.6,
    "summarize": 1.6,
    "helpsteer2": 1.5,  # 3 levels
    "helpsteer3": 1.5,
    "sparrow": 1.0,  # 1 level
    "arena": 1.0,
}
