"""Answers that come after their lease is gone: honoured where a slot is still free, else kept as surplus."""

from typing import Any

from sqlalchemy import BigInteger, DateTime, SmallInteger, Text, Uuid, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

from app.annotations.actions.answering import VALUES, AlreadyAnswered, Said, Saved, Shown, answer_of, saved
from app.annotations.actions.prompting import tell_of_prompt
from app.annotations.tables import AnnotationState
from app.errors import NotFound
from app.tasks.actions.ending import SETTLE, pass_by
from app.tasks.actions.hot import ME, PROJECT
from app.tasks.actions.releasing import make_up_for_late
from app.translation import _

SHOWN_AT = bindparam("shown_at", type_=DateTime(timezone=True))
SHOWN = (
    bindparam("task_id", type_=BigInteger),
    bindparam("slot", type_=BigInteger),
    bindparam("key", type_=Uuid),
    bindparam("sides", type_=ARRAY(SmallInteger)),
    bindparam("protocol_id", type_=BigInteger),
    bindparam("guidelines_id", type_=BigInteger),
    bindparam("tags", type_=ARRAY(Text)),
)

# Whatever this person has said about the task, under any key; the caller holds the task, so nothing comes in between.
SAID_BEFORE = text("""
    SELECT a.state IN ('live', 'surplus') AS is_kept,
           a.submitted_at + p.edit_minutes * interval '1 minute' >= now() AS is_open
    FROM annotations a JOIN projects p ON p.id = a.project_id
    WHERE a.task_id = :task_id AND a.annotator_id = :me
    ORDER BY a.id DESC LIMIT 1
""").bindparams(ME, bindparam("task_id", type_=BigInteger))

LAPSED = text("""
    SELECT l.slot_id, l.shown_at, l.sides, l.protocol_id, l.guidelines_id, coalesce(l.tags, p.tags)
    FROM lapses l JOIN slots s ON s.id = l.slot_id JOIN tasks t ON t.id = s.task_id JOIN prompts p ON p.id = t.prompt_id
    WHERE l.shown_key = :key AND l.annotator_id = :me AND s.task_id = :task_id
""").bindparams(ME, bindparam("key", type_=Uuid), bindparam("task_id", type_=BigInteger))

# Work on a task that one has in hand again: a place was kept for it, and money.
WAS_IN_HAND = text("""
    UPDATE lapses SET ran_out = true, at = now() WHERE shown_key = :key AND annotator_id = :me
""").bindparams(ME, bindparam("key", type_=Uuid))

COUNT_LATE = text("""
    UPDATE quota_days q SET used = q.used + :more FROM projects p
    WHERE p.id = :project AND q.project_id = p.id AND q.annotator_id = :me
      AND q.day = CAST(:shown_at AT TIME ZONE p.zone AS date)
""").bindparams(PROJECT, ME, SHOWN_AT, bindparam("more", type_=BigInteger))

# The lease I hold on this task again, else the slot it was shown for, else another of the same lane that nobody has.
TAKE_LATE = text("""
    WITH found AS MATERIALIZED (  -- once: a plan that ran it again for each slot would take more than one
        SELECT o.id, o.state, o.shown_at FROM slots o
        WHERE o.task_id = :task_id
          AND (o.state IN (-2, -1, 0) AND o.lane = (SELECT lane FROM slots WHERE id = :slot)
               OR o.state = 1 AND o.annotator_id = :me)
        ORDER BY o.state DESC, o.id = :slot DESC, o.number
        LIMIT 1
        FOR NO KEY UPDATE OF o SKIP LOCKED
    )
    UPDATE slots s
    SET state = 2, annotator_id = :me, lease = NULL, lease_until = NULL, shown_key = :key,
        shown_at = :shown_at, sides = :sides, protocol_id = :protocol_id, guidelines_id = :guidelines_id,
        tags = :tags
    FROM found
    WHERE s.id = found.id
    RETURNING s.id, found.state AS before, found.shown_at AS counted_at, s.lane >= 0 AND s.lane & 32 = 32 AS is_mixed_in
""").bindparams(ME, SHOWN_AT, *SHOWN)

