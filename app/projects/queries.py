"""Questions about projects."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Date, Select, SmallInteger, cast, column, func, select, table
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.access import Access
from app.accounts.permissions import Permission, Role
from app.accounts.tables import Audience, Membership
from app.errors import NotFound
from app.projects.care import GOLD
from app.projects.changes import changes
from app.projects.protocols import ProtocolBody, protocol_of
from app.projects.tables import AboutYou, Batch, ConsentText, Guidelines, Project, ProjectState, Protocol, TagRule

# Later chapters' tables, by name: the overview counts their rows and knows nothing else of them.
SLOTS = table("slots", column("project_id"), column("state"), column("annotator_id"), column("lane", SmallInteger))
ANSWERS = table("annotations", column("project_id"), column("annotator_id"), column("state"))
FIGURES = table("figures", column("project_id"), column("name"), column("body", JSONB))
SLOT_PLANNED, SLOT_FREE, SLOT_LEASED, SLOT_DONE = -1, 0, 1, 2


@dataclass(frozen=True)
class Progress:
    """Answers of a project's tasks: given, being given now, still wanted; and how many of them are the reader's."""

    done: int = 0
    leased: int = 0
    free: int = 0
    mine: int = 0

    @property
    def wanted(self) -> int:
        return self.done + self.leased + self.free


@dataclass(frozen=True)
class MyProject:
    """A project as its list shows it to one person."""

    project: Project
    role: Role | None
    progress: Progress


async def get_project(session: AsyncSession, project_id: int) -> Project:
    """The project with this inside id.

    :raises NotFound: there is none.
    """
    project = await session.get(Project, project_id)
    if project is None:
        raise NotFound
    return project


async def project_by_name(session: AsyncSession, name: str) -> Project | None:
    """The oldest project called `name`: for the command line and the demo."""
    found = select(Project).where(Project.name == name).order_by(Project.id).limit(1)
    return (await session.scalars(found)).first()


async def project_by_public_id(session: AsyncSession, public_id: UUID) -> Project | None:
    return (await session.scalars(select(Project).where(Project.public_id == public_id))).one_or_none()


def visible_to(access: Access) -> Select[Project, Role]:
    """Projects this person has a part in, newest first; an admin sees all. A token lists what it opens.

    access: one that belongs to no project; outside of all, only an admin has permissions of projects.
    """
    member = (Membership.project_id == Project.id) & (Membership.user_id == access.person.id)
    asked = select(Project, Membership.role).join(Membership, member, isouter=access.may(Permission.project_read))
    if access.only_project is not None:
        asked = asked.where(Project.id == access.only_project)
    return asked.order_by(Project.id.desc())


async def my_projects(session: AsyncSession, access: Access) -> list[MyProject]:
    """What the start page lists: archived projects come last."""
    rows = (await session.execute(visible_to(access))).all()
    counted = await progress_shown(session, [row[0].id for row in rows], access.person.id)
    mine = [MyProject(row[0], row[1], counted.get(row[0].id, Progress())) for row in rows]
    return sorted(mine, key=lambda one: one.project.state is ProjectState.archived)


async def progress_shown(
    session: AsyncSession, project_ids: Sequence[int], person_id: int | None
) -> dict[int, Progress]:
    """`progress_of`, of large projects as a job counted it last (`oversight.counting`)."""
    kept = select(FIGURES.c.project_id, FIGURES.c.body["whole"]).where(
        FIGURES.c.project_id.in_(project_ids), FIGURES.c.name == "rounds"
    )
    large = {project_id: whole for project_id, whole in await session.execute(kept) if whole}
    own = select(ANSWERS.c.project_id, func.count().label("answers")).where(
        ANSWERS.c.project_id.in_(list(large)), ANSWERS.c.annotator_id == person_id, ANSWERS.c.state == "live"
    )
    rows = await session.execute(own.group_by(ANSWERS.c.project_id))
    mine: dict[int, int] = {row.project_id: row.answers for row in rows}
    found = await progress_of(session, [one for one in project_ids if one not in large], person_id)
    return found | {
        project_id: Progress(whole["done"], whole["leased"], whole["free"] + whole["planned"], mine.get(project_id, 0))
        for project_id, whole in large.items()
    }


async def progress_of(session: AsyncSession, project_ids: list[int], person_id: int | None) -> dict[int, Progress]:
    """Progress by project id; projects without tasks are left out."""

    def counted(*conditions: Any) -> Any:
        return func.count().filter(*conditions)

    asked = (
        select(
            SLOTS.c.project_id,
            counted(SLOTS.c.state == SLOT_DONE),
            counted(SLOTS.c.state == SLOT_LEASED),
            counted(SLOTS.c.state.in_((SLOT_PLANNED, SLOT_FREE)), SLOTS.c.lane.bitwise_and(GOLD) == 0),
            counted(SLOTS.c.state == SLOT_DONE, SLOTS.c.annotator_id == person_id),
        )
        .where(SLOTS.c.project_id.in_(project_ids))
        .group_by(SLOTS.c.project_id)
    )
    rows = (await session.execute(asked)).all()
    return {project_id: Progress(*counts) for project_id, *counts in rows}


async def newest_protocol(session: AsyncSession, project_id: int) -> Protocol:
    """The protocol that new tasks are shown under."""
    asked = select(Protocol).where(Protocol.project_id == project_id).order_by(Protocol.version.desc()).limit(1)
    return (await session.scalars(asked)).one()


async def protocol_versions(session: AsyncSession, project_id: int) -> list[Protocol]:
    """All versions that the project has asked under, the newest first. Version 0 is one of evaluations (`actions`),
    versions below it are those that imported datasets were made under."""
    asked = select(Protocol).where(Protocol.project_id == project_id, Protocol.version > 0)
    return list(await session.scalars(asked.order_by(Protocol.version.desc()).limit(100)))


async def protocol_of_batch(session: AsyncSession, batch: Batch) -> ProtocolBody:
    """What new tasks of a batch ask: its own protocol, else the project's newest."""
    if batch.protocol_id is None:
        return protocol_of((await newest_protocol(session, batch.project_id)).body)
    return protocol_of((await session.scalars(select(Protocol.body).where(Protocol.id == batch.protocol_id))).one())


