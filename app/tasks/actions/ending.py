"""Leases that end without an answer: run out, skipped, given back; and leases that are made longer."""

from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Boolean, Interval, Row, Text, Uuid, bindparam, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.tasks.actions.hot import ME, PROJECT, lease_time
from app.tasks.tables import PassedBy

LAPSES_LAST = "30 days"

# task → quota → slot. The quota row is that of the day on which the task was shown.
LOCK_TASK = text("SELECT id FROM tasks WHERE id = :task FOR NO KEY UPDATE").bindparams(
    bindparam("task", type_=BigInteger)
)
TRY_TASK = text("SELECT id FROM tasks WHERE id = :task FOR NO KEY UPDATE SKIP LOCKED").bindparams(
    bindparam("task", type_=BigInteger)
)
QUOTA_OF_SLOT = """
    SELECT q.used FROM slots s
    JOIN projects p ON p.id = s.project_id
    JOIN quota_days q ON q.project_id = s.project_id AND q.annotator_id = s.annotator_id
                     AND q.day = CAST(s.shown_at AT TIME ZONE p.zone AS date)
    WHERE s.id = :slot FOR NO KEY UPDATE OF q
"""
LOCK_QUOTA_OF_SLOT = text(QUOTA_OF_SLOT).bindparams(bindparam("slot", type_=BigInteger))
TRY_QUOTA_OF_SLOT = text(QUOTA_OF_SLOT + " SKIP LOCKED").bindparams(bindparam("slot", type_=BigInteger))
QUOTA_OF_SLOT_EXISTS = text(QUOTA_OF_SLOT.replace("FOR NO KEY UPDATE OF q", "").replace("q.used", "true")).bindparams(
    bindparam("slot", type_=BigInteger)
)

# Of a slot `s`: whoever holds it answers here no more.
HOLDER_IS_GONE = """EXISTS (
    SELECT FROM memberships m
    WHERE m.project_id = s.project_id AND m.user_id = s.annotator_id AND m.deactivated_at IS NOT NULL)"""

# key: of the showing that ends, whatever the same person was shown in this slot meanwhile; none: one that has run out,
# or whose holder is gone. ran_out: not given back by the person; their answer may still come.
END = text(f"""
    WITH ended AS (
        SELECT s.id, s.project_id, s.task_id, s.annotator_id, s.shown_key, s.shown_at, s.sides, s.protocol_id,
               s.guidelines_id, s.tags, t.public_id AS task,
               t.state = 'cancelled'
                   OR (SELECT count(*) FROM slots o WHERE o.task_id = t.id AND o.state <> 3) > t.k AS unwanted
        FROM slots s JOIN tasks t ON t.id = s.task_id
        WHERE s.id = :slot AND s.annotator_id = :me AND s.state = 1
          AND CASE WHEN :key IS NULL THEN s.lease_until < now() OR {HOLDER_IS_GONE} ELSE s.shown_key = :key END
        FOR NO KEY UPDATE OF s
    ), freed AS (
        UPDATE slots s
        SET state = CASE WHEN ended.unwanted THEN 3 ELSE 0 END, annotator_id = NULL, lease = NULL, lease_until = NULL,
            shown_key = NULL, shown_at = NULL, protocol_id = NULL, guidelines_id = NULL, tags = NULL
        FROM ended WHERE s.id = ended.id
    ), kept AS (
        INSERT INTO lapses (shown_key, annotator_id, project_id, slot_id, sides, protocol_id, guidelines_id, tags,
                            shown_at, ran_out)
        SELECT shown_key, annotator_id, project_id, id, sides, protocol_id, guidelines_id, tags, shown_at, :ran_out
        FROM ended
        ON CONFLICT DO NOTHING
    ), uncounted AS (
        UPDATE quota_days q SET used = greatest(q.used - 1, 0)
        FROM ended JOIN projects p ON p.id = ended.project_id
        WHERE q.project_id = ended.project_id AND q.annotator_id = ended.annotator_id
          AND q.day = CAST(ended.shown_at AT TIME ZONE p.zone AS date)
    ), noted AS (
        INSERT INTO events (actor_id, project_id, kind, subject, body)
        SELECT annotator_id, project_id, :kind, task, jsonb_build_object('shown_at', shown_at, 'slot', id) FROM ended
    )
    SELECT id, task_id, unwanted FROM ended
""").bindparams(  # noqa: S608  (our own words)
    ME,
    bindparam("slot", type_=BigInteger),
    bindparam("key", type_=Uuid),
    bindparam("kind", type_=Text),
    bindparam("ran_out", type_=Boolean),
)

