"""A place in a project is given in one way, whoever gets it."""

from collections.abc import Sequence
from typing import Any, Protocol
from uuid import UUID, uuid4

from sqlalchemy import column, func, select, table
from sqlalchemy import insert as insert_rows
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.actions.lanes import settle_lanes, share_hand_out
from app.accounts.permissions import Role
from app.accounts.rules import pseudonym
from app.accounts.tables import Membership, User
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
    await share_hand_out(session, project_id)
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
        await settle_lanes(session, project_id, member.id)
        told: dict[str, Any] = {"actor_id": user.id, "project_id": project_id, "role": role, "consent": consents}
        await record(session, "member.joined", subject=member.pseudonym, **told)
    return member


async def add_imported(session: AsyncSession, project_id: int, pseudonyms: Sequence[str]) -> dict[str, int]:
    """People who are known by their pseudonyms alone, because a file brought what they said: they can never sign in,
    and their place in the project is paused. Their inside ids by pseudonym."""
    if not pseudonyms:
        return {}
    now = (await session.execute(select(func.now()))).scalar_one()
    people = [
        {"email": f"{uuid4().hex}@imported.invalid", "name": name, "is_imported": True, "disabled_at": now}
        for name in pseudonyms
    ]
    stored = insert_rows(User).returning(User.id, sort_by_parameter_order=True)
    ids = dict(zip(pseudonyms, await session.scalars(stored, people), strict=True))
    place = {"project_id": project_id, "role": Role.annotator, "paused_at": now}
    await session.execute(
        insert_rows(Membership), [place | {"user_id": user, "pseudonym": name} for name, user in ids.items()]
    )
    return ids
