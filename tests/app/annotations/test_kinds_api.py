"""REST: every kind is handed out, answered, read back and changed; errors name the field."""

from typing import Any

import httpx
import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.permissions import Role
from app.accounts.tables import User
from app.annotations.tables import Annotation
from app.projects.actions import change_protocol
from app.projects.protocols import RankingProtocol, protocol_of
from app.projects.tables import Protocol
from app.tasks.tables import Slot
from tests import make
from tests.app.annotations.test_api import as_script, next_task
from tests.app.scene import Scene, claimed, scene

RATING = {"kind": "rating", "criteria": [{"key": "quality", "label": "Quality"}]}
PROTOCOLS: dict[str, tuple[int, dict[str, Any]]] = {
    "best_and_worst": (3, {"completions": 3, "choose": "best_and_worst"}),
    "ranking": (3, {"kind": "ranking", "completions": 3}),
    "rating": (3, RATING | {"completions": 3}),
    "combined": (3, {"kind": "combined", "completions": 3, "parts": [RATING, {"kind": "ranking"}]}),
}


def body_for(name: str, names: list[str]) -> dict[str, Any]:
    """The first answer is the best. names: handles to send, or ids as they are read back."""
    ranking = {"kind": "ranking", "outcome": "ranked", "tiers": [[names[0]], names[1:]]}
    rated = [{"completion": one, "criteria": {"quality": 7 - n}, "flags": []} for n, one in enumerate(names)]
    rating = {"kind": "rating", "ratings": rated}
    return {
        "best_and_worst": {"kind": "comparison", "outcome": "preferred", "preferred": names[0], "worst": names[2]},
        "ranking": ranking,
        "rating": rating,
        "combined": {"kind": "combined", "parts": [rating, ranking]},
    }[name]


async def asked(session: AsyncSession, name: str) -> Scene:
    shows, protocol = PROTOCOLS[name]
    return await scene(session, people=1, tasks=1, shows=shows, protocol=protocol_of(protocol).as_json())


@pytest.mark.parametrize("name", PROTOCOLS)
async def test_a_program_answers_changes_and_others_read_it_with_ids(
    client: httpx.AsyncClient, session: AsyncSession, name: str
) -> None:
    there = await asked(session, name)
    head = await as_script(session, there)
    task = await next_task(client, there, head)
    assert task["kind"] == task["protocol"]["kind"] == PROTOCOLS[name][1].get("kind", "comparison")
    assert len(task["answers"]) == 3
    handles = [one["handle"] for one in task["answers"]]
    address = f"/api/v1/tasks/{task['task']}/annotations"
    sent = {"key": task["key"], "body": body_for(name, handles[::-1])}
    saved = await client.post(address, json=sent, headers=head)
    assert saved.status_code == 200, saved.text
    assert (await client.post(address, json=sent, headers=head)).json() == saved.json()  # the same again
    change = {"version": 1, "body": body_for(name, handles)}
    changed = await client.put(f"/api/v1/annotations/{saved.json()['id']}", json=change, headers=head)
    assert changed.json()["version"] == 2, changed.text
    manager = await make.user(session)
    await make.member(session, there.project, manager, Role.manager)
    token = {"Authorization": f"Bearer {await make.api_token(session, manager)}"}
    page = await client.get(f"/api/v1/projects/{there.project.public_id}/annotations", headers=token)
    (read,) = page.json()["annotations"]
    wanted = body_for(name, read["shown"])
    told = read["body"]
    if name == "combined":
        assert [part["kind"] for part in told["parts"]] == ["rating", "ranking"]
        told, wanted = told["parts"][0], wanted["parts"][0]
    if told["kind"] == "rating":
        assert sorted(told["ratings"], key=str) == sorted(wanted["ratings"], key=str)
    elif told["kind"] == "ranking":
        assert [sorted(tier) for tier in told["tiers"]] == [sorted(tier) for tier in wanted["tiers"]]
    else:
        assert (told["preferred"], told["worst"]) == (wanted["preferred"], wanted["worst"])


@pytest.mark.parametrize(
    ("name", "body", "field"),
    [
        ("ranking", {"kind": "ranking", "tiers": [["x"], []]}, "body.tiers.1"),
        ("ranking", {"kind": "ranking", "tiers": "abc"}, "body.tiers"),
        ("rating", {"kind": "rating", "ratings": [{"completion": "x", "criteria": {"quality": 2.5}}]}, "quality"),
        ("rating", {"kind": "ranking", "tiers": [["x"]]}, "not one of this task's answers"),
        ("combined", {"kind": "combined", "parts": [{"kind": "poem"}, {"kind": "ranking"}]}, "body.parts.0.kind"),
    ],
)
async def test_what_makes_no_sense_is_422_and_named(
    client: httpx.AsyncClient, session: AsyncSession, name: str, body: dict[str, Any], field: str
) -> None:
    there = await asked(session, name)
    head = await as_script(session, there)
    task = await next_task(client, there, head)
    address = f"/api/v1/tasks/{task['task']}/annotations"
    response = await client.post(address, json={"key": task["key"], "body": body}, headers=head)
    assert response.status_code == 422
    assert field in response.text
    assert not (await session.scalars(select(Annotation))).all()


async def test_a_task_is_shown_under_the_newest_protocol_of_its_kind(session: AsyncSession) -> None:
    """The project turned to rankings while comparisons were still waiting."""
    there = await scene(session, people=1, tasks=1)
    await change_protocol(session, there.project.id, protocol_of({"scale": 5}), None)
    await change_protocol(session, there.project.id, RankingProtocol(), None)
    shown = await claimed(session, there.me)
    slot = (await session.scalars(select(Slot).where(Slot.id == shown.slot_id))).one()
    assert shown.kind == "comparison"
    body = (await session.scalars(select(Protocol.body).where(Protocol.id == slot.protocol_id))).one()
    assert (body["kind"], body["scale"]) == ("comparison", 5)


async def test_the_history_says_it_in_words(client: httpx.AsyncClient, session: AsyncSession) -> None:
    there = await asked(session, "combined")
    head = await as_script(session, there)
    task = await next_task(client, there, head)
    handles = [one["handle"] for one in task["answers"]]
    sent = {"key": task["key"], "body": body_for("combined", handles)}
    assert (await client.post(f"/api/v1/tasks/{task['task']}/annotations", json=sent, headers=head)).status_code == 200
    person = (await session.scalars(select(User).where(User.id == there.me.person.id))).one()
    client.cookies.set("hone_session", await make.sign_in(session, person))
    page = (await client.get(f"/projects/{there.project.public_id}/answers")).text
    assert "A: Quality 7; B: Quality 6; C: Quality 5 · A › B = C" in page
