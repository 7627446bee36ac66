"""Weights that answer or score."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Base, Told, key, now, outside_id, word


class CheckpointKind(StrEnum):
    base = "base"
    sft = "sft"
    reward = "reward"
    policy = "policy"


class Place(StrEnum):
    folder = "folder"  # a local folder in the usual layout
    hub = "hub"  # a name on a hub, fetched once
    endpoint = "endpoint"  # an OpenAI-compatible server
    bundled = "bundled"  # ours, beside the code
    run = "run"  # made here


class CheckpointState(StrEnum):
    ready = "ready"
    checking = "checking"
    refused = "refused"


class Checkpoint(Base):
    """project_id empty: for every project. location: a path below home, a folder, a hub name or an address.

    revision: of a hub, its branch or commit; of an endpoint, the name that its server knows.
    api_key_variable: name of the environment variable that holds an endpoint's key; the key itself is never stored.
    """

    __tablename__ = "checkpoints"
    __table_args__ = (
        CheckConstraint("kind != 'reward' OR place != 'endpoint'", name="reward_is_local"),
        Index("uq_checkpoints_bundled", "place", unique=True, postgresql_where=text("place = 'bundled'")),
    )
    id: Mapped[int] = key()
    public_id: Mapped[UUID] = outside_id()
    project_id: Mapped[int | None] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"), index=True)
    name: Mapped[str]
    kind: Mapped[CheckpointKind] = mapped_column(word(CheckpointKind))
    place: Mapped[Place] = mapped_column(word(Place))
    location: Mapped[str]
    revision: Mapped[str | None]
    api_key_variable: Mapped[str | None]
    state: Mapped[CheckpointState] = mapped_column(
        word(CheckpointState), server_default="ready", default=CheckpointState.ready
    )
    reason: Mapped[str | None] = mapped_column(Told)
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("checkpoints.id"))
    run_id: Mapped[int | None] = mapped_column(ForeignKey("runs.id", use_alter=True))
    weights_sha256: Mapped[str | None]
    record: Mapped[dict[str, Any]] = mapped_column(server_default="{}", default=dict)  # hone.json as it was saved
    created_by_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime] = now()

    @property
    def names(self) -> list[str]:
        """What the weights are called, here and where they come from."""
        there = {Place.hub: self.location.rsplit("/", 1)[-1], Place.endpoint: self.revision}.get(self.place)
        return [name for name in (self.name, there) if name]
