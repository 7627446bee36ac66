"""Many people at once, on a database in which commits are real; and once without our locks, to see the checks see."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app import database
from app.accounts.access import Access
from app.accounts.tables import Membership
from app.annotations.actions import submit
from app.annotations.tables import Annotation
from app.oversight.changing_people import Does, PeopleChange, change_people
from app.projects.queries import default_batch
from app.prompts.tables import Prompt
from app.tasks.actions import Waiting, claim, make_tasks, making, release, run_out, skip, sweep
from app.tasks.tables import Slot
from tests import make
from tests.app.scene import Scene, broken, claimed, prefers, scene, sweep_all
from tests.app.tasks.race import EXACTLY, NAIVELY, holds, run, sums
from tests.app.tasks.race import set_up as set_up_race

pytestmark = pytest.mark.committed


async def set_up(**values: int) -> Scene:
    async with database.transaction() as session:
        return await scene(session, **values)


async def work(access: Access, acknowledged: list[int], chance: random.Random, *, ill_behaved: bool) -> None:
    """Answer until nothing is left; an ill-behaved person also skips, comes too late and clicks twice."""
    while True:
        async with database.transaction() as session:
            shown = await claim(session, access)
        if isinstance(shown, Waiting):
            return
        await asyncio.sleep(0)
        if ill_behaved and chance.random() < 0.1:
            async with database.transaction() as session:
                await skip(session, access.of_project(), access.person.id, shown.task, shown.key)
            continue
        if ill_behaved and chance.random() < 0.2:
            async with database.transaction() as session:
                await session.execute(
                    text("UPDATE slots SET lease_until = now() - interval '1 s' WHERE id = :slot AND state = 1"),
                    {"slot": shown.slot_id},
                )
            await asyncio.sleep(chance.random() * 0.02)
        body = prefers(shown, side=chance.randrange(2))

        async def answer() -> int:
            async with database.transaction() as session:
                return (await submit(session, access.of_project(), access.person.id, shown.task, shown.key, body)).id  # noqa: B023

        answers = await asyncio.gather(*[answer() for _ in range(2 if ill_behaved and chance.random() < 0.3 else 1)])
        assert len(set(answers)) == 1
        acknowledged.append(answers[0])


async def sweep_often(stop: asyncio.Event) -> None:
    while not stop.is_set():
        async with database.transaction() as session:
            leases = await run_out(session)
        for lease in leases:
            async with database.transaction() as session:
                await sweep(session, *lease)
        await asyncio.sleep(0.01)


async def test_200_people_give_each_task_exactly_three_answers(committed: str) -> None:
    """`make race` runs the same with 5,000 tasks and several processes."""
    race = await set_up_race(people=200, tasks=250)
    tally = await run(race, EXACTLY)
    found = await sums()
    assert found == {
        "answers": 750,
        "surplus": 0,
        "tasks without exactly k answers": 0,
        "tasks not answered by k people": 0,
        "most answers of a task": 3,
        "people over their quota": 0,
        "slots stranded": 0,
        "broken": {},
    }
    assert len(tally.kept) == 750
    assert tally.left
    assert tally.at_quota


async def test_counting_before_inserting_breaks_what_the_race_holds(committed: str) -> None:
    """The negative control: the same people with the usual count-then-insert, and our sums find what it does."""
    race = await set_up_race(people=200, tasks=40)
    async with database.transaction() as session:
        await session.execute(text("DROP INDEX uq_annotations_one_live"))
    await run(race, NAIVELY)
    found = await sums()
    assert found["most answers of a task"] > 3
    assert found["tasks without exactly k answers"] > 0
    assert found["tasks not answered by k people"] > 0
    assert found["broken"]["I5 more than k live"] > 0
    assert not holds(found, tasks=40)


async def test_skips_double_clicks_and_late_answers_of_32_people_lose_and_double_nothing(committed: str) -> None:
    there = await set_up(people=32, tasks=25, k=3)
    acknowledged: list[int] = []
    chance = random.Random(2)
    stop = asyncio.Event()
    sweeper = asyncio.create_task(sweep_often(stop))
    await asyncio.gather(*[work(one, acknowledged, chance, ill_behaved=True) for one in there.people])
    stop.set()
    await sweeper
    async with database.transaction() as session:
        assert await broken(session) == {}
        assert sorted(await session.scalars(select(Annotation.id))) == sorted(acknowledged)


async def test_eight_tabs_of_one_person_show_one_task(committed: str) -> None:
    there = await set_up(tasks=10)

    async def open_a_tab() -> int:
        async with database.transaction() as session:
            shown = await claim(session, there.me)
            assert not isinstance(shown, Waiting)
            return shown.slot_id

    assert len(set(await asyncio.gather(*[open_a_tab() for _ in range(8)]))) == 1
    async with database.transaction() as session:
        assert await session.scalar(text("SELECT used FROM quota_days")) == 1


async def test_whoever_is_deactivated_while_claiming_ends_with_nothing_in_hand(committed: str) -> None:
    """Everybody's requests began before; half of them are deactivated meanwhile, by two managers at once."""
    there = await set_up(people=8, tasks=8)
    gone = there.people[:4]

    async def look(access: Access) -> object:
        async with database.transaction() as session:
            return await claim(session, access)

    async def deactivate(people: list[Access]) -> None:
        async with database.transaction() as session:
            ids = [one.person.id for one in people]
            who = await session.scalars(select(Membership.pseudonym).where(Membership.user_id.in_(ids)))
            await change_people(session, there.me, PeopleChange(who=who.all(), does=Does.deactivate))

    looks = [look(access) for access in [*there.people, *gone, *gone]]
    await asyncio.gather(*looks[:8], deactivate(gone), deactivate(gone[::-1]), *looks[8:])
    async with database.transaction() as session:
        await sweep_all(session)
    assert all([isinstance(await look(access), Waiting) for access in gone])
    async with database.transaction() as session:
        assert await session.scalar(select(func.count()).where(Slot.state == 1)) == 4
        assert await broken(session) == {}


