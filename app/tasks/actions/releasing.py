"""Slots of a project with limits: how many may be free at once, so that no limit is passed whoever answers when.

A slot of such a project is planned until it is released. What is released counts in full from then on: as a free slot,
as a lease, as an answer; so a limit holds at any concurrency without a counter that all claims would meet at. A budget
is counted at the dearest rate as long as nobody has answered, and at what was paid afterwards, so room comes back.

What counts for a day is what people were shown on it. An answer that comes when its place is taken (surplus) is work
and counts; a free slot is taken back for it. Money is kept for a day for answers that may still come to a showing that
ran out.

Releasing holds the project's row, and nobody who answers or makes tasks ever waits for that: it runs in transactions of
its own, after them (`RoomChanged`), and where an admin changes a limit.
"""

from collections import Counter

from sqlalchemy import BigInteger, SmallInteger, bindparam, select, text
from sqlalchemy import Text as Words
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.actions.lanes import share_hand_out
from app.jobs.queue import enqueue
from app.projects.actions import locked
from app.projects.tables import Batch, Project
from app.tasks.jobs import RoomChanged
from app.tasks.limits import Room, room_in
from app.tasks.tables import SlotState

PROJECT = bindparam("project", type_=BigInteger)
AT_ONCE = 1000  # planned slots looked at in one go
CHUNK = 20_000  # slots changed by one statement, so that none runs into its time limit
FOR_ONE = 20  # slots that are exchanged for one person who found none

PLANNED = text(f"""
    SELECT s.id, s.rank, p.tags FROM slots s JOIN tasks t ON t.id = s.task_id JOIN prompts p ON p.id = t.prompt_id
    WHERE s.project_id = :project AND s.state = -1 AND s.lane >= 0 AND (s.rank, s.id) > (:rank, :after)
      AND NOT p.tags && :full
      AND EXISTS (SELECT FROM batches b WHERE b.id = t.batch_id AND b.state IN ('pilot', 'open'))
    ORDER BY s.rank, s.id LIMIT {AT_ONCE}
""").bindparams(  # noqa: S608  (our own words)
    PROJECT,
    bindparam("rank", type_=BigInteger),
    bindparam("after", type_=BigInteger),
    bindparam("full", type_=ARRAY(Words)),
)

# In the order of their ids, as those who put slots in place lock them.
RELEASE = text("""
    UPDATE slots SET state = 0 WHERE id = ANY(ARRAY(
        SELECT id FROM slots WHERE id = ANY(:ids) AND state = -1 ORDER BY id FOR NO KEY UPDATE))
""")

# What nobody is asked now first, then the last ones in the queue; as many as nobody is taking at this moment.
TAKE_BACK = text("""
    UPDATE slots SET state = -1 WHERE id = ANY(ARRAY(
        SELECT s.id FROM slots s WHERE s.project_id = :project AND s.state = 0 AND (s.lane < 0 OR s.lane & 32 = 0)
          AND (CAST(:tag AS text) IS NULL
               OR EXISTS (SELECT FROM tasks t JOIN prompts p ON p.id = t.prompt_id
                          WHERE t.id = s.task_id AND p.tags @> ARRAY[CAST(:tag AS text)]))
        ORDER BY s.lane >= 0 AND EXISTS (SELECT FROM tasks t JOIN batches b ON b.id = t.batch_id
                                         WHERE t.id = s.task_id AND b.state IN ('pilot', 'open')),
                 s.rank DESC, s.id DESC
        LIMIT :most FOR NO KEY UPDATE OF s SKIP LOCKED
    )) AND state = 0 RETURNING id
""").bindparams(PROJECT, bindparam("most", type_=BigInteger))

FREE_SOME = text(f"""
    UPDATE slots SET state = 0
    WHERE id = ANY(ARRAY(SELECT id FROM slots WHERE project_id = :project AND state = -1 LIMIT {CHUNK})) RETURNING id
""").bindparams(PROJECT)  # noqa: S608  (our own words)

