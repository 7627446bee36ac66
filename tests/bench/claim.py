"""What one claim costs in a queue of a million open slots, for somebody far ahead of the others.

    make bench ARGS=claim

A Postgres of its own below a temporary home. 62,500 tasks of 17 slots in the order that they are handed out in. One
person after the other has answered none, 10,000 and 50,000 tasks at the head and stands there; then claims are timed,
each followed by an answer, with the looks back that every twentieth takes.

The time is Postgres's own: it logs how long it was at each statement, planning included, and a claim is the sum of the
statements of its transaction. So neither the driver nor the machine's other work between two statements is in it.
"""

import asyncio
import json
import os
import re
import statistics
import tempfile
from collections.abc import Iterable
from pathlib import Path

from sqlalchemy import text

TASKS, SLOTS, WARM, ROUNDS = 62_500, 17, 25, 400
AHEAD = (0, 10_000, 50_000)

FILL = """
    INSERT INTO tasks (public_id, project_id, batch_id, prompt_id, k)
    SELECT gen_random_uuid(), :project, :batch, :prompt, :slots FROM generate_series(1, :tasks);
    INSERT INTO task_completions (task_id, number, project_id, completion_id)
    SELECT t.id, n, t.project_id, (SELECT id FROM completions ORDER BY id OFFSET n LIMIT 1)
    FROM tasks t, generate_series(0, 1) n WHERE t.k = :slots;
    INSERT INTO slots (project_id, task_id, number, rank, sides)
    SELECT t.project_id, t.id, n, t.id * 1000, '{0,1}' FROM tasks t, generate_series(1, :slots) n WHERE t.k = :slots
"""
GO_AHEAD = """
    UPDATE slots s SET state = 2, annotator_id = :me
    FROM (SELECT id FROM tasks ORDER BY id LIMIT :ahead) t WHERE s.task_id = t.id AND s.number = :number;
    INSERT INTO watermarks (project_id, annotator_id, lane, rank)
    SELECT :project, :me, 0, max(rank) FROM slots WHERE annotator_id = :me HAVING count(*) > 0
"""
LOGGED = re.compile(r"LOG:  duration: ([\d.]+) ms  \w+(?: \S+)?: (.*)")


async def each(statements: str, values: dict[str, int]) -> None:
    """Some statements in one transaction, without foreign keys and triggers: it is only bulk."""
    from app import database

    async with database.transaction() as session:
        await session.execute(text("SET LOCAL session_replication_role = replica"))
        await session.execute(text("SET LOCAL log_min_duration_statement = -1"))
        for statement in statements.split(";"):
            named = {name: value for name, value in values.items() if f":{name}" in statement}
            await session.execute(text(statement), named)


async def vacuum() -> None:
    from app import database

    async with database.engine().connect() as connection:
        alone = await connection.execution_options(isolation_level="AUTOCOMMIT")
        await alone.execute(text("SET statement_timeout = '10min'"))
        await alone.execute(text("VACUUM ANALYZE"))


async def work(project_id: int, ahead: int, number: int, log: Path) -> list[float]:
    """Milliseconds of each claim of a new person who has answered `ahead` tasks at the head of the queue."""
    from app import database
    from app.annotations.actions import submit
    from app.projects.tables import Project
    from app.tasks.actions import claim
    from tests import make
    from tests.app.scene import Showing, access_of, prefers

    async with database.transaction() as session:
        project, person = await session.get_one(Project, project_id), await make.user(session)
        await make.member(session, project, person)
    await each(GO_AHEAD, {"me": person.id, "ahead": ahead, "number": number, "project": project_id})
    await vacuum()
    me, begins = access_of(project, person), 0
    for nth in range(WARM + ROUNDS):
        if nth == WARM:  # every connection has its plans by now
            begins = size_of(log)
        async with database.sessions()() as session:
            shown = await claim(session, me)
            await session.commit()
        assert isinstance(shown, Showing)
        async with database.sessions()() as session:
            await submit(session, project_id, person.id, shown.task, shown.key, prefers(shown))
            await session.commit()
    return claims_in(lines_after(log, begins))


def size_of(log: Path) -> int:
    return log.stat().st_size


def lines_after(log: Path, begins: int) -> list[str]:
    return log.read_bytes()[begins:].decode(errors="replace").splitlines()


def claims_in(lines: Iterable[str]) -> list[float]:
    """Of a log in which one connection does one thing after the other: what each claim took, in milliseconds."""
    found, spent, is_claim = [], 0.0, False
    for line in lines:
        if logged := LOGGED.search(line):
            took, said = float(logged[1]), logged[2]
            spent, is_claim = spent + took, is_claim or "SKIP LOCKED" in said
            if said.startswith("COMMIT"):
                found += [spent - took] if is_claim else []
                spent, is_claim = 0.0, False
    return found


async def claims(log: Path) -> dict[str, float]:
    from app import database
    from app.projects.queries import default_batch
    from tests import make

    async with database.transaction() as session:
        project = await make.project(session, daily_limit=100_000, low_water=0)
        batch, prompt = await default_batch(session, project.id), await make.prompt(session, project)
        for _side in range(2):
            await make.completion(session, prompt)
    values = {"project": project.id, "batch": batch.id, "prompt": prompt.id, "tasks": TASKS, "slots": SLOTS}
    await each(FILL, values)
    found = {}
    for number, ahead in enumerate(AHEAD, start=1):
        took = await work(project.id, ahead, number, log)
        assert len(took) == ROUNDS, len(took)
        found[f"claim.{ahead}_ahead.p50_ms"] = round(statistics.median(took), 2)
        found[f"claim.{ahead}_ahead.p99_ms"] = round(statistics.quantiles(took, n=100)[98], 2)
    async with database.transaction() as session:
        found["claim.open_slots"] = await session.scalar(text("SELECT count(*) FROM slots WHERE state = 0")) or 0
    await database.dispose()
    return found


def measure() -> dict[str, float]:
    from app import embedded
    from app.migrating import migrate
    from app.settings import get_settings

    with tempfile.TemporaryDirectory(prefix="hone-bench-") as folder:
        home = Path(folder) / "home"
        running = embedded.start(home, extra={"log_min_duration_statement": "0"})
        os.environ |= {"HONE_HOME": str(home), "HONE_DATABASE_URL": running.url}
        get_settings.cache_clear()
        try:
            migrate(running.url)
            return asyncio.run(claims(home / "postgres.log"))
        finally:
            embedded.stop(home)


if __name__ == "__main__":
    print(json.dumps(measure(), indent=2))
