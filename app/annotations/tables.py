"""What people said: every word, every version, under the protocol and guidelines that were on their screen."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import SmallInteger

from app.database import Base, Told, key, now, of_project, outside_id, word


class AnnotationState(StrEnum):
    """surplus: it came when no slot was left; kept and paid, outside of k."""

    live = "live"
    surplus = "surplus"
    set_aside = "set_aside"
    withdrawn = "withdrawn"


class Annotation(Base):
    """body: the newest version, a tagged union by `kind`. sides: the order that was on the screen.

    tags: of the prompt when it was shown, which decided what was asked; none of what was shown before they were kept.
    idempotency_key was made when the task was shown; body_hash is of the first version that came with it.
    fast: chosen quicker than the texts can be read; taken, but marked. active_seconds: that the person was at it, as
    their page measured, never more than it was on the screen; None where nothing was measured. returned_at: a reviewer
    gave it back, and its author has neither changed it nor answered yet. rework_id: what set it aside with others;
    was_live, was_returned_at: what an undo brings back then, empty before and after.
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
        Index("ix_annotations_returned", "annotator_id", postgresql_where=text("returned_at IS NOT NULL")),
        Index("ix_annotations_reworked", "rework_id", "id", postgresql_where=text("rework_id IS NOT NULL")),
        of_project("reworks", "rework_id"),
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
    tags: Mapped[list[str] | None]
    fast: Mapped[bool] = mapped_column(server_default="false", default=False)
    active_seconds: Mapped[float | None]
    shown_at: Mapped[datetime | None]
    submitted_at: Mapped[datetime] = now()
    returned_at: Mapped[datetime | None]
    rework_id: Mapped[int | None]
    was_live: Mapped[bool | None]
    was_returned_at: Mapped[datetime | None]


class ReworkState(StrEnum):
    running = "running"
    done = "done"
    undoing = "undoing"
    undone = "undone"


class Rework(Base):
    """Many answers at once: set aside, with or without others being asked instead, or given back with a remark.

    selection: which (`reworking.Selection`). through: the newest answer when it was asked for; later ones stay, but for
    those of who took their consent back. after: how far it has got, by the answers' ids. answers: it has changed, or
    brought back, so far.
    """

    __tablename__ = "reworks"
    __table_args__ = (UniqueConstraint("project_id", "id"),)
    id: Mapped[int] = key()
    public_id: Mapped[UUID] = outside_id()
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"), index=True)
    selection: Mapped[dict[str, Any]]
    does: Mapped[str]
    reason: Mapped[str]
    state: Mapped[ReworkState] = mapped_column(word(ReworkState), server_default="running", default=ReworkState.running)
    through: Mapped[int]
    after: Mapped[int] = mapped_column(server_default="0", default=0)
    answers: Mapped[int] = mapped_column(server_default="0", default=0)
    by_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    at: Mapped[datetime] = now()
    ended_at: Mapped[datetime | None]


class LedgerLine(Base):
    """What somebody earned, in hundredths of the project's currency; never changed (a trigger refuses).

    One line for each answer, written with it, and lines that somebody adds with a remark. rate: that it was paid by;
    empty: there was none for it.
    """

    __tablename__ = "ledger"
    __table_args__ = (
        UniqueConstraint("annotation_id"),
        of_project("annotations", "annotation_id"),
        of_project("rates", "rate_id"),
        CheckConstraint("annotation_id IS NOT NULL OR remark <> ''", name="says_why"),
        Index(None, "project_id", "annotator_id", "at"),
        Index("ix_ledger_sums", "project_id", "at", postgresql_include=["amount"]),
    )
    id: Mapped[int] = key()
    public_id: Mapped[UUID] = outside_id()
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    annotator_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    annotation_id: Mapped[int | None]
    rate_id: Mapped[int | None]
    amount: Mapped[int]
    remark: Mapped[str] = mapped_column(server_default="", default="")
    by_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    at: Mapped[datetime] = now()


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


class RemarkKind(StrEnum):
    """returned: a reviewer gave the answer back. changed: its author changed it then, which says enough.
    said: anything else that is said about it, by its author or by a reviewer."""

    returned = "returned"
    changed = "changed"
    said = "said"


class Remark(Base):
    """One line of the talk about an answer between its author and reviewers. version: of the answer at that time."""

    __tablename__ = "remarks"
    __table_args__ = (
        of_project("annotations", "annotation_id", ondelete="CASCADE"),
        Index(None, "annotation_id", "id"),
        Index(None, "by_id", "id"),
    )
    id: Mapped[int] = key()
    project_id: Mapped[int]
    annotation_id: Mapped[int]
    by_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    kind: Mapped[RemarkKind] = mapped_column(word(RemarkKind))
    version: Mapped[int]
    text: Mapped[str]
    at: Mapped[datetime] = now()


