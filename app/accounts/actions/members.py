"""People's places in projects."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.access import Access
from app.accounts.actions.lanes import settle_lanes, share_hand_out
from app.accounts.forms import MemberForm
from app.accounts.permissions import Role
from app.accounts.tables import Membership, User
from app.errors import Conflict, NotFound
from app.events import record
from app.translation import _


class LastManager(Conflict):
    code = "last-manager"
    sentence = _("A project needs a manager. Make somebody else manager first.")


async def member_to_change(session: AsyncSession, access: Access, pseudonym: str) -> Membership:
    """Somebody's place in the caller's project, locked, if the caller may see them.

    :raises NotFound:
    """
    found = select(Membership).where(Membership.project_id == access.of_project(), Membership.pseudonym == pseudonym)
    member: Membership | None = await session.scalar(found.with_for_update())
    if member is None:
        raise NotFound
    return member


async def keep_a_manager(session: AsyncSession, member: Membership) -> None:
    """Refuse to take the last active manager away.

    :raises LastManager:
    """
    if member.role is not Role.manager or member.paused_at is not None:
        return
    others = (
        select(Membership.id)
        .join(User, User.id == Membership.user_id)
        .where(Membership.project_id == member.project_id, Membership.role == Role.manager)
        .where(Membership.id != member.id, Membership.paused_at.is_(None), User.disabled_at.is_(None))
        .with_for_update(of=Membership)
    )
    if await session.scalar(others.limit(1)) is None:
        raise LastManager


async def change_member(session: AsyncSession, access: Access, pseudonym: str, form: MemberForm) -> Membership:
    """Change a member's role, cohort, skills and own daily limit; and with these what they may be asked.

    :raises LastManager: :raises NotFound: :raises TooManyAudiences:
    """
    await share_hand_out(session, access.of_project())
    member = await member_to_change(session, access, pseudonym)
    was = quota_of(member)
    if form.role is not Role.manager:
        await keep_a_manager(session, member)
    member.role, member.cohort, member.daily_limit = form.role, form.cohort, form.daily_limit
    member.skills, member.total_limit = form.skills, form.total_limit
    await session.flush()
    await settle_lanes(session, member.project_id, member.id)
    told: dict[str, Any] = {"project_id": access.project_id, "role": form.role, "cohort": form.cohort}
    told["skills"] = form.skills
    await record(session, "member.changed", actor_id=access.person.id, subject=member.pseudonym, **told)
    await note_quotas(session, access, {member.pseudonym: (was, quota_of(member))})
    return member


Bounds = dict[str, int | None]


def quota_of(member: Membership) -> Bounds:
    """A member's own limits."""
    return {"daily_limit": member.daily_limit, "total_limit": member.total_limit}


async def note_quotas(session: AsyncSession, access: Access, changed: Mapping[str, tuple[Bounds, Bounds]]) -> None:
    """Members' own limits that are others now, in one event. changed: what was and what is, by pseudonym."""
    told = [
        {"who": who, "was": {name: was[name] for name in new}, "is": new}
        for who, (was, now) in changed.items()
        if (new := {name: value for name, value in now.items() if value != was[name]})
    ]
    if told:
        subject = told[0]["who"] if len(told) == 1 else None
        about = {"actor_id": access.person.id, "project_id": access.project_id, "subject": subject}
        await record(session, "quota.changed", **about, people=told)  # type: ignore[arg-type]


async def pause_member(session: AsyncSession, access: Access, pseudonym: str, *, paused: bool) -> Membership:
    """Stop handing tasks to a member, or go on; their answers stay.

    :raises LastManager: :raises NotFound:
    """
    member = await member_to_change(session, access, pseudonym)
    if paused:
        await keep_a_manager(session, member)
    member.paused_at = func.now() if paused else None
    member.deactivated_at = member.deactivated_at if paused else None
    kind = "member.paused" if paused else "member.resumed"
    await record(session, kind, actor_id=access.person.id, project_id=access.project_id, subject=member.pseudonym)
    await session.flush()
    return member
