"""Keep an answer: once, whatever happens on the way, and also when it comes late.

The usual path is two statements (see `tasks.actions.claiming` for the whole cycle): what this person was shown, with
the task's row locked so that the last two answers see each other; and one that takes the lease, keeps the answer,
notes the event, drops the draft and closes the task. Only when the lease is gone does a late answer look further: for
another free slot of the task, else it is kept as surplus.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Boolean, DateTime, LargeBinary, Row, SmallInteger, Text, Uuid, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.ext.asyncio import AsyncSession

from app.annotations.forms import Body, NotOneOfThese, kept
from app.annotations.rules import is_fast
from app.annotations.tables import AnnotationState
from app.errors import Conflict, NotFound
from app.keys import key_for
from app.projects.rules import ProtocolBody
from app.tasks.actions.claiming import ME, PROJECT
from app.tasks.actions.ending import SETTLE, pass_by
from app.tasks.queries import protocol_body
from app.tasks.rules import handle_of
from app.translation import _


class KeyUsed(Conflict):
    code = "key-used"
    sentence = _("This key already carries another answer, which is kept. Change it by editing.")


class AlreadyAnswered(Conflict):
    """You have answered this task from another tab or device."""

    code = "already-answered"
    sentence = _("You have already answered this task. Your first answer is kept; you can still edit it.")


@dataclass(frozen=True, slots=True)
class Saved:
    """state surplus: kept and paid, but the task had its answers. at: of this version. is_repeat: it was there."""

    id: int
    public_id: UUID
    version: int
    state: AnnotationState
    at: datetime
    is_repeat: bool = False


@dataclass(frozen=True, slots=True)
class Shown:
    """What was on the screen that this answer speaks about."""

    slot_id: int
    shown_at: datetime
    sides: Sequence[int]
    protocol_id: int
    guidelines_id: int | None


LOOK = text("""
    SELECT t.id AS task_id, t.kind, t.public_id, now() AS now,
           s.id AS slot_id, s.state, s.shown_key, s.shown_at, s.sides, s.protocol_id, s.guidelines_id,
           a.id AS annotation_id, a.public_id AS annotation, a.version, a.state AS annotation_state, a.body_hash,
           a.submitted_at, a.task_id AS annotated_task_id, what.ids, what.characters
    FROM tasks t
    LEFT JOIN slots s ON s.task_id = t.id AND s.annotator_id = :me
    LEFT JOIN annotations a ON a.annotator_id = :me AND a.idempotency_key = :key
    CROSS JOIN LATERAL (
        SELECT array_agg(c.id ORDER BY tc.number) AS ids, sum(length(c.html)) AS characters
        FROM task_completions tc JOIN completions c ON c.id = tc.completion_id
        WHERE tc.task_id = t.id
    ) AS what
    WHERE t.public_id = :task AND t.project_id = :project
    FOR NO KEY UPDATE OF t
