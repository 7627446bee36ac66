"""The log of events: nothing in it can be changed, a row that was is named, and each reads what they may."""

import hashlib

import httpx
import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from app import events
from app.accounts.permissions import Role
from app.events import Event
from app.sealing import Fault, Place, Seal, Settling, line_of, place_of, seal, verify
from tests import make
from tests.app.scene import engineer


async def noted(session: AsyncSession, count: int) -> list[int]:
    before = (await place_of(session)).newest
    for number in range(count):
        await events.record(session, "task.cancelled", subject=f"thing {number}", number=number)
    return list(await session.scalars(select(Event.id).where(Event.id > before).order_by(Event.id)))


async def tampered(session: AsyncSession, statement: str, **values: object) -> None:
    """As somebody does who owns the database."""
    await session.execute(text("SET LOCAL session_replication_role = replica"))
    await session.execute(text(statement), values)
    await session.execute(text("SET LOCAL session_replication_role = origin"))
    session.expunge_all()


async def test_an_edited_row_is_named(session: AsyncSession) -> None:
    ids = await noted(session, 4)
    assert await seal(session, ids[1]) >= 2
    assert await seal(session, ids[3]) == 2
    assert await seal(session, ids[3]) == 0
    whole = await verify(session)
    assert (whole.faults, whole.open) == ([], 0)
    await tampered(session, "UPDATE events SET body = '{\"number\": 7}' WHERE id = :id", id=ids[0])
    assert (await verify(session)).faults == [Fault("edited", ids[0])]
    await tampered(session, "DELETE FROM events WHERE id = :id", id=ids[3])
    assert (await verify(session)).faults == [Fault("edited", ids[0]), Fault("missing", ids[3])]


async def test_a_seal_that_was_made_anew_does_not_hold(session: AsyncSession) -> None:
    """Who rewrites the row and all hashes lacks the installation's secret."""
    ids = await noted(session, 2)
    await seal(session, ids[1])
    await tampered(session, "UPDATE events SET subject = 'x' WHERE id = :id", id=ids[0])
    one = (await session.scalars(select(Seal))).one()
    lines = [line_of(event) for event in await session.scalars(select(Event).order_by(Event.id))]
    values = {
        "marks": b"".join(hashlib.sha256(line).digest()[:8] for line in lines),
        "digest": hashlib.sha256(b"".join(lines)).digest(),
    }
    await tampered(session, "UPDATE seals SET marks = :marks, digest = :digest", **values)
    assert (await verify(session)).faults == [Fault("broken", one.number)]


@pytest.mark.parametrize("statement", ["UPDATE {} SET at = now()", "DELETE FROM {}", "TRUNCATE {}"])
@pytest.mark.parametrize("table", ["events", "seals"])
async def test_nothing_is_ever_changed(session: AsyncSession, table: str, statement: str) -> None:
    ids = await noted(session, 1)
    await seal(session, ids[0])
    with pytest.raises(DBAPIError, match="append-only"):
        async with session.begin_nested():
            await session.execute(text(statement.format(table)))


async def test_no_role_has_the_right_to(session: AsyncSession) -> None:
    asked = (
        "SELECT count(*) FROM aclexplode((SELECT relacl FROM pg_class WHERE relname = :t)) WHERE privilege_type = :p"
    )
    for table in ("events", "seals"):
        for right in ("UPDATE", "DELETE", "TRUNCATE"):
            assert await session.scalar(text(asked), {"t": table, "p": right}) == 0
        assert await session.scalar(text(asked), {"t": table, "p": "INSERT"}) == 1


def test_events_wait_for_transactions_that_could_slip_one_in() -> None:
    """A transaction that took a number before 5 was seen and is still open holds everything from there back."""
    settling = Settling()
    assert settling.settled(Place(newest=5, oldest_running=90, next=101)) == 0
    assert settling.settled(Place(newest=8, oldest_running=90, next=110)) == 0  # 5 waits for all before 110
    assert settling.settled(Place(newest=9, oldest_running=100, next=120)) == 0
    assert settling.settled(Place(newest=9, oldest_running=110, next=130)) == 5
    assert settling.settled(Place(newest=9, oldest_running=119, next=140)) == 0
    assert settling.settled(Place(newest=9, oldest_running=125, next=150)) == 8  # 9 was seen when 130 was next


async def test_the_log_is_read_by_managers(client: httpx.AsyncClient, session: AsyncSession) -> None:
    project, other = await make.project(session), await make.project(session)
    person = await make.user(session, "Somebody who did")
    about = {"actor_id": person.id, "project_id": project.id}
    await events.record(session, "task.cancelled", **about, subject="one-thing", reason="<b>late</b>")  # type: ignore[arg-type]
    await events.record(session, "dataset.frozen", **about, subject="another")  # type: ignore[arg-type]
    await events.record(session, "dataset.frozen", project_id=other.id, subject="of others")
    address = f"/projects/{project.public_id}/log"
    await engineer(client, session, project, Role.manager)
    page = (await client.get(address)).text
    assert "one-thing" in page
    assert "&lt;b&gt;late" in page
    assert "of others" not in page
    for search, found in (("q=somebody", 2), ("kind=task.", 1), ("q=LATE&kind=", 1), ("since=2999-01-01", 0)):
        page = (await client.get(f"{address}?{search}")).text
        assert page.count("Somebody who did</bdi>") == found, search
    await engineer(client, session, project, Role.engineer)
    assert (await client.get(address)).status_code == 403
    assert (await client.get("/log")).status_code == 403
