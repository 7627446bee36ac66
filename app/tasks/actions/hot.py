"""The statements of the hand-out and how hot ones are written down; `claiming` says how they go together."""

import re
from datetime import timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    BindParameter,
    Boolean,
    Date,
    Float,
    Interval,
    SmallInteger,
    bindparam,
    column,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY

from app.direct import Direct
from app.settings import get_settings

PROJECT = bindparam("project", type_=BigInteger)
ME = bindparam("me", type_=BigInteger)
ROUNDS = bindparam("rounds", type_=ARRAY(BigInteger))  # batches whose slots are handed out


def lease_time() -> timedelta:
    """How long a shown task is kept for a person."""
    return timedelta(minutes=get_settings().lease_minutes)


def hot(sql: str, *binds: BindParameter[Any], returns: str) -> Direct:
    """A statement that is asked again and again.

    Spaces that only people need are left out, because the driver remembers what it has parsed only up to 4,096
    characters; none of them stand inside quotes.
    """
    compact = re.sub(r" ?([,=<>()*/+%]) ?", r"\1", " ".join(sql.split()))
    return Direct(text(compact).bindparams(*binds).columns(*(column(name) for name in returns.split())))


LOCK_QUOTA = hot(
    """
    SELECT q.used, q.day, coalesce(:own_limit, p.daily_limit) AS most, p.state, p.low_water,
           ARRAY(SELECT b.id FROM batches b WHERE b.project_id = p.id AND b.state IN ('pilot', 'open')),
           p.care, p.care_sets, q.care,
           CASE WHEN :own_total IS NOT NULL THEN (SELECT sum(d.used) FROM quota_days d
                                                  WHERE d.project_id = p.id AND d.annotator_id = :me) END,
           p.gold_share, p.is_limited, p.rules_version,
           (SELECT g.id FROM guidelines g WHERE g.project_id = p.id ORDER BY g.version DESC LIMIT 1)
    FROM projects p
    JOIN quota_days q ON q.project_id = p.id AND q.annotator_id = :me
                     AND q.day = CAST(now() AT TIME ZONE p.zone AS date)
    WHERE p.id = :project
    FOR NO KEY UPDATE OF q
    """,
    PROJECT,
    ME,
    bindparam("own_limit", type_=BigInteger),
    bindparam("own_total", type_=BigInteger),
    returns="used day most state low_water rounds categories care_sets cared used_in_all gold_share is_limited "
    "rules_version guidelines_id",
)

BEGIN_DAY = text("""
    INSERT INTO quota_days (project_id, annotator_id, day)
    SELECT p.id, :me, CAST(now() AT TIME ZONE p.zone AS date) FROM projects p WHERE p.id = :project
    ON CONFLICT DO NOTHING
""").bindparams(PROJECT, ME)

# `state = 0` and `state = 1` are written out, not bound: a prepared plan uses a partial index only for literals.
# OFFSET 0 keeps the EXISTS questions about one row at a time. Turned into joins, they lead a planner that expects
# somebody to have answered nearly everything to read and sort the whole queue, not to walk down its index.
# Slots of rounds that do not ask rest once a job is through (`turning`), and are walked past until then. Not so those
# of tasks with a known answer: they are the project's, and stay in the round only for what it asks under.
AHEAD = """
    SELECT f.id, f.rank FROM slots f
    WHERE f.project_id = :project AND f.lane = m.lane AND f.state = 0
      AND f.rank >= CASE WHEN :anew THEN 0 ELSE coalesce(w.rank, 0) END
      AND NOT EXISTS (SELECT FROM slots d WHERE d.task_id = f.task_id AND d.annotator_id = :me OFFSET 0)
      AND NOT EXISTS (SELECT FROM skips s WHERE s.task_id = f.task_id AND s.annotator_id = :me OFFSET 0)
      AND EXISTS (SELECT FROM tasks WHERE id = f.task_id AND (batch_id = ANY(:rounds) OR purpose = 'gold') OFFSET 0)
    ORDER BY f.rank, f.id
    LIMIT 1
    FOR NO KEY UPDATE SKIP LOCKED
"""

# Every twentieth claim looks behind the watermark, in turn from the beginning and from anywhere, so that slots freed or
# moved there are found; at no more than 500 of them, so that it costs the same however far ahead a person is.
BEHIND = """
    SELECT b.id, b.rank FROM slots b
    WHERE w.claims % 20 = 19 AND b.state = 0 AND b.id = (
        SELECT n.id FROM (
            SELECT p.id, p.task_id FROM slots p
            WHERE p.project_id = :project AND p.lane = m.lane AND p.state = 0
              AND p.rank >= (w.rank * :back * (w.claims / 20 % 2))::bigint
            ORDER BY p.rank, p.id
            LIMIT 500
        ) n
        WHERE NOT EXISTS (SELECT FROM slots d WHERE d.task_id = n.task_id AND d.annotator_id = :me)
          AND NOT EXISTS (SELECT FROM skips s WHERE s.task_id = n.task_id AND s.annotator_id = :me)
          AND EXISTS (SELECT FROM tasks WHERE id = n.task_id AND (batch_id = ANY(:rounds) OR purpose = 'gold') OFFSET 0)
        LIMIT 1
    )
    FOR NO KEY UPDATE SKIP LOCKED
"""

