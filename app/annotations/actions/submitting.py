"""Keep an answer: once, whatever happens on the way, and also when it comes late.

The usual path is two statements (see `tasks.actions.claiming` for the whole cycle): what this person was shown, with
the task's row locked so that the last two answers see each other; and one that takes the lease, keeps the answer,
notes the event, drops the draft and closes the task. Only when the lease is gone does a late answer look further: for
another free slot of the task, else it is kept as surplus.
"""

from typing import Any
from uuid import UUID

from sqlalchemy import Uuid, bindparam
from sqlalchemy.ext.asyncio import AsyncSession

from app.annotations.actions.answering import VALUES, KeyUsed, Said, Saved, Shown, answer_of, saved
from app.annotations.actions.late import submit_late
from app.annotations.actions.overlap import ask_one_more
from app.annotations.actions.paying import pay
from app.annotations.actions.prompting import tell_of_prompt
from app.annotations.kinds import BodyForm
from app.annotations.tables import AnnotationState
from app.errors import NotFound
from app.tasks.actions.hot import ME, PROJECT, hot

LOOK = hot(
    """
    SELECT t.id AS task_id, t.kind, t.public_id, coalesce(s.tags, p.tags) AS tags, now() AS now,
           s.id AS slot_id, s.state, s.shown_key, s.shown_at, s.sides, s.protocol_id, s.guidelines_id,
           a.id AS annotation_id, a.public_id AS annotation, a.version, a.state AS annotation_state, a.body_hash,
           a.submitted_at, a.task_id AS annotated_task_id, what.ids, what.characters, x.use = 'training' AS is_training,
           t.most_k, (SELECT pays FROM projects WHERE id = :project) AS pays
    FROM tasks t
    LEFT JOIN argued_answers x ON x.task_id = t.id
    JOIN prompts p ON p.id = t.prompt_id
    LEFT JOIN slots s ON s.task_id = t.id AND s.annotator_id = :me
    LEFT JOIN annotations a ON a.annotator_id = :me AND a.idempotency_key = :key
    CROSS JOIN LATERAL (
        SELECT array_agg(c.id ORDER BY tc.number) AS ids, sum(length(c.html)) AS characters
        FROM task_completions tc JOIN completions c ON c.id = tc.completion_id
        WHERE tc.task_id = t.id
    ) AS what
    WHERE t.public_id = :task AND t.project_id = :project
    FOR NO KEY UPDATE OF t
    """,
    PROJECT,
    ME,
    bindparam("task", type_=Uuid),
    bindparam("key", type_=Uuid),
    returns="task_id kind public_id tags now slot_id state shown_key shown_at sides protocol_id guidelines_id "
    "annotation_id annotation version annotation_state body_hash submitted_at annotated_task_id ids characters "
    "is_training most_k pays",
)

KEEP = hot(
    """
    WITH held AS (
        SELECT id, shown_at, sides, protocol_id, guidelines_id, tags FROM slots
        WHERE id = :slot AND annotator_id = :me AND state = 1 AND shown_key = :key
        FOR NO KEY UPDATE
    ), said AS (
        INSERT INTO annotations (project_id, task_id, slot_id, annotator_id, idempotency_key, body_hash, kind, body,
                                 sides, protocol_id, guidelines_id, tags, fast, active_seconds, shown_at)
        SELECT :project, :task_id, id, :me, :key, :hash, :kind, :body, sides, protocol_id, guidelines_id, tags, :fast,
               :active, shown_at
        FROM held
        ON CONFLICT (annotator_id, idempotency_key) DO NOTHING
        RETURNING id, public_id, version, state, submitted_at
    ), answered AS (
        UPDATE slots SET state = 2, lease = NULL, lease_until = NULL FROM said WHERE slots.id = :slot
    ), closed AS (
        UPDATE tasks t SET state = 'done' FROM said
        WHERE t.id = :task_id AND t.state = 'open' AND NOT EXISTS (
            SELECT FROM slots o WHERE o.task_id = :task_id AND o.id <> :slot AND o.state IN (-2, -1, 0, 1))
    ), typed AS (
        DELETE FROM drafts d USING said WHERE d.slot_id = :slot AND d.annotator_id = :me
    ), noted AS (
        INSERT INTO events (actor_id, project_id, kind, subject, body)
        SELECT :me, :project, 'annotation.submitted', CAST(said.public_id AS text),
               jsonb_build_object('task', :subject, 'state', said.state)
        FROM said
    )
    SELECT id, public_id, version, state, submitted_at FROM said
    """,
    *VALUES,
    returns="id public_id version state submitted_at",
)


async def submit(
    session: AsyncSession,
    project_id: int,
    person_id: int,
    task: UUID,
    key: UUID,
    body: BodyForm,
    active_seconds: float | None = None,
) -> Saved:
    """Keep `body` as this person's answer to `task`. key: the one that came with the task when it was shown.
    active_seconds: that the person was at it, as their page measured them.

    :raises NotFound: no such task here, or it was never shown to this person under this key.
    :raises KeyUsed: the key already carries another answer, which stays.
    :raises AlreadyAnswered: this person's answer to the task is there, under another key.
    :raises Invalid: the body does not fit the task or its protocol.
    """
    came = Said(key, body, active_seconds)
    found = await look(session, project_id, person_id, task, key)
    if found.annotation_id is None and found.state == 1 and found.shown_key == key:
        shown = Shown(found.slot_id, found.shown_at, found.sides, found.protocol_id, found.guidelines_id, found.tags)
        answer = await answer_of(session, project_id, person_id, found, shown, came)
        said = await KEEP.first(session, answer)
        if said is not None:
            await tell_of_prompt(session, answer["body"], said.id)
            await follow_up(session, project_id, found, said.id)
            return saved(said, is_training=bool(found.is_training))
    if found.annotation_id is None:  # what was seen before the task's lock was given may be over: look again
        found = await look(session, project_id, person_id, task, key)
    if found.annotation_id is not None:
        return repeated(found, body)
    late = await submit_late(session, project_id, person_id, found, came)
    await follow_up(session, project_id, found, late.id)
    return late


async def follow_up(session: AsyncSession, project_id: int, found: Any, annotation_id: int) -> None:
    """What some projects want done with an answer that was just kept. found: as `look` gave it."""
    if found.pays:
        await pay(session, annotation_id)
    if found.most_k is not None:
        await ask_one_more(session, project_id, found.task_id)


async def look(session: AsyncSession, project_id: int, person_id: int, task: UUID, key: UUID) -> Any:
    """The task, locked, with this person's slot in it and whatever they said under this key."""
    values = {"project": project_id, "me": person_id, "task": task, "key": key}
    found = await LOOK.first(session, values)
    if found is None:
        raise NotFound
    return found


def repeated(found: Any, body: BodyForm) -> Saved:
    """The first answer under this key, if this is the same one again."""
    if found.annotated_task_id != found.task_id or found.body_hash != body.digest():
        raise KeyUsed
    state = AnnotationState(found.annotation_state)
    said = (found.annotation_id, found.annotation, found.version, state, found.submitted_at)
    return Saved(*said, is_repeat=True, is_training=bool(found.is_training))
