"""An answer is returned with a remark, arrives, is changed or answered, and nothing that was said is lost."""

import re

import httpx
import pytest
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.permissions import Role
from app.accounts.tables import InboxItem, User
from app.annotations.actions import answer_back, edit, reply, return_answer, set_aside, submit
from app.annotations.actions.editing import EditWindowOver
from app.annotations.actions.returning import LongTalk, OwnAnswer
from app.annotations.history import my_talks, talk_about
from app.annotations.kinds import ComparisonBody
from app.annotations.queries import my_answer
from app.annotations.tables import Annotation, AnnotationVersion
from app.errors import NotFound
from app.events import Event
from tests import make
from tests.app.scene import Scene, claimed, prefers, scene
from tests.conftest import sign_in

FRESH = {"populate_existing": True}


async def an_answer(session: AsyncSession, there: Scene) -> Annotation:
    """Given two hours ago, so that the window of an hour is over."""
    shown = await claimed(session, there.me)
    await submit(session, there.project.id, there.me.person.id, shown.task, shown.key, prefers(shown))
    await session.execute(text("UPDATE annotations SET submitted_at = now() - interval '2 hours'"))
    return await now(session)


async def a_reviewer(session: AsyncSession, there: Scene) -> User:
    person = await make.user(session)
    await make.member(session, there.project, person, Role.reviewer, pseudonym="stone-7")
    return person


async def letters(session: AsyncSession, person_id: int) -> list[tuple[str, bool]]:
    found = await session.scalars(select(InboxItem).where(InboxItem.user_id == person_id).order_by(InboxItem.id))
    return [(one.kind.value, one.read_at is not None) for one in found]


async def now(session: AsyncSession) -> Annotation:
    return (await session.scalars(select(Annotation), execution_options=FRESH)).one()


async def changed(session: AsyncSession, there: Scene, said: Annotation) -> None:
    mine = await my_answer(session, there.project.id, there.me.person.id, said.public_id)
    body = ComparisonBody(outcome="preferred", preferred=mine.shown[1].handle, strength=1)
    await edit(session, there.project.id, there.me.person.id, said.public_id, said.version, body)


async def test_a_returned_answer_is_changed_long_after_its_window_and_the_first_version_stays(
    session: AsyncSession,
) -> None:
    there = await scene(session)
    said, reviewer = await an_answer(session, there), await a_reviewer(session, there)
    with pytest.raises(EditWindowOver):
        await changed(session, there, said)
    first = said.body
    await return_answer(
        session, there.project.id, said.public_id, reviewer_id=reviewer.id, text="A leaves the question open."
    )
    said = await now(session)
    assert said.returned_at is not None
    assert said.state == "live"  # it counts as it is until it is changed
    assert await letters(session, there.me.person.id) == [("returned", False)]
    await changed(session, there, said)
    said = await now(session)
    assert (said.returned_at, said.version) == (None, 2)
    assert [one.body for one in await session.scalars(select(AnnotationVersion))] == [first]
    lines = await talk_about(session, said)
    assert [(one.kind.value, one.text, one.version, one.is_author) for one in lines] == [
        ("returned", "A leaves the question open.", 1, False),
        ("changed", "", 2, True),
    ]
    assert await letters(session, reviewer.id) == [("changed", False)]
    kinds = (await session.scalars(select(Event.kind).order_by(Event.id))).all()
    assert [one for one in kinds if one in ("annotation.returned", "annotation.edited")] == [
        "annotation.returned",
        "annotation.edited",
    ]
    with pytest.raises(EditWindowOver):  # the return is over, and so is the time for changes
        await changed(session, there, said)


async def test_a_program_returns_an_answer(client: httpx.AsyncClient, session: AsyncSession) -> None:
    there = await scene(session)
    said, reviewer = await an_answer(session, there), await a_reviewer(session, there)
    head = {"Authorization": f"Bearer {await make.api_token(session, reviewer)}"}
    address = f"/api/v1/annotations/{said.public_id}/return"
    assert (await client.post(address, json={"text": " "}, headers=head)).status_code == 422
    told = await client.post(address, json={"text": "A is off the subject."}, headers=head)
    assert (told.status_code, told.json()["id"]) == (200, str(said.public_id))
    assert (await now(session)).returned_at is not None
    assert await letters(session, there.me.person.id) == [("returned", False)]


