"""Questions about tasks and about what is shown with them."""

from collections.abc import Sequence
from typing import Any, cast
from weakref import WeakKeyDictionary

from sqlalchemy import Engine, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.projects.rules import ProtocolBody
from app.projects.tables import Guidelines, Protocol
from app.tasks.tables import TaskCompletion

# Rows of these two never change, so each web process reads one once. The bound keeps a long life small.
MOST_KEPT = 500
_kept: WeakKeyDictionary[Engine, dict[tuple[type, int], Any]] = WeakKeyDictionary()


async def protocol_body(session: AsyncSession, protocol_id: int) -> ProtocolBody:
    """What a protocol (inside id) asks."""
    kept, key = _kept_of(session), (Protocol, protocol_id)
    if key not in kept:
        body = (await session.scalars(select(Protocol.body).where(Protocol.id == protocol_id))).one()
        kept[key] = ProtocolBody.model_validate(body)
    return cast(ProtocolBody, kept[key])


async def guidelines_html(session: AsyncSession, guidelines_id: int) -> tuple[int, str]:
    """Version and rendered text of guidelines (inside id)."""
    kept, key = _kept_of(session), (Guidelines, guidelines_id)
    if key not in kept:
        asked = select(Guidelines.version, Guidelines.html).where(Guidelines.id == guidelines_id)
        kept[key] = (await session.execute(asked)).one()._tuple()
    return cast(tuple[int, str], kept[key])


def _kept_of(session: AsyncSession) -> dict[tuple[type, int], Any]:
    """What this process has read from the session's database; the oldest is dropped when it is full."""
    kept = _kept.setdefault(session.get_bind().engine, {})
    if len(kept) >= MOST_KEPT:
        kept.pop(next(iter(kept)))
    return kept


async def completions_of(session: AsyncSession, task_id: int) -> Sequence[int]:
    """Inside ids of a task's completions, in the task's own order."""
    asked = select(TaskCompletion.completion_id).where(TaskCompletion.task_id == task_id)
    return (await session.scalars(asked.order_by(TaskCompletion.number))).all()