# Of planned slots those that one person could take.
FOR_PERSON = text(f"""
    SELECT s.id, p.tags
    FROM slots s JOIN tasks t ON t.id = s.task_id JOIN prompts p ON p.id = t.prompt_id
    JOIN batches b ON b.id = t.batch_id AND b.state IN ('pilot', 'open')
    JOIN memberships m ON m.project_id = s.project_id AND m.user_id = :person
    WHERE s.project_id = :project AND s.state = -1 AND s.lane = ANY(:lanes) AND s.lane >> 6 & ~m.care = 0
      AND NOT p.tags && :full
      AND NOT EXISTS (SELECT FROM slots d WHERE d.task_id = s.task_id AND d.annotator_id = :person)
      AND NOT EXISTS (SELECT FROM skips k WHERE k.task_id = s.task_id AND k.annotator_id = :person)
    ORDER BY s.rank, s.id LIMIT {FOR_ONE}
""").bindparams(  # noqa: S608  (our own words)
    PROJECT,
    bindparam("person", type_=BigInteger),
    bindparam("lanes", type_=ARRAY(SmallInteger)),
    bindparam("full", type_=ARRAY(Words)),
)

LATE = text("""
    UPDATE slots SET state = -1 WHERE id = (
        SELECT s.id FROM slots s JOIN projects p ON p.id = s.project_id AND p.is_limited
        WHERE s.project_id = :project AND s.state = 0 AND s.lane >= 0 AND s.lane & 32 = 0
        ORDER BY s.rank DESC, s.id DESC LIMIT 1 FOR NO KEY UPDATE OF s SKIP LOCKED)
""").bindparams(PROJECT)


async def state_of_new(session: AsyncSession, project_id: int, batch_id: int | None = None) -> SlotState:
    """In which state a new slot begins, until the end of the transaction: whoever sets a first limit waits for it.

    batch_id: of its round; None: one that asks.
    """
    await share_hand_out(session, project_id)
    if batch_id is not None:
        state = (await session.execute(select(Batch.state).where(Batch.id == batch_id))).scalar_one()
        if not state.asks:
            return SlotState.resting
    is_limited = await session.scalar(select(Project.is_limited).where(Project.id == project_id))
    return SlotState.planned if is_limited else SlotState.free


async def room_changed(session: AsyncSession, project_id: int) -> None:
    """Have slots released, or taken back, once this transaction is through."""
    await enqueue(session, RoomChanged(project_id=project_id), once=f"room-changed-{project_id}")


async def make_up_for_late(session: AsyncSession, project_id: int) -> None:
    """Take one free slot back for an answer that none was released for; where there are limits."""
    await session.execute(LATE, {"project": project_id})


async def release_slots(session: AsyncSession, project_id: int) -> int:
    """Free as many planned slots as the project's limits have room for, or take free ones back where a limit is passed.

    Returns how many were freed; of very many some thousands, and a job does the rest. One at a time for each project;
    safe to repeat.
    """
    project = await locked(session, project_id)
    if project.is_limited:
        return await _fill(session, project_id, await _without_excess(session, project))
    freed = len((await session.execute(FREE_SOME, {"project": project_id})).all())
    if freed == CHUNK:
        await room_changed(session, project_id)
    return freed


async def make_room_for(session: AsyncSession, project_id: int, person_id: int, lanes: list[int]) -> int:
    """Exchange free slots that this person cannot take for planned ones that they can: what is free may be for others,
    or for nobody who is here, and must not keep all the room. lanes: that they looked at. Returns how many were freed.
    """
    project = await locked(session, project_id)
    if not project.is_limited:
        return 0
    room = await room_in(session, project)
    full = [tag for tag, left in room.tags.items() if left <= 0]
    values = {"project": project_id, "person": person_id, "lanes": lanes, "full": full}
    found = (await session.execute(FOR_PERSON, values)).all()
    ids = Room(len(found), room.tags).chosen((row.id, row.tags) for row in found)
    if room.slots is not None:
        there = max(room.slots, 0)
        ids = ids[: there + await _taken_back(session, project_id, None, len(ids) - there)]
    await session.execute(RELEASE, {"ids": ids})
    return len(ids)


async def _without_excess(session: AsyncSession, project: Project) -> Room:
    """Take free slots back where a limit is passed; the room that is left then."""
    room = await room_in(session, project)
    if room.slots is not None and room.slots < 0 and await _taken_back(session, project.id, None, -room.slots):
        room = await room_in(session, project)
    for tag, left in room.tags.items():
        if left < 0:
            await _taken_back(session, project.id, tag, -left)
    return await room_in(session, project) if any(left < 0 for left in room.tags.values()) else room


async def _taken_back(session: AsyncSession, project_id: int, tag: str | None, too_many: int) -> int:
    values = {"project": project_id, "tag": tag, "most": max(0, min(too_many, CHUNK))}
    taken = len((await session.execute(TAKE_BACK, values)).all())
    if taken == CHUNK:
        await room_changed(session, project_id)
    return taken


async def _fill(session: AsyncSession, project_id: int, room: Room) -> int:
    """Release planned slots in the order of the queue."""
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
