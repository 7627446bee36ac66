"""The overview of a project with a million answers, over HTTP, as an admin's browser asks for it.

    python -m tests.bench.overview

A Postgres of its own below a temporary home and the web server as `hone up` starts it. 50,000 tasks of 20 slots, all of
them answered by 300 people over 60 days, 5,000 tasks of one slot that are free, 110,000 completions, a ledger line an
answer, figures about quality with all people in them. The rows are made by a few statements; then the job that counts
large projects runs once, as it would by itself, and the page is asked for again and again. Beside it the same page of a
project with nothing in it, which is what signing in, drawing and sending cost anyway.
"""

import asyncio
import json
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from sqlalchemy import text

from tests.bench.annotate import serving

TASKS, K, FREE, PEOPLE, ROUNDS = 50_000, 20, 5_000, 300, 60

FILL = """
    INSERT INTO users (email, name)
    SELECT 'bench-' || n || '@example.org', 'Person ' || n FROM generate_series(1, :people) n;
    INSERT INTO memberships (project_id, user_id, role, pseudonym)
    SELECT :project, id, 'annotator', 'bench-' || id FROM users WHERE email LIKE 'bench-%';
    INSERT INTO roots (project_id, key, component, use)
    SELECT :project, 'root-' || n, 'root-' || n, 'label' FROM generate_series(1, :all) n;
    INSERT INTO prompts (project_id, root_id, use, messages, rendered, content_hash)
    SELECT :project, id, 'label', '[{"role": "user", "parts": [{"type": "text", "text": "How do I fold it?"}]}]',
           ARRAY['<p>How do I fold it?</p>'], decode(md5(id::text), 'hex')
    FROM roots WHERE project_id = :project;
    INSERT INTO completions (project_id, prompt_id, parts, html, content_hash)
    SELECT :project, p.id, jsonb_build_array(jsonb_build_object('type', 'text', 'text', repeat('Like this. ', 20))),
           repeat('Like this. ', 20), decode(md5(p.id || ' ' || n), 'hex')
    FROM prompts p, generate_series(1, 2) n WHERE p.project_id = :project;
    INSERT INTO tasks (project_id, batch_id, prompt_id, k, state)
    SELECT :project, :batch, id, CASE WHEN nth <= :tasks THEN :k ELSE 1 END,
           CASE WHEN nth <= :tasks THEN 'done' ELSE 'open' END
    FROM (SELECT id, row_number() OVER (ORDER BY id) AS nth FROM prompts WHERE project_id = :project) p;
    INSERT INTO task_completions (task_id, number, project_id, completion_id)
    SELECT t.id, row_number() OVER (PARTITION BY t.id ORDER BY c.id) - 1, :project, c.id
    FROM tasks t JOIN completions c ON c.prompt_id = t.prompt_id WHERE t.project_id = :project;
    INSERT INTO slots (project_id, task_id, number, rank, state, annotator_id, sides, shown_at)
    SELECT :project, t.id, n - 1, t.id * 1000, CASE WHEN t.state = 'done' THEN 2 ELSE 0 END,
           CASE WHEN t.state = 'done' THEN :first + (t.id + n) % :people END, '{0,1}',
           CASE WHEN t.state = 'done' THEN now() - make_interval(secs => (t.id * 7919 + n) % 5184000) END
    FROM tasks t, generate_series(1, t.k) n WHERE t.project_id = :project;
    INSERT INTO annotations (project_id, task_id, slot_id, annotator_id, idempotency_key, body_hash, kind, body, sides,
                             protocol_id, guidelines_id, active_seconds, shown_at, submitted_at)
    SELECT :project, s.task_id, s.id, s.annotator_id, gen_random_uuid(), '', 'comparison',
           jsonb_build_object('kind', 'comparison', 'outcome', 'preferred', 'preferred', s.id % 2, 'strength', 2,
                              'justification', '', 'flags', '[]'::jsonb), s.sides, :protocol, :guidelines,
           20 + s.id % 40, s.shown_at, s.shown_at + interval '30 seconds'
    FROM slots s WHERE s.project_id = :project AND s.state = 2;
    INSERT INTO ledger (project_id, annotator_id, annotation_id, amount, at)
    SELECT project_id, annotator_id, id, 25, submitted_at FROM annotations WHERE project_id = :project;
    INSERT INTO quota_days (project_id, annotator_id, day, used)
    SELECT project_id, annotator_id, CAST(shown_at AS date), count(*) FROM annotations
    WHERE project_id = :project GROUP BY 1, 2, 3
"""