KEEP_LATE = text("""
    WITH said AS (
        INSERT INTO annotations (project_id, task_id, slot_id, annotator_id, idempotency_key, body_hash, kind, body,
                                 sides, protocol_id, guidelines_id, tags, fast, active_seconds, shown_at, state)
        VALUES (:project, :task_id, :slot, :me, :key, :hash, :kind, :body, :sides, :protocol_id, :guidelines_id,
                :tags, :fast, :active, :shown_at, :state)
        RETURNING id, public_id, version, state, submitted_at
    ), typed AS (
        DELETE FROM drafts d USING said WHERE d.slot_id = :shown_slot AND d.annotator_id = :me
    ), noted AS (
        INSERT INTO events (actor_id, project_id, kind, subject, body)
        SELECT :me, :project, 'annotation.submitted', CAST(said.public_id AS text),
               jsonb_build_object('task', :subject, 'state', said.state, 'late', true)
        FROM said
    )
    SELECT * FROM said
""").bindparams(
    *VALUES,
    *SHOWN,
    SHOWN_AT,
    bindparam("shown_slot", type_=BigInteger),
    bindparam("state", type_=Text),
)


class AnswerStands(AlreadyAnswered):
    """You have answered this task, and so long ago that the answer stays as it is."""

    sentence = _("You have already answered this task, and the time for changes is over. Your first answer is kept.")


class AnswerTakenOut(AlreadyAnswered):
    """Whoever took an answer back, or had it set aside, is not among those who are asked instead."""

    sentence = _("You answered this task before, and that answer was taken out. Somebody else is asked instead of you.")


async def submit_late(session: AsyncSession, project_id: int, person_id: int, found: Any, came: Said) -> Saved:
    """The lease is gone: honour the answer in a slot that is still free, else keep it as surplus.

    A person answers a task once, however often it was shown to them. `found` holds the task's lock.
    """
    await _not_said_before(session, person_id, found.task_id)
    lapsed = (await session.execute(LAPSED, {"key": came.key, "me": person_id, "task_id": found.task_id})).one_or_none()
    if lapsed is None:
        raise NotFound
    shown = Shown(*lapsed)
    answer = await answer_of(session, project_id, person_id, found, shown, came)
    answer |= {
        "sides": shown.sides,
        "protocol_id": shown.protocol_id,
        "guidelines_id": shown.guidelines_id,
        "tags": shown.tags,
        "shown_at": shown.shown_at,
        "shown_slot": shown.slot_id,
    }
    await session.execute(COUNT_LATE, answer | {"more": 1})  # locks the quota row before the slot
    slot = (await session.execute(TAKE_LATE, answer)).one_or_none()
    if slot is not None and slot.before == 1:  # this person's lease on the same task: it was counted already
        await session.execute(COUNT_LATE, answer | {"more": -1, "shown_at": slot.counted_at})
        await session.execute(WAS_IN_HAND, {"key": came.key, "me": person_id})
    elif slot is None or slot.before < 0 or slot.is_mixed_in:  # work that no slot was released for
        await make_up_for_late(session, project_id)
    state = AnnotationState.live if slot else AnnotationState.surplus
    place = {"slot": slot.id if slot else shown.slot_id, "state": state.value}
    said = (await session.execute(KEEP_LATE, answer | place)).one()
    await tell_of_prompt(session, answer["body"], said.id)
    if slot is None:
        await pass_by(session, found.task_id, person_id, "surplus")
    else:
        await session.execute(SETTLE, {"task": found.task_id})
    return saved(said, is_training=bool(found.is_training))


async def _not_said_before(session: AsyncSession, person_id: int, task_id: int) -> None:
    said = (await session.execute(SAID_BEFORE, {"me": person_id, "task_id": task_id})).one_or_none()
    if said is None:
        return
    if not said.is_kept:
        raise AnswerTakenOut
    raise AlreadyAnswered if said.is_open else AnswerStands
