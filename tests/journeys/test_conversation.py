"""A live chat from the page that makes the project to the file, by the page's own forms without scripts: project →
conversation → stored body → preference → frozen record → reward model's batch → export → another project, equal."""

import re
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import orjson
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.annotations.actions import place_openings
from app.annotations.jobs import TurnAsked
from app.annotations.kinds import read_kept
from app.annotations.tables import Annotation
from app.checkpoints.tables import Checkpoint, Place
from app.datasets.rules import Form, rewritten, sha256_of
from app.projects.tables import Project
from app.settings import get_settings
from app.tasks.actions import ask_about_prompts
from tests import make
from tests.app.annotations.test_conversations import Here, talking
from tests.app.datasets.test_freezing import frozen
from tests.app.projects.test_sitting import fields
from tests.conftest import sign_in
from tests.endpoint import endpoint
from tests.journeys.chain import Batched, check_batch, check_records, check_return
from tests.journeys.test_presets import PROMPT, Answering
from tests.queue import waiting
from workers.handlers.conversations import answer_turn
from workers.training.checkpoints import Opened

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
    client: httpx.AsyncClient, session: AsyncSession, tmp_path: Path, opened: Opened
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

    await for_all(session)
    await place_openings(session, project.id)
    dataset, lines = await frozen(session, project, tmp_path)
    assert [line["kind"] for line in lines] == ["rating", "ranking", "rating", "comparison", "questions"]
    check_records(lines)
    file = tmp_path / "datasets" / str(dataset.sha256) / "records.jsonl"
    pairs = [orjson.loads(one) for one in b"".join(rewritten(file, sha256_of(file), Form.trl)).splitlines()]
    assert len(pairs) == 6 + 1
    assert [turn["content"] for turn in pairs[-1]["prompt"]][::2] == ["What is tea good for?", "And at night?"]
    votes = lines[3]["votes"]
    assert (votes[0]["strength"], votes[0]["levels"]) == (95 - 30, 99)

    check_batch(tmp_path, dataset, opened, taught(chat["turns"], lines[3]["conclusion"]))
    fresh = await check_return(session, dataset, lines, tmp_path, turns=True)
    await check_return(session, *(await frozen(session, fresh, tmp_path)), tmp_path)  # an import's own export as well


def taught(turns: list[dict[str, Any]], better: str) -> Batched:
    """Of both turns the scores, 1 to 100 as shares, and the order that they say: of four a ranking, of two a vote whose
    strength, 65 of 99 levels, weighs 2 · 65 / (99 + 1) = 1.3."""
    grades: Counter[tuple[int, str, float, float]] = Counter()
    for turn in turns:
        for rated in turn["said"]["ratings"]:
            grades[rated["completion"], "score", round((rated["criteria"]["score"] - 1) / 99, 6), 1.0] += 1
    first = {rated["completion"]: rated["criteria"]["score"] for rated in turns[0]["said"]["ratings"]}
    best_first = tuple((number,) for number in sorted(first, key=lambda number: -first[number]))
    side = {"a": (1, 0, 0), "b": (0, 1, 0)}[better]
    return Batched(1, side, 1.3, groups=3, orders={("order", best_first): 1}, grades=dict(grades))


async def for_all(session: AsyncSession) -> None:
    """Checkpoints that every project may use: answers come back under the same ones."""
    await session.execute(update(Checkpoint).values(project_id=None))


async def test_a_conversation_of_preferences_comes_to_a_batch_and_back(
    client: httpx.AsyncClient, session: AsyncSession, tmp_path: Path, opened: Opened
) -> None:
    async with endpoint("North") as north:
        talk = await talking(client, session, north, system="Be brief.", answers=[2, 3])
        await talk.turn(1, "How long do I steep it?")
        await talk.turn(2, "And green tea?")
        kept = await talk.finish(2)
        assert kept.status_code == 200, kept.text
    (first, second) = (await session.scalars(select(Annotation))).one().body["turns"]
    await for_all(session)
    await place_openings(session, talk.there.project.id)
    dataset, lines = await frozen(session, talk.there.project, tmp_path)
    assert [line["kind"] for line in lines] == ["comparison", "choice"]
    check_records(lines)
    liked, best = first["said"]["preferred"], second["said"]["preferred"]
    tiers = ((best,), tuple(number for number in range(3) if number != best))
    # strength 2 of 3 levels weighs 2 · 2 / (3 + 1)
    sides = ((1, 0, 0), (0, 1, 0))[liked]
    check_batch(tmp_path, dataset, opened, Batched(1, sides, 1.0, groups=1, orders={("best", tiers): 1}))
    await check_return(session, dataset, lines, tmp_path, turns=True)
