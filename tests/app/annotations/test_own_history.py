"""One's own answers are found again: by words wherever they stand, by kind, by local day, returned ones only."""

from datetime import UTC, date, datetime

import httpx
import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.tables import User
from app.annotations.actions import answer_back, submit
from app.annotations.forms import Search
from app.annotations.history import searched
from app.annotations.queries import my_answers
from app.annotations.tables import Annotation
from tests.app.scene import Scene, claimed, prefers, scene
from tests.conftest import sign_in


@pytest.fixture
async def there(session: AsyncSession) -> Scene:
    """Three answers: at 22:30, 23:30 and 00:30 UTC around the last Sunday of March in Berlin."""
    made = await scene(session, tasks=3)
    me, moments = made.me.person.id, ("2026-03-28 22:30+00", "2026-03-28 23:30+00", "2026-03-29 22:30+00")
    for word, moment in zip(("amber", "beryl", "coral"), moments, strict=True):
        shown = await claimed(session, made.me)
        body = prefers(shown, justification=f'{word} says "50%" of it')
        kept = await submit(session, made.project.id, me, shown.task, shown.key, body)
        at = {"at": datetime.fromisoformat(moment), "id": kept.id}
        await session.execute(text("UPDATE annotations SET submitted_at = :at WHERE id = :id"), at)
    return made


async def found(session: AsyncSession, there: Scene, zone: str = "Europe/Berlin", **asked: object) -> list[int]:
    """Which of the three, by their order."""
    search = Search.model_validate(asked)
    query = searched(my_answers(there.project.id, there.me.person.id), search, zone)
    ids = [row[0].id for row in await session.execute(query.order_by(Annotation.id))]
    everything = (await session.scalars(select(Annotation.id).order_by(Annotation.id))).all()
    return [everything.index(one) for one in ids]


async def test_words_are_found_in_what_was_written_judged_asked_and_remarked(
    session: AsyncSession, there: Scene
) -> None:
    assert await found(session, there, q="BERYL says") == [1]
    assert await found(session, there, q='"50%"') == [0, 1, 2]
    assert await found(session, there, q="5_%") == []  # signs of the pattern are only signs
    assert await found(session, there, q="fold paper") == [0, 1, 2]
    assert await found(session, there, q="fold nothing-of-the-kind") == []
    assert await found(session, there, q="comparison") == []  # the word that says the kind was not written by anybody
    said = (await session.scalars(select(Annotation).order_by(Annotation.id))).all()
    await answer_back(session, there.project.id, there.me.person.id, said[2].public_id, "Is sarcasm allowed?")
    assert await found(session, there, q="sarcasm") == [2]
    asked = "SELECT c.parts->0->>'text' FROM completions c JOIN task_completions t ON t.completion_id = c.id "
    words = await session.scalar(text(asked + "WHERE t.task_id = :task LIMIT 1"), {"task": said[1].task_id})
    assert 1 in await found(session, there, q=str(words))


async def test_days_are_days_of_the_readers_zone_when_clocks_change(session: AsyncSession, there: Scene) -> None:
    # Berlin is an hour ahead until 29 March, 02:00, then two: 23:30, then 00:30 of the 29th, then 00:30 of the 30th
    assert await found(session, there, until=date(2026, 3, 28)) == [0]
    assert await found(session, there, since=date(2026, 3, 29), until=date(2026, 3, 29)) == [1]
    assert await found(session, there, since=date(2026, 3, 30)) == [2]
    assert await found(session, there, zone="UTC", since=date(2026, 3, 29)) == [2]
    assert datetime(2026, 3, 29, 22, 30, tzinfo=UTC).day == 29


async def test_the_page_searches_and_goes_on_searching_on_its_next_page(
    client: httpx.AsyncClient, session: AsyncSession, there: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = (await session.scalars(select(User).where(User.id == there.me.person.id))).one()
    await sign_in(client, session, person)
    monkeypatch.setattr("app.annotations.routes.answers.ROWS", 1)
    base = f"/projects/{there.project.public_id}/answers"
    page = await client.get(base, params={"q": "says", "since": "", "until": "", "kind": ""})
    assert page.status_code == 200, page.text
    following = page.text.split('rel="next" href="')[1].split('"')[0].replace("&amp;", "&")
    assert "q=says" in following
    assert (await client.get(following)).status_code == 200
    assert "Nothing like that" in (await client.get(base, params={"q": "nowhere"})).text
    assert (await client.get(base, params={"since": "yesterday"})).status_code == 422
    assert "Nothing like that" in (await client.get(base, params={"returned": "true"})).text
