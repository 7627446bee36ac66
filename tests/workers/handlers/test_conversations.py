"""A turn outlasts the sampler that answers it: killed in the middle, it is answered by the next one, once."""

import asyncio
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import Callable

import pytest
from sqlalchemy import func, select, text

from app import database
from app.annotations.actions import send_message
from app.annotations.tables import Turn, TurnAnswer
from app.checkpoints.tables import Place
from app.projects.protocols import protocol_of
from app.tasks.actions import ask_about_prompts
from tests import make
from tests.app.scene import claimed, scene
from tests.endpoint import Endpoint, endpoint
from workers.running import build_queue, give_back_stalled


async def sampler() -> Process:
    return await asyncio.create_subprocess_exec(sys.executable, "-m", "tests.workers.handlers.talking")


async def until(is_so: Callable[[], object], seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while True:
            found = is_so()
            if await found if asyncio.iscoroutine(found) else found:
                return
            await asyncio.sleep(0.1)


async def a_turn(served: Endpoint) -> None:
    """Somebody has sent a message to a project that this endpoint answers for."""
    async with database.transaction() as session:
        there = await scene(session, tasks=0, protocol=protocol_of({"kind": "conversation"}).as_json())
        values = {"place": Place.endpoint, "location": served.address, "revision": "m"}
        there.project.checkpoint_id = (await make.checkpoint(session, **values)).id
        await ask_about_prompts(session, there.project.id)
        shown = await claimed(session, there.me)
        me = there.me.person.id
        await send_message(session, there.project.id, me, shown.task, shown.key, 1, "Hold on tight")


async def answers() -> int:
    async with database.transaction() as session:
        return await session.scalar(select(func.count()).where(TurnAnswer.parts.is_not(None))) or 0


@pytest.mark.committed
async def test_a_sampler_that_is_killed_in_the_middle_of_a_turn_loses_nothing(committed: str) -> None:
    async with endpoint() as served:
        served.mood = "slow"
        await a_turn(served)
        first = await sampler()
        try:
            await until(lambda: served.asked)  # it waits for the answer now
        finally:
            first.send_signal(signal.SIGKILL)
            await first.wait()
        assert await answers() == 0
        served.mood = "well"
        async with database.transaction() as session:  # half a minute later
            old = "UPDATE jobs.procrastinate_workers SET last_heartbeat = last_heartbeat - interval '1 minute'"
            await session.execute(text(old))
        queue = build_queue()
        async with queue.open_async():
            await give_back_stalled(queue)
        second = await sampler()
        try:
            await until(answered)
        finally:
            second.terminate()
            assert await asyncio.wait_for(second.wait(), 20) in (0, -signal.SIGTERM)
        async with database.transaction() as session:
            turn = (await session.scalars(select(Turn))).one()
            seeds = list(await session.scalars(select(TurnAnswer.seed)))
        assert (turn.trouble, len(seeds)) == (None, 2)
        assert {asked["seed"] for asked in served.asked} == set(seeds)  # who answers was drawn once


async def answered() -> bool:
    return await answers() == 2
