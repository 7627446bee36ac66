"""What we ask: immutable, hashed, and standing on one side of every split by their root."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index, LargeBinary, SmallInteger, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Base, key, now, of_project, outside_id, word


class Use(StrEnum):
    """label: people judge its answers. train: reinforcement learning only. heldout: measuring only."""

    label = "label"
    train = "train"
    heldout = "heldout"


class Root(Base):
    """What prompts descend from: the first user turn, or a group named at import. Near-duplicates share one.

    bands: hashes of word shingles (MinHash bands); two roots that share a band are looked at for nearness.
    component: key of the root that names all that are near to each other, over groups; splits go by it.
    opening: first words of a conversation, where it was made for these and not for a prompt.
    """

    __tablename__ = "roots"
    __table_args__ = (
        UniqueConstraint("project_id", "key"),
        UniqueConstraint("project_id", "id"),
        Index(None, "bands", postgresql_using="gin"),
        Index(None, "project_id", "component"),
    )
    id: Mapped[int] = key()
    public_id: Mapped[UUID] = outside_id()
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    key: Mapped[str]
    use: Mapped[Use] = mapped_column(word(Use))
    bands: Mapped[list[int]] = mapped_column(ARRAY(BigInteger), server_default="{}", default=list)
    component: Mapped[str] = mapped_column(default=lambda context: context.get_current_parameters()["key"])
    opening: Mapped[str | None]


class Import(Base):
    """One file that came in, and what became of each of its lines."""

    __tablename__ = "imports"
    __table_args__ = (UniqueConstraint("project_id", "id"),)
    id: Mapped[int] = key()
    public_id: Mapped[UUID] = outside_id()
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    name: Mapped[str]
    subject: Mapped[str] = mapped_column(server_default="prompts", default="prompts")
    report: Mapped[dict[str, Any]]
    created_by_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime] = now()


class WaitingLine(Base):
    """A line of an import whose media are still to come. value: the parsed line. media_ids: all that it waits for.

    subject: prompts or completions, as its import's.
    """

    __tablename__ = "waiting_lines"
    __table_args__ = (of_project("imports", "import_id"), Index(None, "media_ids", postgresql_using="gin"))
    id: Mapped[int] = key()
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    import_id: Mapped[int]
    subject: Mapped[str]
    number: Mapped[int]
    value: Mapped[dict[str, Any]]
    media_ids: Mapped[list[int]] = mapped_column(ARRAY(BigInteger))


class Prompt(Base):
    """messages: [{role, parts: [{type, text}]}], media by sha256. rendered: one piece of sanitised HTML a message.

    content_hash: SHA-256 of the messages in canonical JSON; the same content is stored once in a project.
    author_id: who wrote it here, as an answer to a card; nothing that leaves the project says it.
    is_replaced: its author says something else now, which is why it is out of use; nobody else took it out.
    awaits_check: somebody wrote it and nobody else has let it through yet, which is why it is out of use.
    is_card: it is a card that prompts are written from, always out of use and no prompt among the others.
    care: what it is sensitive for, a set of the project's categories (`projects.care`); 0 for most.
    """

    __tablename__ = "prompts"
    __table_args__ = (
        UniqueConstraint("project_id", "id"),
        UniqueConstraint("project_id", "content_hash"),
        Index(
            "uq_prompts_external_id",
            "project_id",
            "external_id",
            unique=True,
            postgresql_where=text("external_id IS NOT NULL"),
        ),
        of_project("roots", "root_id"),
        of_project("imports", "import_id"),
        Index(None, "project_id", "use", "id"),
        Index("ix_prompts_awaits_check", "project_id", "id", postgresql_where=text("awaits_check")),
        Index("ix_prompts_care", "project_id", "care", postgresql_where=text("care <> 0")),
    )
    id: Mapped[int] = key()
    public_id: Mapped[UUID] = outside_id()
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    root_id: Mapped[int]
    import_id: Mapped[int | None]
    external_id: Mapped[str | None]
    use: Mapped[Use] = mapped_column(word(Use))
    messages: Mapped[list[dict[str, Any]]]
    rendered: Mapped[list[str]]
    content_hash: Mapped[bytes] = mapped_column(LargeBinary)
    tags: Mapped[list[str]] = mapped_column(server_default="{}", default=list)
    # `metadata` is taken by SQLAlchemy's declarative classes
    extra: Mapped[dict[str, Any]] = mapped_column("metadata", server_default="{}", default=dict)
    author_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    is_replaced: Mapped[bool] = mapped_column(server_default="false", default=False)
    awaits_check: Mapped[bool] = mapped_column(server_default="false", default=False)
    is_card: Mapped[bool] = mapped_column(server_default="false", default=False)
    care: Mapped[int] = mapped_column(SmallInteger, server_default="0", default=0)
    created_at: Mapped[datetime] = now()
    retired_at: Mapped[datetime | None]