async def fill() -> dict[str, Any]:
    """The large project and an empty one, with somebody who manages both."""
    from app import database
    from app.accounts.permissions import Role
    from app.projects.queries import default_batch, newest_guidelines, newest_protocol
    from app.quality.actions import keep_figures
    from app.settings import get_settings
    from tests import make
    from workers.handlers.oversight import count_large
    from workers.handlers.registry import Context

    async with database.transaction() as session:
        project, empty = await make.project(session, pays=True, has_rounds=True), await make.project(session)
        me = await make.user(session)
        for one in (project, empty):
            await make.member(session, one, me, Role.manager)
        values = {
            "project": project.id,
            "batch": (await default_batch(session, project.id)).id,
            "protocol": (await newest_protocol(session, project.id)).id,
            "guidelines": (await newest_guidelines(session, project.id)).id,
            "first": me.id + 1,
            "tasks": TASKS,
            "all": TASKS + FREE,
            "people": PEOPLE,
            "k": K,
        }
        await session.execute(text("SET LOCAL session_replication_role = replica"))  # no foreign keys: it is only bulk
        for statement in FILL.split(";"):
            named = {name: value for name, value in values.items() if f":{name}" in statement}
            await session.execute(text(statement), named)
        figure = {"value": 0.74, "low": 0.72, "high": 0.76, "n": TASKS}
        measures = [{"measure": "choice", "answers": TASKS * K, "figures": {"percent": figure}, "by": {"round": []}}]
        people = {str(me.id + nth): dict.fromkeys("abcdefgh", figure) for nth in range(PEOPLE)}
        body = {"measures": measures, "people": people, "two_sided": figure}
        await keep_figures(session, project.id, {"quality": body}, 0, 1.0)
        cookie = await make.sign_in(session, me)
    async with database.engine().connect() as connection:
        alone = await connection.execution_options(isolation_level="AUTOCOMMIT")
        await alone.execute(text("SET statement_timeout = '10min'"))
        await alone.execute(text("VACUUM ANALYZE"))
    begun = time.perf_counter()
    await count_large(project.id, Context(get_settings()))
    took = time.perf_counter() - begun
    await database.dispose()
    return {"cookie": cookie, "large": project.public_id, "empty": empty.public_id, "count_s": round(took, 1)}


async def ask(base: str, cookie: str, address: str) -> list[float]:
    """Milliseconds of each of the requests after the first few."""
    import aiohttp

    took = []
    async with aiohttp.ClientSession(headers={"Cookie": f"hone_session={cookie}"}) as web:
        for nth in range(ROUNDS + 5):
            start = time.perf_counter()
            async with web.get(base + address) as response:
                page = await response.text()
                assert response.status == 200, page[:2000]
            if nth >= 5:
                took.append(1000 * (time.perf_counter() - start))
        return sorted(took)


def figures(plan: dict[str, Any]) -> dict[str, float]:
    with serving("app.main:app") as (base, _pid):
        took = asyncio.run(ask(base, plan["cookie"], f"/projects/{plan['large']}"))
        rounds = asyncio.run(ask(base, plan["cookie"], f"/projects/{plan['large']}/rounds"))
        empty = asyncio.run(ask(base, plan["cookie"], f"/projects/{plan['empty']}"))
    return {
        "overview.p95_ms": round(took[int(len(took) * 0.95)], 1),
        "overview.median_ms": round(statistics.median(took), 1),
        "overview.rounds_p95_ms": round(rounds[int(len(rounds) * 0.95)], 1),
        "overview.empty_median_ms": round(statistics.median(empty), 1),
        "overview.count_s": plan["count_s"],
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
            return figures(asyncio.run(fill()))
        finally:
            embedded.stop(home)


if __name__ == "__main__":
    print(json.dumps(measure(), indent=2))
