"""Where a project stands against its limits: how much of each is used up, and how many more slots may be free."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import BigInteger, bindparam, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.projects.tables import Project, TagRule

PROJECT = bindparam("project", type_=BigInteger)
RUNS_OUT_FOR = "24 hours"  # for which money is kept for an answer to a showing that ran out

# One statement, so one moment: a claim turns a free slot into one that is used, and both are seen or neither.
STANDING = text(f"""
    SELECT coalesce((SELECT sum(q.used) FROM quota_days q WHERE q.project_id = p.id), 0) AS used,
           coalesce((SELECT sum(q.used) FROM quota_days q WHERE q.project_id = p.id
                     AND q.day = CAST(now() AT TIME ZONE p.zone AS date)), 0) AS used_today,
           (SELECT count(*) FROM slots s WHERE s.project_id = p.id AND s.state = 0
                                                 AND (s.lane < 0 OR s.lane & 32 = 0)) AS free,
           (SELECT count(*) FROM slots s WHERE s.project_id = p.id AND s.state = 1) AS leased,
           (SELECT count(*) FROM slots s WHERE s.project_id = p.id AND s.state = 1
                AND CAST(s.shown_at AT TIME ZONE p.zone AS date)
                    < CAST(now() AT TIME ZONE p.zone AS date)) AS leased_before,
           (SELECT count(*) FROM slots s WHERE s.project_id = p.id AND s.state = -1) AS planned,
           coalesce((SELECT sum(l.amount) FROM ledger l WHERE l.project_id = p.id), 0) AS spent,
           (SELECT count(DISTINCT (s.task_id, l.annotator_id)) FROM lapses l JOIN slots s ON s.id = l.slot_id
            WHERE p.pays AND l.ran_out AND l.project_id = p.id AND l.at > now() - interval '{RUNS_OUT_FOR}'
              AND NOT EXISTS (SELECT FROM skips k WHERE k.task_id = s.task_id AND k.annotator_id = l.annotator_id)
              AND NOT EXISTS (SELECT FROM slots o WHERE o.task_id = s.task_id AND o.annotator_id = l.annotator_id)
           ) AS may_come,
           coalesce((SELECT max(coalesce(r.an_answer, r.most)) FROM rates r
                     WHERE r.project_id = p.id AND NOT EXISTS (
                         SELECT FROM rates n WHERE n.project_id = p.id AND n.starts_at <= now() - interval '27 hours'
                           AND (n.starts_at, n.id) > (r.starts_at, r.id)
                           AND n.annotator_id IS NOT DISTINCT FROM r.annotator_id
                           AND n.cohort IS NOT DISTINCT FROM r.cohort
                           AND n.kind IS NOT DISTINCT FROM r.kind)), 0) AS dearest
    FROM projects p WHERE p.id = :project
""").bindparams(PROJECT)  # noqa: S608  (our own words)

# Of what was shown: answers, whatever became of them, and leases; imported answers never were, and argued tasks that
# are mixed in take the room of any.
OF_TAG = text("""
    WITH tagged AS (
        SELECT t.id FROM prompts p JOIN tasks t ON t.prompt_id = p.id
        WHERE p.project_id = :project AND p.tags @> ARRAY[CAST(:tag AS text)] AND t.purpose <> 'gold'
    ), shown AS (
        SELECT a.shown_at FROM annotations a JOIN tagged ON tagged.id = a.task_id WHERE a.shown_at IS NOT NULL
        UNION ALL
        SELECT s.shown_at FROM slots s JOIN tagged ON tagged.id = s.task_id WHERE s.state = 1
    )
    SELECT (SELECT count(*) FROM slots s JOIN tagged ON tagged.id = s.task_id
            WHERE s.state = 0 AND (s.lane < 0 OR s.lane & 32 = 0)) AS free,
           (SELECT count(*) FROM slots s JOIN tagged ON tagged.id = s.task_id JOIN projects p ON p.id = s.project_id
            WHERE s.state = 1 AND CAST(s.shown_at AT TIME ZONE p.zone AS date)
                                  < CAST(now() AT TIME ZONE p.zone AS date)) AS leased_before,
           (SELECT count(*) FROM shown) AS used,
           (SELECT count(*) FROM shown, projects p WHERE p.id = :project
            AND CAST(shown.shown_at AT TIME ZONE p.zone AS date)
                = CAST(now() AT TIME ZONE p.zone AS date)) AS used_today
