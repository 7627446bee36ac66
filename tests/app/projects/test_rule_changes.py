"""A changed rule is read before the next task; the task in hand is answered under the text it was shown with."""

import httpx
import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.tables import InboxItem, Membership, User
from app.annotations.actions import submit
from app.annotations.tables import Annotation
from app.projects.actions import change_guidelines
from app.projects.tables import Change, Guidelines, Project
from app.tasks.actions import Waiting, claim, claiming
from app.tasks.actions.claiming import Reason
from tests import make
from tests.app.scene import Scene, access_of, claimed, prefers, scene
from tests.conftest import sign_in

PART = {"HX-Request": "true"}


async def person_of(session: AsyncSession, there: Scene) -> User:
    return (await session.scalars(select(User).where(User.id == there.me.person.id))).one()


async def publish(session: AsyncSession, there: Scene, words: str, change: Change = Change.rule) -> int:
    return (await change_guidelines(session, there.project.id, words, None, change=change)).version


async def version_answered_under(session: AsyncSession) -> list[int]:
    asked = select(Guidelines.version).join(Annotation, Annotation.guidelines_id == Guidelines.id)
    return list(await session.scalars(asked.order_by(Annotation.id)))


async def test_a_rule_is_read_before_the_next_task_and_what_is_in_hand_is_answered_first(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    there = await scene(session, tasks=3)
    base = f"/projects/{there.project.public_id}"
    await sign_in(client, session, await person_of(session, there))
    page = (await client.get(f"{base}/annotate")).text
    await session.execute(text("UPDATE memberships SET guidelines_read = 1"))
    await publish(session, there, "Be fair.\n\nNever reward length.")
    again = (await client.get(f"{base}/annotate")).text
    assert "data-choices" in again, "the task on the screen stays"
    key, address = (
        page.split('name="key" value="')[1].split('"')[0],
        page.split('" data-choices')[0].split('action="')[-1],
    )
    choice = page.split('name="choice" value="')[1].split('"')[0]
    kept = await client.post(address, data={"key": key, "choice": choice, "seen": "1"}, headers=PART)
    assert await version_answered_under(session) == [1]
    assert "The rules have changed" in kept.text
    assert '<ins class="change">' in kept.text
    assert "Never reward length." in kept.text
    assert await session.scalar(text("SELECT count(*) FROM slots WHERE state = 1")) == 0
    onward = await client.post(f"{base}/guidelines/onward", data={"version": "2"})
    assert onward.headers["location"] == f"{base}/annotate"
    assert "data-choices" in (await client.get(f"{base}/annotate")).text


@pytest.mark.parametrize(("change", "letters"), [(Change.wording, 0), (Change.clarification, 1)])
async def test_other_words_and_clearer_ones_keep_nobody_from_the_next_task(
    session: AsyncSession, change: Change, letters: int
) -> None:
    there = await scene(session, tasks=1)
    await publish(session, there, "Be very fair.", change)
    await claimed(session, there.me)
    assert len((await session.scalars(select(InboxItem))).all()) == letters


async def test_an_answer_that_was_under_way_when_a_rule_came_is_taken_and_the_next_task_waits(
    session: AsyncSession,
) -> None:
    """Who asks was found before the rule was published, as in a request that is under way."""
    there = await scene(session, tasks=2)
    shown = await claimed(session, there.me)
    await publish(session, there, "Another rule.")
    await submit(session, there.project.id, there.me.person.id, shown.task, shown.key, prefers(shown))
    waiting = await claim(session, there.me)
    assert isinstance(waiting, Waiting)
    assert (waiting.reason, waiting.rules) == (Reason.reading, 2)
    await publish(session, there, "Another rule, said better.", Change.wording)
    reader = access_of(there.project, await person_of(session, there), guidelines_read=2)
    await claimed(session, reader)  # better words of a rule that was read ask nothing
    assert await version_answered_under(session) == [1]


async def test_a_rule_that_comes_between_the_lock_and_the_claim_is_not_shown_unread(
    session: AsyncSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = await scene(session, tasks=1)

    locked = claiming.lock_quota

    async def and_then(*given: object) -> object:
        quota = await locked(*given)  # type: ignore[arg-type]
        await publish(session, there, "Another rule.")
        return quota

    monkeypatch.setattr(claiming, "lock_quota", and_then)
    shown = await claimed(session, there.me)
    version = await session.scalar(select(Guidelines.version).where(Guidelines.id == shown.guidelines_id))
    assert version == 1


async def test_programs_are_refused_the_next_task_until_they_confirm_unless_their_token_says_otherwise(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    there = await scene(session, tasks=2)
    base = f"/api/v1/projects/{there.project.public_id}"
    person = await person_of(session, there)
    boss = await make.user(session, is_admin=True)
    await sign_in(client, session, boss)
    sent = {"version": 1, "markdown": "Be fair, always.", "change": "rule"}
    assert (await client.put(f"{base}/guidelines", json=sent)).json()["version"] == 2
    assert (await session.scalars(select(Project.rules_version))).one() == 2
    client.headers["Authorization"] = f"Bearer {await make.api_token(session, person)}"
    refused = await client.post(f"{base}/tasks/next")
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:hone:reading-needed")
    told = (await client.get(f"{base}/guidelines")).json()
    assert (told["version"], told["change"], told["read"], told["to_read"]) == (2, "rule", None, 2)
    assert (await client.get(f"{base}/guidelines?version=1")).json()["markdown"] == "Be fair."
    free = await make.api_token(session, person, skips_reading=True)
    got = await client.post(f"{base}/tasks/next", headers={"Authorization": f"Bearer {free}"})
    assert got.json()["guidelines"]["version"] == 2
    await session.execute(text("UPDATE slots SET state = 0, annotator_id = NULL, lease = NULL, lease_until = NULL"))
    assert (await client.post(f"{base}/guidelines/read", json={"version": 2})).status_code == 204
    assert (await session.scalars(select(Membership.guidelines_read))).all() == [2]
    assert (await client.post(f"{base}/tasks/next")).status_code == 200


async def test_who_publishes_says_what_changes(client: httpx.AsyncClient, session: AsyncSession) -> None:
    there = await scene(session)
    await sign_in(client, session, await make.user(session, is_admin=True))
    address = f"/projects/{there.project.public_id}/settings/guidelines"
    assert 'value="rule"' in (await client.get(address)).text
    await client.post(address, data={"version": "1", "markdown": "Be brief.", "change": "rule"})
    made = (await session.scalars(select(Guidelines).where(Guidelines.version == 2))).one()
    assert made.change is Change.rule


async def test_the_same_words_can_be_said_to_change_a_rule_after_all(session: AsyncSession) -> None:
    there = await scene(session)
    assert await publish(session, there, "Be fair.", Change.clarification) == 1
    assert await publish(session, there, "Be fair.") == 2
    assert await publish(session, there, "Be fair.") == 2
    assert await publish(session, there, "Be fair.", Change.wording) == 2
    await session.refresh(there.project)
    assert there.project.rules_version == 2
