"""What was answered, by which checkpoint and with which sampling; and what reward models think of it."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Double, ForeignKey, Index, LargeBinary, UniqueConstraint
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Base, Told, key, now, of_project, outside_id, word


class GenerationState(StrEnum):
    waiting = "waiting"
    running = "running"
    finished = "finished"
    failed = "failed"
    cancelled = "cancelled"


class Generation(Base):
    """A request: n answers each to some prompts by one checkpoint. sampling: `rules.Sampling` as JSON.

    wanted, done: completions. failed: prompts that got none, with `reason` of the last failure.
    evaluation_id: what asked for these answers, where one did; it makes their tasks, not the batch's recipe.
    """

    __tablename__ = "generations"
    __table_args__ = (
        UniqueConstraint("project_id", "id"),
        of_project("batches", "batch_id"),
        CheckConstraint("n BETWEEN 1 AND 64", name="n"),
    )
    id: Mapped[int] = key()
    public_id: Mapped[UUID] = outside_id()
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    checkpoint_id: Mapped[int] = mapped_column(ForeignKey("checkpoints.id"))
    batch_id: Mapped[int | None]
    evaluation_id: Mapped[int | None]
    n: Mapped[int]
    sampling: Mapped[dict[str, Any]]
    seed: Mapped[int]
    state: Mapped[GenerationState] = mapped_column(
        word(GenerationState), server_default="waiting", default=GenerationState.waiting
    )
    automatic: Mapped[bool] = mapped_column(server_default="false", default=False)
    wanted: Mapped[int]
    done: Mapped[int] = mapped_column(server_default="0", default=0)
    failed: Mapped[int] = mapped_column(server_default="0", default=0)
    reason: Mapped[str | None] = mapped_column(Told)
    created_by_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime] = now()
    finished_at: Mapped[datetime | None]


class Flaw(StrEnum):
    """Why a completion is never put before people."""

    empty = "empty"
    degenerate = "degenerate"  # one stop-token soup, one word for ever


class Completion(Base):
    """parts: [{type, text}]. html: rendered and sanitised once. seed and number make it reproducible.

    content_hash tells identical answers to one prompt apart from different ones; identical ones never face each other.
    """

    __tablename__ = "completions"
    __table_args__ = (
        UniqueConstraint("project_id", "id"),
        UniqueConstraint("generation_id", "prompt_id", "number"),
        of_project("prompts", "prompt_id"),
        of_project("generations", "generation_id"),
        Index(None, "prompt_id", "checkpoint_id"),
        Index(None, "project_id", "id"),
    )
    id: Mapped[int] = key()
    public_id: Mapped[UUID] = outside_id()
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    prompt_id: Mapped[int]
    checkpoint_id: Mapped[int | None] = mapped_column(ForeignKey("checkpoints.id"))
    generation_id: Mapped[int | None]
    number: Mapped[int | None]  # 0 … n-1 inside its generation and prompt
    author: Mapped[str | None]  # of an imported one: the name its file gave
    parts: Mapped[list[dict[str, Any]]]
    html: Mapped[str]
    content_hash: Mapped[bytes] = mapped_column(LargeBinary)
    sampling: Mapped[dict[str, Any]] = mapped_column(server_default="{}", default=dict)
    seed: Mapped[int | None]
    token_count: Mapped[int | None]
    finish_reason: Mapped[str | None]
    logprob_sum: Mapped[float | None]
    flaw: Mapped[Flaw | None] = mapped_column(word(Flaw))
    created_at: Mapped[datetime] = now()


class Score(Base):
    """A reward model's number for a completion; uncertainty is the spread of its ensemble, members what each of it
    says, in log-odds."""

    __tablename__ = "scores"
    __table_args__ = (of_project("completions", "completion_id"), Index(None, "project_id", "checkpoint_id"))
    completion_id: Mapped[int] = mapped_column(primary_key=True)
    checkpoint_id: Mapped[int] = mapped_column(ForeignKey("checkpoints.id", ondelete="CASCADE"), primary_key=True)
    project_id: Mapped[int]
    value: Mapped[float]
    uncertainty: Mapped[float | None]
    members: Mapped[list[float] | None] = mapped_column(ARRAY(Double))
    created_at: Mapped[datetime] = now()
