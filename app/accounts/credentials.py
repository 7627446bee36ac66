"""Finds who holds a cookie or a token, and their place in the project asked about, in one statement."""

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from functools import cache
from typing import Any, cast
from uuid import UUID

from fastapi import Request
from sqlalchemy import (
    ColumnElement,
    Select,
    Table,
    Uuid,
    and_,
    bindparam,
    column,
    func,
    literal_column,
    null,
    select,
    table,
    text,
    true,
    update,
)
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.permissions import OF_INSTALLATION, ROLE_PERMISSIONS, Permission, Role
from app.accounts.tables import ApiToken, InboxItem, Membership, SignIn, User
from app.direct import Direct
from app.errors import NotFound, SignInNeeded
from app.settings import get_settings

COOKIE = "hone_session"
SECURE_COOKIE = "__Host-hone_session"
IDLE = timedelta(hours=12)
LONGEST = timedelta(days=7)

# Path parameters that lead to a project: {project} itself, or a row that belongs to one. By name, not by import:
# accounts is the first chapter.
LEADS_TO_PROJECT = {
    "project": "projects",
    "batch": "batches",
    "medium": "media",
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
    "report": "reports",
}


class Entry(StrEnum):
    """What lets somebody in: a browser's cookie, or a program's token."""

    sign_in = "sign_in"
    token = "token"


@dataclass(frozen=True)
class Credential:
    hash: bytes
    kind: Entry


def hashed(token: str) -> bytes:
    """What is stored of a cookie, link or API token. They are 256 random bits, so one plain SHA-256 is enough."""
    return hashlib.sha256(token.encode()).digest()


# Light stand-ins for tables of later chapters, and our own as Core: a person is looked up on every request.
USERS, MEMBERSHIPS = cast(Table, User.__table__), cast(Table, Membership.__table__)
SIGN_INS, TOKENS = cast(Table, SignIn.__table__), cast(Table, ApiToken.__table__)
INBOX = cast(Table, InboxItem.__table__)
PROJECTS = table("projects", column("id"), column("public_id", Uuid), column("consent_version"))
MOST_UNREAD = 100  # further letters are not counted: the count rides on every request
STALE = text("interval '5 minutes'")
KNOWN = frozenset(permission.value for permission in Permission)


def find_project(name: str) -> Any:
    """A subquery for the project behind the path parameter `name`: its ids, and the consent that it asks for."""
    found = select(PROJECTS.c.id, PROJECTS.c.public_id, PROJECTS.c.consent_version)
    asked = bindparam("outside", type_=Uuid)
    if name == "project":
        return found.where(PROJECTS.c.public_id == asked).subquery("project")
    rows = table(LEADS_TO_PROJECT[name], column("project_id"), column("public_id", Uuid)).alias("r")
    return found.join(rows, rows.c.project_id == PROJECTS.c.id).where(rows.c.public_id == asked).subquery("project")


def entry_of(kind: Entry) -> tuple[Any, list[Any], ColumnElement[bool]]:
    """Where a credential is kept, what it brings along, and when it counts."""
    if kind is Entry.token:
        brought = [
            TOKENS.c.project_id.label("token_project"),
            TOKENS.c.role.label("token_role"),
            TOKENS.c.scopes,
            TOKENS.c.skips_reading,
        ]
        unexpired = func.coalesce(TOKENS.c.expires_at > func.now(), true())
        return TOKENS, brought, and_(TOKENS.c.revoked_at.is_(None), unexpired)
    brought = [null().label(name) for name in ("token_project", "token_role", "scopes", "skips_reading")]
    return SIGN_INS, brought, and_(SIGN_INS.c.revoked_at.is_(None), SIGN_INS.c.expires_at > func.now())


@cache
def directly(kind: Entry, leads_by: str | None) -> Direct:
    return Direct(who_asks(kind, leads_by))


