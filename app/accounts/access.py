"""Who is asking, and whether they may: one statement finds the person, the project and the role together.

Every route says `Annotated[Access, may(Permission.x)]`, `signed_in()` or `anybody()`; a test walks all routes to find
one that says nothing. A project (or a row of one) that the caller has no part in answers 404, like one that is not
there; a role that is too small answers 403.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from fastapi import Depends, Request
from sqlalchemy import Row, Select, and_, column, func, literal, null, select, table

from app.accounts.permissions import ROLE_PERMISSIONS, Permission, Role
from app.accounts.tables import ApiToken, Membership, SignIn, User
from app.database import Session
from app.errors import Forbidden, Invalid, NotFound, SignInNeeded
from app.translation import _

COOKIE = "hone_session"
SECURE_COOKIE = "__Host-hone_session"

# Path parameters that lead to a project: {project} itself, or a row that belongs to one. By name, not by import:
# accounts is the first chapter.
LEADS_TO_PROJECT = {
    "project": "projects",
    "batch": "batches",
    "prompt": "prompts",
    "import": "imports",
    "completion": "completions",
    "generation": "generations",
    "task": "tasks",
    "annotation": "annotations",
    "dataset": "datasets",
    "run": "runs",
    "evaluation": "evaluations",
    "schedule": "schedules",
}


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


@dataclass(frozen=True)
class Access:
    """What the caller may do here. project_id is None on routes that belong to no project."""

    person: Person
    permissions: frozenset[Permission]
    project_id: int | None = None
    project: UUID | None = None
    membership_id: int | None = None
    role: Role | None = None
    lanes: tuple[int, ...] = (0,)
    daily_limit: int | None = None
    paused: bool = False
    token_id: int | None = None

    def may(self, permission: Permission | str) -> bool:
        return Permission(permission) in self.permissions

    def of_project(self) -> int:
        """The project's inside id, on routes that have one."""
        assert self.project_id is not None, "this route belongs to no project"
        return self.project_id


def hashed(token: str) -> bytes:
    """What is stored of a cookie, link or API token. They are 256 random bits, so one plain SHA-256 is enough."""
    return hashlib.sha256(token.encode()).digest()


def find_project(name: str, outside: UUID) -> Any:
    """A subquery for the project behind a path parameter: its inside and outside id."""
    projects = table("projects", column("id"), column("public_id")).alias("p")
    if name == "project":
        return select(projects.c.id, projects.c.public_id).where(projects.c.public_id == outside).subquery("project")
    rows = table(LEADS_TO_PROJECT[name], column("project_id"), column("public_id")).alias("r")
    found = select(projects.c.id, projects.c.public_id).join(rows, rows.c.project_id == projects.c.id)
    return found.where(rows.c.public_id == outside).subquery("project")


def who_asks(credential: bytes, is_token: bool, leads: tuple[str, UUID] | None) -> Select[Any]:
    """One row: the person, what let them in, the project asked about and their place in it."""
    user = (User.id, User.public_id, User.name, User.email, User.is_admin, User.zone, User.locale, User.preferences)
    if is_token:
        entry = (
            ApiToken.id.label("entry_id"),
            ApiToken.seen_at,
            ApiToken.project_id.label("token_project"),
            ApiToken.role.label("token_role"),
            ApiToken.scopes,
            literal(True).label("is_token"),
        )
        asked: Any = select(*user, *entry).join(ApiToken, ApiToken.user_id == User.id)
        alive = and_(
            ApiToken.token_hash == credential,
            ApiToken.revoked_at.is_(None),
            func.coalesce(ApiToken.expires_at > func.now(), True),
        )
    else:
        entry = (
            SignIn.id.label("entry_id"),
            SignIn.seen_at,
            null().label("token_project"),  # type: ignore[assignment]
            null().label("token_role"),
            null().label("scopes"),
            literal(False).label("is_token"),
        )
        asked = select(*user, *entry).join(SignIn, SignIn.user_id == User.id)
        alive = and_(SignIn.token_hash == credential, SignIn.revoked_at.is_(None), SignIn.expires_at > func.now())
    asked = asked.where(alive, User.disabled_at.is_(None))
    if leads is None:
        return asked  # type: ignore[no-any-return]
    project = find_project(*leads)
    place = (
        Membership.id.label("membership_id"),
        Membership.role,
        Membership.lanes,
        Membership.daily_limit,
        Membership.paused_at,
        project.c.id.label("project_id"),
        project.c.public_id.label("project"),
    )
    member = and_(Membership.user_id == User.id, Membership.project_id == project.c.id)
    return (  # type: ignore[no-any-return]
        asked.add_columns(*place).outerjoin(project, literal(True)).outerjoin(Membership, member)
    )


