"""Schedules: when to freeze and train by itself."""

from datetime import datetime, time
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, SmallInteger, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Base, Told, key, now, of_project, outside_id, word


class Trigger(StrEnum):
    weekly = "weekly"
    answers = "answers"


class Schedule(Base):
    """weekly: on `weekday` (0 = Monday) at `at` in the project's zone. answers: after `every` new live answers.

    plan: what a fire does (dataset question, reward and PPO settings). armed_at: since when it waits in this form; what
    was due before is not made up for, and answers from before do not count.
    """

    __tablename__ = "schedules"
    __table_args__ = (
        UniqueConstraint("project_id", "id"),
        CheckConstraint(
            "(trigger = 'weekly' AND weekday BETWEEN 0 AND 6 AND at IS NOT NULL)"
            " OR (trigger = 'answers' AND every > 0)",
            name="trigger_is_complete",
        ),
    )
    id: Mapped[int] = key()
    public_id: Mapped[UUID] = outside_id()
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    name: Mapped[str]
    trigger: Mapped[Trigger] = mapped_column(word(Trigger))
    weekday: Mapped[int | None] = mapped_column(SmallInteger)
    at: Mapped[time | None]
    every: Mapped[int | None]
    plan: Mapped[dict[str, Any]] = mapped_column(server_default="{}", default=dict)
    enabled: Mapped[bool] = mapped_column(server_default="true", default=True)
    created_by_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime] = now()
    armed_at: Mapped[datetime] = now()


class FireState(StrEnum):
    started = "started"
    finished = "finished"
    skipped = "skipped"
    failed = "failed"


class ScheduleFire(Base):
    """One tick of a schedule: unique by its due time, so two schedulers start it once."""

    __tablename__ = "schedule_fires"
    __table_args__ = (
        UniqueConstraint("schedule_id", "due_at"),
        of_project("schedules", "schedule_id", ondelete="CASCADE"),
        of_project("datasets", "dataset_id"),
    )
    id: Mapped[int] = key()
    project_id: Mapped[int]
    schedule_id: Mapped[int]
    due_at: Mapped[datetime]
    state: Mapped[FireState] = mapped_column(word(FireState), server_default="started", default=FireState.started)
    reason: Mapped[str | None] = mapped_column(Told)
    dataset_id: Mapped[int | None]
    created_at: Mapped[datetime] = now()
    finished_at: Mapped[datetime | None]
