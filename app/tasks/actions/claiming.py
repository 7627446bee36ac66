"""The hand-out: give a person the task they hold, or else the next free slot of their lanes.

This and `annotations.actions.submitting` are the one hot path of the application, run once for every answer. A whole
cycle (who asks; what was shown; keep the answer; commit; lock the quota; claim) is five statements, because each
statement costs about as much as the work inside it: the same steps through the unit of work are thirteen. Hence Core,
with data-modifying CTEs that take the slot, count the quota, move the watermark and fetch what is to be shown at once.
A claim writes no event: the slot and later the annotation carry when it was shown, and a lease that ends without an
answer leaves a row in `lapses` and an event.

The quota lock is a statement of its own on purpose. It makes the tabs of one person queue up, and only a statement
that begins after the lock was given sees the lease that the other tab has just taken.
"""

import random
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.access import Access
from app.errors import Conflict
from app.jobs.queue import enqueue
from app.projects.care import GOLD, Category, categories_of, lanes_of, members_of, used_up
from app.projects.tables import ProjectState
from app.tasks.actions.ending import drop
from app.tasks.actions.hot import (
    BEGIN_DAY,
    CLAIM,
    CLAIM_AHEAD,
    FREE_TASKS,
    GIVE_BACK,
    LEND,
    LOCK_QUOTA,
    SOME_PLANNED,
    lease_time,
)
from app.tasks.jobs import QueueRanLow, RoomWanted
from app.translation import _

COUNTS_EVERY = 8  # claims of one person and lane; then the free tasks are counted against the low-water mark


@dataclass(frozen=True, slots=True)
class ShownCompletion:
    """number: its place in the task. cut_off: its writer was stopped at the length limit. parts: only for programs;
    people get the rendered html."""

    number: int
    id: int
    html: str
    cut_off: bool
    parts: list[dict[str, Any]] | None


@dataclass(frozen=True, slots=True)
class Showing:
    """A task in one person's hands. completions are in the order of the screen; key is the answer's idempotency key.

    tags: of the prompt. care: what it is sensitive for. roles, rendered: one of each for every message of it.
    used, most: of the person's quota today, this task included.
    """

    slot_id: int
    task_id: int
    task: UUID
    kind: str
    key: UUID
    shown_at: datetime
    sides: tuple[int, ...]
    protocol_id: int
    guidelines_id: int | None
    tags: list[str]
    care: tuple[Category, ...]
    roles: list[str]
    rendered: list[str]
    messages: list[dict[str, Any]] | None
    completions: tuple[ShownCompletion, ...]
    draft: dict[str, Any] | None
    draft_rev: int
    used: int
    most: int


class Reason(StrEnum):
    """Why nobody is shown a task."""

    quota = "quota"
    through = "through"
    paused = "paused"
    reading = "reading"
    nothing_free = "nothing_free"

    @property
    def sentence(self) -> str:
        return _(WHY[self])


WHY = {
    Reason.quota: _("You have reached your limit for today."),
    Reason.through: _("You have given all the answers that were wanted of you in this project."),
    Reason.paused: _("This project is paused."),
    Reason.reading: _("The rules have changed. Read what is new before your next task."),
    Reason.nothing_free: _("No task is waiting for you."),
}


class ConsentNeeded(Conflict):
    code = "consent-needed"
    sentence = _(
        "This project asks for your consent before your next task: version {version} of its text. Read it at "
        "GET /api/v1/projects/{project}/consent, and agree by POST to the same address."
    )


class ConsentTakenBack(Conflict):
    code = "consent-taken-back"
    sentence = _(
        "You took your consent back, so you are asked nothing here. Your page of the project says how to return."
    )


class ReadingNeeded(Conflict):
    code = "reading-needed"
    sentence = _(
        "The rules of this project have changed: version {version} of its guidelines. Read it at GET "
        "/api/v1/projects/{project}/guidelines, and say so by POST to the same address with /read behind it."
    )


