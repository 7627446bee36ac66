"""Care on pages and over REST: categories are set, given to prompts and opted into; reports are made and closed."""

import json

import httpx
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.permissions import Role
from app.accounts.tables import Membership
from app.projects.tables import Project
from app.prompts.tables import Prompt
from app.tasks.tables import Report, Skip
from tests import make
from tests.app.annotations.test_workspace import PART, Page
from tests.app.scene import Scene, broken, claimed, engineer
from tests.app.tasks.test_care import CATEGORIES, HATE, VIOLENCE, sensitive
from tests.conftest import sign_in


async def annotator(client: httpx.AsyncClient, session: AsyncSession, there: Scene) -> str:
    """Signs the scene's first person in; the project's address."""
    await sign_in(client, session, there.me.person)
    return f"/projects/{there.project.public_id}"


async def managed(client: httpx.AsyncClient, session: AsyncSession, care: list[int]) -> tuple[Scene, str]:
    there = await sensitive(session, care)
    await engineer(client, session, there.project, Role.manager)
    return there, f"/projects/{there.project.public_id}"


async def test_a_manager_sets_categories_and_the_help_text(client: httpx.AsyncClient, session: AsyncSession) -> None:
    project = await make.project(session)
    await engineer(client, session, project, Role.manager)
    address = f"/projects/{project.public_id}/settings/care"
    assert "Self-harm" in (await client.get(address, params={"first": "true"})).text
    rows = {
        "key": ["", "", ""], "name": ["Gore", "", "Rage"], "about": ["Blood.", "", ""],
        "tags": ["blood, wounds", "", ""], "daily_cap": ["20", "", ""],
    }  # fmt: skip
    told = await client.post(address, data={**rows, "version": "1", "help": "Talk to **us**."})
    assert told.status_code == 303
    project = (await session.scalars(select(Project))).one()
    assert [(one["key"], one["daily_cap"]) for one in project.care] == [("gore", 20), ("rage", None)]
    assert "<strong>us</strong>" in project.help_html
    stale = await client.post(address, data={**rows, "version": "1", "help": ""})
    assert stale.status_code == 409
    bad = await client.post(address, data={**rows, "daily_cap": ["many", "", ""], "version": "2", "help": ""})
    assert bad.status_code == 422
    assert "Gore" in bad.text


async def test_a_person_opts_in_and_leaves_again(client: httpx.AsyncClient, session: AsyncSession) -> None:
    there = await sensitive(session, [VIOLENCE])
    address = await annotator(client, session, there) + "/care"
    assert "checked" not in (await client.get(address)).text
    assert (await client.post(address, data={"category": ["violence", "gone"]})).status_code == 303
    assert await session.scalar(select(Membership.care)) == VIOLENCE
    assert "checked" in (await client.get(address)).text
    await client.post(address, data={})
    assert await session.scalar(select(Membership.care)) == 0