PASS_BY = text("""
    INSERT INTO skips (task_id, annotator_id, project_id, kind, reason)
    SELECT t.id, :me, t.project_id, :kind, :reason FROM tasks t WHERE t.id = :task
    ON CONFLICT DO NOTHING
""").bindparams(ME, bindparam("task", type_=BigInteger), bindparam("kind", type_=Text), bindparam("reason", type_=Text))

# A task is done when nobody is asked any more and somebody has answered.
SETTLE = text("""
    UPDATE tasks t SET state = 'done'
    WHERE t.id = :task AND t.state = 'open'
      AND NOT EXISTS (SELECT FROM slots s WHERE s.task_id = t.id AND s.state IN (-2, -1, 0, 1))
      AND EXISTS (SELECT FROM slots s WHERE s.task_id = t.id AND s.state = 2)
""").bindparams(bindparam("task", type_=BigInteger))

FIND = text("""
    SELECT t.id AS task_id, s.id AS slot_id, s.state, s.shown_key, p.care
    FROM tasks t JOIN prompts p ON p.id = t.prompt_id LEFT JOIN slots s ON s.task_id = t.id AND s.annotator_id = :me
    WHERE t.public_id = :task AND t.project_id = :project
""").bindparams(PROJECT, ME, bindparam("task", type_=Uuid))

RENEW = text("""
    UPDATE slots s SET lease_until = now() + :lease
    FROM tasks t
    WHERE t.public_id = :task AND t.project_id = :project AND s.task_id = t.id AND s.annotator_id = :me
      AND s.state = 1 AND s.shown_key = :key
      AND s.lease_until < now() + :lease - interval '1 minute' AND s.shown_at > now() - interval '2 hours'
""").bindparams(
    PROJECT,
    ME,
    bindparam("task", type_=Uuid),
    bindparam("key", type_=Uuid),
    bindparam("lease", type_=Interval),
)

# Those of people who were deactivated are looked for by person: they hold one task at most, also one that a claim took
# while they were being deactivated.
RUN_OUT = text("""
    SELECT s.id, s.task_id, s.annotator_id FROM slots s WHERE s.state = 1 AND s.lease_until < now()
    UNION
    SELECT s.id, s.task_id, s.annotator_id FROM memberships m
    JOIN slots s ON s.project_id = m.project_id AND s.annotator_id = m.user_id AND s.state = 1
    WHERE m.deactivated_at IS NOT NULL
    ORDER BY annotator_id, id LIMIT 500
""")


async def skip(
    session: AsyncSession,
    project_id: int,
    person_id: int,
    task: UUID,
    key: UUID,
    reason: str | None = None,
    kind: PassedBy = PassedBy.skipped,
) -> int | None:
    """Pass a task by: its slot is free for others, and this person is not shown it again. Safe to repeat.

    Only sensitive tasks are returned as `not_this_one`, which is told nobody and needs no reason. Returns the task's
    inside id; None: there is no such task, or this person has answered it.
    """
    found = await _find(session, project_id, person_id, task)
    if found is None:
        return None
    if kind is PassedBy.not_this_one and not found.care:
        kind = PassedBy.skipped
    is_quiet = kind is PassedBy.not_this_one
    if found.state == 1 and found.shown_key == key:
        await _end(session, found, person_id, "task.released" if is_quiet else "task.skipped")
    if found.state == 2:
        return None
    await pass_by(session, found.task_id, person_id, None if is_quiet else reason, kind)
    return int(found.task_id)


