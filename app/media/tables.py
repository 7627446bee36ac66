"""Pictures, sound and films that prompts and completions hold: what came, what became of it, and where it lies."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Base, Told, key, now, outside_id, word


class MediumKind(StrEnum):
    image = "image"
    audio = "audio"
    video = "video"


class MediumState(StrEnum):
    """waiting: a worker has yet to look at it. ready: it may be shown. refused: it never will be, `reason` says why."""

    waiting = "waiting"
    ready = "ready"
    refused = "refused"


class Medium(Base):
    """A file, uploaded or fetched once from `source_url`. It lies below HONE_HOME as media/<sha256>.

    source_sha256: of the file as it came; sha256: of what is kept, after re-encoding. Both in hexadecimal, and texts
    may name either. media_type and the measures are found in the content, whatever the sender said.
    """

    __tablename__ = "media"
    __table_args__ = (
        UniqueConstraint("project_id", "id"),
        UniqueConstraint("project_id", "source_url"),
        Index(
            "uq_media_uploaded",
            "project_id",
            "source_sha256",
            unique=True,
            postgresql_where=text("source_url IS NULL"),
        ),
        Index(None, "project_id", "sha256"),
    )
    id: Mapped[int] = key()
    public_id: Mapped[UUID] = outside_id()
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(server_default="", default="")
    source_url: Mapped[str | None]
    source_sha256: Mapped[str | None]
    state: Mapped[MediumState] = mapped_column(word(MediumState), server_default="waiting", default=MediumState.waiting)
    kind: Mapped[MediumKind | None] = mapped_column(word(MediumKind))
    sha256: Mapped[str | None]
    media_type: Mapped[str | None]
    size: Mapped[int | None]  # bytes of what is kept
    width: Mapped[int | None]
    height: Mapped[int | None]
    reason: Mapped[str | None] = mapped_column(Told)
    created_by_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime] = now()
    settled_at: Mapped[datetime | None]
