"""What waits in the job queue, for tests."""

from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession


async def waiting(session: AsyncSession, name: str) -> list[dict[str, Any]]:
    """Payloads of the jobs of this kind that wait, oldest first."""
    asked = text("SELECT args FROM jobs.procrastinate_jobs WHERE task_name = :name ORDER BY id")
    return list(await session.scalars(asked, {"name": name}))
