"""Blind comparisons of two checkpoints, answered by people as ordinary tasks."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Base, key, now, of_project, outside_id, word


class EvaluationState(StrEnum):
    generating = "generating"
    open = "open"
    finished = "finished"
    failed = "failed"
    cancelled = "cancelled"


class Evaluation(Base):
    """result: win rate of the candidate, interval and counts (`rules.result_of`), as of its last answer. `recount` in
    it is true when answers have changed, or may still come, though the comparison has ended.
    """

    __tablename__ = "evaluations"
    __table_args__ = (
        UniqueConstraint("project_id", "id"),
        of_project("batches", "batch_id"),
        CheckConstraint("candidate_id != baseline_id", name="two_checkpoints"),
    )
    id: Mapped[int] = key()
    public_id: Mapped[UUID] = outside_id()
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    batch_id: Mapped[int | None]
    candidate_id: Mapped[int] = mapped_column(ForeignKey("checkpoints.id"), index=True)
    baseline_id: Mapped[int] = mapped_column(ForeignKey("checkpoints.id"), index=True)
    sampling: Mapped[dict[str, Any]]
    seed: Mapped[int]
    prompts: Mapped[int]
    k: Mapped[int]
    state: Mapped[EvaluationState] = mapped_column(
        word(EvaluationState), server_default="generating", default=EvaluationState.generating
    )
    reason: Mapped[str | None]
    result: Mapped[dict[str, Any]] = mapped_column(server_default="{}", default=dict)
    created_by_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime] = now()
    finished_at: Mapped[datetime | None]
