"""Slots of a project with limits: how many may be free at once, so that no limit is passed whoever answers when.

A slot of such a project is planned until it is released. What is released counts in full from then on: as a free slot,
as a lease, as an answer; so a limit holds at any concurrency without a counter that all claims would meet at. A budget
is counted at the dearest rate as long as nobody has answered, and at what was paid afterwards, so room comes back.

What counts for a day is what people were shown on it. An answer that comes when its place is taken (surplus) is work
and counts; a free slot is taken back for it. Money is kept for a day for answers that may still come to a showing that
ran out.
"""

from collections import Counter

from sqlalchemy import BigInteger, Text, bindparam, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

from app.projects.actions import locked
from app.projects.tables import Project
from app.tasks.limits import room_in
from app.tasks.tables import SlotState

PROJECT = bindparam("project", type_=BigInteger)
AT_ONCE = 1000  # planned slots looked at in one go

PLANNED = text(f"""
    SELECT s.id, s.rank, p.tags FROM slots s JOIN tasks t ON t.id = s.task_id JOIN prompts p ON p.id = t.prompt_id
    WHERE s.project_id = :project AND s.state = -1 AND (s.rank, s.id) > (:rank, :after) AND NOT p.tags && :full
    ORDER BY s.rank, s.id LIMIT {AT_ONCE}
""").bindparams(  # noqa: S608  (our own words)
    PROJECT,
    bindparam("rank", type_=BigInteger),
    bindparam("after", type_=BigInteger),
    bindparam("full", type_=ARRAY(Text)),
)

RELEASE = text("UPDATE slots SET state = 0 WHERE id = ANY(:ids) AND state = -1")

# The last ones in the queue first, as many as nobody is taking at this moment.
TAKE_BACK = text("""
    UPDATE slots SET state = -1 WHERE id = ANY(ARRAY(
        SELECT s.id FROM slots s WHERE s.project_id = :project AND s.state = 0 AND s.lane >= 0 AND s.lane & 32 = 0
          AND (CAST(:tag AS text) IS NULL
               OR EXISTS (SELECT FROM tasks t JOIN prompts p ON p.id = t.prompt_id
                          WHERE t.id = s.task_id AND p.tags @> ARRAY[CAST(:tag AS text)]))
        ORDER BY s.rank DESC, s.id DESC LIMIT :most FOR NO KEY UPDATE SKIP LOCKED
    )) AND state = 0
""").bindparams(PROJECT, bindparam("most", type_=BigInteger))

FREE_ALL = text("UPDATE slots SET state = 0 WHERE project_id = :project AND state = -1 RETURNING id").bindparams(
    PROJECT
)


async def state_of_new(session: AsyncSession, project_id: int) -> SlotState:
    """In which state a new slot begins; planned ones are to be released after they are stored."""
    is_limited = await session.scalar(select(Project.is_limited).where(Project.id == project_id))
    return SlotState.planned if is_limited else SlotState.free


async def release_slots(session: AsyncSession, project_id: int) -> int:
    """Free as many planned slots as the project's limits have room for, or take free ones back where a limit is passed.

    Returns how many were freed. One at a time for each project; safe to repeat.
    """
    project = await locked(session, project_id)
    if not project.is_limited:
        return len((await session.execute(FREE_ALL, {"project": project_id})).all())
    room = await room_in(session, project)
    for tag, too_many in [(None, room.slots or 0), *room.tags.items()]:
        if too_many < 0:
            await session.execute(TAKE_BACK, {"project": project_id, "tag": tag, "most": -too_many})
    freed, place = 0, (-1, 0)
    while room.slots is None or room.slots > 0:
        full = [tag for tag, left in room.tags.items() if left <= 0]
        values = {"project": project_id, "rank": place[0], "after": place[1], "full": full}
        rows = (await session.execute(PLANNED, values)).all()
        if not rows:
            break
        ids = room.chosen((row.id, row.tags) for row in rows)
        await session.execute(RELEASE, {"ids": ids})
        chosen = set(ids)
        room = room.less(len(ids), Counter(tag for row in rows if row.id in chosen for tag in row.tags))
        freed, place = freed + len(ids), (rows[-1].rank, rows[-1].id)
    return freed
