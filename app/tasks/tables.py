"""Questions put to people, and the slots that say exactly how many answers each one wants.

The database holds the invariants of the hand-out: see the unique indexes of `slots`.
"""

from datetime import date, datetime
from enum import IntEnum, StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer, SmallInteger, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Base, key, now, of_project, outside_id, word
from app.translation import _

HOT = {  # rows that change all day: room on the page, and a vacuum that keeps the queue's head free of dead entries
    "postgresql_with": {
        "fillfactor": 80,
        "autovacuum_vacuum_scale_factor": 0.01,
        "autovacuum_vacuum_threshold": 500,
        "autovacuum_vacuum_cost_delay": 0,
    }
}


class Purpose(StrEnum):
    collect = _("collect")
    gold = _("gold")
    calibration = _("calibration")
    evaluation = _("evaluation")
    repeat = _("repeat")
    review = _("review")


class TaskState(StrEnum):
    open = "open"
    done = "done"
    cancelled = "cancelled"


class Task(Base):
    """recipe_entry: the line of the batch's pairing recipe that made it, as it was then.

    chance: the probability with which it was drawn to be asked, 1 where nothing was chosen; empty: it was chosen by
    what was known of it, nobody can say how likely. first_k: answers that were wanted before anybody had answered,
    where more are wanted since; empty: k. Figures about quality count by these two (`quality.gathering`).
    most_k: one answer more is asked for, up to so many, as long as those that came disagree; empty: never.
    place: in the order of its round where that asks the most informative first, 0 first … 1 last; empty: not known yet.
    has_own_place: somebody said who answers it and when, whatever its round and its tags want.
    """

    __tablename__ = "tasks"
    __table_args__ = (
        UniqueConstraint("project_id", "id"),
        of_project("batches", "batch_id"),
        of_project("prompts", "prompt_id"),
        Index(None, "project_id", "state"),
        Index(None, "batch_id"),
        Index(None, "evaluation_id"),
        Index(None, "prompt_id"),
        CheckConstraint("k BETWEEN 1 AND 50", name="k"),
        CheckConstraint("chance > 0 AND chance <= 1", name="chance"),
        CheckConstraint("place >= 0 AND place < 1", name="place"),
    )
    id: Mapped[int] = key()
    public_id: Mapped[UUID] = outside_id()
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    batch_id: Mapped[int]
    prompt_id: Mapped[int]
    kind: Mapped[str] = mapped_column(server_default="comparison", default="comparison")
    purpose: Mapped[Purpose] = mapped_column(word(Purpose), server_default="collect", default=Purpose.collect)
    state: Mapped[TaskState] = mapped_column(word(TaskState), server_default="open", default=TaskState.open)
    k: Mapped[int]
    first_k: Mapped[int | None] = mapped_column(SmallInteger)
    most_k: Mapped[int | None] = mapped_column(SmallInteger)
    has_own_place: Mapped[bool] = mapped_column(server_default="false", default=False)
    chance: Mapped[float | None] = mapped_column(server_default="1", default=1.0)
    place: Mapped[float | None]
    recipe_entry: Mapped[dict[str, Any]] = mapped_column(server_default="{}", default=dict)
    evaluation_id: Mapped[int | None] = mapped_column(ForeignKey("evaluations.id", use_alter=True))
    created_at: Mapped[datetime] = now()


class TaskCompletion(Base):
    """The completions of a task in their own order; the order on a screen is drawn per slot."""

    __tablename__ = "task_completions"
    __table_args__ = (
        UniqueConstraint("task_id", "completion_id"),
        of_project("tasks", "task_id", ondelete="CASCADE"),
        of_project("completions", "completion_id"),
        Index(None, "completion_id"),
    )
    task_id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    project_id: Mapped[int]
    completion_id: Mapped[int]


class SlotState(IntEnum):
    """resting: wanted, but its round does not ask now (`actions.turning`). planned: wanted, but a limit of the project
    has no room for it yet (`actions.releasing`)."""

    resting = -2
    planned = -1
    free = 0
    leased = 1
    done = 2
    cancelled = 3


class Slot(Base):
    """One wanted answer. rank: hashed inside a priority band.

    lane: who may take it: a class of people (0 = everyone), and above it what its prompt is sensitive for
    (`projects.care`). A lane below zero, ~lane, is nobody's: the task is held back until a report is looked at.

    lease and shown_key are made when the task is shown: the lease says who holds it, shown_key is the idempotency
    key of the answer. sides: the order on the screen, numbers of task_completions, drawn once. protocol and
    guidelines: the versions that were on the screen. tags: of the prompt at that moment; they decide what is asked.
    """

    __tablename__ = "slots"
    __table_args__ = (
        UniqueConstraint("project_id", "id"),
        UniqueConstraint("task_id", "number"),
        of_project("tasks", "task_id", ondelete="CASCADE"),
        of_project("protocols", "protocol_id"),
        of_project("guidelines", "guidelines_id"),
        CheckConstraint("(state IN (1, 2)) = (annotator_id IS NOT NULL)", name="held_by_somebody"),
        CheckConstraint("(state = 1) = (lease IS NOT NULL)", name="leased"),
        Index(
            "uq_slots_different_people",
            "task_id",
            "annotator_id",
            unique=True,
            postgresql_where=text("annotator_id IS NOT NULL"),
        ),
        Index("uq_slots_one_lease", "project_id", "annotator_id", unique=True, postgresql_where=text("state = 1")),
        Index("ix_slots_free", "project_id", "lane", "rank", "id", postgresql_where=text("state = 0")),
        Index("ix_slots_planned", "project_id", "rank", "id", postgresql_where=text("state = -1")),
        Index("ix_slots_expiry", "lease_until", postgresql_where=text("state = 1")),
        HOT,
    )
    id: Mapped[int] = key()
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    task_id: Mapped[int]
    number: Mapped[int] = mapped_column(SmallInteger)
    lane: Mapped[int] = mapped_column(SmallInteger, server_default="0", default=0)
    rank: Mapped[int]
    state: Mapped[int] = mapped_column(SmallInteger, server_default="0", default=0)
    annotator_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    lease: Mapped[UUID | None]
    lease_until: Mapped[datetime | None]
    shown_key: Mapped[UUID | None]
    shown_at: Mapped[datetime | None]
    sides: Mapped[list[int] | None] = mapped_column(ARRAY(SmallInteger))
    protocol_id: Mapped[int | None]
    guidelines_id: Mapped[int | None]
    tags: Mapped[list[str] | None]


