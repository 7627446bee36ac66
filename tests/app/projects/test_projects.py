import httpx
import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.permissions import Role
from app.accounts.rules import pseudonym
from app.accounts.tables import Membership
from app.completions.tables import Generation
from app.events import Event
from app.projects.actions import EditedMeanwhile, change_guidelines, change_protocol, create_project, edit_project
from app.projects.forms import NewProject, ProjectEdit
from app.projects.protocols import ComparisonProtocol
from app.projects.queries import default_batch, newest_guidelines, newest_protocol
from app.projects.rules import Recipe
from app.projects.tables import BatchState
from tests import make
from tests.conftest import sign_in


async def test_a_project_is_made_whole(session: AsyncSession) -> None:
    maker = await make.user(session)
    project = await create_project(session, NewProject(name="Kind answers", guidelines="Be *fair*.", k=3), maker.id)
    batch = await default_batch(session, project.id)
    assert (batch.state, batch.k, Recipe.model_validate(batch.recipe)) == (BatchState.open, 3, Recipe())
    assert (await newest_protocol(session, project.id)).body == make.PROTOCOL
    assert "<em>fair</em>" in (await newest_guidelines(session, project.id)).html
    member = (await session.scalars(select(Membership).where(Membership.project_id == project.id))).one()
    assert (member.user_id, member.role) == (maker.id, Role.manager)
    assert member.pseudonym == pseudonym(project.secret, maker.public_id)
    noted = await session.scalars(select(Event.kind).where(Event.project_id == project.id).order_by(Event.id))
    assert noted.all() == ["project.created", "member.joined"]


async def test_two_editors_of_the_settings_notice_each_other_and_nothing_is_lost(session: AsyncSession) -> None:
    project = await make.project(session, name="First")
    await edit_project(session, project.id, ProjectEdit(version=1, name="Second"), None)
    with pytest.raises(EditedMeanwhile) as caught:
        await edit_project(session, project.id, ProjectEdit(version=1, name="Third"), None)
    assert caught.value.differences == [("name", "Second", "Third")]
    assert "“Second”" in str(caught.value)
    assert "“Third”" in str(caught.value)
    assert project.name == "Second"


async def test_an_edit_that_says_what_is_there_already_is_no_conflict(session: AsyncSession) -> None:
    project = await make.project(session, name="First")
    await edit_project(session, project.id, ProjectEdit(version=1, name="Second"), None)
    await edit_project(session, project.id, ProjectEdit(version=1, name="Second"), None)
    assert project.version == 2


async def test_fields_that_are_left_out_stay(session: AsyncSession) -> None:
    project = await make.project(session, name="First", daily_limit=7)
    await edit_project(session, project.id, ProjectEdit(version=1, zone="Asia/Tokyo", k=4), None)
    assert (project.name, project.daily_limit, project.zone) == ("First", 7, "Asia/Tokyo")
    assert (await default_batch(session, project.id)).k == 4
    noted = (await session.scalars(select(Event).where(Event.kind == "project.edited"))).one()
    assert noted.body == {"fields": ["k", "zone"]}


async def test_a_changed_protocol_is_a_new_version_and_the_same_one_is_not(session: AsyncSession) -> None:
    project = await make.project(session)
    assert (await change_protocol(session, project.id, ComparisonProtocol(), None)).version == 1
    assert (await change_protocol(session, project.id, ComparisonProtocol(scale=5), None, seen=1)).version == 2
    with pytest.raises(EditedMeanwhile):
        await change_protocol(session, project.id, ComparisonProtocol(scale=4), None, seen=1)


async def test_guidelines_are_rendered_once_and_versioned(session: AsyncSession) -> None:
    project = await make.project(session)
    changed = await change_guidelines(session, project.id, "Now **really** fair. <script>", None, seen=1)
    assert (changed.version, "<strong>really</strong>" in changed.html, "<script" in changed.html) == (2, True, False)
    with pytest.raises(EditedMeanwhile):
        await change_guidelines(session, project.id, "Mine", None, seen=1)


async def manager_of(session: AsyncSession, client: httpx.AsyncClient, **values: object):
    person, project = await make.user(session), await make.project(session, **values)
    await make.member(session, project, person, Role.manager)
    await sign_in(client, session, person)
    return project


