"""The hand-out: give a person the task they hold, or else the next free slot of their lanes.

This and `annotations.actions.submitting` are the one hot path of the application, run once for every answer. A whole
cycle (who asks; what was shown; keep the answer; commit; lock the quota; claim) is five statements, because each
statement costs about as much as the work inside it: the same steps through the unit of work are thirteen. Hence Core,
with data-modifying CTEs that take the slot, count the quota, move the watermark and fetch what is to be shown at once.
A claim writes no event: the slot and later the annotation carry when it was shown, and a lease that ends without an
answer leaves a row in `lapses` and an event.

The quota lock is a statement of its own on purpose. It makes the tabs of one person queue up, and only a statement
that begins after the lock was given sees the lease that the other tab has just taken.
"""

import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Boolean, Date, Float, Interval, Row, SmallInteger, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.access import Access
from app.jobs.queue import enqueue
from app.projects.tables import ProjectState
from app.settings import get_settings
from app.tasks.actions.hot import ME, PROJECT, statement
from app.tasks.jobs import QueueRanLow
from app.translation import _

COUNTS_EVERY = 8  # claims of one person and lane; then the free tasks are counted against the low-water mark

LOCK_QUOTA = statement(
    """
    SELECT q.used, q.day, coalesce(:own_limit, p.daily_limit) AS most, p.state, p.low_water
    FROM projects p
    JOIN quota_days q ON q.project_id = p.id AND q.annotator_id = :me
                     AND q.day = CAST(now() AT TIME ZONE p.zone AS date)
    WHERE p.id = :project
    FOR NO KEY UPDATE OF q
    """,
    PROJECT,
    ME,
    bindparam("own_limit", type_=BigInteger),
    returns="used day most state low_water",
)

BEGIN_DAY = text("""
    INSERT INTO quota_days (project_id, annotator_id, day)
    SELECT p.id, :me, CAST(now() AT TIME ZONE p.zone AS date) FROM projects p WHERE p.id = :project
    ON CONFLICT DO NOTHING
""").bindparams(PROJECT, ME)

