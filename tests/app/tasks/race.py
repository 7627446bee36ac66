"""Two hundred people at once, each task wanted from exactly three of them: what the hand-out promises, counted.

    make race

The same code goes in the suite with fewer tasks, and once with `naively`: the usual count, then insert. Everybody works
through the actions that the pages use, an answer and the next task in one go, on twelve connections a process. Half
the people have a quota that they reach; every tenth has two tabs open; every twentieth goes away with a task in hand,
which others get when its lease has run out.
"""

import asyncio
import json
import multiprocessing
import os
import random
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app import database, embedded
from app.accounts.access import Access
from app.annotations.actions import submit
from app.migrating import migrate
from app.projects.queries import default_batch
from app.settings import get_settings
from app.tasks.actions import Showing, Waiting, claim, run_out, sweep
from app.tasks.actions.claiming import Reason
from tests import make
from tests.app.scene import access_of, broken, prefers

AT_ONCE = 11  # people whose request is looked at, in each process; its pool has a connection more, for the sweep


@dataclass(frozen=True)
class Race:
    """One half of the people may give four fifths of what each would have to give on average, the others twice that."""

    people: list[Access]
    tasks: int
    k: int

    def part(self, number: int, of: int) -> "Race":
        size = len(self.people) / of
        return Race(self.people[int(number * size) : int((number + 1) * size)], self.tasks, self.k)


@dataclass(frozen=True)
class HandOut:
    """How somebody is given a task (or told why there is none), and how their answer to it is kept: as its id."""

    claim: Callable[[AsyncSession, Access], Awaitable[Any]]
    keep: Callable[[AsyncSession, Access, Any], Awaitable[int]]


@dataclass
class Tally:
    """kept: inside ids of acknowledged answers. at_quota: people who were told that they have reached theirs."""

    kept: set[int] = field(default_factory=set)
    at_quota: int = 0
    left: int = 0


TASKS = """
    INSERT INTO tasks (public_id, project_id, batch_id, prompt_id, k)
    SELECT gen_random_uuid(), :project, :batch, :prompt, :k FROM generate_series(1, :tasks);
    INSERT INTO task_completions (task_id, number, project_id, completion_id)
    SELECT t.id, c.number, t.project_id, c.id
    FROM tasks t, (SELECT id, row_number() OVER (ORDER BY id) - 1 AS number FROM completions) c;
    INSERT INTO slots (project_id, task_id, number, rank, sides)
    SELECT t.project_id, t.id, n, CAST(random() * 2 ^ 48 AS bigint), ARRAY[n % 2, 1 - n % 2]
    FROM tasks t, generate_series(0, :k - 1) n;
"""


async def set_up(people: int, tasks: int, k: int = 3) -> Race:
    values = {"tasks": tasks, "k": k}
    most = tasks * k / people
    async with database.transaction() as session:
        project = await make.project(session, k=k, low_water=0)
        batch, prompt = await default_batch(session, project.id), await make.prompt(session, project)
        for _side in range(2):
            await make.completion(session, prompt)
        values |= {"project": project.id, "batch": batch.id, "prompt": prompt.id}
        for statement in TASKS.strip().removesuffix(";").split(";"):
            await session.execute(text(statement), {name: values[name] for name in values if f":{name}" in statement})
        members = []
        for number in range(people):
            limit = int(most * (2 if number % 2 else 0.8))
            person = await make.user(session)
            await make.member(session, project, person, daily_limit=limit)
            members.append(access_of(project, person, daily_limit=limit))
    async with database.engine().connect() as connection:
        await (await connection.execution_options(isolation_level="AUTOCOMMIT")).execute(text("ANALYZE"))
    return Race(members, tasks, k)


# ---- ours -----------------------------------------------------------------------------------------------------------


async def keep(session: AsyncSession, access: Access, shown: Showing) -> int:
    body = prefers(shown, side=shown.slot_id % 2)  # both tabs of one person say the same
    return (await submit(session, access.of_project(), access.person.id, shown.task, shown.key, body)).id


