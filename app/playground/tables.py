"""Checkpoints side by side: what an engineer asked several of them, kept for some days."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Base, Told, key, now, of_project, outside_id


class Play(Base):
    """One prompt put to two to four checkpoints with the same seed and sampling. It is its owner's alone.

    prompt_id: a prompt of the project; empty: somebody typed it. n: samples of each checkpoint, of which the best by
    the reward model is shown. sent: outside ids of the tasks that were made of it.
    """

    __tablename__ = "plays"
    __table_args__ = (
        of_project("prompts", "prompt_id"),
        CheckConstraint("n BETWEEN 1 AND 64", name="n"),
        Index(None, "project_id", "owner_id", "id"),
        Index(None, "created_at"),
    )
    id: Mapped[int] = key()
    public_id: Mapped[UUID] = outside_id()
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    owner_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    prompt_id: Mapped[int | None]
    messages: Mapped[list[dict[str, Any]]]
    sampling: Mapped[dict[str, Any]]
    seed: Mapped[int]
    n: Mapped[int]
    reward_id: Mapped[int | None] = mapped_column(ForeignKey("checkpoints.id", ondelete="CASCADE"))
    sent: Mapped[list[str]] = mapped_column(server_default="{}", default=list)
    created_at: Mapped[datetime] = now()


class PlayAnswer(Base):
    """What one of the checkpoints said. result: `rules.Result` as JSON, empty until it is there or where it failed.

    reference_id: what the checkpoint was trained from, which its tokens are compared with; empty where there is none.
    """

    __tablename__ = "play_answers"
    __table_args__ = (UniqueConstraint("play_id", "number"),)
    id: Mapped[int] = key()
    play_id: Mapped[int] = mapped_column(ForeignKey("plays.id", ondelete="CASCADE"))
    number: Mapped[int]
    checkpoint_id: Mapped[int] = mapped_column(ForeignKey("checkpoints.id", ondelete="CASCADE"))
    reference_id: Mapped[int | None] = mapped_column(ForeignKey("checkpoints.id", ondelete="CASCADE"))
    result: Mapped[dict[str, Any] | None]
    html: Mapped[str | None]  # of the answer that is shown
    reason: Mapped[str | None] = mapped_column(Told)
    answered_at: Mapped[datetime | None]
