"""What must be none after all that (docs/hand-out.md, "How it is tried"), counted in the database."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.sealing import verify
from tests.app.scene import NEVER, broken
from tests.chaos.people import Acknowledged, Said

MISSING, DIFFERS = "I1 acknowledged and not there", "I2 there, saying something else"
CHAIN, REFUSED = "I12 the log's chain is broken", "an answer that was refused"
SURPLUS = "I20 acknowledged as surplus and not kept so"

THERE = text("""
    SELECT CAST(a.public_id AS text) AS id, CAST(t.public_id AS text) AS task, CAST(idempotency_key AS text) AS key,
           annotator_id AS person, a.state, sides, CAST(body->>'preferred' AS int) AS preferred,
           CAST(body->>'strength' AS int) AS strength
    FROM annotations a JOIN tasks t ON t.id = a.task_id
""")
# Beside `scene.NEVER`: what only time can break.
LATER = {
    "I14 a lease ran out and nobody swept": """SELECT 1 FROM slots
        WHERE state = 1 AND lease_until < now() - interval '30 s'""",
    "I15 a job that nobody does": """SELECT 1 FROM jobs.procrastinate_jobs j
        LEFT JOIN jobs.procrastinate_workers w ON w.id = j.worker_id
        WHERE j.status = 'doing' AND (w.id IS NULL OR w.last_heartbeat < now() - interval '60 s')""",
    "I15 a job that failed": "SELECT 1 FROM jobs.procrastinate_jobs WHERE status = 'failed'",
    "I15 a dataset that is not frozen": "SELECT 1 FROM datasets WHERE state <> 'frozen'",
    "I15 two datasets for one request": "SELECT 1 FROM datasets GROUP BY name HAVING count(*) > 1",
}


async def violations(session: AsyncSession, said: Said) -> dict[str, int]:
    """How often each invariant is broken; all of them, also those that hold."""
    found = dict.fromkeys((*NEVER, *LATER), 0) | await broken(session)
    for name, asked in LATER.items():
        found[name] = await session.scalar(text(f"SELECT count(*) FROM ({asked}) AS found")) or 0
    found |= compared(said.acknowledged, {row["id"]: dict(row) for row in (await session.execute(THERE)).mappings()})
    found[CHAIN] = len((await verify(session)).faults)
    found[REFUSED] = len(said.refused)
    return found


NOT_DONE = text("""
    SELECT concat_ws(' ', 'job', task_name, args::text, status, 'after', attempts, 'tries') AS line
    FROM jobs.procrastinate_jobs WHERE status IN ('failed', 'doing')
    UNION ALL SELECT concat_ws(' ', 'dataset', name, state, reason) FROM datasets WHERE state <> 'frozen'
    ORDER BY line LIMIT 20
""")


async def not_done(session: AsyncSession) -> list[str]:
    """What the invariants about jobs and datasets count, by name and reason."""
    return list(await session.scalars(NOT_DONE))


def compared(acknowledged: Sequence[Acknowledged], there: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
    """What was acknowledged against what is there, by its outside id."""
    kept = [(one, there[one.id]) for one in acknowledged if one.id in there]
    return {
        MISSING: len(acknowledged) - len(kept),
        DIFFERS: sum(not is_as_given(one, row) for one, row in kept),
        SURPLUS: sum(one.state == "surplus" and row["state"] not in ("surplus", "live") for one, row in kept),
    }


def is_as_given(one: Acknowledged, row: Mapping[str, Any]) -> bool:
    said = (one.task, one.key, one.person, one.strength)
    return (
        said == (row["task"], row["key"], row["person"], row["strength"]) and row["sides"][one.side] == row["preferred"]
    )


def doubled(acknowledged: Sequence[Acknowledged], found: Mapping[str, int]) -> int:
    """Answers that are there twice, or were acknowledged under two ids, or two under one."""
    ids = {one.id for one in acknowledged}
    keys = {one.key for one in acknowledged}
    pairs = {(one.id, one.key) for one in acknowledged}
    return 2 * len(pairs) - len(ids) - len(keys) + found["I3 one key twice"] + found["I6 one person twice"]