EXACTLY = HandOut(claim, keep)


# ---- the usual way, for comparison ----------------------------------------------------------------------------------

GIVEN = text("SELECT count(*) FROM annotations WHERE annotator_id = :me")
PICK = text("""
    SELECT t.id, (SELECT min(id) FROM slots WHERE task_id = t.id) AS slot FROM tasks t
    WHERE (SELECT count(*) FROM annotations a WHERE a.task_id = t.id) < t.k
      AND NOT EXISTS (SELECT FROM annotations a WHERE a.task_id = t.id AND a.annotator_id = :me)
    ORDER BY t.id LIMIT 1
""")
INSERT = text("""
    INSERT INTO annotations (project_id, task_id, slot_id, annotator_id, idempotency_key, body_hash, kind, body, sides,
                             protocol_id)
    SELECT :project, :task, :slot, :me, gen_random_uuid(), '', 'comparison', '{}', '{0,1}', min(id) FROM protocols
    RETURNING id
""")


async def pick(session: AsyncSession, access: Access) -> Any:
    """Count, then show: two people who count at once are shown the same last place."""
    given = await session.scalar(GIVEN, {"me": access.person.id}) or 0
    most = access.daily_limit or 0
    if given >= most:
        return Waiting(Reason.quota, given, most)
    found = (await session.execute(PICK, {"me": access.person.id})).one_or_none()
    return found or Waiting(Reason.nothing_free, given, most)


async def insert(session: AsyncSession, access: Access, found: Any) -> int:
    values = {"project": access.of_project(), "task": found.id, "slot": found.slot, "me": access.person.id}
    return int((await session.execute(INSERT, values)).scalar_one())


NAIVELY = HandOut(pick, insert)


# ---- people ---------------------------------------------------------------------------------------------------------


async def work(
    access: Access,
    hand_out: HandOut,
    tally: Tally,
    over: asyncio.Event,
    leaves_after: int | None,
    connections: asyncio.Semaphore,
) -> None:
    """One tab of somebody, until their quota is reached or everything is answered."""
    shown, given = None, 0
    while True:
        async with connections, database.sessions()() as session:
            if shown is not None:
                tally.kept.add(await hand_out.keep(session, access, shown))
                given += 1
                await database.next_transaction(session)
            shown = await hand_out.claim(session, access)
            if given == leaves_after and isinstance(shown, Showing):
                await session.execute(RUNS_OUT, {"slot": shown.slot_id})
                tally.left += 1
            await session.commit()
        if given == leaves_after:
            return
        if isinstance(shown, Waiting):
            tally.at_quota += shown.reason is Reason.quota
            if shown.reason is Reason.quota or over.is_set():
                return
            shown = None
            await asyncio.sleep(0.3)


RUNS_OUT = text("UPDATE slots SET lease_until = now() - interval '1 s' WHERE id = :slot")
OPEN = text("SELECT EXISTS (SELECT FROM slots WHERE state IN (0, 1))")


async def sweep_until_over(over: asyncio.Event, stop: asyncio.Event) -> None:
    """As housekeeping does it, only more often. over: no place is free or in anybody's hands."""
    while not stop.is_set() and not over.is_set():
        async with database.transaction() as session:
            leases = await run_out(session)
        for lease in leases:
            async with database.transaction() as session:
                await sweep(session, *lease)
        async with database.transaction() as session:
            if not await session.scalar(OPEN):
                over.set()
        await asyncio.sleep(0.05)


async def run(race: Race, hand_out: HandOut, seed: int = 0) -> Tally:
    """Everybody at once in this process."""
    tally, over, stop, draw = Tally(), asyncio.Event(), asyncio.Event(), random.Random(seed)
    connections = asyncio.Semaphore(AT_ONCE)
    tabs = [
        work(one, hand_out, tally, over, draw.randrange(2, 5) if number % 20 == 19 else None, connections)
        for number, one in enumerate(race.people)
        for _tab in range(2 if number % 10 == 3 else 1)
    ]
    sweeper = asyncio.create_task(sweep_until_over(over, stop))
    if hand_out is not EXACTLY:
        over.set()  # nothing is ever given back: whoever finds nothing is through
    await asyncio.gather(*tabs)
    stop.set()
    await sweeper
    return tally