class QuotaDay(Base):
    """What one person used up on one local day of the project: leases held plus answers given.

    care: sensitive tasks that they were shown, by category in the order of the bits; whatever became of these.
    """

    __tablename__ = "quota_days"
    __table_args__ = (
        CheckConstraint("used >= 0", name="used"),
        {"postgresql_with": {"fillfactor": 50, "autovacuum_vacuum_scale_factor": 0.05}},
    )
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"), primary_key=True)
    annotator_id: Mapped[int] = mapped_column(ForeignKey("users.id"), primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    used: Mapped[int] = mapped_column(server_default="0", default=0)
    care: Mapped[list[int]] = mapped_column(ARRAY(Integer), server_default="{}", default=list)


class Watermark(Base):
    """Where in a lane's order a person has got to, so that the search for the next slot stays flat."""

    __tablename__ = "watermarks"
    __table_args__ = ({"postgresql_with": {"fillfactor": 50, "autovacuum_vacuum_scale_factor": 0.05}},)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"), primary_key=True)
    annotator_id: Mapped[int] = mapped_column(ForeignKey("users.id"), primary_key=True)
    lane: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    rank: Mapped[int]
    claims: Mapped[int] = mapped_column(server_default="0", default=0)


class PassedBy(StrEnum):
    """How a task came to be passed by. Only the first three say something about it and are ever counted."""

    skipped = "skipped"
    not_known = "not_known"  # I know too little about this
    reported = "reported"
    not_this_one = "not_this_one"  # a sensitive task, returned without a reason
    by_us = "by_us"  # their own prompt, or their answer is kept elsewhere or was taken out


class Skip(Base):
    """A person passed a task by, and is not shown it again."""

    __tablename__ = "skips"
    __table_args__ = (
        of_project("tasks", "task_id", ondelete="CASCADE"),
        Index("ix_skips_counted", "project_id", postgresql_where=text("kind IN ('skipped', 'not_known', 'reported')")),
    )
    task_id: Mapped[int] = mapped_column(primary_key=True)
    annotator_id: Mapped[int] = mapped_column(ForeignKey("users.id"), primary_key=True)
    project_id: Mapped[int]
    kind: Mapped[PassedBy] = mapped_column(word(PassedBy), server_default="skipped", default=PassedBy.skipped)
    reason: Mapped[str | None]
    at: Mapped[datetime] = now()


class Verdict(StrEnum):
    harmless = "harmless"
    categorised = "categorised"
    retired = "retired"


class Report(Base):
    """Somebody found a task harmful. category: a key of the project's, or empty for something else.

    Open until somebody looked at it (closed_at, verdict); as long as one is open, its task is held back from others.
    """

    __tablename__ = "reports"
    __table_args__ = (
        of_project("tasks", "task_id", ondelete="CASCADE"),
        UniqueConstraint("task_id", "annotator_id"),
        Index("ix_reports_open", "project_id", "id", postgresql_where=text("closed_at IS NULL")),
        Index(None, "project_id", "id"),
        CheckConstraint("(closed_at IS NULL) = (verdict IS NULL)", name="closed_with_a_verdict"),
    )
    id: Mapped[int] = key()
    public_id: Mapped[UUID] = outside_id()
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    task_id: Mapped[int]
    annotator_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    category: Mapped[str | None]
    words: Mapped[str] = mapped_column(server_default="", default="")
    at: Mapped[datetime] = now()
    verdict: Mapped[Verdict | None] = mapped_column(word(Verdict))
    closed_by_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    closed_at: Mapped[datetime | None]


class Lapse(Base):
    """A showing that ended without an answer: run out, skipped or given back.

    It keeps what was on the screen, so that an answer that comes late is still understood and kept. slot_id is the
    slot the handles were made for; `tidy` forgets rows after thirty days. ran_out: its time was over; nobody gave it
    back.
    """

    __tablename__ = "lapses"
    __table_args__ = (
        of_project("slots", "slot_id", ondelete="CASCADE"),
        Index(None, "at"),
    )
    shown_key: Mapped[UUID] = mapped_column(primary_key=True)
    annotator_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    project_id: Mapped[int]
    slot_id: Mapped[int]
    sides: Mapped[list[int]] = mapped_column(ARRAY(SmallInteger))
    protocol_id: Mapped[int]
    guidelines_id: Mapped[int | None]
    tags: Mapped[list[str] | None]
    shown_at: Mapped[datetime]
    ran_out: Mapped[bool] = mapped_column(server_default="false", default=False)
    at: Mapped[datetime] = now()
