"""Versions of the guidelines: what each changed, who has read it, and how far people agreed before and after."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.permissions import ROLE_PERMISSIONS, Permission, Role
from app.accounts.tables import Membership
from app.projects.tables import Guidelines
from app.quality.queries import figures_of


@dataclass(frozen=True)
class Version:
    """read: how many of those who answer have read it or a newer one. group: figures about agreement on the answers
    given under it, as they were computed last; None: too few tasks have two answers."""

    guidelines: Guidelines
    read: int
    group: Mapping[str, Any] | None


def versions_in(project_id: int) -> Select[Guidelines]:
    return select(Guidelines).where(Guidelines.project_id == project_id)


async def versions_told(session: AsyncSession, project_id: int, rows: list[Guidelines]) -> tuple[list[Version], int]:
    """Versions with what is known of them, and how many people answer here."""
    answering = [role for role in Role if Permission.annotate in ROLE_PERMISSIONS[role]]
    read = func.coalesce(Membership.guidelines_read, 0)
    known = select(read, func.count()).group_by(read)
    people = known.where(Membership.project_id == project_id, Membership.role.in_(answering))
    counts = {row[0]: row[1] for row in await session.execute(people)}
    figures = await figures_of(session, project_id, "quality")
    measures = figures.body["measures"] if figures else []
    groups = measures[0].get("by", {}).get("guidelines", []) if measures else []
    by_version = {group["key"]: group for group in groups}
    told = [
        Version(one, sum(n for read, n in counts.items() if read >= one.version), by_version.get(one.version))
        for one in rows
    ]
    return told, sum(counts.values())