class OwnAccount(Base):
    """What a person told a project about themselves, apart from every answer: theirs to see, change and delete.

    body: of a questions judgement (`KeptQuestions`). consented_at: when they agreed to its being kept.
    """

    __tablename__ = "own_accounts"
    __table_args__ = (UniqueConstraint("project_id", "user_id"),)
    id: Mapped[int] = key()
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    form_version: Mapped[int]
    body: Mapped[dict[str, Any]]
    consented_at: Mapped[datetime] = now()
    saved_at: Mapped[datetime] = now()


class EditDraft(Base):
    """What its owner has typed to change an answer and not sent. version: of the answer that these words grew out of;
    once the answer has moved on they are offered beside it."""

    __tablename__ = "edit_drafts"
    __table_args__ = (of_project("annotations", "annotation_id", ondelete="CASCADE"),)
    annotation_id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int]
    version: Mapped[int]
    rev: Mapped[int]
    body: Mapped[dict[str, Any]]
    saved_at: Mapped[datetime] = now()


class Trouble(StrEnum):
    """Why the answers of a turn have not come, as far as the person who waits is told."""

    nobody = "nobody"  # no checkpoint answers
    unreachable = "unreachable"
    slow = "slow"
    busy = "busy"
    failing = "failing"
    unanswerable = "unanswerable"  # as it stands: longer than what the checkpoint reads


class Turn(Base):
    """One turn of a person's conversation about a task: what they wrote, and what they said about the answers.

    number: 1, 2 … of this conversation; with task and person it is the key that makes sending safe to repeat.
    protocol_id: that it is judged under. root: of the first turn, that its words stand under, by its key.
    sides: the order of the answers on the screen. body: the judgement as its kind keeps it. chosen: number of the
    answer that goes on; none while nothing is said, and where none was good.
    trouble, reason: of the latest try that failed. is_stuck: it is not tried again by itself.
    """

    __tablename__ = "turns"
    __table_args__ = (
        UniqueConstraint("project_id", "id"),
        UniqueConstraint("task_id", "annotator_id", "number"),
        of_project("tasks", "task_id", ondelete="CASCADE"),
        of_project("protocols", "protocol_id"),
        CheckConstraint("number >= 1", name="number"),
        CheckConstraint("body IS NOT NULL OR chosen IS NULL", name="chosen_by_a_judgement"),
    )
    id: Mapped[int] = key()
    public_id: Mapped[UUID] = outside_id()
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    task_id: Mapped[int]
    annotator_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    protocol_id: Mapped[int]
    number: Mapped[int] = mapped_column(SmallInteger)
    root: Mapped[str | None]
    words: Mapped[str]
    html: Mapped[str]
    wanted: Mapped[int] = mapped_column(SmallInteger)
    sides: Mapped[list[int]] = mapped_column(ARRAY(SmallInteger))
    body: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    chosen: Mapped[int | None] = mapped_column(SmallInteger)
    trouble: Mapped[Trouble | None] = mapped_column(word(Trouble))
    reason: Mapped[str | None] = mapped_column(Told)
    is_stuck: Mapped[bool] = mapped_column(server_default="false", default=False)
    asked_at: Mapped[datetime] = now()
    created_at: Mapped[datetime] = now()
    judged_at: Mapped[datetime | None]


class TurnAnswer(Base):
    """One answer to a turn: who is asked for it and how, and once it has come (parts), what it says.

    sample: its number among those that its checkpoint writes with this seed, which makes it reproducible.
    """

    __tablename__ = "turn_answers"
    __table_args__ = (of_project("turns", "turn_id", ondelete="CASCADE"),)
    turn_id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    public_id: Mapped[UUID] = outside_id()
    project_id: Mapped[int]
    checkpoint_id: Mapped[int] = mapped_column(ForeignKey("checkpoints.id"))
    sampling: Mapped[dict[str, Any]]
    seed: Mapped[int]
    sample: Mapped[int] = mapped_column(SmallInteger)
    parts: Mapped[list[dict[str, Any]] | None] = mapped_column(JSONB(none_as_null=True))
    html: Mapped[str | None]
    token_count: Mapped[int | None]
    finish_reason: Mapped[str | None]
    logprob_sum: Mapped[float | None]
    answered_at: Mapped[datetime | None]
