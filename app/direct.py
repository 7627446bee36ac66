"""Statements of the hot path, handed to the driver as they are.

SQLAlchemy's way from a statement to a row costs twice the driver's own work, and one answer is five statements. What
it gives is kept: the statement as it is written elsewhere (its casts compiled once), the session's connection and its
transaction. The driver's errors come up as they are; `errors.is_passing` knows both families.
"""

from collections import namedtuple
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from weakref import ReferenceType, ref

from psycopg import AsyncConnection
from sqlalchemy import Select, TextualSelect
from sqlalchemy.dialects.postgresql.psycopg import PGDialectAsync_psycopg
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import SessionTransaction

DIALECT = PGDialectAsync_psycopg()  # type: ignore[no-untyped-call]
KNOWN = "direct"  # where a session notes what is under it


class Under(NamedTuple):
    """The session's transaction, the driver's connection, and whether that is inside somebody else's transaction."""

    begun: ReferenceType[SessionTransaction]
    driver: AsyncConnection[Any]
    is_inner: bool


class Direct:
    """A statement with named parameters for the driver, and the names of its columns."""

    def __init__(self, statement: Select[Any] | TextualSelect) -> None:
        self.statement = statement
        compiled = statement.compile(dialect=DIALECT)
        self.sql = str(compiled).encode()
        names = [column.key for column in statement.selected_columns]
        self.row: Callable[..., Any] = namedtuple("Row", names)  # type: ignore[misc, arg-type]
        processors = {name: bind.type.dialect_impl(DIALECT) for name, bind in compiled.binds.items()}
        found = {name: kind.bind_processor(DIALECT) for name, kind in processors.items()}
        self.processors = {name: processor for name, processor in found.items() if processor}
        self.literals = {name: bind.value for name, bind in compiled.binds.items() if not bind.required}

    async def first(self, session: AsyncSession, values: Mapping[str, Any]) -> Any:
        """The first row as a named tuple, or None; on the session's connection, in its transaction."""
        given = {**self.literals, **values}
        for name, processor in self.processors.items():
            given[name] = processor(given[name])
        cursor = await (await driver_of(session)).execute(self.sql, given)
        row = await cursor.fetchone()
        return None if row is None else self.row(*row)


async def driver_of(session: AsyncSession) -> AsyncConnection[Any]:
    """The driver's connection under a session, in its transaction; looked up once per transaction."""
    return (await under(session)).driver


async def under(session: AsyncSession) -> Under:
    known: Under | None = session.info.get(KNOWN)
    begun = session.sync_session.get_transaction()
    if known is not None and begun is not None and known.begun() is begun:
        return known
    connection = await session.connection()
    raw = await connection.get_raw_connection()
    begun = session.sync_session.get_transaction()
    assert begun is not None, "the session's connection began it"
    driver: AsyncConnection[Any] = raw.driver_connection  # type: ignore[assignment]
    known = session.info[KNOWN] = Under(ref(begun), driver, connection.in_nested_transaction())
    return known
