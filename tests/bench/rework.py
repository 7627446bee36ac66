"""Ten thousand answers set aside, with others being asked instead, while people go on answering.

    python -m tests.bench.rework

A Postgres of its own below a temporary home; 12,500 tasks of two slots, of which one person has answered 10,000 and
others twice as many; eight people go on answering as fast as they are handed tasks. The job runs as a worker runs it.
"""

import asyncio
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from sqlalchemy import text

ANSWERS, PEOPLE, AT_WORK = 10_000, 40, 8

SAID = """
    UPDATE slots s SET state = 2, shown_key = gen_random_uuid(), shown_at = now() - interval '1 hour',
        annotator_id = CASE WHEN s.number = 0 AND t.nth <= :answers THEN :careless
                            ELSE :first + (t.nth + s.number) % :people END
    FROM (SELECT id, row_number() OVER (ORDER BY id) AS nth FROM tasks) t
    WHERE t.id = s.task_id AND (t.nth <= :answers OR s.number = 0) AND t.nth <= :answers + 1000;
    INSERT INTO annotations (project_id, task_id, slot_id, annotator_id, idempotency_key, body_hash, kind, body, sides,
                             protocol_id, shown_at, submitted_at)
    SELECT s.project_id, s.task_id, s.id, s.annotator_id, s.shown_key, '', 'comparison',
           '{"kind": "comparison", "outcome": "preferred", "preferred": 0, "strength": 2}', s.sides,
           (SELECT min(id) FROM protocols), s.shown_at, s.shown_at
    FROM slots s WHERE s.state = 2;
    INSERT INTO quota_days (project_id, annotator_id, day, used)
    SELECT project_id, annotator_id, CAST(shown_at AS date), count(*) FROM annotations GROUP BY 1, 2, 3;
    UPDATE memberships SET daily_limit = NULL;
    UPDATE projects SET daily_limit = 1000000;
    INSERT INTO events (actor_id, project_id, kind, subject, body)
    SELECT annotator_id, project_id, 'annotation.submitted', CAST(public_id AS text), '{}' FROM annotations;
    UPDATE tasks t SET state = 'done' WHERE NOT EXISTS (SELECT FROM slots s WHERE s.task_id = t.id AND s.state = 0)
"""


async def fill() -> Any:
    """The race's people and tasks (`tests.app.tasks.race`), with answers already there."""
    from app import database
    from tests.app.tasks import race

    there = await race.set_up(people=PEOPLE, tasks=ANSWERS + 2500, k=2)
    ids = [one.person.id for one in there.people]
    values = {"answers": ANSWERS, "careless": ids[0], "first": ids[1], "people": PEOPLE - 1}
    async with database.transaction() as session:
        for statement in SAID.split(";"):
            named = {name: value for name, value in values.items() if f":{name}" in statement}
            await session.execute(text(statement), named)
    return there


async def work(access: Any, over: asyncio.Event, took: list[float]) -> None:
    """One person, answering and being handed the next task, until it is over. took: milliseconds of each."""
    from app import database
    from app.annotations.actions import submit
    from app.tasks.actions import Waiting, claim
    from tests.app.scene import prefers

    shown: Any = None
    while not over.is_set():
        start = time.perf_counter()
        async with database.transaction() as session:
            if shown is not None:
                await submit(session, access.of_project(), access.person.id, shown.task, shown.key, prefers(shown))
                await database.next_transaction(session)
            shown = await claim(session, access)
        if isinstance(shown, Waiting):
            return
        took.append(1000 * (time.perf_counter() - start))


async def measured() -> dict[str, float]:
    from app import database
    from app.annotations.actions.reworking import start_rework
    from app.annotations.jobs import ReworkAsked
    from app.annotations.reworking import ReworkForm, rework_of
    from app.projects.tables import Project
    from app.settings import get_settings
    from tests.app.scene import broken
    from workers.handlers.annotations import rework
    from workers.handlers.registry import Context

    there = await fill()
    over, took = asyncio.Event(), list[float]()
    people = [asyncio.create_task(work(one, over, took)) for one in there.people[1 : AT_WORK + 1]]
    await asyncio.sleep(1)
    before = len(took)
    async with database.transaction() as session:
        project = await session.get_one(Project, there.people[0].of_project())
        who = await session.scalar(
            text("SELECT pseudonym FROM memberships WHERE user_id = :me"), {"me": there.people[0].person.id}
        )
        made = await start_rework(session, project, ReworkForm(rater=who, reason="x"), there.people[1].person.id)
    start = time.perf_counter()
    await rework(ReworkAsked(rework_id=made.id), Context(get_settings()))
    seconds = time.perf_counter() - start
    over.set()
    await asyncio.gather(*people)
    async with database.transaction() as session:
        done = await rework_of(session, project.id, made.public_id)
        assert (done.answers, await broken(session)) == (ANSWERS, {}), (done.answers, await broken(session))
    await database.dispose()
    beside = sorted(took[before:])
    return {
        "rework.seconds": round(seconds, 1),
        "rework.answers": ANSWERS,
        "rework.cycles_beside_per_second": round(len(beside) / seconds, 1),
        "rework.cycles_beside_p99_ms": round(beside[int(len(beside) * 0.99)], 1),
    }


def measure() -> dict[str, float]:
    from app import embedded
    from app.migrating import migrate
    from app.settings import get_settings

    with tempfile.TemporaryDirectory(prefix="hone-bench-") as folder:
        home = Path(folder) / "home"
        running = embedded.start(home)
        os.environ |= {"HONE_HOME": str(home), "HONE_DATABASE_URL": running.url}
        get_settings.cache_clear()
        try:
            migrate(running.url)
            return asyncio.run(measured())
        finally:
            embedded.stop(home)


if __name__ == "__main__":
    print(json.dumps(measure(), indent=2))
