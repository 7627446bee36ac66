"""Questions about people, their sign-ins, links, tokens and places."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, Text, any_, cast, column, func, or_, select, table
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from app.accounts.access import Access
from app.accounts.forms import LogSearch
from app.accounts.permissions import Permission
from app.accounts.tables import ApiToken, Audience, InboxItem, Link, LinkKind, Membership, SignIn, User
from app.errors import NotFound
from app.events import Event
from app.sealing import line_of

# a later chapter's: by name
PROJECTS = table("projects", column("id"), column("public_id"), column("name"), column("has_rounds"))


PLACE: tuple[Any, ...] = (Membership, User)
NAMED: tuple[Any, ...] = (Membership.user_id, Membership.pseudonym)


async def person_behind(session: AsyncSession, link: Link) -> User:
    """Whose link it is."""
    return await session.get_one(User, link.user_id)


def people(q: str = "") -> Select[Any]:
    """Everybody of the installation, with the number of projects they are in. q: stands in the name or the address."""
    places = select(func.count(Membership.id)).where(Membership.user_id == User.id).scalar_subquery()
    found: Select[Any] = select(User, places.label("projects"))
    return found.where(_any_has(q, User.name, User.email)) if q else found


def _any_has(words: str, *columns: Any) -> ColumnElement[bool]:
    return or_(*(one.icontains(words, autoescape=True) for one in columns))


async def named_project(session: AsyncSession, project_id: int) -> Any:
    """A project's outside id and name, for headings."""
    return (await session.execute(select(PROJECTS).where(PROJECTS.c.id == project_id))).one()


async def own_projects(session: AsyncSession, user_id: int, only: int | None = None) -> list[Any]:
    """Projects a person has a place in: inside and outside id, name, role. only: the one of a token."""
    found = select(PROJECTS, Membership.role).join(Membership, Membership.project_id == PROJECTS.c.id)
    found = found.where(Membership.user_id == user_id).order_by(PROJECTS.c.name, PROJECTS.c.id)
    return list(await session.execute(found if only is None else found.where(PROJECTS.c.id == only)))


async def projects_for_tokens(session: AsyncSession, access: Access) -> list[Any]:
    """Projects a token of the caller may be bound to: theirs, or all for an admin."""
    if access.may(Permission.installation_manage):
        return list(await session.execute(select(PROJECTS).order_by(PROJECTS.c.name)))
    return await own_projects(session, access.person.id)


async def invited_to(session: AsyncSession, link: Link) -> Any | None:
    """The project of an invitation, or None for one to the installation."""
    return None if link.project_id is None else await named_project(session, link.project_id)


def unused_invitations(project_id: int | None) -> tuple[Any, ...]:
    """Conditions on links: invitations to a project (None: to the installation) that nobody has used."""
    same_place = Link.project_id.is_(None) if project_id is None else Link.project_id == project_id
    return Link.kind == LinkKind.invitation, Link.used_at.is_(None), same_place


async def open_invitations(session: AsyncSession, project_id: int | None) -> list[Link]:
    """Unused invitations of a project (None: of the installation), newest first."""
    found = select(Link).where(*unused_invitations(project_id))
    return list(await session.scalars(found.where(Link.expires_at > func.now()).order_by(Link.id.desc()).limit(500)))


async def own_sign_ins(session: AsyncSession, user_id: int) -> list[SignIn]:
    """Where a person is signed in, last seen first."""
    found = select(SignIn).where(SignIn.user_id == user_id, SignIn.revoked_at.is_(None), SignIn.expires_at > func.now())
    return list(await session.scalars(found.order_by(SignIn.seen_at.desc()).limit(200)))


async def own_tokens(session: AsyncSession, user_id: int) -> list[Any]:
    """(token, project's name or None), newest first, revoked ones left out."""
    found = (
        select(ApiToken, PROJECTS.c.name, PROJECTS.c.public_id)
        .outerjoin(PROJECTS, PROJECTS.c.id == ApiToken.project_id)
        .where(ApiToken.user_id == user_id, ApiToken.revoked_at.is_(None))
    )
    return list(await session.execute(found.order_by(ApiToken.id.desc()).limit(200)))


