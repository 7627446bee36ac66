"""Every kind from the page to a batch, and through export and import back: the browser's form without scripts and a
program's JSON → stored body → preference → record → reward model's batch → a project of its own, equal."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.tables import User
from app.annotations.actions import settle_prompt
from app.annotations.tables import Annotation
from app.datasets.actions import NothingToFreeze
from app.datasets.rules import Form, left_out_of
from app.projects.protocols import protocol_of
from app.prompts.tables import Prompt
from app.tasks.actions import ask_about_prompts
from tests import make
from tests.app.datasets.scene import Lines, frozen
from tests.app.scene import Scene, scene
from tests.conftest import sign_in
from tests.journeys.chain import Batched, check_batch, check_records, check_return, exported
from tests.journeys.saying import PROTOCOLS, REWRITTEN, body_for, fields_for
from tests.queue import waiting
from workers.training.checkpoints import Opened

PEOPLE = 3  # the first two by the page, the third by REST; all say the same
YIELDS = {  # kinds of lines; where each person's is a line of its own, of all of them
    "best": ["choice"],
    "best_and_worst": ["choice"],
    "spans": ["rating"],
    "rewrite": ["comparison", "demonstration"] * PEOPLE,
    "demonstration": ["demonstration"] * PEOPLE,
    "combined": ["ranking", "rating"],
    "combined_texts": ["comparison", *["comparison", "demonstration"] * PEOPLE],
}
PAIRS = {  # places of the better and the worse answer, 0 = best, that the agreeing people say
    "comparison": [(0, 1)],
    "best": [(0, 1), (0, 2)],
    "best_and_worst": [(0, 1), (0, 2), (0, 3), (1, 3), (2, 3)],
    "ranking": [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)],
    "combined": [(0, 1), (0, 2), (1, 2)],
}


def ranked(numbers: list[int]) -> Batched:
    """Everybody says the same order of all."""
    return Batched(groups=1, orders={("order", tuple((number,) for number in numbers)): PEOPLE})


def rated(numbers: list[int]) -> Batched:
    """Quality 7, 6 … of 1 to 7 is level 6, 5 … from 0; the rule holds, level 1 of no and yes. Two criteria of one
    answer weigh half a vote each."""
    quality = {(number, "quality", 6.0 - place, 0.5): PEOPLE for place, number in enumerate(numbers)}
    return Batched(groups=1, grades=quality | {(number, "rule", 1.0, 0.5): PEOPLE for number in numbers})


# By name: what a reward model is taught. numbers: of the completions in their task, the best first.
BATCHES: dict[str, Callable[[list[int]], Batched]] = {
    # strength 3 of 3 levels weighs 2 · 3 / (3 + 1) = 1.5, three times
    "comparison": lambda numbers: Batched(1, ((3, 0, 0), (0, 3, 0))[numbers[0]], 4.5),
    "best": lambda numbers: Batched(groups=1, orders={("best", ((numbers[0],), tuple(sorted(numbers[1:])))): PEOPLE}),
    "best_and_worst": lambda numbers: Batched(
        groups=1,
        orders={("both", ((numbers[0],), tuple(sorted(numbers[1:-1])), (numbers[-1],))): PEOPLE},
    ),
    "ranking": ranked,
    "rating": rated,
    # errors are marked, and nothing is asked that has a level
    "spans": lambda numbers: Batched(left_out={"ratings_without_votes": 1}),
    "questions": lambda numbers: Batched(),
    # a rewrite has one strength of one, 2 · 1 / (1 + 1) = 1, and stands first in its pair
    "rewrite": lambda numbers: Batched(3, (3, 0, 0), 3.0),
    "demonstration": lambda numbers: Batched(),
    "combined": lambda numbers: Batched(groups=2, orders=ranked(numbers).orders, grades=rated(numbers).grades),
    "combined_texts": lambda numbers: Batched(4, ((6, 0, 0), (3, 3, 0))[numbers[0]], 7.5),
}


async def asked(session: AsyncSession, protocol: dict[str, Any], shows: int, people: int = PEOPLE) -> Scene:
    """One task, of completions or of a prompt alone."""
    tasks = 1 if shows else 0
    there = await scene(session, people=people, tasks=tasks, k=people, shows=shows, protocol=protocol)
    if not shows:
        await make.prompt(session, there.project)
        assert await ask_about_prompts(session, there.project.id)
    return there


async def taken(client: httpx.AsyncClient, session: AsyncSession, there: Scene, person: User) -> tuple[Any, Any]:
    """A task by REST, and the head that its taker sends."""
    head = {"Authorization": f"Bearer {await make.api_token(session, person)}"}
    given = await client.post(f"/api/v1/projects/{there.project.public_id}/tasks/next", headers=head)
    assert given.status_code == 200, given.text
    return given.json(), head


async def judged(client: httpx.AsyncClient, session: AsyncSession, name: str) -> tuple[Scene, list[str]]:
    """Everybody sees the one task: two send the page's own form, the third a program's JSON. The texts, best first, as
    all of them say."""
    shows, protocol = PROTOCOLS[name]
    made = protocol_of(protocol).as_json()
    there = await asked(session, made, shows)
    texts: list[str] = []
    for number, access in enumerate(there.people):
        person = (await session.scalars(select(User).where(User.id == access.person.id))).one()
        task, head = await taken(client, session, there, person)
        by_text = {one["text"]: one["handle"] for one in task["answers"]}
        texts = texts or list(by_text)
        handles = [by_text[text] for text in texts]  # all like the same ones
        if number == PEOPLE - 1:
            sent = {"key": task["key"], "body": body_for(name, handles)}
            response = await client.post(f"/api/v1/tasks/{task['task']}/annotations", json=sent, headers=head)
        else:
            response = await by_page(client, session, there, person, name, handles)
        assert response.status_code == 200, response.text
    return there, texts


async def by_page(
    client: httpx.AsyncClient, session: AsyncSession, there: Scene, person: User, name: str, handles: list[str]
) -> httpx.Response:
    """The page's own form, every field of which is there without scripts."""
    await sign_in(client, session, person)
    html = (await client.get(f"/projects/{there.project.public_id}/annotate")).text
    assert set(re.findall(r'data-answer="([^"]+)"', html)) == set(handles)
    address = re.search(r'action="([^"]+)" data-choices', html)
    hidden = dict(re.findall(r'<input type="hidden" name="(key|kind)" value="([^"]+)">', html))
    assert address
    said = hidden | {"seen": "1"} | fields_for(name, handles, html)
    assert said.keys() - {"seen"} <= set(re.findall(r'name="([^"]+)"', html))
    response = await client.post(address[1], data=said, headers={"HX-Request": "true"})
    client.cookies.clear()
    return response


