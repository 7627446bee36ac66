"""Why nobody is shown a task, as exactly as it is known; and where a task waits for somebody."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import func, literal_column, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from app.accounts.access import Access
from app.accounts.permissions import ROLE_PERMISSIONS, Permission, Role
from app.accounts.tables import Membership
from app.annotations.queries import arriving, count_to_check
from app.annotations.rules import minutes_left
from app.completions.queries import made_lately
from app.projects.care import CLASSES, categories_of, mask_of, offered
from app.projects.queries import get_project
from app.projects.rules import day_begins, local_day
from app.projects.tables import Batch, BatchState, Project, ProjectState
from app.tasks.actions.claiming import Reason, Waiting
from app.tasks.tables import Purpose, Skip, Slot, SlotState, Task

RECENT = 10  # minutes over which completions are counted, to tell how fast they come


class Cause(StrEnum):
    """consent: asked for before the next task; reading: the newest change of the rules is. withdrawn: consent was
    taken back. quota: of today; through: in all. project, me: paused, or archived; rounds: none is open. coming:
    completions are being made. others: what is left is on others' screens, or for others. room: what is left waits
    for room in a limit of the project. done: nothing is left. empty: there never was a task.
    """

    consent = "consent"
    reading = "reading"
    withdrawn = "withdrawn"
    quota = "quota"
    through = "through"
    room = "room"
    project = "project"
    archived = "archived"
    me = "me"
    rounds = "rounds"
    coming = "coming"
    others = "others"
    done = "done"
    empty = "empty"


@dataclass(frozen=True)
class Why:
    """zone: the project's; resets_at: when its next day begins; coming: completions; minutes: until they are there,
    None: nobody knows; has_sensitive: tasks wait that are shown to people who opt into more categories. to_check:
    prompts of others that wait to be let through."""

    cause: Cause
    zone: str = "UTC"
    resets_at: datetime | None = None
    coming: int = 0
    minutes: int | None = field(default=None)
    has_sensitive: bool = False
    to_check: int = 0

    @property
    def may_end(self) -> bool:
        """Whether a task may appear while the page stands there."""
        return self.cause in (Cause.coming, Cause.others, Cause.done, Cause.empty, Cause.rounds, Cause.room)


async def why_nothing(session: AsyncSession, access: Access, found: Waiting) -> Why:
    """What to tell somebody who was given no task."""
    project = await get_project(session, access.of_project())
    if found.reason is Reason.paused:
        return Why(_at_rest(project), project.zone)
    if found.reason is Reason.quota:
        return Why(Cause.quota, project.zone, resets_at=await midnight(session, project.zone))
    if found.reason is Reason.through:
        return Why(Cause.through, project.zone)
    more = await _has_sensitive(session, project, access)
    coming = await arriving(session, project.id)
    if coming:
        made = await made_lately(session, project.id, RECENT)
        minutes = minutes_left(coming, made, RECENT)
        return Why(Cause.coming, project.zone, coming=coming, minutes=minutes, has_sensitive=more)
    to_check = await count_to_check(session, project.id, access.person.id)
    return Why(await _of_queue(session, project.id), project.zone, has_sensitive=more, to_check=to_check)


def _at_rest(project: Project) -> Cause:
    """Of a paused hand-out: the project's rest, else one's own."""
    rests = {ProjectState.paused: Cause.project, ProjectState.archived: Cause.archived}
    return rests.get(project.state, Cause.me)


async def midnight(session: AsyncSession, zone: str) -> datetime:
    """When the next day begins in a zone."""
    now = (await session.execute(select(func.now()))).scalar_one()
    return day_begins(local_day(now, zone) + timedelta(days=1), zone)


async def _has_sensitive(session: AsyncSession, project: Project, access: Access) -> bool:
    """Whether slots are free in sets of categories that this person has not opted into, and may."""
    categories = categories_of(project.care)
    offers = mask_of((one.key for one in offered(categories)), categories)
    mine = await session.scalar(
        select(Membership.care).where(Membership.project_id == project.id, Membership.user_id == access.person.id)
    )
    sets = [one for one in project.care_sets if mine is not None and one & ~mine and not one & ~offers]
    lanes = [one + CLASSES * mask for one in access.lanes for mask in sets]
    free = select(Slot.id).where(Slot.project_id == project.id, Slot.state == literal_column("0"), Slot.lane.in_(lanes))
    return bool(lanes) and await session.scalar(free.limit(1)) is not None


async def _of_queue(session: AsyncSession, project_id: int) -> Cause:
    """Why a project without new completions has nothing for this person."""
    rounds = select(Batch.id).where(
        Batch.project_id == project_id, Batch.state.in_([state for state in BatchState if state.asks])
    )
    if await session.scalar(rounds.limit(1)) is None:
        return Cause.rounds
    wanted = select(Slot.id).where(Slot.project_id == project_id, Slot.state.in_([SlotState.free, SlotState.leased]))
    if await session.scalar(wanted.limit(1)) is not None:
        return Cause.others
    planned = select(Slot.id).where(Slot.project_id == project_id, Slot.state == literal_column("-1"))
    if await session.scalar(planned.limit(1)) is not None:
        return Cause.room
    task = await session.scalar(select(Task.id).where(Task.project_id == project_id).limit(1))
    return Cause.empty if task is None else Cause.done


async def open_work(session: AsyncSession, person_id: int) -> list[Any]:
    """Open projects of this person in which a task waits for them: outside id and name.

    What the hand-out looks at, without its order: a free slot of a lane of theirs, sensitive for nothing that they have
    not opted into, in a round that asks, of a task that they have neither answered nor passed by.
    """
    theirs = aliased(Slot)
    answered = select(theirs.id).where(theirs.task_id == Slot.task_id, theirs.annotator_id == person_id)
    passed = select(Skip.task_id).where(Skip.task_id == Slot.task_id, Skip.annotator_id == person_id)
    asks = select(Task.id).join(Batch, Batch.id == Task.batch_id)
    in_time = Batch.state.in_([state for state in BatchState if state.asks]) | (Task.purpose == Purpose.gold)
    asks = asks.where(Task.id == Slot.task_id, in_time)
    free = select(Slot.id).where(
        Slot.project_id == Project.id,
        Slot.lane >= 0,
        Slot.lane.bitwise_and(CLASSES - 1) == func.any(Membership.lanes),
        (Slot.lane // CLASSES).bitwise_and(Membership.care.bitwise_not()) == 0,
        Slot.state == literal_column(str(int(SlotState.free))),
        ~answered.exists(),
        ~passed.exists(),
        asks.exists(),
    )
    roles = [role for role in Role if Permission.annotate in ROLE_PERMISSIONS[role]]
    found = (
        select(Project.public_id, Project.name)
        .join(Membership, Membership.project_id == Project.id)
        .where(Membership.user_id == person_id, Membership.role.in_(roles), Membership.paused_at.is_(None))
        .where(Project.state == ProjectState.open, free.exists())
        .order_by(Project.name, Project.id)
    )
    return list(await session.execute(found))