def letters_to(person_id: int) -> Select[Any]:
    """A person's letters, with the outside id and the name of the project each is about."""
    found: Select[Any] = select(InboxItem, PROJECTS.c.public_id, PROJECTS.c.name)
    return found.join(PROJECTS, PROJECTS.c.id == InboxItem.project_id).where(InboxItem.user_id == person_id)


def members_like(access: Access, q: str) -> Select[Any]:
    """Of `members` those whose name, address or pseudonym has these words: of the three what the caller may see."""
    found = members(access)
    if not q:
        return found
    seen = [Membership.pseudonym]
    if access.may(Permission.member_read):
        seen += [User.name, User.email]
    elif access.may(Permission.cohort_read):
        seen.append(User.name)
    return found.where(_any_has(q, *seen))


def members(access: Access) -> Select[Any]:
    """The caller's project's people, as far as the caller may see them: (membership, user).

    Who reads names, or everybody's answers, sees everybody (the latter as pseudonyms); the rest their own cohort, and
    who is in none themselves alone: fewer permissions never show more.
    """
    found: Select[Any] = select(*PLACE).join(User, User.id == Membership.user_id)
    found = found.where(Membership.project_id == access.of_project())
    if access.may(Permission.member_read) or access.may(Permission.annotation_read):
        return found
    mine = Membership.id == access.membership_id
    return found.where(mine if access.cohort is None else mine | (Membership.cohort == access.cohort))


async def letter_to(session: AsyncSession, person_id: int, public_id: UUID) -> Any:
    """(letter, its project's outside id and name, the pseudonym of who wrote it, if they have a place there).

    :raises NotFound: no such letter to this person.
    """
    by = (Membership.project_id == InboxItem.project_id) & (Membership.user_id == InboxItem.by_id)
    found = letters_to(person_id).add_columns(Membership.pseudonym).outerjoin(Membership, by)
    row = (await session.execute(found.where(InboxItem.public_id == public_id))).one_or_none()
    if row is None:
        raise NotFound
    return row


@dataclass(frozen=True)
class InAudience:
    """An audience as its page shows it. people, without: pseudonyms of those named. size: who is in it."""

    audience: Audience
    people: list[str]
    without: list[str]
    size: int


async def audiences_of(session: AsyncSession, project_id: int) -> list[InAudience]:
    """A project's audiences by name, with how many active people each has."""
    here = Membership.project_id == project_id
    named = {row.user_id: row.pseudonym for row in await session.execute(select(*NAMED).where(here))}
    size = (
        select(func.count())
        .select_from(Membership)
        .join(User, User.id == Membership.user_id)
        .where(here, Membership.paused_at.is_(None), User.disabled_at.is_(None))
        .where(Audience.number == any_(Membership.lanes))
        .scalar_subquery()
    )
    found = select(Audience, size).where(Audience.project_id == project_id, Audience.retired_at.is_(None))
    return [
        InAudience(
            audience=one,
            people=[named[person] for person in one.people if person in named],
            without=[named[person] for person in one.without if person in named],
            size=count,
        )
        for one, count in await session.execute(found.order_by(Audience.name))
    ]


def logged(project_id: int | None, search: LogSearch) -> Select[Any]:
    """(event, name of who did it or None) of a project, or of all of them and the installation."""
    names: tuple[Any, ...] = (Event, User.name)
    found: Select[Any] = select(*names).outerjoin(User, User.id == Event.actor_id)
    if project_id is not None:
        found = found.where(Event.project_id == project_id)
    if search.kind:
        found = found.where(Event.kind.startswith(search.kind, autoescape=True))
    if search.q:
        places = (cast(Event.body, Text), Event.subject, User.name, Event.kind)
        found = found.where(or_(*(place.icontains(search.q, autoescape=True) for place in places)))
    if search.since:
        found = found.where(Event.at >= search.since)
    return found


async def streamed_log(connection: AsyncConnection, project_id: int | None) -> AsyncIterator[bytes]:
    """Every event in its order, as a line, by a server-side cursor."""
    asked = select(Event.__table__).order_by(Event.id)
    if project_id is not None:
        asked = asked.where(Event.project_id == project_id)
    async with connection.stream(asked, execution_options={"yield_per": 500}) as rows:
        async for row in rows:
            yield line_of(row)
