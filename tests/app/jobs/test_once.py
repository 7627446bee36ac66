"""A second job of one kind that is not written must not take its caller's work with it."""

import pytest
from sqlalchemy import select

from app import database, events
from app.events import Event
from app.jobs.queue import enqueue
from app.tasks.jobs import QueueRanLow


@pytest.mark.committed
async def test_a_job_that_waits_already_leaves_the_callers_transaction_whole(committed: str) -> None:
    written = []
    for nth in range(2):
        async with database.transaction() as session:
            await events.record(session, "test.happened", subject=nth)
            written.append(await enqueue(session, QueueRanLow(project_id=1), once="low-1"))
    assert written == [True, False]
    async with database.transaction() as session:
        assert list(await session.scalars(select(Event.subject).order_by(Event.id))) == ["0", "1"]
