"""Every kind from the page to the file: the browser's form without scripts → stored body → preference → record."""

import re
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from pydantic import TypeAdapter
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.tables import User
from app.annotations.tables import Annotation
from app.datasets.records import DatasetRecord
from app.datasets.rules import Form, left_out_of, rewritten, sha256_of
from app.projects.protocols import protocol_of
from tests.app.datasets.test_freezing import frozen
from tests.app.scene import Scene, scene
from tests.conftest import sign_in

RATING = {
    "kind": "rating",
    "criteria": [{"key": "quality", "label": "Quality"}, {"key": "rule", "label": "Rule", "scale": "yes_no"}],
    "flags": [{"key": "rude", "label": "Rude"}],
}
PROTOCOLS: dict[str, tuple[int, dict[str, Any]]] = {
    "comparison": (2, {}),
    "best": (3, {"completions": 3}),
    "best_and_worst": (4, {"completions": 4, "choose": "best_and_worst"}),
    "ranking": (4, {"kind": "ranking"}),
    "rating": (2, RATING | {"completions": 2}),
    "combined": (3, {"kind": "combined", "completions": 3, "parts": [RATING, {"kind": "ranking"}]}),
}


def fields_for(name: str, handles: list[str], html: str) -> dict[str, Any]:
    """What a person might fill in: the answer on top of the screen is the best, and so on down."""
    best, *_others, worst = handles
    tiers = {f"tier.{handle}": str(n) for n, handle in enumerate(handles, 1)}
    rated: dict[str, Any] = {f"flag.{handle}": ["", "rude"] if handle == worst else [""] for handle in handles}
    rated |= {f"value.{handle}.quality": str(7 - n) for n, handle in enumerate(handles)}
    rated |= {f"value.{handle}.rule": "1" for handle in handles}
    if name == "combined":
        parts = {f"ranking.{field}": value for field, value in tiers.items()}
        parts |= {f"rating.{field}": value for field, value in rated.items()}
        return parts | {"parts": re.findall(r'name="parts" value="(\w+)"', html)}
    return {
        "comparison": {"choice": f"{best}.3"},
        "best": {"choice": best},
        "best_and_worst": {"choice": best, "worst": worst},
        "ranking": tiers,
        "rating": rated,
    }[name]


async def judged(client: httpx.AsyncClient, session: AsyncSession, name: str) -> tuple[Scene, list[str]]:
    """Two people see the one task and send the page's own form. The texts, best first, as both of them say."""
    shows, protocol = PROTOCOLS[name]
    there = await scene(session, people=2, tasks=1, k=2, shows=shows, protocol=protocol_of(protocol).as_json())
    texts: list[str] = []
    for access in there.people:
        person = (await session.scalars(select(User).where(User.id == access.person.id))).one()
        await sign_in(client, session, person)
        html = (await client.get(f"/projects/{there.project.public_id}/annotate")).text
        handles = re.findall(r'data-answer="([^"]+)"', html)
        assert len(handles) == shows
        screen = re.findall(r"<p>(Like this, number \d+\.)</p>", html)
        texts = texts or screen
        handles = [handles[screen.index(words)] for words in texts]  # both like the same ones
        address = re.search(r'action="([^"]+)" data-choices', html)
        hidden = dict(re.findall(r'<input type="hidden" name="(key|kind)" value="([^"]+)">', html))
        assert address
        said = hidden | {"seen": "1"} | fields_for(name, handles, html)
        named = set(re.findall(r'name="([^"]+)"', html))
        assert said.keys() - {"seen"} <= named  # every field is one of the page's, so it works without scripts
        response = await client.post(address[1], data=said, headers={"HX-Request": "true"})
        assert response.status_code == 200, response.text
    return there, texts


@pytest.mark.parametrize("name", PROTOCOLS)
async def test_from_the_page_to_the_file(
    client: httpx.AsyncClient, session: AsyncSession, tmp_path: Path, name: str
) -> None:
    there, texts = await judged(client, session, name)
    protocol = PROTOCOLS[name][1]
    kept = (await session.scalars(select(Annotation))).all()
    assert [one.kind for one in kept] == [protocol.get("kind", "comparison")] * 2
    dataset, lines = await frozen(session, there.project, tmp_path)
    kinds = {"best": ["choice"], "best_and_worst": ["choice"], "combined": ["rating", "ranking"]}.get(name, [name])
    assert sorted(line["kind"] for line in lines) == sorted(kinds)
    reader: TypeAdapter[Any] = TypeAdapter(DatasetRecord)
    for line in lines:
        record = reader.validate_python(line)
        read = orjson.loads(record.model_dump_json())
        assert {name: read[name] for name in line} == line
        assert reader.validate_python(read) == record
        assert len({vote.rater for vote in record.votes}) == 2
    assert dataset.manifest["counts"]["kinds"] == dict.fromkeys(kinds, 1)
    file = tmp_path / "datasets" / str(dataset.sha256) / "records.jsonl"
    pairs = [orjson.loads(line) for line in b"".join(rewritten(file, sha256_of(file), Form.trl)).splitlines()]
    assert all(pair["group"] in {line["id"] for line in lines} for pair in pairs)
    assert left_out_of(Form.trl, dataset.manifest) == ({"rating": 1} if "rating" in kinds else {})
    order = {text: place for place, text in enumerate(texts)}
    told = [(order[pair["chosen"][0]["content"]], order[pair["rejected"][0]["content"]]) for pair in pairs]
    assert sorted(told) == PAIRS[name]
    assert {pair["margin"] for pair in pairs} <= {1.0}


# Places of the better and the worse answer, 0 = best, that the two agreeing people say.
PAIRS = {
    "comparison": [(0, 1)],
    "best": [(0, 1), (0, 2)],
    "best_and_worst": [(0, 1), (0, 2), (0, 3), (1, 3), (2, 3)],
    "ranking": [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)],
    "rating": [],
    "combined": [(0, 1), (0, 2), (1, 2)],
}
