"""Who answers has a place in the project: an admin of the installation gets one with the first answer."""

from typing import Any

import httpx
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.permissions import Role
from app.accounts.rules import pseudonym
from app.accounts.tables import Membership
from app.events import Event
from tests import make
from tests.app.scene import scene


async def places(session: AsyncSession, person_id: int) -> list[Membership]:
    return list(await session.scalars(select(Membership).where(Membership.user_id == person_id)))


async def test_an_admins_first_answer_gives_them_the_smallest_place(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    there = await scene(session, people=1, tasks=2, k=1)
    admin = await make.user(session, is_admin=True)
    head = {"Authorization": f"Bearer {await make.api_token(session, admin)}"}
    project = there.project
    secret, public_id, admin_id = project.secret, admin.public_id, admin.id
    home = f"/projects/{project.public_id}"
    for page in ("", "/annotate", "/answers", "/datasets"):
        assert (await client.get(home + page, headers=head)).status_code == 200
    assert await places(session, admin_id) == [], "looking is not joining"
    for _twice in range(2):
        task: Any = (await client.post(f"/api/v1{home}/tasks/next", headers=head)).json()
        body = {"outcome": "preferred", "preferred": task["answers"][0]["handle"], "strength": 2}
        sent = await client.post(
            f"/api/v1/tasks/{task['task']}/annotations", json={"key": task["key"], "body": body}, headers=head
        )
        assert sent.status_code == 200, sent.text
    (place,) = await places(session, admin_id)
    assert (place.role, place.pseudonym) == (Role.annotator, pseudonym(secret, public_id))
    assert (await session.scalars(select(Event.kind).where(Event.subject == place.pseudonym))).all() == [
        "member.joined"
    ]
    assert (await client.get(f"{home}/settings", headers=head)).status_code == 200, "an admin still may everything"


async def test_who_may_not_answer_gets_no_place(client: httpx.AsyncClient, session: AsyncSession) -> None:
    there = await scene(session, people=1, tasks=1, k=1)
    stranger = await make.user(session)
    head = {"Authorization": f"Bearer {await make.api_token(session, stranger)}"}
    stranger_id = stranger.id
    refused = await client.post(f"/api/v1/projects/{there.project.public_id}/tasks/next", headers=head)
    assert refused.status_code == 404
    assert await places(session, stranger_id) == []
