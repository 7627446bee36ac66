"""Real Postgres always: migrated once, a savepoint per test; tests marked `committed` get a database of their own."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import hypothesis
import psycopg
import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession

from app import database, embedded
from app.accounts.tables import User
from app.settings import get_settings
from tests import make

ROOT = Path(__file__).parent.parent
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # programs that tests start would compile all of Hone each time

# How long an example takes says how busy the machine is.
hypothesis.settings.register_profile("hone", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("hone")

LONG = {"test_newcomer.py", "test_supervision.py", "test_interleavings.py", "test_training.py", "test_axe.py"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that take longest come first, so that no worker begins one when the other has nothing left."""
    items.sort(key=lambda item: item.path.name not in LONG)


def forget_settings() -> None:
    """Read the environment anew: settings and engines are made once and kept."""
    for made in (get_settings, database.engine, database.snapshot_engine, database.sessions):
        made.cache_clear()


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="session")
def server(home: Path) -> Iterator[str]:
    """Address of a Postgres server for this run: HONE_TEST_DATABASE_URL, else an embedded one of its own."""
    given = os.environ.get("HONE_TEST_DATABASE_URL")
    if given:
        yield given
        return
    running = embedded.start(home, extra={"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"})
    yield running.url
    embedded.stop(home)


def address(server: str, name: str) -> str:
    url = make_url(server).set(drivername="postgresql+psycopg", database=name)
    return url.render_as_string(hide_password=False)


def administer(server: str, statement: str) -> None:
    plain = address(server, "postgres").replace("postgresql+psycopg", "postgresql")
    with psycopg.connect(plain, autocommit=True) as connection:
        connection.execute(statement)  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def template(server: str, home: Path) -> str:
    """Name of a migrated database that others are copied from."""
    name = f"template_{uuid4().hex[:8]}"
    administer(server, f"CREATE DATABASE {name}")
    os.environ["HONE_HOME"] = str(home)
    os.environ["HONE_DATABASE_URL"] = address(server, name)
    forget_settings()
    command.upgrade(Config(toml_file=str(ROOT / "pyproject.toml")), "head")
    return name


def copy_of(server: str, template: str) -> str:
    name = f"test_{uuid4().hex[:8]}"
    administer(server, f"CREATE DATABASE {name} TEMPLATE {template}")
    return name


@pytest.fixture(scope="session")
def shared_database(server: str, template: str) -> str:
    """One database for all savepoint tests of this run; nothing is ever committed to it."""
    return address(server, copy_of(server, template))


@pytest.fixture(scope="session")
async def engine(shared_database: str) -> AsyncIterator[AsyncEngine]:
    """One connection for all savepoint tests: a new backend would read the catalogue anew for each of them."""
    engine = database.make_engine(shared_database, pool_size=1)
    yield engine
    await engine.dispose()


@pytest.fixture
async def connection(shared_database: str, engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    os.environ["HONE_DATABASE_URL"] = shared_database
    forget_settings()
    async with engine.connect() as connection:
        await connection.begin()
        yield connection
        await connection.rollback()
    await database.dispose()  # streams open connections of their own


@pytest.fixture
async def session(connection: AsyncConnection) -> AsyncIterator[AsyncSession]:
    """Everything in here is rolled back; a commit inside only releases a savepoint."""
    async with AsyncSession(connection, join_transaction_mode="create_savepoint", expire_on_commit=False) as session:
        yield session


@pytest.fixture
async def client(session: AsyncSession) -> AsyncIterator[httpx.AsyncClient]:
    """The application on the test's session. The identity map is emptied before each request, so that a lazy load
    that would fail in production fails here."""
    from app.main import app

    async def test_session() -> AsyncIterator[AsyncSession]:
        await session.commit()  # what the test made stays; what a request that fails did is undone
        session.expunge_all()
        try:
            yield session
            await session.commit()
        except BaseException:
            await session.rollback()
            raise

    app.dependency_overrides[database.get_session] = test_session
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    headers = {"Sec-Fetch-Site": "same-origin"}
    async with httpx.AsyncClient(transport=transport, base_url="http://testserver", headers=headers) as client:
        yield client
    app.dependency_overrides.clear()


@pytest.fixture
async def committed(server: str, template: str) -> AsyncIterator[str]:
    """A database of this test's own in which commits are real; `database.sessions()` speaks to it."""
    url = address(server, copy_of(server, template))
    os.environ["HONE_DATABASE_URL"] = url
    forget_settings()
    yield url
    await database.dispose()
    forget_settings()
    await asyncio.sleep(0)
    administer(server, f'DROP DATABASE "{make_url(url).database}" WITH (FORCE)')


async def sign_in(client: httpx.AsyncClient, session: AsyncSession, user: User) -> None:
    """Give `client` a session cookie of `user`, as signing in would."""
    client.cookies.set("hone_session", await make.sign_in(session, user))