""").bindparams(PROJECT, ME, bindparam("task", type_=Uuid), bindparam("key", type_=Uuid))

VALUES = (
    PROJECT,
    ME,
    bindparam("task_id", type_=BigInteger),
    bindparam("slot", type_=BigInteger),
    bindparam("key", type_=Uuid),
    bindparam("hash", type_=LargeBinary),
    bindparam("kind", type_=Text),
    bindparam("body", type_=JSONB),
    bindparam("fast", type_=Boolean),
    bindparam("subject", type_=Text),
)

SHOWN_AT = bindparam("shown_at", type_=DateTime(timezone=True))
SHOWN = (
    bindparam("task_id", type_=BigInteger),
    bindparam("slot", type_=BigInteger),
    bindparam("key", type_=Uuid),
    bindparam("sides", type_=ARRAY(SmallInteger)),
    bindparam("protocol_id", type_=BigInteger),
    bindparam("guidelines_id", type_=BigInteger),
)

KEEP = text("""
    WITH held AS (
        SELECT id, shown_at, sides, protocol_id, guidelines_id FROM slots
        WHERE id = :slot AND annotator_id = :me AND state = 1 AND shown_key = :key
        FOR NO KEY UPDATE
    ), said AS (
        INSERT INTO annotations (project_id, task_id, slot_id, annotator_id, idempotency_key, body_hash, kind, body,
                                 sides, protocol_id, guidelines_id, fast, shown_at)
        SELECT :project, :task_id, id, :me, :key, :hash, :kind, :body, sides, protocol_id, guidelines_id, :fast,
               shown_at
        FROM held
        ON CONFLICT (annotator_id, idempotency_key) DO NOTHING
        RETURNING id, public_id, version, state, submitted_at
    ), answered AS (
        UPDATE slots SET state = 2, lease = NULL, lease_until = NULL FROM said WHERE slots.id = :slot
    ), closed AS (
        UPDATE tasks t SET state = 'done' FROM said
        WHERE t.id = :task_id AND t.state = 'open' AND NOT EXISTS (
            SELECT FROM slots o WHERE o.task_id = :task_id AND o.id <> :slot AND o.state IN (0, 1))
    ), typed AS (
        DELETE FROM drafts d USING said WHERE d.slot_id = :slot AND d.annotator_id = :me
    ), noted AS (
        INSERT INTO events (actor_id, project_id, kind, subject, body)
        SELECT :me, :project, 'annotation.submitted', CAST(said.public_id AS text),
               jsonb_build_object('task', :subject, 'state', said.state)
        FROM said
    )
    SELECT * FROM said
""").bindparams(*VALUES)

LAPSED = text("""
    SELECT l.slot_id, l.shown_at, l.sides, l.protocol_id, l.guidelines_id
    FROM lapses l JOIN slots s ON s.id = l.slot_id
    WHERE l.shown_key = :key AND l.annotator_id = :me AND s.task_id = :task_id
""").bindparams(ME, bindparam("key", type_=Uuid), bindparam("task_id", type_=BigInteger))

COUNT_LATE = text("""
    UPDATE quota_days q SET used = q.used + :more FROM projects p
    WHERE p.id = :project AND q.project_id = p.id AND q.annotator_id = :me
      AND q.day = CAST(:shown_at AT TIME ZONE p.zone AS date)
""").bindparams(PROJECT, ME, SHOWN_AT, bindparam("more", type_=BigInteger))

# The lease I hold on this task again, else the slot it was shown for, else another free one of the same lane.
TAKE_LATE = text("""
    UPDATE slots s
    SET state = 2, annotator_id = :me, lease = NULL, lease_until = NULL, shown_key = :key,
        shown_at = :shown_at, sides = :sides, protocol_id = :protocol_id, guidelines_id = :guidelines_id
    FROM (
        SELECT o.id, o.state, o.shown_at FROM slots o
        WHERE o.task_id = :task_id
          AND (o.state = 0 AND o.lane = (SELECT lane FROM slots WHERE id = :slot)
               OR o.state = 1 AND o.annotator_id = :me)
        ORDER BY o.state DESC, o.id = :slot DESC, o.number
        LIMIT 1
        FOR NO KEY UPDATE OF o SKIP LOCKED
    ) AS found
    WHERE s.id = found.id
    RETURNING s.id, found.state AS before, found.shown_at AS counted_at
