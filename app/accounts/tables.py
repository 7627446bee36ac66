"""Who is here: people, their sign-ins, the links and tokens that let them in, and their place in projects.

Names and e-mail addresses stand in `users` only; everything else points at a person by number.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, SmallInteger, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from app.accounts.permissions import Role
from app.database import Base, key, now, outside_id, word


class User(Base):
    """password_hash is empty until the person has chosen a password; disabled_at ends every sign-in at once.

    is_imported: known from a file of labelled data by a pseudonym alone; disabled from the beginning and for good.
    locale: the language of pages, numbers and mails; empty: as the browser asks.
    """

    __tablename__ = "users"
    id: Mapped[int] = key()
    public_id: Mapped[UUID] = outside_id()
    email: Mapped[str]
    name: Mapped[str]
    password_hash: Mapped[str | None]
    is_admin: Mapped[bool] = mapped_column(server_default="false", default=False)
    zone: Mapped[str] = mapped_column(server_default="UTC", default="UTC")
    locale: Mapped[str] = mapped_column(server_default="", default="")
    preferences: Mapped[dict[str, Any]] = mapped_column(server_default="{}", default=dict)
    created_at: Mapped[datetime] = now()
    disabled_at: Mapped[datetime | None]
    is_imported: Mapped[bool] = mapped_column(server_default="false", default=False)
    __table_args__ = (Index("uq_users_email", text("lower(email)"), unique=True),)


class SignIn(Base):
    """One browser's sign-in. Only the hash of its cookie is kept, and of the network it was begun from (place)."""

    __tablename__ = "sign_ins"
    id: Mapped[int] = key()
    public_id: Mapped[UUID] = outside_id()
    token_hash: Mapped[bytes] = mapped_column(unique=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    user_agent: Mapped[str] = mapped_column(server_default="", default="")
    place: Mapped[bytes | None]
    created_at: Mapped[datetime] = now()
    seen_at: Mapped[datetime] = now()
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]


class LinkKind(StrEnum):
    sign_in = "sign_in"
    invitation = "invitation"
    password_reset = "password_reset"


class Link(Base):
    """A single-use, expiring link. An invitation may carry a project and a role; the others carry a person."""

    __tablename__ = "links"
    id: Mapped[int] = key()
    public_id: Mapped[UUID] = outside_id()
    token_hash: Mapped[bytes] = mapped_column(unique=True)
    kind: Mapped[LinkKind] = mapped_column(word(LinkKind))
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    email: Mapped[str | None]
    project_id: Mapped[int | None] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE", use_alter=True))
    role: Mapped[Role | None] = mapped_column(word(Role))
    cohort: Mapped[str | None]
    makes_admin: Mapped[bool] = mapped_column(server_default="false", default=False)
    created_by_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime] = now()
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class ApiToken(Base):
    """A program's key: acts as its owner, in one project or all, with at most one role's permissions.

    skips_reading: it is handed tasks though its owner has not read the newest change of the rules.
    """

    __tablename__ = "api_tokens"
    id: Mapped[int] = key()
    public_id: Mapped[UUID] = outside_id()
    token_hash: Mapped[bytes] = mapped_column(unique=True)
    hint: Mapped[str]  # the first characters, to tell tokens apart in a list
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    project_id: Mapped[int | None] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE", use_alter=True))
    name: Mapped[str]
    role: Mapped[Role | None] = mapped_column(word(Role))
    scopes: Mapped[list[str]] = mapped_column(server_default="{}", default=list)
    skips_reading: Mapped[bool] = mapped_column(server_default="false", default=False)
    created_at: Mapped[datetime] = now()
    expires_at: Mapped[datetime | None]
    seen_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class Membership(Base):
    """A person's place in a project. lanes: classes of slots they may take (0 = everyone's), few by design.

    consent_version: of the project's consent text that they agreed to last, at consent_at. guidelines_read: version of
    the guidelines that they said they have read; empty: none yet. withdrawn_at: they took their consent back, and are
    asked nothing.

    pseudonym: the only name that exports and engineers see; it does not join across projects. skills: what this person
    can, languages among it, in the project's own words; audiences ask for them. deactivated_at: they answer here no
    more until somebody brings them back; paused as well, which is what the hand-out asks.
    care: categories of sensitive prompts that they opted into, a set as `projects.care` has them.
    """

    __tablename__ = "memberships"
    __table_args__ = (
        UniqueConstraint("project_id", "user_id"),
        UniqueConstraint("project_id", "pseudonym"),
        CheckConstraint("cardinality(lanes) BETWEEN 1 AND 32", name="lanes"),
    )
    id: Mapped[int] = key()
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE", use_alter=True))
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    role: Mapped[Role] = mapped_column(word(Role))
    cohort: Mapped[str | None]
    pseudonym: Mapped[str]
    lanes: Mapped[list[int]] = mapped_column(ARRAY(SmallInteger), server_default=text("'{0}'"), default=lambda: [0])
    skills: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default="{}", default=list)
    daily_limit: Mapped[int | None]  # answers a day; empty: the project's own
    total_limit: Mapped[int | None]  # answers in all; empty: no bound
    care: Mapped[int] = mapped_column(SmallInteger, server_default="0", default=0)
    created_at: Mapped[datetime] = now()
    paused_at: Mapped[datetime | None]
    deactivated_at: Mapped[datetime | None]
    consent_at: Mapped[datetime | None]
    consent_version: Mapped[int | None]
    guidelines_read: Mapped[int | None]
    withdrawn_at: Mapped[datetime | None]


