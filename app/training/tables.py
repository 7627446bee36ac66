"""Runs: one training each, from a frozen dataset and a parent checkpoint to a new checkpoint."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Base, Told, key, now, of_project, outside_id, word


class Method(StrEnum):
    sft = "sft"
    reward = "reward"
    dpo = "dpo"
    ppo = "ppo"


class RunState(StrEnum):
    queued = "queued"
    running = "running"
    succeeded = "succeeded"
    failed = "failed"
    cancelled = "cancelled"


class Run(Base):
    """fence: token of the attempt that may write; every write says `WHERE fence = …`. heartbeat_at: by its parent.

    reason: why it ended as it did; of a queued one, what it waits for. config: the method's config class as JSON.
    reward_id: the reward checkpoint a PPO run scores with.
    """

    __tablename__ = "runs"
    __table_args__ = (
        UniqueConstraint("project_id", "id"),
        of_project("datasets", "dataset_id"),
        Index(None, "project_id", "state"),
    )
    id: Mapped[int] = key()
    public_id: Mapped[UUID] = outside_id()
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    name: Mapped[str]
    method: Mapped[Method] = mapped_column(word(Method))
    state: Mapped[RunState] = mapped_column(word(RunState), server_default="queued", default=RunState.queued)
    reason: Mapped[str | None] = mapped_column(Told)
    config: Mapped[dict[str, Any]]
    seed: Mapped[int]
    dataset_id: Mapped[int | None]
    base_id: Mapped[int] = mapped_column(ForeignKey("checkpoints.id"))
    reward_id: Mapped[int | None] = mapped_column(ForeignKey("checkpoints.id"))
    result_id: Mapped[int | None] = mapped_column(ForeignKey("checkpoints.id"))
    schedule_fire_id: Mapped[int | None] = mapped_column(ForeignKey("schedule_fires.id", use_alter=True))
    fence: Mapped[UUID | None]
    attempt: Mapped[int] = mapped_column(server_default="0", default=0)
    heartbeat_at: Mapped[datetime | None]
    step: Mapped[int] = mapped_column(server_default="0", default=0)
    steps: Mapped[int | None]
    stage: Mapped[str | None]
    report: Mapped[dict[str, Any]] = mapped_column(server_default="{}", default=dict)
    log: Mapped[str] = mapped_column(Told, server_default="", default="")
    code_version: Mapped[str | None]
    cancel_requested_at: Mapped[datetime | None]
    created_by_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime] = now()
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class RunSample(Base):
    """What policy and reference said at one step to a few prompts: workers/training/samples.py says which fields."""

    __tablename__ = "run_samples"
    run_id: Mapped[int] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    step: Mapped[int] = mapped_column(primary_key=True)
    samples: Mapped[list[dict[str, Any]]]
    at: Mapped[datetime] = now()


class RunMetric(Base):
    """All numbers of one step: {name: value}."""

    __tablename__ = "run_metrics"
    run_id: Mapped[int] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    step: Mapped[int] = mapped_column(primary_key=True)
    values: Mapped[dict[str, Any]]
    at: Mapped[datetime] = now()
