"""What a run waits for where its card is shared, and what its page says of that."""

from uuid import uuid4

import httpx
import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.completions.tables import Generation
from app.jobs.actions import bid, give_up
from app.jobs.rules import Card, Use
from app.jobs.tables import CardBid
from app.projects.tables import Batch, ProjectState
from app.training import actions
from app.training.sharing import must_leave, must_wait, step_aside
from app.training.tables import Run, RunState
from tests import make
from tests.app.scene import Scene, engineer, scene
from tests.queue import waiting

CARD = Card("GPU-1", "Test card (cuda:0)")
TAKEN = "The sampler has the card Test card (cuda:0). It moves its weights off when nobody has asked for 30 seconds."


async def a_run(session: AsyncSession, there: Scene) -> Run:
    return await make.run(session, there.project, await make.checkpoint(session))


async def collecting(session: AsyncSession, there: Scene) -> None:
    """Completions of that project are on the way."""
    checkpoint = await make.checkpoint(session)
    asked = {"checkpoint_id": checkpoint.id, "wanted": 4, "n": 2, "sampling": {}, "seed": 1}
    session.add(Generation(project_id=there.project.id, **asked))
    await session.flush()


async def test_a_run_waits_for_the_card_and_its_page_says_so(client: httpx.AsyncClient, session: AsyncSession) -> None:
    there, sampler = await scene(session, tasks=0), uuid4()
    run = await a_run(session, there)
    await engineer(client, session, there.project)
    await bid(session, CARD, sampler, Use.generation)
    assert await must_wait(session, run.id, CARD)
    assert (run.state, run.attempt, run.reason) == (RunState.queued, 0, TAKEN)
    assert await waiting(session, "Train") == [{"run_id": run.id}], "a job asks again"
    assert TAKEN in (await client.get(f"/runs/{run.public_id}")).text
    german = await client.get(f"/runs/{run.public_id}", headers={"Accept-Language": "de"})
    assert "Der Sampler hat die Karte Test card (cuda:0)." in german.text
    run = await session.get_one(Run, run.id)
    assert await must_wait(session, run.id, CARD)
    assert len(await waiting(session, "Train")) == 1, "one job is enough"
    await give_up(session, CARD, sampler)
    assert not await must_wait(session, run.id, CARD)
    assert await actions.take_run(session, run.id) is not None
    assert (run.state, run.reason) == (RunState.running, None)
    other = await make.run(session, there.project, await make.checkpoint(session))
    assert await must_wait(session, other.id, CARD)
    assert other.reason == ("Another training has the card Test card (cuda:0); this one is next when that has ended.")


async def test_no_training_begins_while_tasks_run_out_and_more_are_on_the_way(session: AsyncSession) -> None:
    there = await scene(session, tasks=2, k=3, low_water=3)
    run = await a_run(session, there)
    await collecting(session, there)
    assert await must_wait(session, run.id, CARD)
    assert run.reason == ("Ready tasks: 2, and the project wants at least 3. Completions for new ones come first."), (
        "tasks, not the answers they want"
    )
    assert list(await session.scalars(select(CardBid))) == [], "so the sampler is left in peace"
    await make.task(session, there.project, await session.get_one(Batch, there.batch_id))
    assert not await must_wait(session, run.id, CARD)


@pytest.mark.parametrize("why", ["nothing is on the way", "the project is paused"])
async def test_a_run_does_not_wait_for_tasks_that_never_come(session: AsyncSession, why: str) -> None:
    state = ProjectState.paused if "paused" in why else ProjectState.open
    there = await scene(session, tasks=0, low_water=3, state=state)
    run = await a_run(session, there)
    if "paused" in why:
        await collecting(session, there)
    assert not await must_wait(session, run.id, CARD)


async def test_a_training_leaves_for_what_is_more_important_and_for_nothing_else(session: AsyncSession) -> None:
    run = await a_run(session, await scene(session, tasks=0))
    assert not await must_wait(session, run.id, CARD)
    taken = await actions.take_run(session, run.id)
    assert taken is not None
    assert taken.fence is not None
    fence = taken.fence
    assert not await must_leave(session, run.public_id, CARD)
    await bid(session, CARD, uuid4(), Use.training)
    assert not await must_leave(session, run.public_id, CARD)
    await bid(session, CARD, uuid4(), Use.generation)
    assert await must_leave(session, run.public_id, CARD)
    await step_aside(session, run.id, fence, CARD)
    assert (run.state, run.fence, run.attempt, run.reason) == (RunState.queued, None, 0, TAKEN)
    assert await waiting(session, "Train") == [{"run_id": run.id}]
    with pytest.raises(actions.FenceLost):
        await step_aside(session, run.id, fence, CARD)


async def test_a_training_whose_lease_ran_out_leaves_the_card_to_who_has_it_now(session: AsyncSession) -> None:
    run = await a_run(session, await scene(session, tasks=0))
    assert not await must_leave(session, run.public_id, CARD)
    await session.execute(text("UPDATE card_bids SET beat_at = now() - interval '1 minute'"))
    assert (await bid(session, CARD, uuid4(), Use.training)).has
    assert await must_leave(session, run.public_id, CARD)


async def test_a_living_attempt_and_an_ended_run_do_not_ask_for_the_card(session: AsyncSession) -> None:
    run = await a_run(session, await scene(session, tasks=0))
    assert await actions.take_run(session, run.id) is not None
    await bid(session, CARD, uuid4(), Use.talk)
    assert not await must_wait(session, run.id, CARD), "take_run sees that another attempt has it"
    run.state = RunState.succeeded
    await session.flush()
    assert not await must_wait(session, run.id, CARD)
    assert await session.get(CardBid, (CARD.key, run.public_id)) is None