async def test_answering_back_ends_the_return_and_leaves_the_answer_as_it_is(session: AsyncSession) -> None:
    there = await scene(session)
    said, reviewer = await an_answer(session, there), await a_reviewer(session, there)
    await return_answer(session, there.project.id, said.public_id, reviewer_id=reviewer.id, text="Why A?")
    await answer_back(session, there.project.id, there.me.person.id, said.public_id, "Because B is wrong.")
    said = await now(session)
    assert (said.returned_at, said.version) == (None, 1)
    assert await letters(session, reviewer.id) == [("asked", False)]
    await reply(session, there.project.id, said.public_id, reviewer_id=reviewer.id, text="I see.")
    talks = await my_talks(session, there.me.person.id, None)
    assert [(one.text, one.is_answered, one.returned_at) for one in talks] == [("I see.", True, None)]


async def test_a_question_nobody_has_spoken_about_goes_to_all_reviewers_and_unread_letters_are_not_doubled(
    session: AsyncSession,
) -> None:
    there = await scene(session, people=2)
    said, reviewer = await an_answer(session, there), await a_reviewer(session, there)
    for words in ("Is a joke allowed?", "Or a pun?"):
        await answer_back(session, there.project.id, there.me.person.id, said.public_id, words)
    assert await letters(session, reviewer.id) == [("asked", False)]
    assert await letters(session, there.people[1].person.id) == []  # an annotator reads nobody's questions


async def test_what_may_not_be_returned(session: AsyncSession, monkeypatch: pytest.MonkeyPatch) -> None:
    there, other = await scene(session), await scene(session)
    said = await an_answer(session, there)
    me = there.me.person.id
    with pytest.raises(OwnAnswer):
        await return_answer(session, there.project.id, said.public_id, reviewer_id=me, text="x")
    with pytest.raises(NotFound):
        await return_answer(session, other.project.id, said.public_id, reviewer_id=other.me.person.id, text="x")
    with pytest.raises(NotFound):
        await answer_back(session, there.project.id, other.me.person.id, said.public_id, "x")
    reviewer = await a_reviewer(session, there)
    monkeypatch.setattr("app.annotations.actions.returning.MOST", 1)
    await reply(session, there.project.id, said.public_id, reviewer_id=reviewer.id, text="x")
    with pytest.raises(LongTalk):
        await reply(session, there.project.id, said.public_id, reviewer_id=reviewer.id, text="y")


async def test_an_answer_that_is_set_aside_is_no_longer_returned(session: AsyncSession) -> None:
    there = await scene(session)
    said, reviewer = await an_answer(session, there), await a_reviewer(session, there)
    await return_answer(session, there.project.id, said.public_id, reviewer_id=reviewer.id, text="x")
    await set_aside(session, there.project.id, said.public_id, actor_id=reviewer.id, reason="no")
    assert (await now(session)).returned_at is None


async def test_the_pages_from_the_reviewer_to_the_author_and_back(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    there = await scene(session)
    said, reviewer = await an_answer(session, there), await a_reviewer(session, there)
    base = f"/projects/{there.project.public_id}"
    await sign_in(client, session, reviewer)
    page = (await client.get(f"{base}/annotations")).text
    assert f"{base}/annotations/{said.public_id}" in page
    sent = {"text": "First line.\r\n<script>second</script>"}
    back = await client.post(f"{base}/annotations/{said.public_id}/return", data=sent)
    assert back.headers["location"] == f"{base}/annotations/{said.public_id}"
    assert (await client.post(f"{base}/annotations/{said.public_id}/return", data={"text": " "})).status_code == 422
    author = (await session.scalars(select(User).where(User.id == there.me.person.id))).one()
    await sign_in(client, session, author)
    home = (await client.get("/projects")).text
    assert re.search(r'unread-count">1<', home)
    inbox = (await client.get("/inbox")).text
    assert "An answer of yours was returned." in inbox
    assert "First line." in inbox
    one = (await client.get(f"{base}/answers/{said.public_id}")).text
    assert "&lt;script&gt;second" in one
    assert "stone-7" not in one  # who it was is not told, only that it was a reviewer
    assert ">Change<" in one
    assert await letters(session, author.id) == [("returned", True)]  # read by opening it
    assert "unread-count" not in (await client.get("/projects")).text
    await client.post(f"{base}/answers/{said.public_id}/remarks", data={"text": "It stays."})
    assert (await now(session)).returned_at is None
    await sign_in(client, session, reviewer)
    assert "It stays." in (await client.get(f"{base}/annotations/{said.public_id}")).text
    assert await session.scalar(select(func.count()).select_from(InboxItem).where(InboxItem.read_at.is_(None))) == 0