# `state = 0` and `state = 1` are written out, not bound: a prepared plan uses a partial index only for literals.
# OFFSET 0 keeps the two NOT EXISTS questions about one row at a time. Turned into joins, they lead a planner that
# expects somebody to have answered nearly everything to read and sort the whole queue, not to walk down its index.
# Every twentieth claim looks behind the watermark, from the beginning or from anywhere, so that slots freed or moved
# there are found; at no more than 500 of them, so that it costs the same however far ahead of the others a person is.
CLAIM = statement(
    """
    WITH held AS (
        UPDATE slots SET lease_until = greatest(lease_until, now() + :lease)
        WHERE project_id = :project AND annotator_id = :me AND state = 1
        RETURNING id, task_id, shown_key, shown_at, sides, protocol_id, guidelines_id
    ), free AS (
        SELECT found.id, found.rank, mine.lane
        FROM unnest(:lanes) AS mine (lane)
        LEFT JOIN watermarks w ON w.project_id = :project AND w.annotator_id = :me AND w.lane = mine.lane
        CROSS JOIN LATERAL (
            SELECT * FROM (
                SELECT b.id, b.rank FROM slots b
                WHERE w.claims % 20 = 19 AND b.state = 0 AND b.id = (
                    SELECT few.id FROM (
                        SELECT p.id, p.task_id FROM slots p
                        WHERE p.project_id = :project AND p.lane = mine.lane AND p.state = 0
                          AND p.rank >= CASE WHEN w.claims % 40 = 19 THEN 0 ELSE CAST(w.rank * :back AS bigint) END
                        ORDER BY p.rank, p.id
                        LIMIT 500
                    ) AS few
                    WHERE NOT EXISTS (SELECT FROM slots d WHERE d.task_id = few.task_id AND d.annotator_id = :me)
                      AND NOT EXISTS (SELECT FROM skips s WHERE s.task_id = few.task_id AND s.annotator_id = :me)
                    LIMIT 1
                )
                FOR NO KEY UPDATE OF b SKIP LOCKED
            ) AS behind
            UNION ALL
            SELECT * FROM (
                SELECT f.id, f.rank FROM slots f
                WHERE f.project_id = :project AND f.lane = mine.lane AND f.state = 0
                  AND f.rank >= CASE WHEN :anew THEN 0 ELSE coalesce(w.rank, 0) END
                  AND NOT EXISTS (SELECT FROM slots d WHERE d.task_id = f.task_id AND d.annotator_id = :me OFFSET 0)
                  AND NOT EXISTS (SELECT FROM skips s WHERE s.task_id = f.task_id AND s.annotator_id = :me OFFSET 0)
                ORDER BY f.rank, f.id
                LIMIT 1
                FOR NO KEY UPDATE OF f SKIP LOCKED
            ) AS ahead
            LIMIT 1
        ) AS found
        WHERE :may_take AND NOT EXISTS (SELECT FROM held)
        ORDER BY found.rank
        LIMIT 1
    ), taken AS (
        UPDATE slots s
        SET state = 1, annotator_id = :me, lease = gen_random_uuid(), lease_until = now() + :lease,
            shown_key = gen_random_uuid(), shown_at = now(),
            sides = coalesce(s.sides, (SELECT array_agg(c.number ORDER BY random()) FROM task_completions c
                                       WHERE c.task_id = s.task_id)),
            protocol_id = coalesce(b.protocol_id, (SELECT p.id FROM protocols p WHERE p.project_id = :project
                                                   ORDER BY p.version DESC LIMIT 1)),
            guidelines_id = coalesce(b.guidelines_id, (SELECT g.id FROM guidelines g WHERE g.project_id = :project
                                                       ORDER BY g.version DESC LIMIT 1))
        FROM free, tasks t, batches b
        WHERE s.id = free.id AND t.id = s.task_id AND b.id = t.batch_id
        RETURNING s.id, s.task_id, s.shown_key, s.shown_at, s.sides, s.protocol_id, s.guidelines_id,
                  free.lane, free.rank
    ), counted AS (
        UPDATE quota_days q SET used = q.used + 1 FROM taken
        WHERE q.project_id = :project AND q.annotator_id = :me AND q.day = :day
    ), marked AS (
        INSERT INTO watermarks AS w (project_id, annotator_id, lane, rank, claims)
        SELECT :project, :me, lane, rank, 1 FROM taken
        ON CONFLICT (project_id, annotator_id, lane) DO UPDATE
        SET claims = w.claims + 1,
            rank = CASE WHEN :anew THEN excluded.rank ELSE greatest(w.rank, excluded.rank) END
        RETURNING claims
    ), shown AS (
        SELECT id, task_id, shown_key, shown_at, sides, protocol_id, guidelines_id, true AS is_new FROM taken
        UNION ALL
        SELECT id, task_id, shown_key, shown_at, sides, protocol_id, guidelines_id, false FROM held
    )
    SELECT shown.*, t.public_id, t.kind, p.rendered, jsonb_path_query_array(p.messages, '$[*].role'), what.ids,
           what.htmls, CASE WHEN :with_texts THEN p.messages END, what.parts, d.body, d.rev,
           (SELECT claims FROM marked)
    FROM shown
    JOIN tasks t ON t.id = shown.task_id
    JOIN prompts p ON p.id = t.prompt_id
    CROSS JOIN LATERAL (
        SELECT array_agg(c.id ORDER BY tc.number) AS ids, array_agg(c.html ORDER BY tc.number) AS htmls,
               CASE WHEN :with_texts THEN jsonb_agg(c.parts ORDER BY tc.number) END AS parts
        FROM task_completions tc JOIN completions c ON c.id = tc.completion_id
        WHERE tc.task_id = shown.task_id
    ) AS what
    LEFT JOIN drafts d ON d.slot_id = shown.id AND d.annotator_id = :me
    """,
    PROJECT,
    ME,
    bindparam("lease", type_=Interval),
    bindparam("lanes", type_=ARRAY(SmallInteger)),
    bindparam("anew", type_=Boolean),
    bindparam("back", type_=Float),
    bindparam("may_take", type_=Boolean),
    bindparam("with_texts", type_=Boolean),
    bindparam("day", type_=Date),
    returns="id task_id shown_key shown_at sides protocol_id guidelines_id is_new task kind rendered roles ids htmls "
    "messages parts draft draft_rev claims",
)

# At most fifty slots a task: enough rows to find `low_water` tasks, and never a walk over the whole queue.
FREE_TASKS = text("""
    SELECT count(DISTINCT few.task_id)
    FROM (SELECT task_id FROM slots WHERE project_id = :project AND state = 0 LIMIT 50 * :low_water) AS few
""").bindparams(PROJECT, bindparam("low_water", type_=BigInteger))


@dataclass(frozen=True, slots=True)
class ShownCompletion:
    """number: its place in the task. parts: only for programs; people get the rendered html."""

    number: int
    id: int
    html: str
    parts: list[dict[str, Any]] | None