@pytest.mark.parametrize("name", PROTOCOLS)
async def test_from_the_page_to_a_batch_and_back(
    client: httpx.AsyncClient, session: AsyncSession, tmp_path: Path, opened: Opened, name: str
) -> None:
    there, texts = await judged(client, session, name)
    protocol = PROTOCOLS[name][1]
    kept = (await session.scalars(select(Annotation))).all()
    assert [one.kind for one in kept] == [protocol.get("kind", "comparison")] * PEOPLE
    assert all(one.body == kept[0].body for one in kept), "the page and a program leave the same behind"

    dataset, lines = await frozen(session, there.project, tmp_path)
    assert sorted(line["kind"] for line in lines) == sorted(YIELDS.get(name, [name]))
    check_records(lines)
    assert len(dataset.manifest["counts"]["raters"]) == PEOPLE
    check_pairs(tmp_path, dataset, texts, name)

    check_batch(tmp_path, dataset, opened, BATCHES[name](numbers_of_texts(lines, texts)))
    await check_return(session, dataset, lines, tmp_path)


def numbers_of_texts(lines: Lines, texts: list[str]) -> list[int]:
    """Numbers of the completions in their task, the best first, as the first line that shows all of them has them."""
    telling = (line.get("answers") or [line["a"], line["b"]] for line in lines if "answers" in line or "a" in line)
    shown = next(telling, [])
    places = {answer["parts"][0]["text"]: number for number, answer in enumerate(shown)}
    return [places.get(text, -1) for text in texts]


def check_pairs(home: Path, dataset: Any, texts: list[str], name: str) -> None:
    """As TRL takes them: the pairs that everybody says, each with its whole margin."""
    pairs = [orjson.loads(line) for line in exported(home, dataset, Form.trl).splitlines()]
    left_out = left_out_of(Form.trl, dataset.manifest)
    assert left_out.keys() == set(YIELDS.get(name, [name])) & {"rating", "questions", "demonstration"}
    order = {text: place for place, text in enumerate([*texts, REWRITTEN])}
    found = [(order[pair["chosen"][0]["content"]], order[pair["rejected"][0]["content"]]) for pair in pairs]
    rewritten = [(PROTOCOLS[name][0], 0)] * PEOPLE if name in ("rewrite", "combined_texts") else []
    said = PAIRS["comparison"] if name == "combined_texts" else PAIRS.get(name, [])
    assert sorted(found) == sorted(said + rewritten)
    assert {pair["margin"] for pair in pairs} <= {1.0}


async def test_a_written_prompt_becomes_a_prompt_and_no_record(
    client: httpx.AsyncClient, session: AsyncSession, tmp_path: Path
) -> None:
    there = await asked(session, protocol_of({"kind": "prompt"}).as_json(), 0, people=1)
    person = (await session.scalars(select(User).where(User.id == there.me.person.id))).one()
    task, head = await taken(client, session, there, person)
    text = "How do I fold a paper crane with wings that move?"
    sent = {"key": task["key"], "body": {"kind": "prompt", "text": text}}
    saved = await client.post(f"/api/v1/tasks/{task['task']}/annotations", json=sent, headers=head)
    assert saved.status_code == 200, saved.text
    (job,) = await waiting(session, "PromptWritten")
    await settle_prompt(session, job["annotation_id"])
    written = (await session.scalars(select(Prompt).where(Prompt.author_id == person.id))).one()
    assert written.messages[0]["parts"][0]["text"] == text
    with pytest.raises(NothingToFreeze):
        await frozen(session, there.project, tmp_path)