# What a person holds already is theirs for a while longer.
HELD = """
    UPDATE slots SET lease_until = greatest(lease_until, now() + :lease)
    WHERE project_id = :project AND annotator_id = :me AND state = 1
    RETURNING id, task_id, shown_key, shown_at, sides, protocol_id, guidelines_id, tags, lane, rank
"""

# All lanes lie between 0 and 32767. Saying so makes a planner that does not see them expect one, where it would expect
# ten; the plan that is kept for all claims then seems dear, and each claim is planned anew, which takes twice as long.
# A lane above 63 is of sensitive prompts: lane >> 6 is the set of what they are sensitive for (`projects.care`), and
# whoever has not opted into all of it is never looked for there. `opted` is asked here and not with the lanes, because
# only this statement begins after the quota lock was given: whoever has left a category before is not shown one more.
# For the same reason it is NULL, and no lane is looked at, for whoever was paused since their request began.
# The guidelines are those that the quota lock saw, as is whether the newest rule was read: a rule that is published
# between the two statements is asked about before the next task, and this one is shown under the text that was read.
# A protocol says how many answers its task must show at least (`fewest`): a task that shows fewer than the newest of
# its kind needs keeps to one that it was made for. The prompt's tags decide what is asked, so the slot keeps them.
_CLAIM = """
    WITH {held} opted AS (
        SELECT CASE WHEN count(paused_at) = 0 THEN coalesce(max(care), 0) END AS care
        FROM memberships WHERE project_id = :project AND user_id = :me
    ), free AS (
        SELECT it.id, it.rank, m.lane
        FROM unnest(:lanes) m (lane)
        LEFT JOIN watermarks w ON w.project_id = :project AND w.annotator_id = :me AND w.lane = m.lane,
        LATERAL ({places}) it
        WHERE :may_take AND NOT EXISTS ({hindrance}) AND m.lane BETWEEN 0 AND 32767
          AND (m.lane >> 6 & ~(SELECT care FROM opted)) = 0
        ORDER BY it.rank
        LIMIT 1
    ), taken AS (
        UPDATE slots s
        SET state = 1, annotator_id = :me, lease = gen_random_uuid(), lease_until = now() + :lease,
            shown_key = gen_random_uuid(), shown_at = now(),
            sides = coalesce(s.sides, (SELECT array_agg(number ORDER BY random()) FROM task_completions
                                       WHERE task_id = s.task_id)),
            protocol_id = coalesce(b.protocol_id, (SELECT id FROM protocols
                                                   WHERE project_id = s.project_id AND body->>'kind' = t.kind
                                                   ORDER BY fewest > cardinality(s.sides), version DESC LIMIT 1)),
            guidelines_id = coalesce(b.guidelines_id, :guidelines),
            tags = (SELECT tags FROM prompts WHERE id = t.prompt_id)
        FROM free, tasks t, batches b
        WHERE s.id = free.id AND t.id = s.task_id AND b.id = t.batch_id
        RETURNING s.id, s.task_id, s.shown_key, s.shown_at, s.sides, s.protocol_id, s.guidelines_id,
                  s.tags, free.lane, free.rank
    ), counted AS (
        UPDATE quota_days q
        SET used = used + 1,
            care = CASE WHEN lane < 64 THEN care ELSE ARRAY(
                SELECT coalesce(care[n], 0) + (lane >> (n + 5) & 1) FROM generate_series(1, 9) n) END
        FROM taken
        WHERE project_id = :project AND annotator_id = :me AND day = :day
    ), marked AS (
        INSERT INTO watermarks AS w (project_id, annotator_id, lane, rank, claims)
        SELECT :project, :me, lane, rank, 1 FROM taken
        ON CONFLICT ON CONSTRAINT pk_watermarks DO UPDATE
        SET claims = w.claims + 1,
            rank = CASE WHEN :anew THEN excluded.rank ELSE greatest(w.rank, excluded.rank) END
        RETURNING claims
    ), shown AS ({shown})
    SELECT shown.*, t.public_id, t.kind, p.rendered, jsonb_path_query_array(p.messages, '$[*].role'),
           CASE WHEN :texts THEN p.messages END, what.*, d.body, d.rev, (SELECT claims FROM marked),
           p.care, (SELECT care FROM opted)
    FROM shown
    JOIN tasks t ON t.id = shown.task_id
    JOIN prompts p ON p.id = t.prompt_id
    LEFT JOIN drafts d ON d.slot_id = shown.id AND d.annotator_id = :me,
    LATERAL (
        SELECT array_agg(c.id) AS ids, array_agg(c.html) AS htmls,
               array_agg(c.finish_reason = 'length') AS cut,
               CASE WHEN :texts THEN jsonb_agg(c.parts) END AS parts
        FROM (SELECT c.* FROM task_completions tc JOIN completions c ON c.id = tc.completion_id
              WHERE tc.task_id = shown.task_id ORDER BY tc.number) c
    ) what
"""