@dataclass(frozen=True, slots=True)
class Waiting:
    """used_up: categories of sensitive prompts that this person is shown no more of today. rules: version of the
    guidelines that is to be read first, where that is the reason."""

    reason: Reason
    used: int
    most: int
    used_up: tuple[Category, ...] = ()
    rules: int | None = None


async def claim(
    session: AsyncSession,
    access: Access,
    *,
    with_texts: bool = False,
    may_ask_for_more: bool = True,
    may_drop: bool = True,
) -> Showing | Waiting:
    """The task this person holds, or the next one for them; or why there is none. In the caller's transaction.

    with_texts: also messages and parts, for programs. may_ask_for_more: tell later chapters when the queue is low
    (pages that only look again leave it). may_drop: take a task off their hands that has become sensitive for something
    they have not opted into. A rule change that is still to be read keeps nobody from the task they hold.

    :raises ConsentNeeded: this person has not agreed to the newest version of the project's consent text.
    :raises ConsentTakenBack: they took it back.
    """
    if access.has_withdrawn:
        raise ConsentTakenBack
    if access.lacks_consent:
        raise ConsentNeeded(version=access.consent_wanted, project=access.project)
    project_id, me = access.of_project(), access.person.id
    quota = await lock_quota(session, project_id, me, access.daily_limit, access.total_limit)
    if access.paused or quota.state != ProjectState.open:  # what they hold is kept for them no longer than it is
        return Waiting(Reason.paused, quota.used, quota.most)
    is_through = access.total_limit is not None and (quota.used_in_all or 0) >= access.total_limit
    may_work = not is_through and quota.used < quota.most
    may_take = may_work and has_read(access, quota.rules_version)
    barred = used_up(quota.categories, quota.cared)
    values = {
        "project": project_id,
        "me": me,
        "lease": lease_time(),
        "lanes": lanes_of(access.lanes, quota.care_sets, barred),
        "rounds": quota.rounds,
        "anew": False,
        "back": random.random(),  # noqa: S311  (where to look, not a secret)
        "may_take": may_take,
        "texts": with_texts,
        "day": quota.day,
        "guidelines": quota.guidelines_id,
    }
    found = None
    if may_take and quota.is_limited and is_newcomer(access):
        found = await mixed_in(session, values, quota, always=True)
        values["may_take"] = False  # beyond that there is no room; what they hold they keep
    elif may_take and may_ask_for_more:
        found = await mixed_in(session, values, quota) or await CLAIM_AHEAD.first(session, values)
    if found is None:
        found = await CLAIM.first(session, values)
    if found is None and values["may_take"]:  # nothing ahead of the watermark: look once from the beginning
        found = await CLAIM.first(session, values | {"anew": True})
    if found is not None and found.care & ~(found.opted or 0):
        if may_drop and await drop(session, found.id, found.task_id, me, found.shown_key):
            return await claim(
                session, access, with_texts=with_texts, may_ask_for_more=may_ask_for_more, may_drop=False
            )
        found = None  # it is being answered or given back at this moment
    if may_ask_for_more and may_take and (found is None or (found.claims or 0) % COUNTS_EVERY == 1):
        await tell_if_low(session, project_id, quota)
    if found is None and may_take and quota.is_limited:
        await want_room(session, project_id, me, values["lanes"])
    if found is not None:
        return showing(found, quota)
    spent = Reason.through if is_through else Reason.quota
    reason = Reason.nothing_free if may_take else Reason.reading if may_work else spent
    waits_for = tuple(members_of(barred, categories_of(quota.categories)))
    return Waiting(reason, quota.used, quota.most, waits_for, quota.rules_version)


def has_read(access: Access, rules_version: int | None) -> bool:
    """Whether somebody has read the newest guidelines that changed a rule, or their token need not."""
    return access.skips_reading or (access.guidelines_read or 0) >= (rules_version or 0)


