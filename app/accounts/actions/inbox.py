"""Letters to people, written in the transaction of their cause and read by opening what they tell of."""

from collections.abc import Iterable

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.permissions import ROLE_PERMISSIONS, Permission, Role
from app.accounts.tables import InboxItem, Letter, Membership


async def tell(
    session: AsyncSession,
    people: Iterable[int],
    project_id: int,
    kind: Letter,
    subject: object,
    **said: str | int,
) -> None:
    """A letter to each of these people (inside ids); an unread one about the same is not written twice. said: text and
    by_id of a message."""
    about = {"project_id": project_id, "kind": kind, "subject": str(subject)}
    unread = select(InboxItem.user_id).filter_by(**about).where(InboxItem.read_at.is_(None))
    told = set(await session.scalars(unread))
    letters = [about | said | {"user_id": person} for person in sorted(set(people) - told)]
    if letters:
        await session.execute(insert(InboxItem), letters)


async def tell_everybody(
    session: AsyncSession, project_id: int, kind: Letter, subject: object, *, but: int | None
) -> None:
    """A letter to all who answer in a project, in the place of unread ones of this kind. but: who caused it."""
    told = InboxItem.project_id == project_id, InboxItem.kind == kind
    await session.execute(delete(InboxItem).where(*told, InboxItem.read_at.is_(None)))
    people = await members_who_may(session, project_id, Permission.annotate)
    await tell(session, [person for person in people if person != but], project_id, kind, subject)


async def members_who_may(session: AsyncSession, project_id: int, permission: Permission) -> list[int]:
    """Members of a project whose role carries a permission."""
    roles = [role for role in Role if permission in ROLE_PERMISSIONS[role]]
    found = select(Membership.user_id).where(Membership.project_id == project_id, Membership.role.in_(roles))
    return list(await session.scalars(found))


async def mark_read(session: AsyncSession, person_id: int, *about: object, **of: object) -> None:
    """Letters to a person are read: those about these subjects; with none named, all of them. of: further columns."""
    mine = update(InboxItem).where(InboxItem.user_id == person_id, InboxItem.read_at.is_(None)).filter_by(**of)
    if about:
        mine = mine.where(InboxItem.subject.in_([str(one) for one in about]))
    await session.execute(mine.values(read_at=func.now()))