_BINDS = (
    PROJECT,
    ME,
    bindparam("lease", type_=Interval),
    bindparam("lanes", type_=ARRAY(SmallInteger)),
    ROUNDS,
    bindparam("anew", type_=Boolean),
    bindparam("back", type_=Float),
    bindparam("may_take", type_=Boolean),
    bindparam("texts", type_=Boolean),
    bindparam("day", type_=Date),
    bindparam("guidelines", type_=BigInteger),
)


def _claim(**pieces: str) -> Direct:
    sql = _CLAIM.format(**pieces)
    return hot(
        sql,
        *(bind for bind in _BINDS if f":{bind.key}" in sql),
        returns="id task_id shown_key shown_at sides protocol_id guidelines_id tags lane rank is_new task kind "
        "rendered roles messages ids htmls cut parts draft draft_rev claims care opted",
    )


# What this person holds; else the next free slot, also behind the watermark.
CLAIM = _claim(
    held=f"held AS ({HELD}),",
    places=f"SELECT * FROM ({BEHIND}) b UNION ALL SELECT * FROM ({AHEAD}) a LIMIT 1",  # noqa: S608  (our own)
    hindrance="SELECT FROM held",
    shown="SELECT *, false AS is_new FROM held UNION ALL SELECT *, true FROM taken",
)

# Nearly every claim takes the next slot ahead, and the rest of CLAIM is set up each time for nothing: half its work.
# So this asks first, and gives nothing where CLAIM would look at more: a task in hand, or the turn to look behind.
CLAIM_AHEAD = _claim(
    held="",
    places=AHEAD,
    hindrance="""
        SELECT FROM slots WHERE project_id = :project AND annotator_id = :me AND state = 1
        UNION ALL
        SELECT FROM watermarks w
        WHERE project_id = :project AND annotator_id = :me AND lane = ANY(:lanes) AND claims % 20 = 19
          AND EXISTS (SELECT FROM slots WHERE project_id = :project AND lane = w.lane AND state = 0)
    """,
    shown="SELECT *, true AS is_new FROM taken",
)

# Mixing an argued task in, where there may be one, takes the room of a usual one: the last in the queue that nobody is
# taking right now, of the lane whose last stands farthest back. Lanes are few, and the end of each is one look at the
# index; all free places at once would be sorted.
LEND = text("""
    WITH RECURSIVE lanes AS (
        (SELECT lane FROM slots WHERE project_id = :project AND state = 0 AND lane >= 0 ORDER BY lane LIMIT 1)
        UNION ALL
        SELECT n.lane FROM lanes l, LATERAL (
            SELECT lane FROM slots WHERE project_id = :project AND state = 0 AND lane > l.lane ORDER BY lane LIMIT 1) n
    )
    UPDATE slots SET state = -1 WHERE id = (
        SELECT s.id FROM slots s WHERE s.project_id = :project AND s.state = 0 AND s.lane = (
            SELECT l.lane FROM lanes l, LATERAL (
                SELECT rank FROM slots WHERE project_id = :project AND state = 0 AND lane = l.lane
                ORDER BY rank DESC LIMIT 1) back
            WHERE l.lane & 32 = 0
              AND EXISTS (SELECT FROM slots g WHERE g.project_id = :project AND g.lane = ANY(:lanes) AND g.state = 0)
            ORDER BY back.rank DESC LIMIT 1)
        ORDER BY s.rank DESC, s.id DESC LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED)
    RETURNING id
""").bindparams(PROJECT, bindparam("lanes", type_=ARRAY(SmallInteger)))

GIVE_BACK = text("UPDATE slots SET state = 0 WHERE id = :slot AND state = -1").bindparams(
    bindparam("slot", type_=BigInteger)
)

SOME_PLANNED = text("SELECT EXISTS (SELECT FROM slots WHERE project_id = :project AND state = -1)").bindparams(PROJECT)

# Each task by the first of its free slots, until there are enough of them: never a walk over the whole queue. What
# waits for a limit of the whole project is enough as well: more of it would only wait too.
FREE_TASKS = text("""
    SELECT (SELECT count(*) FROM (
        SELECT DISTINCT s.task_id FROM slots s
        JOIN projects p ON p.id = s.project_id AND coalesce(p.answers_a_day, p.answers_in_all, p.budget) IS NOT NULL
        WHERE s.project_id = :project AND s.state = -1 LIMIT :low_water
    ) AS planned) + count(*) FROM (
        SELECT FROM slots s
        WHERE s.project_id = :project AND s.state = 0 AND s.lane >= 0 AND s.lane & 32 = 0
          AND NOT EXISTS (SELECT FROM slots o
                          WHERE o.task_id = s.task_id AND o.state = 0 AND o.number < s.number OFFSET 0)
          AND EXISTS (SELECT FROM tasks WHERE id = s.task_id AND batch_id = ANY(:rounds) OFFSET 0)
        LIMIT :low_water
    ) AS few
""").bindparams(PROJECT, ROUNDS, bindparam("low_water", type_=BigInteger))
