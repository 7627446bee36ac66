"""Tasks whose answer is argued: what was accepted, and why; questions about tasks, and answers to them that hold for
everybody; and figures about quality, as they were computed."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Base, key, now, of_project, outside_id, word


class Use(StrEnum):
    """training: whoever answers is told at once. gold: in silence; it stands on their own page."""

    training = "training"
    gold = "gold"


class ArguedAnswer(Base):
    """The argued answer of a task. bodies: kept bodies (`annotations.kinds`) that are accepted, one or more, under the
    protocol. markdown, html: the argument.

    twin_of: the task that was argued, of one that is mixed in among everybody's tasks in its stead. doubted_at: those
    who are usually right are not here, so it is mixed in no more until somebody argues it anew.
    """

    __tablename__ = "argued_answers"
    __table_args__ = (
        of_project("tasks", "task_id", ondelete="CASCADE"),
        of_project("protocols", "protocol_id"),
        of_project("tasks", "twin_of", ondelete="CASCADE"),
        UniqueConstraint("twin_of"),
    )
    task_id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int]
    protocol_id: Mapped[int]
    use: Mapped[Use] = mapped_column(word(Use))
    bodies: Mapped[list[dict[str, Any]]]
    markdown: Mapped[str]
    html: Mapped[str]
    by_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    twin_of: Mapped[int | None]
    doubted_at: Mapped[datetime | None]
    at: Mapped[datetime] = now()


class Inquiry(Base):
    """A question that somebody asked about a task, in their own words, and what a lead or reviewer answered.

    guidelines_id: what the task was shown with.
    """

    __tablename__ = "inquiries"
    __table_args__ = (
        UniqueConstraint("project_id", "id"),
        of_project("tasks", "task_id", ondelete="CASCADE"),
        Index("ix_inquiries_open", "project_id", "id", postgresql_where=text("answered_at IS NULL")),
        Index(None, "project_id", "id"),
        Index(None, "asker_id", "id"),
    )
    id: Mapped[int] = key()
    public_id: Mapped[UUID] = outside_id()
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    task_id: Mapped[int]
    asker_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    words: Mapped[str]
    at: Mapped[datetime] = now()
    answer: Mapped[str | None]
    answered_by_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    answered_at: Mapped[datetime | None]


class Ruling(Base):
    """An answer that stands beside the guidelines for everybody, with its task as the example. question, markdown: as
    they are published; html is rendered once, when stored. retired_at: it is shown no more."""

    __tablename__ = "rulings"
    __table_args__ = (
        UniqueConstraint("project_id", "id"),
        of_project("inquiries", "inquiry_id"),
        UniqueConstraint("inquiry_id"),
        Index("ix_rulings_shown", "project_id", "id", postgresql_where=text("retired_at IS NULL")),
    )
    id: Mapped[int] = key()
    public_id: Mapped[UUID] = outside_id()
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    inquiry_id: Mapped[int]
    question: Mapped[str]
    markdown: Mapped[str]
    html: Mapped[str]
    by_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    at: Mapped[datetime] = now()
    retired_at: Mapped[datetime | None]


class Figures(Base):
    """What a job has computed about a project's answers. name: `quality`, `standings` or `people`. body: see
    `quality.reporting`, `.ranking` and `.persons`.

    through: the newest event of the project by then; when there is a newer one, they are computed anew. seconds: that
    it took, which says how often that is done.
    """

    __tablename__ = "figures"
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    body: Mapped[dict[str, Any]]
    through: Mapped[int]
    seconds: Mapped[float]
    at: Mapped[datetime] = now()
