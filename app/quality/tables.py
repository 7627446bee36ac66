"""Tasks whose answer is argued: what was accepted, and why; and figures about quality, as they were computed."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Base, now, of_project, word


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
