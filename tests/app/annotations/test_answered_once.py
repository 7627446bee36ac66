"""A person answers a task once, however often it was shown to them, and whatever became of their answer."""

import asyncio

import httpx
import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app import database
from app.annotations.actions import AlreadyAnswered, Saved, set_aside, submit, withdraw
from app.annotations.tables import Annotation, AnnotationState
from app.tasks.actions import Showing, release
from tests.app.annotations.test_workspace import open_page, person_at, press
from tests.app.scene import Scene, broken, claimed, let_leases_run_out, prefers, scene, sweep_all


async def given_back(session: AsyncSession, there: Scene) -> Showing:
    """A showing of the next task to person 0 that they ended themselves: its key may still come with an answer."""
    shown = await claimed(session, there.me)
    await release(session, there.project.id, there.me.person.id, shown.task, shown.key)
    return shown


async def say(session: AsyncSession, there: Scene, shown: Showing, nth: int = 0) -> Saved:
    return await submit(session, there.project.id, there.people[nth].person.id, shown.task, shown.key, prefers(shown))


async def answers(session: AsyncSession, there: Scene) -> list[AnnotationState]:
    mine = select(Annotation.state).where(Annotation.annotator_id == there.me.person.id)
    return list(await session.scalars(mine))


async def test_many_showings_of_a_task_bring_one_extra_answer(session: AsyncSession) -> None:
    there = await scene(session, people=2, tasks=1, k=1)
    shown = [await given_back(session, there) for _ in range(4)]
    assert len({one.key for one in shown}) == 4
    await say(session, there, await claimed(session, there.people[1]), 1)
    assert (await say(session, there, shown[0])).state is AnnotationState.surplus
    for one in shown[1:]:
        with pytest.raises(AlreadyAnswered, match="you can still edit it"):
            await say(session, there, one)
    assert (await say(session, there, shown[0])).is_repeat
    assert await answers(session, there) == [AnnotationState.surplus]
    assert await session.scalar(text("SELECT max(used) FROM quota_days")) == 1
    assert await broken(session) == {}


@pytest.mark.parametrize("how", ["set aside", "withdrawn"])
async def test_an_old_showing_never_takes_the_slot_of_ones_own_answer_that_was_taken_out(
    session: AsyncSession, how: str
) -> None:
    there = await scene(session, people=1, tasks=1, k=1)
    old, me = await given_back(session, there), there.me.person.id
    said = await say(session, there, await claimed(session, there.me))
    if how == "withdrawn":
        await withdraw(session, there.project.id, me, said.public_id)
    else:
        await set_aside(session, there.project.id, said.public_id, actor_id=me, reason="careless")
    with pytest.raises(AlreadyAnswered, match="was taken out"):
        await say(session, there, old)
    assert await session.scalar(text("SELECT state FROM slots")) == 0
    assert AnnotationState.live not in await answers(session, there)
    assert await broken(session) == {}


@pytest.mark.committed
async def test_two_old_showings_answered_at_the_same_moment_bring_one_answer(committed: str) -> None:
    for k in (1, 3):
        async with database.transaction() as session:
            there = await scene(session, people=2, tasks=1, k=k)
            shown = [await given_back(session, there) for _ in range(4)]
            await say(session, there, await claimed(session, there.people[1]), 1)

        async def send(there: Scene, one: Showing) -> Saved:
            async with database.transaction() as session:
                return await say(session, there, one)

        ended = await asyncio.gather(*[send(there, one) for one in shown], return_exceptions=True)
        assert sorted(type(one).__name__ for one in ended) == ["AlreadyAnswered"] * 3 + ["Saved"]
        async with database.transaction() as session:
            assert len(await answers(session, there)) == 1
            assert await broken(session) == {}


@pytest.mark.parametrize(
    ("became", "sentence", "offered"),
    [
        ("UPDATE projects SET edit_minutes = edit_minutes", "you can still edit it", "Look at it"),
        ("UPDATE annotations SET submitted_at = now() - interval '1 year'", "the time for changes is over", ""),
        ("UPDATE annotations SET state = 'set_aside'", "that answer was taken out", ""),
    ],
)
async def test_the_page_says_what_became_of_the_first_answer_beside_the_words_that_were_typed(
    client: httpx.AsyncClient, session: AsyncSession, became: str, sentence: str, offered: str
) -> None:
    there = await scene(session, people=1, tasks=1, k=2)
    await person_at(client, session, there)
    old = await open_page(client, there)
    await let_leases_run_out(session)
    assert await sweep_all(session) == 1
    again = await open_page(client, there)
    assert again.key != old.key
    await press(client, again, again.choices[0], justification="what I said first")
    await session.execute(text(became))
    refused = await press(client, old, old.choices[0], justification="what I say now")
    assert refused.status_code == 409
    assert refused.headers["HX-Retarget"] == "#refusal"  # beside the form, which keeps its words
    assert sentence in refused.text
    assert offered in refused.text
    assert "Leave it and go on" in refused.text
    kept = (await session.scalars(select(Annotation))).one()
    assert kept.body["justification"] == "what I said first"
