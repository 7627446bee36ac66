"""Two people who decide about one argued answer at the same moment, on two connections whose commits are real."""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import permutations
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app import database
from app.errors import DomainError
from app.projects.queries import newest_protocol
from app.quality.actions import argue, drop_argument
from app.quality.contesting import close_contest, contest
from app.quality.forms import Argument
from app.quality.mixing import mix_in
from app.quality.tables import ArguedAnswer, Contest
from app.tasks.tables import Task
from tests import make
from tests.app.quality.test_mixing import FIRST, answer
from tests.app.scene import broken, scene

pytestmark = pytest.mark.committed
Deed = Callable[[AsyncSession], Awaitable[object]]
TIE = FIRST | {"outcome": "tie", "preferred": None, "strength": None}


async def deeds() -> dict[str, Deed]:
    """Two people said otherwise than what is argued, and contest it; whoever runs the project may do any of these."""
    async with database.transaction() as session:
        there = await scene(session, people=2, tasks=1, k=2)
        one, other = (await make.user(session)).id, (await make.user(session)).id
        for nth in (0, 1):
            await answer(session, there, nth, side=1)
        task = await session.get_one(Task, there.tasks[0])
        protocol = (await newest_protocol(session, there.project.id)).id
        await argue(session, task, protocol, FIRST, Argument(use="gold", argument="So."), one)
        said = await session.execute(text("SELECT annotator_id, public_id FROM annotations ORDER BY id"))
        mine, theirs = [
            (await contest(session, there.project.id, person, public_id, "No.")).public_id for person, public_id in said
        ]
    project, as_well = there.project.id, Argument(use="gold", argument="Or neither.")

    async def found(session: AsyncSession) -> Task:
        return await session.get_one(Task, there.tasks[0])

    async def argue_it(session: AsyncSession) -> object:
        return await argue(session, await found(session), protocol, TIE, as_well, other)

    async def drop_it(session: AsyncSession) -> object:
        return await drop_argument(session, await found(session), other)

    return {
        "accept": lambda session: close_contest(session, project, mine, one, accepts=True, reply="Yes."),
        "uphold": lambda session: close_contest(session, project, mine, other, accepts=False, reply="No."),
        "accept the other": lambda session: close_contest(session, project, theirs, other, accepts=True),
        "argue": argue_it,
        "drop": drop_it,
        "mix in": lambda session: mix_in(session, there.tasks[0]),
    }


async def as_far_as_it_comes(deed: asyncio.Task[None]) -> None:
    """Until it is done, or waits for a lock that somebody holds."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    while not deed.done():
        async with database.transaction() as session:  # one sees the same activity throughout a transaction
            if await session.scalar(text(waiting)):
                return
        await asyncio.sleep(0.01)


def said(body: dict[str, Any]) -> str:
    return "tie" if body["outcome"] == "tie" else ("FIRST", "other")[body["preferred"]]


PAIRS = list(permutations(("accept", "uphold", "accept the other", "argue", "drop", "mix in"), 2))


@pytest.mark.parametrize(("first", "second"), PAIRS, ids=lambda name: str(name))
async def test_two_deeds_at_once_end_as_one_after_the_other(committed: str, first: str, second: str) -> None:
    """The second begins while the first has done its work and not committed: it waits, or its work adds to what the
    first did; nobody's is written over."""
    may = await deeds()
    refused: dict[str, str] = {}
    has_done, may_end = asyncio.Event(), asyncio.Event()

    async def do_first() -> None:
        async with database.transaction() as session:
            await may[first](session)
            has_done.set()
            await may_end.wait()

    async def do_second() -> None:
        try:
            async with database.transaction() as session:
                await may[second](session)
        except DomainError as refusal:
            refused[second] = refusal.code

    one, begun = asyncio.create_task(do_first()), asyncio.create_task(has_done.wait())
    await asyncio.wait({one, begun}, timeout=20, return_when=asyncio.FIRST_COMPLETED)
    if not has_done.is_set():
        begun.cancel()
        await asyncio.wait_for(one, 1)  # says why it could not
    two = asyncio.create_task(do_second())
    await asyncio.wait_for(as_far_as_it_comes(two), 20)
    may_end.set()
    await asyncio.wait_for(asyncio.gather(one, two), 20)

    async with database.transaction() as session:
        bodies = [each.bodies for each in await session.scalars(select(ArguedAnswer).order_by(ArguedAnswer.task_id))]
        verdicts = list(await session.scalars(select(Contest.is_accepted).order_by(Contest.id)))
        letters = await session.execute(
            text("SELECT kind, count(*) FROM inbox_items WHERE kind IN ('accepted', 'upheld') GROUP BY kind")
        )
        assert await broken(session) == {}
    both = {first, second}
    closes = [deed for deed in (first, second) if deed in ("accept", "uphold", "accept the other")]
    if len(closes) == 2:
        accepted_first = closes[0] != "uphold"
        # accepting one accepts whoever said the same: the second finds it decided, and so it stays
        waits = "uphold" in both and "accept the other" in both and not accepted_first
        assert refused == ({} if waits else {second: "contest-closed"})
    assert dict(letters.all()) == {
        kind: n for kind, n in (("accepted", verdicts.count(True)), ("upheld", verdicts.count(False))) if n
    }
    names = [{said(one) for one in each} for each in bodies]
    if "drop" in both:  # what was there before it is gone, and only arguing begins anew
        assert names == ([{"tie"}] if second == "argue" else [])
        return
    wanted = {"FIRST"}
    wanted |= {"other"} if {"accept", "accept the other"} & (both - set(refused)) else set()
    wanted |= {"tie"} if "argue" in both else set()
    assert names == [wanted] * (2 if "mix in" in both else 1)