def is_newcomer(access: Access) -> bool:
    """Whether somebody is shown nothing but tasks with a known answer (`accounts.actions.lanes`)."""
    return any(lane & GOLD for lane in access.lanes)


async def mixed_in(session: AsyncSession, values: dict[str, Any], quota: Any, *, always: bool = False) -> Any:
    """By chance, or always, a task whose answer is argued, in place of a usual one; None: not now, or none that they
    have not met.

    Those of rounds that have ended are asked as well, as long as there is a usual one whose place they take. Where the
    project has limits it takes a usual slot's room, so that no more is handed out than these allow.
    """
    share = quota.gold_share if quota.rounds else 0
    if not always and random.random() >= share:  # noqa: S311  (how often)
        return None
    argued = values | {"lanes": [lane | GOLD for lane in values["lanes"]]}
    lent = await session.scalar(LEND, argued) if quota.is_limited else None
    if quota.is_limited and lent is None:
        return None
    found = await CLAIM.first(session, argued) or await CLAIM.first(session, argued | {"anew": True})
    if lent is not None and (found is None or not found.is_new):
        await session.execute(GIVE_BACK, {"slot": lent})
    return found


async def lock_quota(
    session: AsyncSession, project_id: int, person_id: int, own_limit: int | None, own_total: int | None = None
) -> Any:
    """Today's quota of this person, locked until the transaction ends; with the project's state, low_water and rounds
    (inside ids of the batches that are handed out), and what they used in all where a bound of theirs is given; the
    sum may be older than the lock: who took a task meanwhile in another tab is given that one again.
    """
    values = {"project": project_id, "me": person_id, "own_limit": own_limit, "own_total": own_total}
    row = await LOCK_QUOTA.first(session, values)
    if row is None:
        await session.execute(BEGIN_DAY, {"project": project_id, "me": person_id})
        row = await LOCK_QUOTA.first(session, values)
    return row


async def tell_if_low(session: AsyncSession, project_id: int, quota: Any) -> bool:
    """Say once that the queue ran low, if it did."""
    values = {"project": project_id, "rounds": quota.rounds, "low_water": quota.low_water}
    free = await session.scalar(FREE_TASKS, values)
    if free is None or free >= quota.low_water:
        return False
    return await enqueue(session, QueueRanLow(project_id=project_id), once=f"queue-ran-low-{project_id}")


async def want_room(session: AsyncSession, project_id: int, person_id: int, lanes: list[int]) -> None:
    """What is free may be for others only and keep all the room: have some exchanged for what this person takes."""
    if await session.scalar(SOME_PLANNED, {"project": project_id}):
        wanted = RoomWanted(project_id=project_id, person_id=person_id, lanes=lanes)
        await enqueue(session, wanted, once=f"room-wanted-{project_id}-{person_id}")


def showing(found: Any, quota: Any) -> Showing:
    """The claim's row as what a person is shown."""
    ids, htmls, sides, cut = found.ids or [], found.htmls or [], found.sides or [], found.cut or []  # it may show none
    parts = found.parts or [None] * len(ids)
    return Showing(
        slot_id=found.id,
        task_id=found.task_id,
        task=found.task,
        kind=found.kind,
        key=found.shown_key,
        shown_at=found.shown_at,
        sides=tuple(sides),
        protocol_id=found.protocol_id,
        guidelines_id=found.guidelines_id,
        tags=found.tags or [],
        care=tuple(members_of(found.care, categories_of(quota.categories))) if found.care else (),
        roles=found.roles,
        rendered=found.rendered,
        messages=found.messages,
        completions=tuple(ShownCompletion(n, ids[n], htmls[n], bool(cut[n]), parts[n]) for n in sides),
        draft=found.draft,
        draft_rev=found.draft_rev or 0,
        used=quota.used + found.is_new,
        most=quota.most,
    )
