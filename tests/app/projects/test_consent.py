"""Nobody is handed a task before they agreed to the project's newest text; and a project that rests."""

import httpx
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.permissions import Role
from app.accounts.tables import InboxItem, Membership, User
from app.annotations.tables import Annotation
from app.events import Event
from app.projects.actions import change_consent, change_guidelines
from tests import make
from tests.app.scene import Scene, engineer, scene
from tests.conftest import sign_in

PART = {"HX-Request": "true"}


async def person_of(session: AsyncSession, there: Scene, nth: int = 0) -> User:
    return (await session.scalars(select(User).where(User.id == there.people[nth].person.id))).one()


async def place_of(session: AsyncSession, person: User) -> Membership:
    asked = select(Membership).where(Membership.user_id == person.id)
    return (await session.scalars(asked, execution_options={"populate_existing": True})).one()


async def leases(session: AsyncSession) -> int:
    return await session.scalar(text("SELECT count(*) FROM slots WHERE state = 1")) or 0


async def test_the_text_comes_first_and_a_new_version_is_asked_about_before_the_next_task(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    there = await scene(session, tasks=3)
    base = f"/projects/{there.project.public_id}"
    await change_consent(session, there.project.id, "We keep **answers**.", None)
    person = await person_of(session, there)
    await sign_in(client, session, person)
    page = (await client.get(f"{base}/annotate")).text
    assert "We keep <strong>answers</strong>." in page
    assert "data-choices" not in page
    assert await leases(session) == 0
    stale = await client.post(f"{base}/consent", data={"version": "2"})
    assert (stale.status_code, (await place_of(session, person)).consent_version) == (303, None)
    agreed = await client.post(f"{base}/consent", data={"version": "1"})
    assert agreed.headers["location"] == f"{base}/annotate"
    place = await place_of(session, person)
    assert (place.consent_version, place.consent_at is not None) == (1, True)
    page = (await client.get(f"{base}/annotate")).text
    assert "data-choices" in page
    await change_consent(session, there.project.id, "We keep answers and times.", None)
    key = page.split('name="key" value="')[1].split('"')[0]
    address, choice = (
        page.split('" data-choices')[0].split('action="')[-1],
        page.split('name="choice" value="')[1].split('"')[0],
    )
    kept = await client.post(address, data={"key": key, "choice": choice, "seen": "1"}, headers=PART)
    assert "We keep answers and times." in kept.text  # what was held is taken; then it is asked anew
    assert len((await session.scalars(select(Annotation))).all()) == 1
    await client.post(f"{base}/consent", data={"version": "2"})
    told = (await session.scalars(select(Event).where(Event.kind == "consent.given").order_by(Event.id))).all()
    assert [one.subject for one in told] == ["1", "2"]
    await change_consent(session, there.project.id, "  ", None)  # asks for nothing any more
    assert "data-choices" in (await client.get(f"{base}/annotate")).text


async def test_who_declines_is_told_kindly_and_gets_no_task(client: httpx.AsyncClient, session: AsyncSession) -> None:
    there = await scene(session)
    await change_consent(session, there.project.id, "We keep answers.", None)
    await sign_in(client, session, await person_of(session, there))
    page = await client.post(f"/projects/{there.project.public_id}/consent/decline", data={"version": "1"})
    assert page.status_code == 200
    assert "That is fine" in page.text
    assert await leases(session) == 0


async def test_programs_agree_too_and_are_told_what_is_missing(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    there = await scene(session)
    base = f"/api/v1/projects/{there.project.public_id}"
    await change_consent(session, there.project.id, "We keep answers.", None)
    client.headers["Authorization"] = f"Bearer {await make.api_token(session, await person_of(session, there))}"
    refused = await client.post(f"{base}/tasks/next")
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:hone:consent-needed")
    assert f"GET {base}/consent" in refused.json()["title"]
    text_of = (await client.get(f"{base}/consent")).json()
    assert text_of == {"version": 1, "markdown": "We keep answers.", "given": None}
    assert (await client.post(f"{base}/consent", json={"version": 7})).status_code == 409
    assert (await client.post(f"{base}/consent", json={"version": 1})).status_code == 204
    assert (await client.post(f"{base}/tasks/next")).json()["task"]


async def test_the_editor_keeps_versions_and_notices_another_editor(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    there = await scene(session)
    await engineer(client, session, there.project, Role.manager)
    address = f"/projects/{there.project.public_id}/settings/consent"
    assert (await client.get(address)).status_code == 200
    saved = await client.post(address, data={"markdown": "One.", "version": "0"})
    assert saved.status_code == 303
    late = await client.post(address, data={"markdown": "Other.", "version": "0"}, headers=PART)
    assert late.status_code == 409
    assert "One." in late.text
    assert "Other." in late.text
    preview = await client.post(address, data={"markdown": "*Two*", "version": "1", "preview": "yes"}, headers=PART)
    assert "<em>Two</em>" in preview.text


async def test_a_project_rests_and_goes_on_and_leases_stay(client: httpx.AsyncClient, session: AsyncSession) -> None:
    there = await scene(session, people=1, tasks=2)
    base = f"/projects/{there.project.public_id}"
    person = await person_of(session, there)
    await sign_in(client, session, person)
    held = (await client.get(f"{base}/annotate")).text.split('name="key" value="')[1].split('"')[0]
    await engineer(client, session, there.project, Role.manager)
    assert (await client.post(f"{base}/pause", data={"paused": "true"})).status_code == 303
    await sign_in(client, session, person)
    assert "have paused it" in (await client.get(f"{base}/annotate")).text
    assert await leases(session) == 1
    await engineer(client, session, there.project, Role.manager)
    await client.post(f"{base}/pause", data={"paused": "false"})
    await sign_in(client, session, person)
    assert held in (await client.get(f"{base}/annotate")).text


async def test_new_guidelines_are_marked_block_by_block_until_they_are_read(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    there = await scene(session, tasks=2)
    base, person = f"/projects/{there.project.public_id}", await person_of(session, there)
    await sign_in(client, session, person)
    page = (await client.get(f"{base}/guidelines")).text
    assert "You have not said yet that you have read these." in page
    read = await client.post(f"{base}/guidelines/read", data={"version": "1"}, headers=PART)
    assert "Be fair." in read.text
    assert "have read" not in read.text
    await change_guidelines(session, there.project.id, "Be fair.\n\nSay why.", None)
    letters = (await session.scalars(select(InboxItem))).all()
    assert [(one.user_id, one.kind.value, one.subject) for one in letters] == [(person.id, "guidelines", "2")]
    await change_guidelines(session, there.project.id, "Be fair.\n\nSay why, briefly.", None)
    page = (await client.get(f"{base}/annotate")).text
    marked = page.split('<ins class="change">')[1].split("</ins>")[0]
    assert "Say why, briefly." in marked
    assert "Be fair." not in marked
    assert "data-news" in page
    assert '<ins class="change">' not in page.split('id="task"')[1].split("</section>")[0]
    await client.post(f"{base}/guidelines/read", data={"version": "9"})  # no further than there are
    assert (await place_of(session, person)).guidelines_read == 3
    unread = select(InboxItem).where(InboxItem.read_at.is_(None))
    assert (await session.scalars(unread)).all() == []  # the letter of version 2 gave way to that of 3, which is read
    page = (await client.get(f"{base}/annotate")).text
    assert "data-news" not in page
    assert '<ins class="change">' not in page
