"""What one claim costs in a queue of a million slots, for people who are far ahead of the others.

    python -m tests.bench.handout

A Postgres of its own below a temporary home. 20,000 tasks of 50 slots in random order, 12 of them answered. One person
after the other has answered 0, 1,000 and 10,000 of the tasks at the head; then claims are timed. The claim that looks
back (every twentieth) is timed by itself, and so is the first one, which has no watermark yet and walks past everything
that its person has answered.
"""

import asyncio
import json
import os
import statistics
import tempfile
import time
from pathlib import Path

from sqlalchemy import text

TASKS, SLOTS, ANSWERED, ROUNDS = 20_000, 50, 12, 38

FILL = """
    INSERT INTO tasks (public_id, project_id, batch_id, prompt_id, k)
    SELECT gen_random_uuid(), :project, :batch, :prompt, :slots FROM generate_series(1, :tasks);
    INSERT INTO task_completions (task_id, number, project_id, completion_id)
    SELECT t.id, n, t.project_id, (SELECT id FROM completions ORDER BY id OFFSET n LIMIT 1)
    FROM tasks t, generate_series(0, 1) n WHERE t.k = :slots;
    INSERT INTO slots (project_id, task_id, number, rank, state, annotator_id, sides)
    SELECT t.project_id, t.id, n, t.id * 1000, CASE WHEN n <= :answered THEN 2 ELSE 0 END,
           CASE WHEN n <= :answered THEN 1000000 + n END, '{0,1}'
    FROM tasks t, generate_series(1, :slots) n WHERE t.k = :slots
"""
AHEAD = """
    UPDATE slots s SET state = 2, annotator_id = :me
    FROM (SELECT id FROM tasks WHERE k = :slots ORDER BY id LIMIT :ahead) t
    WHERE s.task_id = t.id AND s.number = :number
"""


async def fill(project_id: int, batch_id: int, prompt_id: int) -> None:
    from app import database

    values = {"project": project_id, "batch": batch_id, "prompt": prompt_id}
    values |= {"tasks": TASKS, "slots": SLOTS, "answered": ANSWERED}
    async with database.transaction() as session:
        await session.execute(text("SET LOCAL session_replication_role = replica"))  # no foreign keys: it is only bulk
        for statement in FILL.split(";"):
            named = {name: value for name, value in values.items() if f":{name}" in statement}
            await session.execute(text(statement), named)
    async with database.engine().connect() as connection:
        alone = await connection.execution_options(isolation_level="AUTOCOMMIT")
        await alone.execute(text("SET statement_timeout = '10min'"))
        await alone.execute(text("VACUUM ANALYZE"))


async def cycles(ahead: int, number: int) -> dict[str, float]:
    """Milliseconds of a claim for a new person who has answered `ahead` tasks at the head of the queue."""
    from app import database
    from app.annotations.actions import submit
    from app.projects.tables import Project
    from app.tasks.actions import claim
    from tests import make
    from tests.app.scene import Showing, access_of, prefers

    async with database.transaction() as session:
        project = (await session.get(Project, 1)) or await make.project(session)
        person = await make.user(session)
        await make.member(session, project, person)
        values = {"me": person.id, "slots": SLOTS, "ahead": ahead, "number": number}
        await session.execute(text("SET LOCAL session_replication_role = replica"))
        await session.execute(text(AHEAD), values)
    me, took = access_of(project, person), []
    for _ in range(ROUNDS):
        async with database.transaction() as session:
            start = time.perf_counter()
            shown = await claim(session, me)
            took.append(1000 * (time.perf_counter() - start))
        assert isinstance(shown, Showing)
        async with database.transaction() as session:
            await submit(session, project.id, person.id, shown.task, shown.key, prefers(shown))
    back = took[19::20]
    usual = [one for nth, one in enumerate(took) if nth > 5 and nth % 20 != 19]
    return {"first": took[0], "usual": statistics.median(usual), "looking_back": statistics.median(back)}


async def claims() -> dict[str, float]:
    from app import database
    from app.projects.queries import default_batch
    from tests import make

    async with database.transaction() as session:
        project = await make.project(session, daily_limit=100_000, low_water=0)
        batch = await default_batch(session, project.id)
        prompt = await make.prompt(session, project)
        for _ in range(2):
            await make.completion(session, prompt)
    await fill(project.id, batch.id, prompt.id)
    found = {
        f"handout.{ahead}_ahead.{name}_ms": round(value, 2)
        for number, ahead in enumerate((0, 1000, 10_000), start=ANSWERED + 1)
        for name, value in (await cycles(ahead, number)).items()
    }
    await database.dispose()
    return found


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
            return asyncio.run(claims())
        finally:
            embedded.stop(home)


if __name__ == "__main__":
    print(json.dumps(measure(), indent=2))
