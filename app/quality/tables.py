"""Tasks whose answer is argued: what was accepted, and why, and what people hold against it; what reviewers settled;
who was let in; questions about tasks, and answers that hold for everybody; and figures about quality, as they were
computed."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, SmallInteger, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Base, key, now, of_project, outside_id, word


class Use(StrEnum):
    """training: whoever answers is told at once. gold: in silence; it stands on their own page. attention: as gold, of
    a task whose prompt itself says what to answer, so that a miss says that somebody did not read."""

    training = "training"
    gold = "gold"
    attention = "attention"


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
    is_templated: Mapped[bool] = mapped_column(server_default="false", default=False)
    at: Mapped[datetime] = now()


class Contest(Base):
    """Somebody says that their answer to an argued task is right. Open until a reviewer looked at it: accepted, it
    joins the accepted ones; upheld, the argued answer stays. reply: what the reviewer says to it."""

    __tablename__ = "contests"
    __table_args__ = (
        of_project("annotations", "annotation_id", ondelete="CASCADE"),
        UniqueConstraint("annotation_id"),
        Index("ix_contests_open", "project_id", "id", postgresql_where=text("closed_at IS NULL")),
        Index(None, "project_id", "id"),
        CheckConstraint("(closed_at IS NULL) = (is_accepted IS NULL)", name="closed_with_a_verdict"),
    )
    id: Mapped[int] = key()
    public_id: Mapped[UUID] = outside_id()
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    annotation_id: Mapped[int]
    words: Mapped[str]
    at: Mapped[datetime] = now()
    is_accepted: Mapped[bool | None]
    reply: Mapped[str] = mapped_column(server_default="", default="")
    closed_by_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    closed_at: Mapped[datetime | None]


class Adjudication(Base):
    """What a reviewer settled about a task; the answers that people gave stay as they are.

    body: as its kind keeps it. annotation_id: the answer that was accepted as it stands; empty: it is the reviewer's
    own. remark: why.
    """

    __tablename__ = "adjudications"
    __table_args__ = (
        of_project("tasks", "task_id", ondelete="CASCADE"),
        of_project("protocols", "protocol_id"),
        of_project("annotations", "annotation_id"),
        Index(None, "project_id", "task_id"),
    )
    task_id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int]
    protocol_id: Mapped[int]
    annotation_id: Mapped[int | None]
    body: Mapped[dict[str, Any]]
    remark: Mapped[str] = mapped_column(server_default="", default="")
    by_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    at: Mapped[datetime] = now()


class Entry(StrEnum):
    """exempt: they were there before newcomers were asked, or somebody let them in. failed: with no try left."""

    trying = "trying"
    passed = "passed"
    exempt = "exempt"
    failed = "failed"


class Entrance(Base):
    """How somebody fares who answers tasks with a known answer before all others (`accounts.actions.lanes` keeps them
    to those until they passed). Who has no row has not been looked at yet.

    tries: that are over. after: the newest answer (inside id) of these; the next try is of later ones. before: the
    newest before the last of these, 0 where it was the first. hits, given: of the last try that is over.
    """

    __tablename__ = "entrances"
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True, index=True)
    state: Mapped[Entry] = mapped_column(word(Entry), server_default="trying", default=Entry.trying)
    tries: Mapped[int] = mapped_column(SmallInteger, server_default="0", default=0)
    after: Mapped[int] = mapped_column(server_default="0", default=0)
    before: Mapped[int] = mapped_column(server_default="0", default=0)
    hits: Mapped[int | None] = mapped_column(SmallInteger)
    given: Mapped[int | None] = mapped_column(SmallInteger)
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
