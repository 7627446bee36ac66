"""Who is asking, and whether they may: the dependencies that every route carries.

Every route says `Annotated[Access, may(Permission.x)]`, `signed_in()`, `in_person()` or `anybody()`; a test walks all
routes to find one that says nothing. A project (or a row of one) that the caller has no part in answers 404, like one
that is not there; a role that is too small answers 403.
"""

from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts import idempotency
from app.accounts.actions.joining import add_member
from app.accounts.credentials import Entry, cookie_of, credential_of, granted, hashed, led_by, look_up
from app.accounts.permissions import Permission, Role
from app.database import Session
from app.errors import Forbidden, NotFound, SignInNeeded, is_rest
from app.translation import _, reader, reader_of

__all__ = ["Access", "InPersonOnly", "Person", "anybody", "cookie_of", "hashed", "in_person", "may", "signed_in"]

READING = {"GET", "HEAD"}
# Outside id of the person whose words a page sends. A browser has one cookie: another tab may have changed who it is.
MEANT = "Hone-Person"


class InPersonOnly(Forbidden):
    code = "in-person-only"
    sentence = _("Only somebody who signed in may do this; an API token cannot.")


class SomebodyElse(SignInNeeded):
    code = "somebody-else"
    sentence = _("Somebody else has signed in here meanwhile. Please sign in as who you were on this page.")


@dataclass(frozen=True)
class Person:
    id: int
    public_id: UUID
    name: str
    email: str
    is_admin: bool
    zone: str
    locale: str
    preferences: dict[str, Any]
    unread: int = 0  # letters in the inbox; counting ends at a hundred


@dataclass(frozen=True)
class Access:
    """What the caller may do here. project_id is None on routes that belong to no project.

    Ask `may`, never `person.is_admin`: a token may carry less than its owner. only_project: the one project (inside
    id) that the caller's token opens, for lists over several projects; None: all of the person's. consent_wanted:
    version of the project's consent text; None: it asks for none. guidelines_read: version they said they have read.
    skips_reading: the caller's token need not read rule changes. has_withdrawn: they took their consent back.
    """

    person: Person
    permissions: frozenset[Permission]
    project_id: int | None = None
    project: UUID | None = None
    membership_id: int | None = None
    role: Role | None = None
    cohort: str | None = None
    lanes: tuple[int, ...] = (0,)
    daily_limit: int | None = None
    total_limit: int | None = None
    paused: bool = False
    consent_wanted: int | None = None
    consent_given: int | None = None
    guidelines_read: int | None = None
    has_withdrawn: bool = False
    token_id: int | None = None
    sign_in_id: int | None = None
    only_project: int | None = None
    skips_reading: bool = False

    def may(self, permission: Permission | str) -> bool:
        return Permission(permission) in self.permissions

    @property
    def lacks_consent(self) -> bool:
        """Whether the project's consent text, or its newest version, is still to be agreed to."""
        return self.consent_wanted is not None and self.consent_given != self.consent_wanted

    def of_project(self) -> int:
        """The project's inside id, on routes that have one."""
        assert self.project_id is not None, "this route belongs to no project"
        return self.project_id


@dataclass(frozen=True)
class May:
    """The dependency behind `may(…)`; permission None: any signed-in person."""

    permission: Permission | None
    in_person: bool = False

    async def __call__(self, request: Request, session: Session) -> Access:
        credential = credential_of(request)
        if credential is None:
            raise SignInNeeded
        leads = led_by(request)
        row = await look_up(session, credential, leads)
        if request.headers.get(MEANT) not in (None, str(row.public_id)):
            raise SomebodyElse  # before anything that depends on who it is: a 404 would take the words for answered
        access = admit(row, credential.kind, in_project=leads is not None)
        introduce(request, access)
        if self.in_person and access.token_id is not None:
            raise InPersonOnly
        if self.permission and self.permission not in access.permissions:
            raise Forbidden
        await idempotency.claim(request, session, access.person.id)
        if self.permission is Permission.annotate and request.method not in READING:
            access = await with_place(session, access)
        return access


async def with_place(session: AsyncSession, access: Access) -> Access:
    """Whoever answers has a place in the project, so that the answer has a pseudonym to go by. An admin, who may work
    anywhere, gets the smallest one with their first answer: asked to join first, they would do so to no other end."""
    if access.membership_id is not None:
        return access
    member = await add_member(session, access.of_project(), access.person, Role.annotator)
    return replace(access, membership_id=member.id, role=member.role)


def introduce(request: Request, access: Access) -> None:
    """Tell the pages who is here, and speak to them in the language they chose; to programs as they asked."""
    request.state.person, request.state.may, request.state.access = access.person, access.may, access
    if not is_rest(request.scope):
        reader.set(reader_of(access.person.locale or reader.get().locale, access.person.zone))


def admit(row: Any, entry: Entry, *, in_project: bool) -> Access:
    """The caller's access, or NotFound when the project is absent or not for these eyes."""
    person = Person(
        row.id, row.public_id, row.name, row.email, row.is_admin, row.zone, row.locale, row.preferences, row.unread
    )
    came_by = {
        "token_id": row.entry_id if entry is Entry.token else None,
        "sign_in_id": row.entry_id if entry is Entry.sign_in else None,
        "only_project": row.token_project,
        "skips_reading": bool(row.skips_reading),
    }
    if not in_project:
        return Access(person, granted(row, None), **came_by)
    role = Role(row.role) if row.role else None
    if row.project_id is None or (role is None and not row.is_admin):
        raise NotFound
    if row.token_project not in (None, row.project_id):
        raise NotFound
    return Access(
        person,
        granted(row, role),
        project_id=row.project_id,
        project=row.project,
        membership_id=row.membership_id,
        role=role,
        cohort=row.cohort,
        lanes=tuple(row.lanes or (0,)),
        total_limit=row.total_limit,
        daily_limit=row.daily_limit,
        paused=row.paused_at is not None,
        consent_wanted=row.consent_wanted,
        consent_given=row.consent_version,
        guidelines_read=row.guidelines_read,
        has_withdrawn=row.withdrawn_at is not None,
        **came_by,
    )


class Anybody:
    """Marks a route that needs no sign-in; who is here is still looked up for the page's header."""

    async def __call__(self, request: Request, session: Session) -> Access | None:
        credential = credential_of(request)
        if credential is None:
            return None
        try:
            row = await look_up(session, credential, None)
        except SignInNeeded:
            return None
        access = admit(row, credential.kind, in_project=False)
        introduce(request, access)
        return access


def may(permission: Permission) -> Any:
    """Route dependency: the caller's Access, or 401, 404, 403."""
    return Depends(May(permission), scope="function")


def signed_in() -> Any:
    """Route dependency: whoever is signed in; for one's own account and for lists that show what one may see."""
    return Depends(May(None), scope="function")


def in_person() -> Any:
    """Route dependency: a signed-in person, not a token; for passwords, sign-ins and making tokens."""
    return Depends(May(None, in_person=True), scope="function")


def anybody() -> Any:
    """Route dependency for the few pages before sign-in."""
    return Depends(Anybody(), scope="function")
