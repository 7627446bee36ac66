"""Two people's steps in every order, on a database in which commits are real: none waits for the other for ever."""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import combinations

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app import database
from app.annotations.actions import edit, set_aside, submit, withdraw
from app.direct import driver_of
from app.errors import DomainError
from app.tasks.actions import cancel_tasks, change_k, claim, release, run_out, skip, sweep
from tests.app.scene import Scene, broken, claimed, let_leases_run_out, prefers, scene, sweep_all

pytestmark = pytest.mark.committed
Step = Callable[[AsyncSession], Awaitable[object]]


async def deeds(there: Scene) -> dict[str, Step]:
    """One transaction each: what may happen to one task at the same moment. Person 0 holds the task, its lease has
    run out; person 1 has answered it; person 2 comes along."""
    project, (holder, author, other) = there.project.id, there.people
    async with database.transaction() as session:
        held = await claimed(session, holder)
    async with database.transaction() as session:
        theirs = await claimed(session, author)
        said = await submit(session, project, author.person.id, theirs.task, theirs.key, prefers(theirs))
        await let_leases_run_out(session)
    mine, changed = holder.person.id, prefers(theirs, side=1)

    async def sweep_it(session: AsyncSession) -> None:
        for lease in await run_out(session):
            await sweep(session, *lease)

    return {
        "submit": lambda session: submit(session, project, mine, held.task, held.key, prefers(held)),
        "skip": lambda session: skip(session, project, mine, held.task, held.key),
        "release": lambda session: release(session, project, mine, held.task, held.key),
        "claim again": lambda session: claim(session, holder),
        "claim": lambda session: claim(session, other),
        "sweep": sweep_it,
        "edit": lambda session: edit(session, project, author.person.id, said.public_id, 1, changed),
        "withdraw": lambda session: withdraw(session, project, author.person.id, said.public_id),
        "set aside": lambda session: set_aside(session, project, said.public_id, actor_id=mine, reason="careless"),
        "cancel": lambda session: cancel_tasks(session, project, there.tasks),
        "fewer": lambda session: change_k(session, project, there.tasks[0], 1),
        "more": lambda session: change_k(session, project, there.tasks[0], 4),
    }


NAMES = (
    "submit",
    "skip",
    "release",
    "claim again",
    "claim",
    "sweep",
    "edit",
    "withdraw",
    "set aside",
    "cancel",
    "fewer",
    "more",
)


EVERY_DAY = {"submit", "skip", "claim", "claim again", "sweep", "edit"}


async def statement_by_statement(step: Step, turn: asyncio.Semaphore) -> None:
    """One transaction that lets the other go on before each of its statements."""
    async with database.sessions()() as session:
        driver = await driver_of(session)  # connecting takes longer than a turn

        def in_turn(do: Callable[..., Awaitable[object]]) -> Callable[..., Awaitable[object]]:
            async def waiting(*given: object, **more: object) -> object:
                await turn.acquire()
                return await do(*given, **more)

            return waiting

        session.execute = in_turn(session.execute)  # type: ignore[method-assign, assignment]
        driver.execute = in_turn(driver.execute)  # type: ignore[method-assign, assignment]  # see app/direct.py
        try:
            await step(session)
        except DomainError:
            await session.rollback()
        finally:
            del driver.execute  # it goes back to the pool
        await session.commit()


def orders(one: str, other: str) -> list[str]:
    """All ways to shuffle three turns of each for the deeds that people do all day; a few ways for the rest."""
    if {one, other} <= EVERY_DAY:
        return ["".join("a" if turn in taken else "b" for turn in range(6)) for taken in combinations(range(6), 3)]
    return ["aabbaabb", "abababab", "babababa", "bbaabbaa"]


@pytest.mark.parametrize("one", NAMES[:-1])
async def test_no_two_deeds_lock_each_other_out(committed: str, one: str) -> None:
    """Whatever the order of their statements: both end well, and nothing that must not be is there.

    A step that waits for the other's lock simply comes later than its turn.
    """
    for other in NAMES[NAMES.index(one) + 1 :]:
        for order in orders(one, other):
            async with database.transaction() as session:
                await sweep_all(session)
                there = await scene(session, people=3, tasks=1, k=2)
            done = await deeds(there)
            ended = await in_turns(order, done[one], done[other])
            assert ended == [None, None], (other, order)
            async with database.transaction() as session:
                found = await broken(session)
                found.pop("I5 more than k live", None)  # answers that were given before k was lowered stay
                assert found == {}, (other, order)


async def in_turns(order: str, one: Step, other: Step, pause: float = 0.003) -> list[BaseException | None]:
    """Run two transactions statement by statement; how each ended."""
    turns = {"a": asyncio.Semaphore(0), "b": asyncio.Semaphore(0)}
    both = [
        asyncio.create_task(statement_by_statement(one, turns["a"])),
        asyncio.create_task(statement_by_statement(other, turns["b"])),
    ]
    await asyncio.sleep(pause)
    for whose in order:
        turns[whose].release()
        await asyncio.sleep(pause)
    for turn in turns.values():
        for _ in range(20):
            turn.release()
    return await asyncio.wait_for(asyncio.gather(*both, return_exceptions=True), 10)


async def test_a_lock_taken_the_other_way_round_is_seen_by_this_test(committed: str) -> None:
    """The negative control: a deed that takes the slot before the task, beside one that does it our way."""
    async with database.transaction() as session:
        there = await scene(session, people=3, tasks=1, k=2)
    done = await deeds(there)

    async def wrong_way_round(session: AsyncSession) -> None:
        await session.execute(text("SELECT 1 FROM slots FOR UPDATE"))
        await session.execute(text("SELECT 1 FROM tasks FOR UPDATE"))

    ended = await in_turns("ab" * 4, done["submit"], wrong_way_round, pause=0.05)
    assert any("deadlock" in str(error) for error in ended)