def who_asks(kind: Entry, leads_by: str | None) -> Select[Any]:
    """One row: the person and their unread letters, what let them in, the project asked about and their place in it.

    Binds `credential` (its hash) and `outside`.
    """
    entries, brought, counts = entry_of(kind)
    user = [USERS.c[name] for name in ("id", "public_id", "name", "email", "is_admin", "zone", "locale", "preferences")]
    is_stale = func.coalesce(entries.c.seen_at < func.now() - STALE, true())
    letters = select(INBOX.c.id).where(INBOX.c.user_id == USERS.c.id, INBOX.c.read_at.is_(None)).correlate(USERS)
    unread = select(func.count()).select_from(letters.limit(literal_column(str(MOST_UNREAD))).subquery("letters"))
    asked = (
        select(
            *user,
            unread.scalar_subquery().label("unread"),
            entries.c.id.label("entry_id"),
            is_stale.label("is_stale"),
            *brought,
        )
        .join(entries, entries.c.user_id == USERS.c.id)
        .where(entries.c.token_hash == bindparam("credential"), counts, USERS.c.disabled_at.is_(None))
    )
    if leads_by is None:
        return asked
    project = find_project(leads_by)
    names = ["role", "cohort", "lanes", "daily_limit", "total_limit"]
    names += ["paused_at", "consent_version", "guidelines_read", "withdrawn_at"]
    place = [
        MEMBERSHIPS.c.id.label("membership_id"),
        *(MEMBERSHIPS.c[name] for name in names),
        project.c.id.label("project_id"),
        project.c.public_id.label("project"),
        project.c.consent_version.label("consent_wanted"),
    ]
    member = and_(MEMBERSHIPS.c.user_id == USERS.c.id, MEMBERSHIPS.c.project_id == project.c.id)
    return asked.add_columns(*place).outerjoin(project, true()).outerjoin(MEMBERSHIPS, member)


async def look_up(session: AsyncSession, credential: Credential, leads: tuple[str, UUID] | None) -> Any:
    """Who holds this credential; marks it as seen when the last mark is older than five minutes.

    :raises SignInNeeded: nobody does, or not any more.
    """
    found = directly(credential.kind, leads[0] if leads else None)
    values = {"credential": credential.hash} | ({"outside": leads[1]} if leads else {})
    row = await found.first(session, values)
    if row is None:
        raise SignInNeeded
    if row.is_stale:
        await mark_seen(session, credential.kind, row.entry_id)
    return row


async def mark_seen(session: AsyncSession, kind: Entry, entry_id: int) -> None:
    """Note that a credential was used; a sign-in lives on, twelve idle hours at most and seven days in all."""
    if kind is Entry.token:
        seen = update(TOKENS).where(TOKENS.c.id == entry_id).values(seen_at=func.now())
    else:
        longer = func.least(func.now() + IDLE, SIGN_INS.c.created_at + LONGEST)
        seen = update(SIGN_INS).where(SIGN_INS.c.id == entry_id).values(seen_at=func.now(), expires_at=longer)
    await session.execute(seen)


def granted(row: Any, role: Role | None) -> frozenset[Permission]:
    """The role's permissions (an admin's are all), cut down by the token's role, project and scopes."""
    allowed = frozenset(Permission) if row.is_admin else ROLE_PERMISSIONS[role] if role else frozenset()
    if row.token_role:
        allowed &= ROLE_PERMISSIONS[Role(row.token_role)]
    if row.token_project is not None:
        allowed -= OF_INSTALLATION
    if row.scopes:
        allowed &= {Permission(scope) for scope in row.scopes if scope in KNOWN}
    return allowed


def cookie_of(request: Request) -> str | None:
    """The session cookie's value. Over https only the name counts that a browser keeps from other hosts and from plain
    http: the other one may have been planted there, to sign somebody in as somebody else."""
    return request.cookies.get(SECURE_COOKIE if is_secure(request) else COOKIE)


def is_secure(request: Request) -> bool:
    """Whether the browser reaches us by https, directly or through the proxy of the public address."""
    public = get_settings().public_url
    return request.url.scheme == "https" or (public is not None and public.scheme == "https")


def credential_of(request: Request) -> Credential | None:
    """The bearer token, else the cookie."""
    scheme, _space, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token:
        return Credential(hashed(token.strip()), Entry.token)
    cookie = cookie_of(request)
    return Credential(hashed(cookie), Entry.sign_in) if cookie else None


def led_by(request: Request) -> tuple[str, UUID] | None:
    """The first path parameter that leads to a project.

    :raises NotFound: it is no id at all.
    """
    for name, value in request.path_params.items():
        if name in LEADS_TO_PROJECT:
            try:
                return name, UUID(str(value))
            except ValueError:
                raise NotFound from None
    return None
