"""A session's driver is looked up once per transaction, and never kept beyond it."""

import pytest
from sqlalchemy import text

from app import database
from app.direct import driver_of


async def backend(session: database.AsyncSession) -> int:
    return int(await session.scalar(text("SELECT pg_backend_pid()")) or 0)


@pytest.mark.committed
async def test_a_session_that_begins_anew_is_given_the_connection_that_it_now_holds(committed: str) -> None:
    """Its former connection may be in other hands by then."""
    async with database.sessions()() as first, database.sessions()() as second, database.sessions()() as third:
        former = await driver_of(first)
        assert former.info.backend_pid == await backend(first)
        assert await driver_of(first) is former
        await first.commit()
        taken = await driver_of(second)
        begun = await driver_of(third)
        assert former in (taken, begun)
        now = await driver_of(first)
        assert now.info.backend_pid == await backend(first)
        assert now not in (taken, begun)


@pytest.mark.committed
async def test_a_chained_transaction_keeps_its_connection(committed: str) -> None:
    async with database.sessions()() as session:
        before = await driver_of(session)
        await database.next_transaction(session)
        assert await driver_of(session) is before
