"""Frozen, hashed slices of what people said."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Base, Told, key, now, of_project, outside_id, word


class DatasetState(StrEnum):
    freezing = "freezing"
    frozen = "frozen"
    failed = "failed"


class Dataset(Base):
    """question: what was asked for (`forms.FreezeForm`). manifest: how it was made, counts and hashes.

    sha256 names the folder below home that holds its lines; it is empty until the dataset is frozen.
    """

    __tablename__ = "datasets"
    __table_args__ = (UniqueConstraint("project_id", "id"),)
    id: Mapped[int] = key()
    public_id: Mapped[UUID] = outside_id()
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    name: Mapped[str]
    state: Mapped[DatasetState] = mapped_column(
        word(DatasetState), server_default="freezing", default=DatasetState.freezing
    )
    reason: Mapped[str | None] = mapped_column(Told)
    question: Mapped[dict[str, Any]]
    manifest: Mapped[dict[str, Any]] = mapped_column(server_default="{}", default=dict)
    sha256: Mapped[str | None]
    lines: Mapped[int | None]
    created_by_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime] = now()
    frozen_at: Mapped[datetime | None]


class DatasetWithdrawal(Base):
    """A person who took their consent back has labels in a frozen dataset, which stays as it is and is marked.

    labels: of theirs in its lines; empty: not known, the lines are not on this machine.
    """

    __tablename__ = "dataset_withdrawals"
    __table_args__ = (of_project("datasets", "dataset_id", ondelete="CASCADE"),)
    dataset_id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), primary_key=True)
    project_id: Mapped[int]
    labels: Mapped[int | None]
    at: Mapped[datetime] = now()


class Formula(Base):
    """A reward formula (`preferences.formula`) of a project; a change is a new version under the same name."""

    __tablename__ = "formulas"
    __table_args__ = (UniqueConstraint("project_id", "name", "version"),)
    id: Mapped[int] = key()
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    name: Mapped[str]
    version: Mapped[int]
    expression: Mapped[str]
    created_by_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime] = now()