async def protocol_of_kind(session: AsyncSession, project_id: int, kind: str) -> Protocol | None:
    """The project's newest protocol of a kind, if it has ever had one; those that files were made under are not its."""
    of_kind = (Protocol.project_id == project_id, Protocol.version >= 0, Protocol.body["kind"].astext == kind)
    return (await session.scalars(select(Protocol).where(*of_kind).order_by(Protocol.version.desc()).limit(1))).first()


async def newest_guidelines(session: AsyncSession, project_id: int) -> Guidelines:
    """The guidelines that new tasks are shown with."""
    asked = select(Guidelines).where(Guidelines.project_id == project_id).order_by(Guidelines.version.desc()).limit(1)
    return (await session.scalars(asked)).one()


async def guidelines_of(session: AsyncSession, project_id: int, version: int) -> Guidelines | None:
    """The project's guidelines of this version."""
    asked = select(Guidelines).where(Guidelines.project_id == project_id, Guidelines.version == version)
    return (await session.scalars(asked)).one_or_none()


async def guidelines_shown(session: AsyncSession, access: Access, version: int, html: str) -> dict[str, Any]:
    """Guidelines as a panel shows them: whether they are new to this person, and what changed since those they read.

    pieces: empty where there is nothing to compare them with.
    """
    read = access.guidelines_read
    is_new = bool(html) and (read or 0) < version
    shown: dict[str, Any] = {"version": version, "html": html, "pieces": (), "is_new": is_new}
    if is_new and read is not None:
        old = await guidelines_of(session, access.of_project(), read)
        new = await guidelines_of(session, access.of_project(), version)
        shown["pieces"] = changes(old.markdown, new.markdown) if old and new else ()
    return shown


async def newest_consent(session: AsyncSession, project_id: int) -> ConsentText | None:
    """The newest consent text, which may be empty; None: there never was one."""
    asked = select(ConsentText).where(ConsentText.project_id == project_id).order_by(ConsentText.version.desc())
    return (await session.scalars(asked.limit(1))).one_or_none()


async def newest_about_you(session: AsyncSession, project_id: int) -> AboutYou | None:
    """The newest form about people themselves; None: there never was one."""
    asked = select(AboutYou).where(AboutYou.project_id == project_id).order_by(AboutYou.version.desc())
    return (await session.scalars(asked.limit(1))).one_or_none()


async def default_batch(session: AsyncSession, project_id: int) -> Batch:
    """The open round that every project has by itself."""
    return (await session.scalars(select(Batch).where(Batch.project_id == project_id, Batch.is_default))).one()


async def batch_by_public_id(session: AsyncSession, project_id: int, public_id: UUID) -> Batch | None:
    asked = select(Batch).where(Batch.project_id == project_id, Batch.public_id == public_id)
    return (await session.scalars(asked)).one_or_none()


async def batches_of(session: AsyncSession, project_id: int) -> list[Batch]:
    """A project's rounds, the newest first."""
    asked = select(Batch).where(Batch.project_id == project_id).order_by(Batch.id.desc())
    return list(await session.scalars(asked.limit(200)))


def local_day_in_sql(zone: ColumnElement[str] | str) -> ColumnElement[date]:
    """`rules.local_day` at the database's now(), the only clock. zone: a column or a name."""
    return cast(func.timezone(zone, func.now()), Date)


async def hand_out_of(session: AsyncSession, batch: Batch) -> dict[str, Any]:
    """How a round's tasks are handed out, as its form has it; calibration in per cent."""
    chosen = await session.scalar(select(Audience.public_id).where(Audience.id == batch.audience_id))
    plain = {"k": batch.k, "most_k": batch.most_k, "ordering": batch.ordering.value, "audience": chosen}
    return plain | {"calibration": f"{100 * batch.calibration:g}", "version": batch.version}


async def limits_of(session: AsyncSession, project: Project) -> dict[str, Any]:
    """A project's limits and what its tags ask for, as their form has them."""
    await session.refresh(project)
    asked = select(TagRule, Audience.public_id).outerjoin(Audience, Audience.id == TagRule.audience_id)
    rules = await session.execute(asked.where(TagRule.project_id == project.id).order_by(TagRule.place))
    columns = ("tag", "k", "band", "a_day", "in_all")
    tags = [{name: getattr(rule, name) for name in columns} | {"audience": audience} for rule, audience in rules]
    plain = ("answers_a_day", "answers_in_all", "budget", "currency", "version")
    return {name: getattr(project, name) for name in plain} | {"tags": tags}
