"""What needs somebody's decision today, over their projects or in one: each with its evidence and one action."""

from dataclasses import dataclass, replace

from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.access import Access
from app.accounts.permissions import ROLE_PERMISSIONS, Permission, Role
from app.accounts.tables import Membership
from app.oversight.deciding import PROVIDERS, Decision
from app.oversight.newcomers import newcomers_wait
from app.projects.tables import Project, ProjectState

PROJECTS = 12  # on one person's page, the newest
EVERYTHING = ((Permission.annotation_review, newcomers_wait), *PROVIDERS)
LEADING = (Role.manager, Role.lead, Role.reviewer)


@dataclass(frozen=True)
class Today:
    """One project and what needs a decision in it, the most urgent first."""

    project: Project
    decisions: list[Decision]


async def today_of(session: AsyncSession, access: Access, project: Project) -> Today:
    """access: in this project."""
    found = [await ask(session, access, project) for needed, ask in EVERYTHING if access.may(needed)]
    return Today(project, [one for one in found if one is not None])


async def today_over_all(session: AsyncSession, access: Access) -> list[Today]:
    """The person's projects that they have a say in, the newest first; of an admin all that are open."""
    rows = await session.execute(led_by(access))
    return [
        await today_of(session, within(access, project, role, member_id, cohort), project)
        for project, role, member_id, cohort in rows.all()
    ]


def led_by(access: Access) -> Select[Project, Role, int, str | None]:
    """(project, role, id of the place, cohort), the newest first; of an admin also those they have no place in."""
    member = (Membership.project_id == Project.id) & (Membership.user_id == access.person.id)
    asked = select(Project, Membership.role, Membership.id, Membership.cohort).outerjoin(Membership, member)
    if not access.person.is_admin:
        asked = asked.where(Membership.role.in_(LEADING))
    return asked.where(Project.state != ProjectState.archived).order_by(Project.id.desc()).limit(PROJECTS)


def within(access: Access, project: Project, role: Role | None, member_id: int | None, cohort: str | None) -> Access:
    """The same person inside one of their projects."""
    may = access.permissions if access.person.is_admin else ROLE_PERMISSIONS[role] if role else frozenset()
    return replace(
        access,
        permissions=may,
        project_id=project.id,
        project=project.public_id,
        role=role,
        membership_id=member_id,
        cohort=cohort,
    )


async def has_a_say(session: AsyncSession, access: Access) -> bool:
    """Whether somebody leads anything, so that this is what they see first."""
    return await session.scalar(led_by(access).with_only_columns(Project.id).limit(1)) is not None
