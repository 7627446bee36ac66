"""What happened, written in the transaction of its cause and never changed afterwards (a trigger refuses)."""

from datetime import datetime
from typing import Any

from sqlalchemy import Index, insert, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Base, key, now
from app.lines import storable

QUOTAS = ("quota.changed", "limits.changed")  # what the history of the quotas shows


class Event(Base):
    """actor and project are plain numbers: an event outlives what it speaks of."""

    __tablename__ = "events"
    __table_args__ = (
        Index(None, "project_id", "id"),
        Index("ix_events_subject", "subject", "id", postgresql_where=text("kind <> 'annotation.submitted'")),
        Index("ix_events_quotas", "project_id", "id", postgresql_where=text(f"kind IN {QUOTAS}")),
    )
    id: Mapped[int] = key()
    at: Mapped[datetime] = now()
    actor_id: Mapped[int | None]
    project_id: Mapped[int | None]
    kind: Mapped[str]
    subject: Mapped[str | None]
    body: Mapped[dict[str, Any]] = mapped_column(server_default="{}")


async def record(
    session: AsyncSession,
    kind: str,
    *,
    actor_id: int | None = None,
    project_id: int | None = None,
    subject: object = None,
    **body: object,
) -> None:
    """Note `kind` (a verb in the past: `dataset.frozen`) about `subject` (its outside id). body: may be any program's
    words; what the database cannot hold never keeps a deed from being noted."""
    values = {
        "kind": kind,
        "actor_id": actor_id,
        "project_id": project_id,
        "subject": None if subject is None else str(subject),
        "body": {name: storable(value) if isinstance(value, str) else value for name, value in body.items()},
    }
    await session.execute(insert(Event).values(values))