async def pass_by(
    session: AsyncSession, task_id: int, person_id: int, reason: str | None, kind: PassedBy = PassedBy.by_us
) -> None:
    """Never show this task to this person again."""
    await session.execute(PASS_BY, {"task": task_id, "me": person_id, "reason": reason, "kind": kind.value})


async def release(session: AsyncSession, project_id: int, person_id: int, task: UUID, key: UUID) -> None:
    """Give a task back: its slot is free again, also for the same person."""
    found = await _find(session, project_id, person_id, task)
    if found is not None and found.state == 1 and found.shown_key == key:
        await _end(session, found, person_id, "task.released")


async def renew(session: AsyncSession, project_id: int, person_id: int, task: UUID, key: UUID) -> None:
    """Keep a task for somebody who is at work on it: at most once a minute, and for two hours at most."""
    values = {"project": project_id, "me": person_id, "task": task, "key": key, "lease": lease_time()}
    await session.execute(RENEW, values)


async def run_out(session: AsyncSession) -> list[tuple[int, int, int]]:
    """Leases whose time is over or whose holder is gone, as (slot, task, person) in the order of persons: for `sweep`,
    one at a time."""
    return [(row.id, row.task_id, row.annotator_id) for row in await session.execute(RUN_OUT)]


async def sweep(session: AsyncSession, slot_id: int, task_id: int, person_id: int) -> bool:
    """End one lease that ran out, unless somebody is at work on its task, quota or slot just now.

    One transaction a lease, so that no sweeper ever holds one person's rows while it waits for another's.
    """
    if await session.scalar(TRY_TASK, {"task": task_id}) is None:
        return False
    if await session.scalar(TRY_QUOTA_OF_SLOT, {"slot": slot_id}) is None and await session.scalar(
        QUOTA_OF_SLOT_EXISTS, {"slot": slot_id}
    ):
        return False  # busy; where a change of the project's zone left no such day, there is nothing to lock
    values = {"slot": slot_id, "me": person_id, "key": None, "kind": "task.lease_ran_out", "ran_out": True}
    ended = (await session.execute(END, values)).one_or_none()
    if ended is not None and ended.unwanted:
        await session.execute(SETTLE, {"task": task_id})
    return ended is not None


async def drop(session: AsyncSession, slot_id: int, task_id: int, person_id: int, key: UUID) -> bool:
    """Take a task off somebody's hands that they are not to be shown any more; unless somebody is at work on it.

    The caller holds the person's quota row, so this waits for nobody's task.
    """
    if await session.scalar(TRY_TASK, {"task": task_id}) is None:
        return False
    values = {"slot": slot_id, "me": person_id, "key": key, "kind": "task.released", "ran_out": True}
    ended = (await session.execute(END, values)).one_or_none()
    if ended is not None and ended.unwanted:
        await session.execute(SETTLE, {"task": task_id})
    return ended is not None


async def forget_lapses(session: AsyncSession) -> None:
    """Answers later than thirty days are no longer understood."""
    await session.execute(text(f"DELETE FROM lapses WHERE at < now() - interval '{LAPSES_LAST}'"))  # noqa: S608


async def _find(session: AsyncSession, project_id: int, person_id: int, task: UUID) -> Row[Any] | None:
    values = {"project": project_id, "me": person_id, "task": task}
    return (await session.execute(FIND, values)).one_or_none()


async def _end(session: AsyncSession, found: Row[Any], person_id: int, kind: str) -> None:
    """End the showing that `_find` saw, unless it is over by the time the locks are given."""
    await session.execute(LOCK_TASK, {"task": found.task_id})
    await session.execute(LOCK_QUOTA_OF_SLOT, {"slot": found.slot_id})
    values = {"slot": found.slot_id, "me": person_id, "key": found.shown_key, "kind": kind, "ran_out": False}
    ended = (await session.execute(END, values)).one_or_none()
    if ended is not None and ended.unwanted:
        await session.execute(SETTLE, {"task": found.task_id})
