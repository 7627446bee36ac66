"""What people tell about themselves is theirs: each question skipped at will, kept apart, changed, deleted, exported
under pseudonyms."""

import httpx
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.permissions import Role
from app.accounts.tables import User
from app.annotations.tables import OwnAccount
from app.projects.about_you import START, form_of
from app.projects.actions import change_about_you
from app.projects.queries import newest_about_you
from tests.app.scene import engineer, scene
from tests.conftest import sign_in

PART = {"HX-Request": "true"}


async def test_a_form_is_filled_in_part_changed_and_deleted(client: httpx.AsyncClient, session: AsyncSession) -> None:
    there = await scene(session)
    base = f"/projects/{there.project.public_id}"
    person = (await session.scalars(select(User).where(User.id == there.me.person.id))).one()
    await sign_in(client, session, person)
    assert "asks nothing about you" in (await client.get(f"{base}/about-me")).text
    assert (await client.post(f"{base}/about-me", data={"consent": "true"})).status_code == 409
    await change_about_you(session, there.project.id, form_of(START), None)
    page = (await client.get(f"{base}/about-me")).text
    assert "How old are you?" in page
    without = await client.post(f"{base}/about-me", data={"say.task.age": "from_25_to_44"})
    assert without.status_code == 422
    assert (
        'value="from_25_to_44" data-press="2" data-word="25 to 44" checked' in without.text
    )  # what was said stands there
    beyond = await client.post(f"{base}/about-me", data={"say.task.age": "500", "consent": "true"})
    assert beyond.status_code == 422
    said = {"say.task.age": "from_25_to_44", "say.task.first_language": "", "consent": "true"}
    assert (await client.post(f"{base}/about-me", data=said)).status_code == 303
    kept = select(OwnAccount.body["task"])
    assert await session.scalar(kept) == {"age": "from_25_to_44"}
    await client.post(f"{base}/about-me", data=said | {"say.task.first_language": "Sorbian"})
    assert await session.scalar(kept) == {"age": "from_25_to_44", "first_language": "Sorbian"}
    events = text("SELECT string_agg(body::text, ' ') FROM events WHERE kind LIKE 'about_me%'")
    assert "Sorbian" not in await session.scalar(events)
    await engineer(client, session, there.project, Role.manager)
    rows = (await client.get(f"/api/v1{base}/about-raters")).json()
    assert [(one["told"], one["form"]) for one in rows] == [({"age": "from_25_to_44", "first_language": "Sorbian"}, 1)]
    assert rows[0]["rater"].startswith("rater-")
    await sign_in(client, session, person)
    await client.post(f"{base}/about-me/delete")
    assert await session.scalar(select(func.count()).select_from(OwnAccount)) == 0


async def test_the_form_is_made_with_the_editors_buttons_and_nothing_in_it_is_required(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    there = await scene(session)
    await engineer(client, session, there.project, Role.manager)
    address = f"/projects/{there.project.public_id}/settings/about-you"
    assert "How old are you?" in (await client.get(address)).text
    one = {"questions.0.key": "country", "questions.0.label": "Where do you live?", "questions.0.type": "text"}
    added = await client.post(address, data=one | {"do": "add:questions"}, headers=PART)
    assert "questions.1.label" in added.text
    wrong = await client.post(address, data=one | {"questions.0.type": "choice"}, headers=PART)
    assert wrong.status_code == 422
    assert "needs two options" in wrong.text
    saved = await client.post(address, data=one | {"questions.0.required": "true", "questions.0.about": "answer"})
    assert saved.status_code == 303, saved.text
    newest = await newest_about_you(session, there.project.id)
    assert newest is not None
    assert newest.body is not None
    question = newest.body["questions"][0]
    assert (question["key"], question["required"], question["about"]) == ("country", False, "task")
    await client.post(address, data={"do": "nothing"})
    newest = await newest_about_you(session, there.project.id)
    assert newest is not None
    assert (newest.version, newest.body) == (2, None)
