"""The engine, the base of all tables and the session: one request, one commit, before the response is sent."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import Annotated, Any, ClassVar
from uuid import UUID, uuid4

from fastapi import Depends
from sqlalchemy import (
    BigInteger,
    DateTime,
    Dialect,
    Enum,
    ForeignKeyConstraint,
    Identity,
    MetaData,
    Text,
    TypeDecorator,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from app import embedded
from app.direct import under
from app.lines import storable
from app.settings import get_settings

NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class Told(TypeDecorator[str]):
    """Words of a program (an error's, an endpoint's, a log's), stored whatever they hold.

    For people's words there are forms, which refuse what cannot be stored and say where it stands.
    """

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else storable(value)


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMES)
    type_annotation_map: ClassVar = {
        datetime: DateTime(timezone=True),
        int: BigInteger,
        str: Text,
        dict[str, Any]: JSONB,
        list[dict[str, Any]]: JSONB,
        list[str]: ARRAY(Text),
    }


def values_of(words: type[StrEnum]) -> list[str]:
    return [word.value for word in words]


def word(words: type[StrEnum]) -> Enum:
    """A column that holds one of `words`: text with a check, so a new word is an ordinary migration."""
    return Enum(words, native_enum=False, create_constraint=True, length=32, values_callable=values_of)


def key() -> Mapped[int]:
    """The inside key: small, ordered, never shown."""
    return mapped_column(BigInteger, Identity(always=True), primary_key=True)


def outside_id() -> Mapped[UUID]:
    """The id that addresses and exports carry: random, so that it tells neither age nor number."""
    return mapped_column(unique=True, default=uuid4, server_default=text("gen_random_uuid()"))


def now() -> Mapped[datetime]:
    """An instant from the database's clock, the only clock."""
    return mapped_column(server_default=func.now())


def of_project(parent: str, column: str, **options: Any) -> ForeignKeyConstraint:
    """A composite foreign key (project_id, column): a row cannot point into another project."""
    return ForeignKeyConstraint(["project_id", column], [f"{parent}.project_id", f"{parent}.id"], **options)


def database_url() -> str:
    """Where Postgres is: the setting, else the embedded server of this home (which must be running)."""
    secret = get_settings().database_url
    url = secret.get_secret_value() if secret else embedded.url(get_settings().home)
    for prefix in ("postgresql://", "postgres://"):
        if url.startswith(prefix):
            return "postgresql+psycopg://" + url.removeprefix(prefix)
    return url


def make_engine(
    url: str, *, pool_size: int = 10, statement_timeout: str = "5s", idle_timeout: str = "30s"
) -> AsyncEngine:
    """An engine whose connections see `public` and the queue's schema `jobs`, and give up on slow statements.

    idle_timeout: how long a transaction may wait for us; for a stream, for its reader.
    """
    options = f"-c search_path=public,jobs -c statement_timeout={statement_timeout} -c lock_timeout=4s"
    options += f" -c idle_in_transaction_session_timeout={idle_timeout} -c timezone=UTC"
    return create_async_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,  # a connection that is closed after one request takes its prepared statements with it
        pool_use_lifo=True,  # the backend that was used last has its plans and catalogue still in the processor's cache
        pool_timeout=5,
        pool_pre_ping=False,
        connect_args={"options": options, "connect_timeout": 5, "application_name": "hone"},
    )


@cache
def engine() -> AsyncEngine:
    return make_engine(database_url(), pool_size=12)


@cache
def snapshot_engine() -> AsyncEngine:
    """A small pool of its own for streams, so that downloads never starve the people who answer."""
    return make_engine(database_url(), pool_size=6, statement_timeout="10min", idle_timeout="10min")


@cache
def sessions() -> async_sessionmaker[AsyncSession]:
    return async_sessionmaker(engine(), expire_on_commit=False)


async def get_session() -> AsyncIterator[AsyncSession]:
    async with sessions()() as session:
        yield session
        await session.commit()


# scope="function": FastAPI's default would commit after the response, and a failed commit would still answer 200.
Session = Annotated[AsyncSession, Depends(get_session, scope="function")]


async def next_transaction(session: AsyncSession) -> None:
    """Commit what was said and go on in a new transaction: an answer is safe before the next task is looked for.

    One round trip on the connection that the session holds, instead of giving it back and beginning again.
    """
    if session.new or session.dirty or session.deleted:
        await session.flush()
    found = await under(session)
    if found.is_inner:  # inside a transaction of somebody else's
        await session.commit()
    else:
        await found.driver.execute("COMMIT AND CHAIN")


async def between_transactions(session: AsyncSession) -> None:
    """Commit and give the connection back, before work that needs none for a while; the next statement begins anew."""
    await session.commit()


@asynccontextmanager
async def transaction(statement_timeout: str = "10min") -> AsyncIterator[AsyncSession]:
    """A session of its own, committed at the end: for workers, the command line and start-up."""
    async with sessions()() as session:
        connection = await session.connection()
        await connection.exec_driver_sql(f"SET LOCAL statement_timeout = '{statement_timeout}'")
        yield session
        await session.commit()


@asynccontextmanager
async def snapshot() -> AsyncIterator[AsyncConnection]:
    """A read-only transaction that sees one moment for as long as a stream lasts."""
    async with snapshot_engine().connect() as connection:
        await connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        async with connection.begin():
            yield connection


async def dispose() -> None:
    """Close the pools, for an orderly end."""
    for made in (engine, snapshot_engine):
        if made.cache_info().currsize:
            await made().dispose()