async def test_the_settings_page_shows_both_values_and_keeps_what_was_written(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    project = await manager_of(session, client, name="First")
    address = f"/projects/{project.public_id}/settings"
    assert (await client.post(address, data={"version": "1", "name": "Second"})).status_code == 303
    late = await client.post(address, data={"version": "1", "name": "Third", "description": "my long text"})
    assert late.status_code == 409
    assert "it is now “Second”, you wrote “Third”" in late.text
    assert 'value="Third"' in late.text
    assert "my long text" in late.text
    assert 'name="version" value="2"' in late.text


async def test_a_wrong_zone_is_told_beside_its_field(client: httpx.AsyncClient, session: AsyncSession) -> None:
    project = await manager_of(session, client)
    sent = {"version": "1", "zone": "Mars/Base", "name": "Kept"}
    answer = await client.post(f"/projects/{project.public_id}/settings", data=sent)
    assert answer.status_code == 422
    assert "“Mars/Base” is not a time zone" in answer.text
    assert 'value="Kept"' in answer.text


async def test_late_guidelines_are_shown_beside_the_others(client: httpx.AsyncClient, session: AsyncSession) -> None:
    project = await manager_of(session, client)
    address = f"/projects/{project.public_id}/settings/guidelines"
    assert (await client.post(address, data={"version": "1", "markdown": "Theirs"})).status_code == 303
    late = await client.post(address, data={"version": "1", "markdown": "My hour of work"})
    assert late.status_code == 409
    assert "My hour of work" in late.text
    assert "Theirs" in late.text


async def test_a_preview_saves_nothing(client: httpx.AsyncClient, session: AsyncSession) -> None:
    project = await manager_of(session, client)
    address = f"/projects/{project.public_id}/settings/guidelines"
    answer = await client.post(address, data={"version": "1", "markdown": "Be *kind*", "preview": "yes"})
    assert "<em>kind</em>" in answer.text
    assert (await newest_guidelines(session, project.id)).version == 1


async def test_the_protocol_page_refuses_an_odd_scale_without_ties(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    project = await manager_of(session, client)
    address = f"/projects/{project.public_id}/settings/protocol"
    answer = await client.post(address, data={"version": "1", "scale": "5"})
    assert answer.status_code == 422
    assert "allow ties" in answer.text
    assert (await client.post(address, data={"version": "1", "scale": "4", "both_bad": "true"})).status_code == 303
    assert (await newest_protocol(session, project.id)).body["ties"] is False


async def test_only_my_projects_are_listed_and_an_annotator_goes_to_the_tasks_first(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    person, mine = await make.user(session), await make.project(session, name="Mine")
    await make.project(session, name="Somebody else's")
    await make.member(session, mine, person)
    await sign_in(client, session, person)
    page = await client.get("/")
    assert f"/projects/{mine.public_id}/annotate" in page.text
    assert "Somebody else" not in page.text


async def test_whoever_is_not_signed_in_is_led_to_the_door(client: httpx.AsyncClient) -> None:
    answer = await client.get("/")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/sign-in")


async def rest(session: AsyncSession, client: httpx.AsyncClient) -> httpx.AsyncClient:
    client.headers["Authorization"] = f"Bearer {await make.api_token(session, await make.user(session, is_admin=True))}"
    return client


async def test_projects_over_rest(client: httpx.AsyncClient, session: AsyncSession) -> None:
    await rest(session, client)
    made = await client.post("/api/v1/projects", json={"name": "By program", "protocol": {"scale": 5}})
    assert made.status_code == 201
    address = f"/api/v1/projects/{made.json()['id']}"
    assert made.json()["protocol"]["body"]["scale"] == 5
    edited = await client.patch(address, json={"version": 1, "daily_limit": 9})
    assert (edited.status_code, edited.json()["daily_limit"], edited.json()["version"]) == (200, 9, 2)
    late = await client.patch(address, json={"version": 1, "daily_limit": 10})
    assert (late.status_code, late.json()["type"]) == (409, "urn:hone:edited-meanwhile")
    assert "it is now “9”, you wrote “10”" in late.json()["title"]
    assert made.json()["id"] in [line["id"] for line in (await client.get("/api/v1/projects")).json()]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": "x", "surprise": 1}, "surprise"),
        ({"name": "x", "zone": "Nowhere"}, "zone"),
        ({"name": "x", "k": "three"}, "k"),
        ({"name": "nul \0"}, "name"),
        ({"name": "x", "protocol": {"scale": 3, "ties": False}}, "protocol"),
    ],
)
async def test_a_bad_body_is_refused_by_the_name_of_its_field(
    client: httpx.AsyncClient, session: AsyncSession, body: dict, field: str
) -> None:
    await rest(session, client)
    answer = await client.post("/api/v1/projects", json=body)
    assert (answer.status_code, answer.headers["Content-Type"]) == (422, "application/problem+json")
    assert answer.json()["errors"][0]["field"] == field


async def test_while_the_first_answers_are_being_written_nobody_is_told_to_ask_for_them(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    project, manager = await make.project(session), await make.user(session)
    await make.member(session, project, manager, Role.manager)
    await make.prompt(session, project)
    project.checkpoint_id = (await make.checkpoint(session, project_id=project.id)).id
    await sign_in(client, session, manager)
    address = f"/projects/{project.public_id}"
    assert "Ask for answers to the prompts" in (await client.get(address)).text
    session.add(
        Generation(project_id=project.id, checkpoint_id=project.checkpoint_id, wanted=4, n=2, sampling={}, seed=1)
    )
    await session.flush()
    page = (await client.get(address)).text
    assert "being written" in page
    assert "Ask for answers to the prompts" not in page