@pytest.mark.parametrize("leave", [skip, release])
async def test_leaving_a_task_never_ends_a_later_showing_of_it(
    committed: str, leave: Callable[..., Awaitable[None]]
) -> None:
    """The same click arrives twice; between the two the same person is shown the task anew."""
    there = await set_up(tasks=1)
    project, me = there.project.id, there.me
    async with database.transaction() as session:
        old = await claimed(session, me)

    async def leave_late() -> None:
        async with database.transaction() as session:
            await leave(session, project, me.person.id, old.task, old.key)

    async with database.transaction() as session:
        await release(session, project, me.person.id, old.task, old.key)
        late = asyncio.create_task(leave_late())
        async with database.transaction() as watching:
            waits = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
            while not await watching.scalar(waits):  # noqa: ASYNC110  (Postgres offers no event)
                await asyncio.sleep(0.01)
        new = await claimed(session, me)
    await late
    async with database.transaction() as session:
        assert (await claimed(session, me)).key == new.key != old.key
        assert await broken(session) == {}


async def made_at_once(monkeypatch: pytest.MonkeyPatch) -> int:
    """Tasks in a batch that wants two, after four makers have come with a pair each at the same moment."""
    async with database.transaction() as session:
        project = await make.project(session)
        batch = await default_batch(session, project.id)
        batch.target = 2
        prompts = [await make.prompt(session, project) for _ in range(4)]
        for prompt in prompts * 2:
            await make.completion(session, prompt)
    count = making.tasks_in

    async def count_slowly(session: AsyncSession, batch_id: int) -> int:
        counted = await count(session, batch_id)
        await asyncio.sleep(0.1)  # longer than the others need to come as far
        return counted

    monkeypatch.setattr(making, "tasks_in", count_slowly)

    async def make_them(prompt: Prompt) -> int:
        async with database.transaction() as session:
            return await make_tasks(session, project.id, batch.id, [prompt.id])

    made = await asyncio.gather(*[make_them(prompt) for prompt in prompts])
    async with database.transaction() as session:
        assert sum(made) == await session.scalar(text("SELECT count(*) FROM tasks"))
    return sum(made)


async def test_makers_at_once_never_pass_a_batchs_target(committed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert await made_at_once(monkeypatch) == 2


async def test_makers_who_do_not_lock_the_batch_pass_its_target(
    committed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control: the batch is read anew as it is, without the lock."""

    class WithoutLock(AsyncSession):
        async def refresh(self, instance: object, attribute_names: Any = None, with_for_update: Any = None) -> None:
            await super().refresh(instance, attribute_names)

    monkeypatch.setattr(database, "sessions", lambda: lambda: WithoutLock(database.engine(), expire_on_commit=False))
    assert await made_at_once(monkeypatch) > 2