class Audience(Base):
    """A class of a project's people that tasks may be kept for. number: stands in the lanes of slots and of people.

    In it is whoever is named in `people`, and whoever is of one of `cohorts` (none named: of any) and has all `skills`;
    but with people named and neither of the other two, nobody else. Never in it is who is named in `without`.
    """

    __tablename__ = "audiences"
    __table_args__ = (
        UniqueConstraint("project_id", "id"),
        Index("uq_audiences_number", "project_id", "number", unique=True, postgresql_where=text("retired_at IS NULL")),
        Index("uq_audiences_name", "project_id", "name", unique=True, postgresql_where=text("retired_at IS NULL")),
        CheckConstraint("number BETWEEN 1 AND 31", name="number"),
    )
    id: Mapped[int] = key()
    public_id: Mapped[UUID] = outside_id()
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE", use_alter=True))
    number: Mapped[int] = mapped_column(SmallInteger)
    name: Mapped[str]
    cohorts: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default="{}", default=list)
    skills: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default="{}", default=list)
    people: Mapped[list[int]] = mapped_column(ARRAY(BigInteger), server_default="{}", default=list)
    without: Mapped[list[int]] = mapped_column(ARRAY(BigInteger), server_default="{}", default=list)
    created_at: Mapped[datetime] = now()
    retired_at: Mapped[datetime | None]


class Letter(StrEnum):
    """What an inbox tells: to an annotator, then to a reviewer, then to everybody of a project; what those who run it
    write to somebody (message), and what they are written back (reply); and that a question is answered."""

    returned = "returned"
    replied = "replied"
    upheld = "upheld"
    accepted = "accepted"
    entered = "entered"
    try_again = "try_again"
    not_entered = "not_entered"
    changed = "changed"
    asked = "asked"
    contested = "contested"
    guidelines = "guidelines"
    message = "message"
    reply = "reply"
    answered = "answered"


class InboxItem(Base):
    """One letter to one person. subject: outside id of the answer it is about, a version of the guidelines, the number
    of a try to be let in, or the name of a message that several people got. text, by: of a message, and who wrote
    it."""

    __tablename__ = "inbox_items"
    __table_args__ = (
        Index(None, "user_id", "id"),
        Index("ix_inbox_items_unread", "user_id", postgresql_where=text("read_at IS NULL")),
    )
    id: Mapped[int] = key()
    public_id: Mapped[UUID] = outside_id()
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE", use_alter=True))
    kind: Mapped[Letter] = mapped_column(word(Letter))
    subject: Mapped[str]
    text: Mapped[str] = mapped_column(server_default="", default="")
    by_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    at: Mapped[datetime] = now()
    read_at: Mapped[datetime | None]


class Attempt(Base):
    """Tries to sign in, to slow guessing down: one row a try, swept after a day."""

    __tablename__ = "attempts"
    __table_args__ = (Index(None, "subject", "at"),)
    id: Mapped[int] = key()
    subject: Mapped[str]  # hash of the account or of the address
    at: Mapped[datetime] = now()


class IdempotencyKey(Base):
    """A write that was already answered: the same key gives the same answer for 48 hours."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (UniqueConstraint("actor_id", "key"), Index(None, "created_at"))
    id: Mapped[int] = key()
    actor_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    key: Mapped[str]
    route: Mapped[str]
    body_hash: Mapped[bytes]
    status: Mapped[int | None] = mapped_column(SmallInteger)
    response: Mapped[dict[str, Any] | None]
    created_at: Mapped[datetime] = now()
