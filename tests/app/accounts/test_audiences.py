"""Classes of a project's people: who is in one, when that changes, and that nothing is kept for one that is gone."""

import asyncio
from typing import Any

import httpx
import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app import database
from app.accounts.actions.audiences import make_audience
from app.accounts.actions.joining import add_member
from app.accounts.forms import AudienceForm
from app.accounts.permissions import Role
from app.accounts.tables import Membership, User
from app.projects.tables import Project
from tests import make
from tests.app.scene import access_of, engineer, scene


async def lanes(session: AsyncSession) -> dict[str, list[int]]:
    rows = await session.execute(select(Membership.pseudonym, Membership.lanes))
    return {row.pseudonym: row.lanes for row in rows}


async def somebody(session: AsyncSession, project: Project, name: str, **values: Any) -> User:
    person = await make.user(session)
    await make.member(session, project, person, pseudonym=name, **values)
    return person


@pytest.mark.parametrize(
    ("said", "inside"),
    [
        ({}, {"de", "fr", "both", "none", "boss"}),
        ({"cohorts": ["north"]}, {"de", "fr"}),
        ({"skills": ["german"]}, {"de", "both"}),
        ({"skills": ["german", "french"]}, {"both"}),
        ({"cohorts": ["north", "south"], "skills": ["french"]}, {"fr", "both"}),
        ({"people": ["none"]}, {"none"}),
        ({"people": ["none"], "skills": ["french"]}, {"none", "fr", "both"}),
        ({"without": ["de"]}, {"fr", "both", "none", "boss"}),
        ({"skills": ["german"], "without": ["both"]}, {"de"}),
        ({"people": ["de"], "without": ["de"]}, set()),
    ],
)
async def test_who_is_in_an_audience(session: AsyncSession, said: dict[str, Any], inside: set[str]) -> None:
    project = await make.project(session)
    await somebody(session, project, "de", cohort="north", skills=["german"])
    await somebody(session, project, "fr", cohort="north", skills=["french"])
    await somebody(session, project, "both", cohort="south", skills=["french", "german"])
    await somebody(session, project, "none")
    boss = await somebody(session, project, "boss", role=Role.manager)
    made = await make_audience(session, access_of(project, boss), AudienceForm(name="Some", **said))
    assert made.number == 1
    assert {name for name, taken in (await lanes(session)).items() if taken == [0, 1]} == inside


