"""A place in a project is given in one way, whoever gets it."""

from typing import Any, Protocol
from uuid import UUID

from sqlalchemy import column, func, select, table
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.permissions import Role
from app.accounts.rules import pseudonym
from app.accounts.tables import Membership
from app.errors import NotFound
from app.events import record

PROJECTS = table("projects", column("id"), column("secret"))  # a later chapter's: by name


class Somebody(Protocol):
    """A person, by row or as the one who asks."""

    @property
    def id(self) -> int: ...

    @property
    def public_id(self) -> UUID: ...


async def add_member(
    session: AsyncSession,
    project_id: int,
    user: Somebody,
    role: Role,
    *,
    cohort: str | None = None,
    consents: bool = False,
) -> Membership:
    """Give a person a place in a project, under a pseudonym; who has one keeps it as it is."""
    secret = await session.scalar(select(PROJECTS.c.secret).where(PROJECTS.c.id == project_id))
    if secret is None:
        raise NotFound
    values = {
        "project_id": project_id,
        "user_id": user.id,
        "role": role,
        "cohort": cohort,
        "pseudonym": pseudonym(secret, user.public_id),
        "consent_at": func.now() if consents else None,
    }
    added = insert(Membership).values(values).on_conflict_do_nothing(index_elements=["project_id", "user_id"])
    is_new = await session.scalar(added.returning(Membership.id)) is not None
    found = select(Membership).where(Membership.project_id == project_id, Membership.user_id == user.id)
    member = (await session.scalars(found)).one()
    if is_new:
        told: dict[str, Any] = {"actor_id": user.id, "project_id": project_id, "role": role, "consent": consents}
        await record(session, "member.joined", subject=member.pseudonym, **told)
    return member
