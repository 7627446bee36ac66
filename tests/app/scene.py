"""A project with people and tasks, what they do to it, and what must never be true of it afterwards."""

from dataclasses import dataclass
from uuid import UUID, uuid4

import httpx
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.access import Access, Person
from app.accounts.permissions import ROLE_PERMISSIONS, Role
from app.annotations.kinds import ComparisonBody
from app.keys import key_for
from app.projects.queries import default_batch, newest_protocol
from app.projects.tables import Project
from app.tasks.actions import Showing, Waiting, claim
from app.tasks.rules import handle_of
from tests import make
from tests.conftest import sign_in


@dataclass(frozen=True)
class Scene:
    project: Project
    batch_id: int
    people: list[Access]
    tasks: list[int]

    @property
    def me(self) -> Access:
        return self.people[0]


async def scene(
    session: AsyncSession, *, people: int = 1, tasks: int = 1, k: int = 1, shows: int = 2, **values: object
) -> Scene:
    """shows: completions a task. The tasks are of the protocol's kind."""
    project = await make.project(session, k=k, **values)  # type: ignore[arg-type]
    batch = await default_batch(session, project.id)
    members = []
    for _ in range(people):
        person = await make.user(session)
        await make.member(session, project, person)
        members.append(access_of(project, person))
    kind = (await newest_protocol(session, project.id)).body["kind"]
    made = [
        (await make.task(session, project, batch, k=k, rank=n + 1, shows=shows, kind=kind)).id for n in range(tasks)
    ]
    return Scene(project, batch.id, members, made)


def access_of(project: Project, person: object, **values: object) -> Access:
    """What `may()` would find for an annotator."""
    known = Person(
        id=person.id,  # type: ignore[attr-defined]
        public_id=person.public_id,  # type: ignore[attr-defined]
        name="",
        email="",
        is_admin=False,
        zone="UTC",
        locale="",
        preferences={},
    )
    role = ROLE_PERMISSIONS[Role.annotator]
    values = {"project_id": project.id, "project": project.public_id, "role": Role.annotator} | values
    return Access(known, role, **values)  # type: ignore[arg-type]


def handle(shown: Showing, side: int = 0) -> str:
    """The name of the answer on that side of the screen."""
    return handle_of(key_for("handles"), shown.slot_id, shown.completions[side].id)


def prefers(shown: Showing, side: int = 0, strength: int = 2, **said: object) -> ComparisonBody:
    said = {"outcome": "preferred", "preferred": handle(shown, side), "strength": strength} | said
    return ComparisonBody(**said)  # type: ignore[arg-type]


async def claimed(session: AsyncSession, access: Access, **options: bool) -> Showing:
    found = await claim(session, access, **options)
    assert not isinstance(found, Waiting), found
    return found


async def let_leases_run_out(session: AsyncSession) -> None:
    await session.execute(text("UPDATE slots SET lease_until = now() - interval '1 minute' WHERE state = 1"))


async def sweep_all(session: AsyncSession) -> int:
    from app.tasks.actions import run_out, sweep

    return sum([await sweep(session, *lease) for lease in await run_out(session)])


def random_key() -> UUID:
    return uuid4()