def granted(row: Row[Any], role: Role | None) -> frozenset[Permission]:
    """The role's permissions (an admin's are all), cut down by the token's role and scopes."""
    allowed = frozenset(Permission) if row.is_admin else ROLE_PERMISSIONS[role] if role else frozenset()
    if row.token_role:
        allowed &= ROLE_PERMISSIONS[Role(row.token_role)]
    if row.is_token and row.scopes:
        allowed &= {Permission(scope) for scope in row.scopes}
    return allowed


def credential_of(request: Request) -> tuple[bytes, bool] | None:
    """The hashed bearer token, else the hashed cookie, and whether it is a token."""
    scheme, _space, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token:
        return hashed(token.strip()), True
    cookie = request.cookies.get(SECURE_COOKIE) or request.cookies.get(COOKIE)
    return (hashed(cookie), False) if cookie else None


def led_by(request: Request) -> tuple[str, UUID] | None:
    """The first path parameter that leads to a project."""
    for name, text in request.path_params.items():
        if name in LEADS_TO_PROJECT:
            try:
                return name, UUID(str(text))
            except ValueError:
                raise NotFound from None
    return None


@dataclass(frozen=True)
class May:
    """The dependency behind `may(…)`; permission None: any signed-in person."""

    permission: Permission | None

    async def __call__(self, request: Request, session: Session) -> Access:
        credential = credential_of(request)
        if credential is None:
            raise SignInNeeded
        leads = led_by(request)
        row = (await session.execute(who_asks(*credential, leads))).one_or_none()
        if row is None:
            raise SignInNeeded
        access = admit(row, leads is not None)
        request.state.person, request.state.may = access.person, access.may
        request.state.access, request.state.sign_in = access, (row.entry_id, row.seen_at)
        if self.permission and self.permission not in access.permissions:
            raise Forbidden
        return access


def admit(row: Row[Any], in_project: bool) -> Access:
    """The caller's access, or NotFound when the project is absent or not for these eyes."""
    person = Person(row.id, row.public_id, row.name, row.email, row.is_admin, row.zone, row.locale, row.preferences)
    token_id = row.entry_id if row.is_token else None
    if not in_project:
        return Access(person, granted(row, None), token_id=token_id)
    role = Role(row.role) if row.role else None
    if row.project_id is None or (role is None and not row.is_admin):
        raise NotFound
    if row.token_project is not None and row.token_project != row.project_id:
        raise NotFound
    return Access(
        person,
        granted(row, role),
        project_id=row.project_id,
        project=row.project,
        membership_id=row.membership_id,
        role=role,
        lanes=tuple(row.lanes or (0,)),
        daily_limit=row.daily_limit,
        paused=row.paused_at is not None,
        token_id=token_id,
    )


class Anybody:
    """Marks a route that needs no sign-in; who is here is still looked up for the page's header."""

    async def __call__(self, request: Request, session: Session) -> Access | None:
        credential = credential_of(request)
        if credential is None:
            return None
        row = (await session.execute(who_asks(*credential, None))).one_or_none()
        if row is None:
            return None
        access = admit(row, in_project=False)
        request.state.person, request.state.may = access.person, access.may
        return access


def may(permission: Permission) -> Any:
    """Route dependency: the caller's Access, or 401, 404, 403."""
    return Depends(May(permission), scope="function")


def signed_in() -> Any:
    """Route dependency: whoever is signed in; for one's own account and for lists that show what one may see."""
    return Depends(May(None), scope="function")


def anybody() -> Any:
    """Route dependency for the few pages before sign-in."""
    return Depends(Anybody(), scope="function")


def is_stale(seen_at: datetime | None, now: datetime, *, minutes: int = 5) -> bool:
    """Whether the last-seen mark is old enough to be written again (not on every request)."""
    return seen_at is None or (now - seen_at).total_seconds() > minutes * 60


def must_be_known(scope: str) -> Permission:
    """A scope as the permission it names."""
    try:
        return Permission(scope)
    except ValueError:
        raise Invalid(field="scopes", reason=_("{scope} is not a permission").format(scope=scope)) from None
