"""A turn outlasts the sampler that answers it: killed in the middle, it is answered by the next one, once."""

import asyncio
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar

import pytest
import uvicorn
from sqlalchemy import func, select, text

from app import database
from app.annotations.actions import send_message
from app.annotations.jobs import TurnAsked
from app.annotations.tables import Turn, TurnAnswer
from app.checkpoints.tables import Place
from app.lines import storable
from app.projects.protocols import protocol_of
from app.settings import get_settings
from app.tasks.actions import ask_about_prompts
from tests import make
from tests.app.scene import claimed, scene
from tests.endpoint import endpoint
from tests.training.conftest import make_checkpoint
from workers.handlers.conversations import answer_turn
from workers.handlers.registry import Context
from workers.running import build_queue, give_back_stalled
from workers.sampling.answers import Sampling
from workers.sampling.door import make_door
from workers.sampling.engine import Engine


async def sampler() -> Process:
    return await asyncio.create_subprocess_exec(sys.executable, "-m", "tests.workers.handlers.talking")


async def until(is_so: Callable[[], object], seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while True:
            found = is_so()
            if await found if asyncio.iscoroutine(found) else found:
                return
            await asyncio.sleep(0.1)


async def a_turn(place: Place, location: str, **more: Any) -> int:
    """Somebody has sent a message to a project that this checkpoint answers for."""
    async with database.transaction() as session:
        there = await scene(
            session, tasks=0, protocol=protocol_of({"kind": "conversation", "sampling": {"max_tokens": 32}}).as_json()
        )
        values = {"place": place, "location": location, "revision": "m" if place is Place.endpoint else None} | more
        there.project.checkpoint_id = (await make.checkpoint(session, **values)).id
        await ask_about_prompts(session, there.project.id)
        shown = await claimed(session, there.me)
        me = there.me.person.id
        await send_message(session, there.project.id, me, shown.task, shown.key, 1, "Hold on tight")
        return (await session.scalars(select(Turn.id))).one()


async def answers() -> int:
    async with database.transaction() as session:
        return await session.scalar(select(func.count()).where(TurnAnswer.parts.is_not(None))) or 0


@pytest.mark.committed
async def test_a_sampler_that_is_killed_in_the_middle_of_a_turn_loses_nothing(committed: str) -> None:
    async with endpoint() as served:
        served.mood = "slow"
        await a_turn(Place.endpoint, served.address)
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


class Watched(Engine):
    """Remembers how it was asked."""

    asked: ClassVar[list[bool]] = []

    async def complete(self, *args: Any, is_awaited: bool = False, **more: Any) -> Any:
        self.asked.append(is_awaited)
        return await super().complete(*args, is_awaited=is_awaited, **more)


@pytest.mark.committed
async def test_a_checkpoint_of_ones_own_answers_before_others_and_the_same_again(
    committed: str, tmp_path: Path
) -> None:
    folder = await asyncio.to_thread(make_checkpoint, tmp_path / "tiny")
    job = TurnAsked(turn_id=await a_turn(Place.folder, str(folder)))
    engine = Watched(device="cpu", token_budget=4000, threads=1)
    try:
        for _twice in range(2):  # what is there is not asked for again
            await answer_turn(job, Context(get_settings(), engine=engine))
        assert engine.asked == [True]
        async with database.transaction() as session:
            turn = (await session.scalars(select(Turn))).one()
            kept = list(await session.scalars(select(TurnAnswer).order_by(TurnAnswer.sample)))
        assert (turn.trouble, turn.is_stuck, len(kept)) == (None, False, 2)
        said = [{"role": "user", "content": "Hold on tight"}]
        (again,) = await engine.complete(folder, [said], Sampling(**kept[0].sampling), 2, [kept[0].seed])
        told = [(one.parts, one.token_count, one.finish_reason) for one in kept]
        texts = [storable(one.text) for one in again]
        assert told == [
            ([{"type": "text", "text": text}], one.token_count, one.finish_reason)
            for text, one in zip(texts, again, strict=True)
        ]
    finally:
        await engine.close()


@asynccontextmanager
async def door(engine: Engine, folder: Path) -> AsyncIterator[str]:
    """The sampler's own HTTP door over one checkpoint, named m."""

    async def resolve(name: str) -> Path | None:
        return folder if name == "m" else None

    async def names() -> list[str]:
        return ["m"]

    made = make_door(engine, resolve, names, "secret")
    server = uvicorn.Server(uvicorn.Config(made, port=0, log_level="error", lifespan="off"))
    serving = asyncio.create_task(server.serve())
    await until(lambda: server.started)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/v1"
    server.should_exit = True
    await serving


@pytest.mark.committed
async def test_the_samplers_http_door_answers_as_any_server_does(
    committed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOOR_TOKEN", "secret")
    folder = await asyncio.to_thread(make_checkpoint, tmp_path / "tiny")
    engine = Engine(device="cpu", token_budget=4000, threads=1)
    async with door(engine, folder) as address:
        turn_id = await a_turn(Place.endpoint, address, api_key_variable="DOOR_TOKEN")
        await answer_turn(TurnAsked(turn_id=turn_id), Context(get_settings()))
    async with database.transaction() as session:
        kept = list(await session.scalars(select(TurnAnswer).order_by(TurnAnswer.sample)))
    said = [{"role": "user", "content": "Hold on tight"}]
    (again,) = await engine.complete(folder, [said], Sampling(**kept[0].sampling), 2, [kept[0].seed])
    await engine.close()
    assert [one.parts for one in kept] == [[{"type": "text", "text": storable(one.text)}] for one in again]


async def answered() -> bool:
    return await answers() == 2