SUMS = {
    "answers": "SELECT count(*) FROM annotations WHERE state = 'live'",
    "surplus": "SELECT count(*) FROM annotations WHERE state = 'surplus'",
    "tasks without exactly k answers": """SELECT count(*) FROM tasks t
        WHERE k <> (SELECT count(*) FROM annotations WHERE task_id = t.id AND state = 'live')""",
    "tasks not answered by k people": """SELECT count(*) FROM tasks t
        WHERE k <> (SELECT count(DISTINCT annotator_id) FROM annotations WHERE task_id = t.id)""",
    "most answers of a task": "SELECT max(n) FROM (SELECT count(*) AS n FROM annotations GROUP BY task_id)",
    "people over their quota": """SELECT count(*) FROM memberships m
        WHERE daily_limit < (SELECT count(*) FROM annotations WHERE annotator_id = m.user_id)""",
    "slots stranded": "SELECT count(*) FROM slots WHERE state NOT IN (2, 3)",
}


async def sums() -> dict[str, Any]:
    """What there is afterwards, and which of the invariants (`scene.NEVER`) are broken how often."""
    async with database.transaction() as session:
        counted: dict[str, Any] = {name: await session.scalar(text(asked)) for name, asked in SUMS.items()}
        return counted | {"broken": await broken(session)}


# ---- the whole race, by itself --------------------------------------------------------------------------------------


def part(race: Race, hand_out: HandOut, number: int, told: Any) -> None:
    """A process of its own with its share of the people."""
    tally = asyncio.run(run(race, hand_out, seed=number))
    told.put((sorted(tally.kept), tally.at_quota, tally.left))


def in_processes(race: Race, hand_out: HandOut, processes: int) -> Tally:
    """Forked before anything here is connected."""
    many = multiprocessing.get_context("fork")
    told = many.Queue()
    started = [many.Process(target=part, args=(race.part(n, processes), hand_out, n, told)) for n in range(processes)]
    for one in started:
        one.start()
    whole = Tally()
    for _part in started:
        kept, at_quota, left = told.get(timeout=600)
        whole.kept |= set(kept)
        whole.at_quota, whole.left = whole.at_quota + at_quota, whole.left + left
    for one in started:
        one.join()
    return whole


async def alone(work: Awaitable[Any]) -> Any:
    try:
        return await work
    finally:
        await database.dispose()


def main(arguments: Sequence[str]) -> int:
    tasks = int(arguments[0]) if arguments else 5000
    with tempfile.TemporaryDirectory(prefix="hone-race-") as folder:
        home = Path(folder) / "home"
        url = embedded.start(home).url
        os.environ |= {"HONE_HOME": str(home), "HONE_DATABASE_URL": url}
        get_settings.cache_clear()
        try:
            migrate(url)
            race = asyncio.run(alone(set_up(people=200, tasks=tasks)))
            for made in (database.engine, database.sessions, database.snapshot_engine):
                made.cache_clear()
            start = time.perf_counter()
            tally = in_processes(race, EXACTLY, processes=2)
            seconds = time.perf_counter() - start
            found = asyncio.run(alone(sums()))
        finally:
            embedded.stop(home)
    found |= {"acknowledged": len(tally.kept), "left with a task": tally.left, "told of their quota": tally.at_quota}
    print(json.dumps(found | {"seconds": round(seconds, 1)}, indent=2))
    return 0 if holds(found, tasks) else 1


def holds(found: dict[str, Any], tasks: int, k: int = 3) -> bool:
    zero = ("surplus", "tasks without exactly k answers", "tasks not answered by k people", "people over their quota")
    return (
        found["answers"] == tasks * k
        and not found["broken"]
        and not any(found[one] for one in (*zero, "slots stranded"))
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