async def test_who_has_answered_all_is_told_that_sensitive_tasks_wait_and_finds_them_in_the_inbox(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    there = await sensitive(session, [VIOLENCE])
    project = await annotator(client, session, there)
    assert "hard to read" in (await client.get(f"{project}/annotate")).text
    assert "Open work" not in (await client.get("/inbox")).text
    await client.post(f"{project}/care", data={"category": "violence"})
    assert "Open work" in (await client.get("/inbox")).text
    page = Page((await client.get(f"{project}/annotate")).text)
    assert page.mode == "task"
    after = (await client.post(f"{page.address}/skip", data={"key": page.key}, headers=PART)).text
    assert "hard to read" not in after


async def test_prompts_get_categories_from_their_file(client: httpx.AsyncClient, session: AsyncSession) -> None:
    _there, address = await managed(client, session, [])
    lines = [
        {"prompt": "A fight breaks out.", "id": "a", "care": ["violence"]},
        {"prompt": "What is gore?", "id": "b", "tags": ["gore"], "care": "hate"},
        {"prompt": "Fold a crane.", "id": "c"},
        {"prompt": "Rage.", "id": "d", "care": ["rage"]},
    ]
    body = "\n".join(json.dumps(line) for line in lines)
    report = (await client.post(f"/api/v1{address}/prompts", content=body)).json()
    assert (report["new"], report["refused"]) == (3, 1)
    assert "“rage” is none of this project's categories (violence, hate)" in report["lines"][0]["reason"]
    found = await session.execute(select(Prompt.external_id, Prompt.care).order_by(Prompt.id))
    assert {row.external_id: row.care for row in found} == {"a": VIOLENCE, "b": VIOLENCE | HATE, "c": 0}
    assert await session.scalar(select(Project.care_sets)) == [VIOLENCE, VIOLENCE | HATE]


async def test_prompts_get_categories_one_by_one_and_many_at_a_time(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    _there, address = await managed(client, session, [0, 0, HATE])
    prompts = list(await session.scalars(select(Prompt).order_by(Prompt.id)))
    one = f"/prompts/{prompts[0].public_id}"
    assert (await client.post(one, data={"of_care": "true", "care": ["violence", "hate"]})).status_code == 303
    assert "Violence" in (await client.get(one)).text
    assert (await client.patch(f"/api/v1{one}", json={"care": ["violence"]})).json()["care"] == ["violence"]
    assert (await client.patch(f"/api/v1{one}", json={"care": ["rage"]})).status_code == 422
    said = prompts[1].messages[0]["parts"][0]["text"]
    many = await client.post(f"{address}/prompts/care", data={"words": said, "category": "violence", "root": ""})
    assert many.status_code == 303
    over = {"remove": ["hate"], "add": ["violence"]}
    assert (await client.post(f"/api/v1{address}/prompts/care", json=over)).json() == {"changed": 1}
    assert set(await session.scalars(select(Prompt.care))) == {VIOLENCE}
    assert await broken(session) == {}
    assert "Change them all" in (await client.get(f"{address}/prompts")).text


async def test_a_report_from_the_annotate_page_is_closed_by_a_reviewer(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    there = await sensitive(session, [0, 0])
    address = await annotator(client, session, there)
    shown = await claimed(session, there.me)
    said = {"key": str(shown.key), "category": "hate", "words": "Look <b>here</b>."}
    next_page = await client.post(f"{address}/annotate/{shown.task}/report", data=said, headers={"HX-Request": "true"})
    assert 'data-mode="task"' in next_page.text
    assert str(shown.key) not in next_page.text
    client.cookies.clear()
    await engineer(client, session, there.project, Role.reviewer)
    page = (await client.get(f"{address}/reports")).text
    assert "Look &lt;b&gt;here&lt;/b&gt;." in page
    found = (await session.scalars(select(Report))).one()
    whole = (await client.get(f"/reports/{found.public_id}")).text
    assert "Show the prompt and its answers" in whole
    done = await client.post(f"/reports/{found.public_id}", data={"verdict": "categorised", "category": ["hate"]})
    assert done.status_code == 303
    assert "made sensitive" in (await client.get(f"{address}/reports?state=closed")).text
    again = await client.post(f"/reports/{found.public_id}", data={"verdict": "harmless"})
    assert again.status_code == 409
    assert await broken(session) == {}


async def test_programs_opt_in_report_and_decide(client: httpx.AsyncClient, session: AsyncSession) -> None:
    there = await sensitive(session, [VIOLENCE, 0, 0])
    address = "/api/v1" + await annotator(client, session, there)
    mine = await client.put(f"{address}/care/mine", json={"categories": ["violence"]})
    assert mine.json()["mine"] == ["violence"]
    assert [one["key"] for one in mine.json()["categories"]] == [one.key for one in CATEGORIES]
    assert (await client.put(f"{address}/care/mine", json={"categories": ["rage"]})).status_code == 422

    async def following() -> dict[str, object]:
        return (await client.post(f"{address}/tasks/next")).json()

    task = await following()
    assert task["care"] == ["violence"]
    await client.post(f"/api/v1/tasks/{task['task']}/skip", json={"key": task["key"], "why": "not_this_one"})
    task = await following()
    await client.post(f"/api/v1/tasks/{task['task']}/skip", json={"key": task["key"], "why": "not_known"})
    task = await following()
    told = await client.post(f"/api/v1/tasks/{task['task']}/report", json={"key": task["key"], "words": "Hm."})
    assert told.status_code == 204
    assert list(await session.scalars(select(Skip.kind).order_by(Skip.at, Skip.task_id))) == [
        "not_this_one",
        "not_known",
        "reported",
    ]
    client.cookies.clear()
    await engineer(client, session, there.project, Role.manager)
    version = (await session.scalars(select(Project.version))).one()
    wanted = {"version": version, "categories": [{"key": "violence", "name": "Force"}], "help": "Rest."}
    edited = (await client.put(f"{address}/care", json=wanted)).json()
    assert [(one["key"], one["name"]) for one in edited["categories"]] == [("violence", "Force")]
    page = (await client.get(address.removeprefix("/api/v1"))).text
    assert "Too little known" in page
    rows = (await client.get(f"{address}/reports")).json()["rows"]
    assert [(row["words"], row["verdict"]) for row in rows] == [("Hm.", None)]
    closed = await client.post(f"/api/v1/reports/{rows[0]['id']}/close", json={"verdict": "retired"})
    assert closed.json()["verdict"] == "retired"