""").bindparams(PROJECT)


@dataclass(frozen=True)
class Standing:
    """used: answers given, and tasks being answered; used_today: of those shown today. free: without argued tasks,
    which are mixed in in place of others; leased: in somebody's hands, leased_before: of them those shown before today,
    which go back to being free without having counted for it; planned: that wait. spent: in hundredths of the
    currency. may_come: showings that ran out and may still be answered. dearest: what one answer may cost at most.
    """

    used: int
    used_today: int
    free: int
    leased: int
    leased_before: int
    planned: int
    spent: int
    may_come: int
    dearest: int

    @property
    def reserved(self) -> int:
        """What all that is handed out, or may be taken now, may cost at most."""
        return (self.free + self.leased + self.may_come) * self.dearest


@dataclass(frozen=True)
class Room:
    """How many more slots may be free; below zero: how many too many are. tags: for each tag with a limit."""

    slots: int | None
    tags: dict[str, int]

    def chosen(self, planned: Iterable[tuple[int, Sequence[str]]]) -> list[int]:
        """Ids of planned slots that fit, in the order given. planned: (id, tags of its prompt)."""
        left, taken = self.slots, Counter[str]()
        fits: list[int] = []
        for slot, tags in planned:
            if left is not None and len(fits) >= left:
                break
            bound = [tag for tag in tags if tag in self.tags]
            if all(taken[tag] < self.tags[tag] for tag in bound):
                taken.update(bound)
                fits.append(slot)
        return fits

    def less(self, chosen: int, by_tag: Counter[str]) -> "Room":
        """What is left once so many slots, and so many of each tag, were released."""
        slots = None if self.slots is None else self.slots - chosen
        return Room(slots, {tag: room - by_tag[tag] for tag, room in self.tags.items()})


async def standing_of(session: AsyncSession, project_id: int) -> Standing:
    row = (await session.execute(STANDING, {"project": project_id})).one()
    return Standing(*(int(value) for value in row))


async def room_in(session: AsyncSession, project: Project) -> Room:
    """The room that all limits leave together."""
    now = await standing_of(session, project.id)
    rooms = []
    if project.answers_in_all is not None:
        rooms.append(project.answers_in_all - now.used - now.free)
    if project.answers_a_day is not None:
        rooms.append(project.answers_a_day - now.used_today - now.free - now.leased_before)
    if project.budget is not None and now.dearest:
        rooms.append((project.budget - now.spent - now.reserved) // now.dearest)
    return Room(min(rooms, default=None), await _room_by_tag(session, project.id))


async def standing_of_tag(session: AsyncSession, project_id: int, tag: str) -> tuple[int, int]:
    """Answers given and tasks being answered of prompts with a tag: in all, and of those shown today."""
    now = (await session.execute(OF_TAG, {"project": project_id, "tag": tag})).one()
    return int(now.used), int(now.used_today)


async def _room_by_tag(session: AsyncSession, project_id: int) -> dict[str, int]:
    bounded = (TagRule.a_day.is_not(None)) | (TagRule.in_all.is_not(None))
    rooms = {}
    for rule in await session.scalars(select(TagRule).where(TagRule.project_id == project_id, bounded)):
        now = (await session.execute(OF_TAG, {"project": project_id, "tag": rule.tag})).one()
        of_day = [] if rule.a_day is None else [rule.a_day - now.used_today - now.free - now.leased_before]
        of_all = [] if rule.in_all is None else [rule.in_all - int(now.used) - now.free]
        rooms[rule.tag] = min(of_day + of_all)
    return rooms