""").bindparams(ME, SHOWN_AT, *SHOWN)

KEEP_LATE = text("""
    WITH said AS (
        INSERT INTO annotations (project_id, task_id, slot_id, annotator_id, idempotency_key, body_hash, kind, body,
                                 sides, protocol_id, guidelines_id, fast, shown_at, state)
        VALUES (:project, :task_id, :slot, :me, :key, :hash, :kind, :body, :sides, :protocol_id, :guidelines_id,
                :fast, :shown_at, :state)
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


async def submit(session: AsyncSession, project_id: int, person_id: int, task: UUID, key: UUID, body: Body) -> Saved:
    """Keep `body` as this person's answer to `task`. key: the one that came with the task when it was shown.

    :raises NotFound: no such task here, or it was never shown to this person under this key.
    :raises KeyUsed: the key already carries another answer, which stays.
    :raises AlreadyAnswered: this person's answer to the task is there, under another key.
    :raises Invalid: the body does not fit the task or its protocol.
    """
    found = await look(session, project_id, person_id, task, key)
    if found.annotation_id is None and found.state == 1 and found.shown_key == key:
        shown = Shown(found.slot_id, found.shown_at, found.sides, found.protocol_id, found.guidelines_id)
        answer = await answer_of(session, project_id, person_id, found, shown, key, body)
        said = (await session.execute(KEEP, answer)).one_or_none()
        if said is not None:
            return saved(said)
    if found.annotation_id is None:  # what was seen before the task's lock was given may be over: look again
        found = await look(session, project_id, person_id, task, key)
    if found.annotation_id is not None:
        return repeated(found, body)
    return await submit_late(session, project_id, person_id, found, key, body)


async def look(session: AsyncSession, project_id: int, person_id: int, task: UUID, key: UUID) -> Row[Any]:
    """The task, locked, with this person's slot in it and whatever they said under this key."""
    values = {"project": project_id, "me": person_id, "task": task, "key": key}
    found = (await session.execute(LOOK, values)).one_or_none()
    if found is None:
        raise NotFound
    return found


def repeated(found: Row[Any], body: Body) -> Saved:
    """The first answer under this key, if this is the same one again."""
    if found.annotated_task_id != found.task_id or found.body_hash != body.digest():
        raise KeyUsed
    state = AnnotationState(found.annotation_state)
    return Saved(found.annotation_id, found.annotation, found.version, state, found.submitted_at, is_repeat=True)


async def submit_late(
    session: AsyncSession, project_id: int, person_id: int, found: Row[Any], key: UUID, body: Body
) -> Saved:
    """The lease is gone: honour the answer in a slot that is still free, else keep it as surplus."""
    lapsed = (await session.execute(LAPSED, {"key": key, "me": person_id, "task_id": found.task_id})).one_or_none()
    if found.state == 2:
        raise AlreadyAnswered
    if lapsed is None:
        raise NotFound
    shown = Shown(*lapsed)
    answer = await answer_of(session, project_id, person_id, found, shown, key, body)
    answer |= {
        "sides": shown.sides,
        "protocol_id": shown.protocol_id,
        "guidelines_id": shown.guidelines_id,
        "shown_at": shown.shown_at,
        "shown_slot": shown.slot_id,
    }
    await session.execute(COUNT_LATE, answer | {"more": 1})  # locks the quota row before the slot
    slot = (await session.execute(TAKE_LATE, answer)).one_or_none()
    if slot is not None and slot.before == 1:  # this person's lease on the same task: it was counted already
        await session.execute(COUNT_LATE, answer | {"more": -1, "shown_at": slot.counted_at})
    state = AnnotationState.live if slot else AnnotationState.surplus
    place = {"slot": slot.id if slot else shown.slot_id, "state": state.value}
    said = (await session.execute(KEEP_LATE, answer | place)).one()
    if slot is None:
        await pass_by(session, found.task_id, person_id, "surplus")
    else:
        await session.execute(SETTLE, {"task": found.task_id})
    return saved(said)


async def answer_of(
    session: AsyncSession, project_id: int, person_id: int, found: Row[Any], shown: Shown, key: UUID, body: Body
) -> dict[str, Any]:
    """The values to store: the body under its protocol, its handles resolved to completions."""
    if body.kind != found.kind:
        raise NotOneOfThese
    protocol = await protocol_body(session, shown.protocol_id)
    return {
        "project": project_id,
        "me": person_id,
        "task_id": found.task_id,
        "subject": str(found.public_id),
        "slot": shown.slot_id,
        "key": key,
        "hash": body.digest(),
        "kind": body.kind,
        "body": kept_body(body, protocol, shown.slot_id, found.ids),
        "fast": is_fast((found.now - shown.shown_at).total_seconds(), found.characters),
    }


def kept_body(body: Body, protocol: ProtocolBody, slot_id: int, completions: Sequence[int]) -> dict[str, Any]:
    """The body to store; handles were made for `slot_id`, completions are inside ids in the task's order."""
    secret = key_for("handles")
    return kept(body, protocol, {handle_of(secret, slot_id, one): number for number, one in enumerate(completions)})


def saved(said: Row[Any]) -> Saved:
    return Saved(said.id, said.public_id, said.version, AnnotationState(said.state), said.submitted_at)
