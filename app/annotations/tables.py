"""What people said: every word, every version, under the protocol and guidelines that were on their screen."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import SmallInteger

from app.database import Base, key, now, of_project, outside_id, word


class AnnotationState(StrEnum):
    """surplus: it came when no slot was left; kept and paid, outside of k."""

    live = "live"
    surplus = "surplus"
    set_aside = "set_aside"
    withdrawn = "withdrawn"


class Annotation(Base):
    """body: the newest version, a tagged union by `kind`. sides: the order that was on the screen.

    idempotency_key was made when the task was shown; body_hash is of the first version that came with it.
    fast: chosen quicker than the texts can be read; taken, but marked. active_seconds: that the person was at it, as
    their page measured, never more than it was on the screen; None where nothing was measured.
    """

    __tablename__ = "annotations"
    __table_args__ = (
        UniqueConstraint("project_id", "id"),
        UniqueConstraint("annotator_id", "idempotency_key"),
        Index("uq_annotations_one_live", "slot_id", unique=True, postgresql_where=text("state = 'live'")),
        of_project("tasks", "task_id"),
        of_project("slots", "slot_id"),
        of_project("protocols", "protocol_id"),
        of_project("guidelines", "guidelines_id"),
        CheckConstraint("state != 'live' OR slot_id IS NOT NULL", name="live_in_a_slot"),
        Index(None, "project_id", "annotator_id", "id"),
        Index(None, "task_id"),
    )
    id: Mapped[int] = key()
    public_id: Mapped[UUID] = outside_id()
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    task_id: Mapped[int]
    slot_id: Mapped[int | None]
    annotator_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    idempotency_key: Mapped[UUID]
    body_hash: Mapped[bytes] = mapped_column(LargeBinary)
    kind: Mapped[str]
    body: Mapped[dict[str, Any]]
    version: Mapped[int] = mapped_column(server_default="1", default=1)
    state: Mapped[AnnotationState] = mapped_column(
        word(AnnotationState), server_default="live", default=AnnotationState.live
    )
    sides: Mapped[list[int]] = mapped_column(ARRAY(SmallInteger))
    protocol_id: Mapped[int]
    guidelines_id: Mapped[int | None]
    fast: Mapped[bool] = mapped_column(server_default="false", default=False)
    active_seconds: Mapped[float | None]
    shown_at: Mapped[datetime | None]
    submitted_at: Mapped[datetime] = now()


class AnnotationVersion(Base):
    """Versions that an edit replaced; the newest stands in the annotation itself."""

    __tablename__ = "annotation_versions"
    __table_args__ = (of_project("annotations", "annotation_id", ondelete="CASCADE"),)
    annotation_id: Mapped[int] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int]
    body: Mapped[dict[str, Any]]
    by_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    at: Mapped[datetime] = now()


class Draft(Base):
    """What a person has typed but not sent; a late packet with a lower rev never overwrites newer words."""

    __tablename__ = "drafts"
    __table_args__ = (of_project("slots", "slot_id", ondelete="CASCADE"),)
    slot_id: Mapped[int] = mapped_column(primary_key=True)
    annotator_id: Mapped[int] = mapped_column(ForeignKey("users.id"), primary_key=True)
    project_id: Mapped[int]
    rev: Mapped[int]
    body: Mapped[dict[str, Any]]
    saved_at: Mapped[datetime] = now()