@dataclass(frozen=True, slots=True)
class Showing:
    """A task in one person's hands. completions are in the order of the screen; key is the answer's idempotency key.

    roles, rendered: one of each for every message of the prompt.
    used, most: of the person's quota today, this task included.
    """

    slot_id: int
    task_id: int
    task: UUID
    kind: str
    key: UUID
    shown_at: datetime
    sides: tuple[int, ...]
    protocol_id: int
    guidelines_id: int | None
    roles: list[str]
    rendered: list[str]
    messages: list[dict[str, Any]] | None
    completions: tuple[ShownCompletion, ...]
    draft: dict[str, Any] | None
    draft_rev: int
    used: int
    most: int


class Reason(StrEnum):
    """Why nobody is shown a task."""

    quota = "quota"
    paused = "paused"
    nothing_free = "nothing_free"

    @property
    def sentence(self) -> str:
        return WHY[self]


WHY = {
    Reason.quota: _("You have reached your limit for today."),
    Reason.paused: _("This project is paused."),
    Reason.nothing_free: _("No task is waiting for you."),
}


@dataclass(frozen=True, slots=True)
class Waiting:
    reason: Reason
    used: int
    most: int


async def claim(
    session: AsyncSession, access: Access, *, with_texts: bool = False, may_ask_for_more: bool = True
) -> Showing | Waiting:
    """The task this person holds, or the next one for them; or why there is none. In the caller's transaction.

    with_texts: also messages and parts, for programs. may_ask_for_more: tell later chapters when the queue is low
    (pages that only look again leave it).
    """
    project_id, me = access.of_project(), access.person.id
    quota = await lock_quota(session, project_id, me, access.daily_limit)
    paused = access.paused or quota.state != ProjectState.open
    may_take = not paused and quota.used < quota.most
    values = {
        "project": project_id,
        "me": me,
        "lease": lease_time(),
        "lanes": list(access.lanes),
        "anew": False,
        "back": random.random(),  # noqa: S311  (where to look, not a secret)
        "may_take": may_take,
        "with_texts": with_texts,
        "day": quota.day,
    }
    found = (await session.execute(CLAIM, values)).one_or_none()
    if found is None and may_take:  # nothing ahead of the watermark: look once from the beginning
        found = (await session.execute(CLAIM, values | {"anew": True})).one_or_none()
    if may_ask_for_more and may_take and (found is None or (found.claims or 0) % COUNTS_EVERY == 1):
        await tell_if_low(session, project_id, quota.low_water)
    if found is not None and not paused:
        return showing(found, quota)
    reason = Reason.paused if paused else Reason.nothing_free if may_take else Reason.quota
    return Waiting(reason, quota.used, quota.most)


def lease_time() -> timedelta:
    """How long a shown task is kept for a person."""
    return timedelta(minutes=get_settings().lease_minutes)


async def lock_quota(session: AsyncSession, project_id: int, person_id: int, own_limit: int | None) -> Row[Any]:
    """Today's quota of this person, locked until the transaction ends: used, day, most, state and low_water."""
    values = {"project": project_id, "me": person_id, "own_limit": own_limit}
    row = (await session.execute(LOCK_QUOTA, values)).one_or_none()
    if row is None:
        await session.execute(BEGIN_DAY, {"project": project_id, "me": person_id})
        row = (await session.execute(LOCK_QUOTA, values)).one()
    return row


async def tell_if_low(session: AsyncSession, project_id: int, low_water: int) -> bool:
    """Say once that the queue ran low, if it did."""
    free = await session.scalar(FREE_TASKS, {"project": project_id, "low_water": low_water})
    if free is None or free >= low_water:
        return False
    return await enqueue(session, QueueRanLow(project_id=project_id), once=f"queue-ran-low-{project_id}")


def showing(found: Row[Any], quota: Row[Any]) -> Showing:
    """The claim's row as what a person is shown."""
    parts = found.parts or [None] * len(found.ids)
    return Showing(
        slot_id=found.id,
        task_id=found.task_id,
        task=found.task,
        kind=found.kind,
        key=found.shown_key,
        shown_at=found.shown_at,
        sides=tuple(found.sides),
        protocol_id=found.protocol_id,
        guidelines_id=found.guidelines_id,
        roles=found.roles,
        rendered=found.rendered,
        messages=found.messages,
        completions=tuple(
            ShownCompletion(number, found.ids[number], found.htmls[number], parts[number]) for number in found.sides
        ),
        draft=found.draft,
        draft_rev=found.draft_rev or 0,
        used=quota.used + found.is_new,
        most=quota.most,
    )