# Each of these counts rows that must not be there, whatever happened before (I1 and I2 are about what was
# acknowledged, which only the tests know).
NEVER = {
    "I3 one key twice": "SELECT 1 FROM annotations GROUP BY annotator_id, idempotency_key HAVING count(*) > 1",
    "I4 two live answers in a slot": """SELECT 1 FROM annotations WHERE state = 'live' GROUP BY slot_id
        HAVING count(*) > 1""",
    "I5 more than k live": """SELECT 1 FROM annotations a JOIN tasks t ON t.id = a.task_id WHERE a.state = 'live'
        GROUP BY t.id HAVING count(*) > t.k""",
    "I6 one person twice": "SELECT 1 FROM annotations GROUP BY task_id, annotator_id HAVING count(*) > 1",
    "I7 done without an answer": """SELECT 1 FROM slots s WHERE s.state = 2 AND NOT EXISTS (
        SELECT FROM annotations a WHERE a.slot_id = s.id AND a.state = 'live')""",
    "I8 answer in a slot that is not done": """SELECT 1 FROM annotations a JOIN slots s ON s.id = a.slot_id
        WHERE a.state = 'live' AND s.state <> 2""",
    "I9 another person's slot": """SELECT 1 FROM annotations a JOIN slots s ON s.id = a.slot_id
        WHERE a.state = 'live' AND s.annotator_id IS DISTINCT FROM a.annotator_id""",
    "I10 quota does not add up": """
        SELECT 1 FROM quota_days q JOIN projects p ON p.id = q.project_id WHERE q.used <> (
            SELECT count(*) FROM slots s WHERE s.state = 1 AND s.project_id = p.id AND s.annotator_id = q.annotator_id
              AND CAST(s.shown_at AT TIME ZONE p.zone AS date) = q.day) + (
            SELECT count(*) FROM annotations a WHERE a.project_id = p.id AND a.annotator_id = q.annotator_id
              AND CAST(a.shown_at AT TIME ZONE p.zone AS date) = q.day)""",
    "I11 over the limit": """
        SELECT 1 FROM quota_days q JOIN projects p ON p.id = q.project_id
        JOIN memberships m ON m.project_id = p.id AND m.user_id = q.annotator_id
        WHERE q.used > coalesce(m.daily_limit, p.daily_limit)
                       + (SELECT count(*) FROM lapses l WHERE l.annotator_id = q.annotator_id)""",
    "I13 more handed out than the project's limits": """
        SELECT 1 FROM projects p WHERE
            (SELECT coalesce(sum(q.used), 0) FROM quota_days q WHERE q.project_id = p.id)
            + (SELECT count(*) FROM slots s WHERE s.project_id = p.id AND s.state = 0 AND s.lane & 32 = 0)
            - (SELECT count(*) FROM annotations a WHERE a.project_id = p.id AND a.state = 'surplus') > p.answers_in_all
         OR (SELECT coalesce(sum(q.used), 0) FROM quota_days q WHERE q.project_id = p.id
                 AND q.day = CAST(now() AT TIME ZONE p.zone AS date))
            + (SELECT count(*) FROM slots s WHERE s.project_id = p.id AND s.state = 0 AND s.lane & 32 = 0)
            - (SELECT count(*) FROM annotations a WHERE a.project_id = p.id AND a.state = 'surplus') > p.answers_a_day
         OR (SELECT coalesce(sum(l.amount), 0) FROM ledger l WHERE l.project_id = p.id) > p.budget""",
    "an answer that is not in the ledger": """
        SELECT 1 FROM annotations a JOIN projects p ON p.id = a.project_id
        WHERE p.pays AND NOT EXISTS (SELECT FROM ledger l WHERE l.annotation_id = a.id)""",
    "I12 answers without an event": """
        SELECT 1 FROM annotations a WHERE 1 <> (SELECT count(*) FROM events e
            WHERE e.kind = 'annotation.submitted' AND e.subject = CAST(a.public_id AS text))""",
    "a slot in a lane that its prompt's categories do not say": """
        SELECT 1 FROM slots s JOIN tasks t ON t.id = s.task_id JOIN prompts p ON p.id = t.prompt_id
        WHERE (CASE WHEN s.lane < 0 THEN ~s.lane ELSE s.lane END) >> 6 <> p.care""",
    "a task held back that nobody reported": """
        SELECT 1 FROM slots s WHERE s.lane < 0 AND NOT EXISTS (
            SELECT FROM reports r WHERE r.task_id = s.task_id AND r.closed_at IS NULL)""",
    "a task in a wrong state": """
        SELECT 1 FROM tasks t WHERE t.state = 'done' AND EXISTS (
                SELECT FROM slots s WHERE s.task_id = t.id AND s.state IN (-2, -1, 0, 1))
            OR t.state = 'open' AND NOT EXISTS (
                SELECT FROM slots s WHERE s.task_id = t.id AND s.state IN (-2, -1, 0, 1))""",
}


async def broken(session: AsyncSession) -> dict[str, int]:
    """How often each of them is true; empty when all is well."""
    quoted = {name.replace("'", "''"): asked for name, asked in NEVER.items()}
    each = [f"SELECT '{name}' AS name FROM ({asked}) AS found" for name, asked in quoted.items()]
    counted = await session.execute(text(f"SELECT name, count(*) FROM ({' UNION ALL '.join(each)}) GROUP BY name"))
    return dict(counted.all())  # type: ignore[arg-type]


async def engineer(client: httpx.AsyncClient, session: AsyncSession, project: Project, role: Role = Role.engineer):
    """Somebody with that role in the project, signed in by the client."""
    person = await make.user(session)
    await make.member(session, project, person, role)
    await sign_in(client, session, person)
    return person
