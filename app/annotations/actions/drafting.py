"""What a person has typed is kept before it is sent, and keeps their task for them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, TextClause, Uuid, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.ext.asyncio import AsyncSession

from app.annotations.forms import NewDraft, NewEditDraft
from app.errors import NotFound
from app.tasks.actions import renew
from app.tasks.actions.hot import ME, PROJECT

# The slot in which this person was shown the task under this key, whether they still hold it or not.
KEEP = text("""
    WITH shown AS (
        SELECT s.id FROM slots s JOIN tasks t ON t.id = s.task_id
        WHERE t.public_id = :task AND t.project_id = :project AND s.annotator_id = :me AND s.shown_key = :key
          AND s.state = 1
        UNION
        SELECT l.slot_id FROM lapses l JOIN slots s ON s.id = l.slot_id JOIN tasks t ON t.id = s.task_id
        WHERE l.shown_key = :key AND l.annotator_id = :me AND t.public_id = :task AND t.project_id = :project
    ), kept AS (
        INSERT INTO drafts AS d (slot_id, annotator_id, project_id, rev, body)
        SELECT id, :me, :project, :rev, :body FROM shown
        ON CONFLICT (slot_id, annotator_id) DO UPDATE
        SET rev = excluded.rev, body = excluded.body, saved_at = now()
        WHERE CASE WHEN :over IS NULL THEN d.rev < excluded.rev ELSE d.rev = ANY(:over) END
        RETURNING rev, saved_at
    )
    SELECT rev, saved_at, NULL AS body FROM kept
    UNION ALL
    SELECT d.rev, d.saved_at, d.body FROM drafts d JOIN shown ON shown.id = d.slot_id
    WHERE d.annotator_id = :me AND NOT EXISTS (SELECT FROM kept)
""").bindparams(
    PROJECT,
    ME,
    bindparam("task", type_=Uuid),
    bindparam("key", type_=Uuid),
    bindparam("rev", type_=BigInteger),
    bindparam("over", type_=ARRAY(BigInteger)),
    bindparam("body", type_=JSONB),
)


KEEP_EDIT = text("""
    WITH mine AS (
        SELECT id FROM annotations WHERE public_id = :annotation AND project_id = :project AND annotator_id = :me
    ), kept AS (
        INSERT INTO edit_drafts AS d (annotation_id, project_id, version, rev, body)
        SELECT id, :project, :version, :rev, :body FROM mine
        ON CONFLICT (annotation_id) DO UPDATE
        SET version = excluded.version, rev = excluded.rev, body = excluded.body, saved_at = now()
        WHERE d.rev = ANY(:over)
        RETURNING rev, saved_at
    )
    SELECT rev, saved_at, NULL AS body FROM kept
    UNION ALL
    SELECT d.rev, d.saved_at, d.body FROM edit_drafts d JOIN mine ON mine.id = d.annotation_id
    WHERE NOT EXISTS (SELECT FROM kept)
""").bindparams(
    PROJECT,
    ME,
    bindparam("annotation", type_=Uuid),
    bindparam("version", type_=BigInteger),
    bindparam("rev", type_=BigInteger),
    bindparam("over", type_=ARRAY(BigInteger)),
    bindparam("body", type_=JSONB),
)


@dataclass(frozen=True)
class Draft:
    """The draft that is kept. Another rev than the one sent: a later packet came first, or these words were typed
    elsewhere; body: those words."""

    rev: int
    saved_at: datetime
    body: dict[str, Any] | None


async def save_draft(session: AsyncSession, project_id: int, person_id: int, task: UUID, form: NewDraft) -> Draft:
    """Keep what was typed, unless newer or other words are there already; and renew the lease.

    :raises NotFound: this task was not shown to this person under this key, or is answered.
    """
    await renew(session, project_id, person_id, task, form.key)
    values: dict[str, Any] = {"project": project_id, "me": person_id, "task": task} | form.model_dump()
    return await _kept(session, KEEP, values)


async def save_edit_draft(
    session: AsyncSession, project_id: int, person_id: int, annotation: UUID, form: NewEditDraft
) -> Draft:
    """Keep what was typed to change one's own answer, unless other words are there already.

    :raises NotFound: no such answer of this person.
    """
    values: dict[str, Any] = {"project": project_id, "me": person_id, "annotation": annotation} | form.model_dump()
    return await _kept(session, KEEP_EDIT, values)


async def _kept(session: AsyncSession, keep: TextClause, values: dict[str, Any]) -> Draft:
    row = (await session.execute(keep, values)).one_or_none()
    if row is None:
        raise NotFound
    return Draft(row.rev, row.saved_at, row.body)