async def test_who_joins_later_is_in_it_and_who_changes_leaves_it(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    project = await make.project(session)
    await engineer(client, session, project, Role.manager)
    base = f"/api/v1/projects/{project.public_id}"
    made = await client.post(f"{base}/audiences", json={"name": "North", "cohorts": ["north"]})
    assert (made.status_code, made.json()["size"]) == (201, 0)
    late = await add_member(session, project.id, await make.user(session), Role.annotator, cohort="north")
    assert (await client.get(f"{base}/audiences")).json()[0]["size"] == 1
    place = {"role": "annotator", "cohort": "north", "skills": ["poems"], "total_limit": 7}
    kept = (await client.put(f"{base}/members/{late.pseudonym}", json=place)).json()
    assert (kept["cohort"], kept["skills"], kept["total_limit"]) == ("north", ["poems"], 7)
    assert (await client.get(f"{base}/audiences")).json()[0]["size"] == 1
    await client.put(f"{base}/members/{late.pseudonym}", json=place | {"cohort": "south"})
    assert (await client.get(f"{base}/audiences")).json()[0]["size"] == 0
    await client.put(f"{base}/audiences/{made.json()['id']}", json={"name": "South", "skills": ["poems"]})
    there = (await client.get(f"{base}/audiences")).json()
    assert [(one["name"], one["cohorts"], one["skills"], one["size"]) for one in there] == [("South", [], ["poems"], 1)]


async def test_what_is_refused(client: httpx.AsyncClient, session: AsyncSession) -> None:
    there = await scene(session)
    await engineer(client, session, there.project, Role.manager)
    base = f"/api/v1/projects/{there.project.public_id}/audiences"
    made = (await client.post(base, json={"name": "Poets"})).json()
    assert (await client.post(base, json={"name": "Poets"})).json()["type"].endswith("same-name")
    strange = await client.post(base, json={"name": "X", "people": ["nobody-1"]})
    assert (strange.status_code, "nobody-1" in strange.text) == (422, True)
    await session.execute(text("UPDATE slots SET lane = 1"))
    assert (await client.delete(f"{base}/{made['id']}")).json()["type"].endswith("audience-in-use")
    await session.execute(text("UPDATE slots SET lane = 0"))
    assert (await client.delete(f"{base}/{made['id']}")).status_code == 204
    assert (await client.delete(f"{base}/{made['id']}")).status_code == 404
    again = await client.post(base, json={"name": "Poets"})  # name and number are free again
    assert again.status_code == 201


async def test_no_more_audiences_than_lanes_have_room_for(session: AsyncSession, client: httpx.AsyncClient) -> None:
    project = await make.project(session)
    await engineer(client, session, project, Role.manager)
    base = f"/api/v1/projects/{project.public_id}/audiences"
    for number in range(31):
        assert (await client.post(base, json={"name": f"Audience {number}"})).status_code == 201
    refused = await client.post(base, json={"name": "One more", "skills": ["none has it"]})
    assert (refused.status_code, refused.json()["type"].rsplit(":")[-1]) == (409, "too-many-audiences")


async def test_the_page_makes_changes_and_takes_away(client: httpx.AsyncClient, session: AsyncSession) -> None:
    project = await make.project(session)
    await engineer(client, session, project, Role.manager)
    await somebody(session, project, "rater-a", skills=["german"])
    base = f"/projects/{project.public_id}/audiences"
    fields = {"name": "German", "skills": "german", "cohorts": "", "people": "", "without": ""}
    assert (await client.post(base, data=fields)).status_code == 303
    page = (await client.get(base)).text
    assert "German" in page
    public_id = str(await session.scalar(text("SELECT public_id FROM audiences")))
    sent = await client.post(f"{base}/{public_id}", data=fields | {"skills": "", "people": "rater-a, rater-a"})
    assert sent.status_code == 303
    assert "rater-a" in (await client.get(base)).text
    assert (await client.post(f"{base}/{public_id}/retire")).status_code == 303
    assert "No audience yet" in (await client.get(base)).text


async def test_a_members_limits_are_filled_in_and_left_empty(client: httpx.AsyncClient, session: AsyncSession) -> None:
    project = await make.project(session)
    await engineer(client, session, project, Role.manager)
    await somebody(session, project, "rater-b")
    place = f"/projects/{project.public_id}/members/rater-b"
    fields = {"role": "annotator", "cohort": "", "skills": "german, poems", "daily_limit": "7", "total_limit": ""}
    for sent, limits in ((fields, (7, None)), (fields | {"daily_limit": "", "total_limit": "9"}, (None, 9))):
        assert (await client.post(place, data=sent)).status_code == 303
        found = select(Membership).where(Membership.pseudonym == "rater-b").execution_options(populate_existing=True)
        member = (await session.scalars(found)).one()
        assert (member.daily_limit, member.total_limit, member.skills) == (*limits, ["german", "poems"])
    none = await client.post(place, data=fields | {"daily_limit": "0"})
    assert none.status_code == 422


@pytest.mark.committed
async def test_somebody_who_joins_while_an_audience_is_made_is_in_it(committed: str) -> None:
    """Whichever of the two commits first, the other sees it."""
    for turn in range(6):
        async with database.transaction() as session:
            project = await make.project(session)
            boss, late = await make.user(session), await make.user(session)
            await make.member(session, project, boss, Role.manager)
            access = access_of(project, boss)

        async def join() -> None:
            async with database.transaction() as session:
                await add_member(session, project.id, late, Role.annotator)  # noqa: B023
                await asyncio.sleep(0.02)

        async def make_one() -> None:
            async with database.transaction() as session:
                await make_audience(session, access, AudienceForm(name="All"))  # noqa: B023
                await asyncio.sleep(0.02)

        await asyncio.gather(*([join(), make_one()] if turn % 2 else [make_one(), join()]))
        async with database.transaction() as session:
            here = select(Membership.lanes).where(Membership.project_id == project.id)
            assert list(await session.scalars(here)) == [[0, 1], [0, 1]]
