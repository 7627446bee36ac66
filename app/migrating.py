"""Brings the database to the newest schema. The advisory lock and the short lock waits are in migrations/env.py.

`python -m app.migrating` is `hone migrate` for `hone up`, without the other commands' imports.
"""

import sys

import psycopg
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy.exc import DBAPIError

from app.extras import ROOT
from app.settings import get_settings
from app.translation import _
from app.unprivileged import CannotStart

OLDEST = 150000  # server_version_num of the oldest Postgres we take


def configuration() -> Config:
    config = Config()
    config.set_main_option("script_location", str(ROOT / "migrations").replace("%", "%%"))
    return config


def plain_url(url: str) -> str:
    """A SQLAlchemy address as psycopg itself reads it."""
    return url.replace("postgresql+psycopg://", "postgresql://", 1)


def server_version(url: str) -> int:
    """The server's number, such as 180004.

    :raises CannotStart: it does not answer, or it is too old.
    """
    return _asked(url)[0]


def _asked(url: str) -> tuple[int, str | None]:
    """The server's number and the schema's revision, which is None for an empty database."""
    try:
        with psycopg.connect(plain_url(url), connect_timeout=5) as connection:
            version = connection.info.server_version
            if version < OLDEST:
                sentence = _("That server is PostgreSQL {major}; Hone needs 15 to 18.")
                raise CannotStart(sentence, major=version // 10000)
            with connection.transaction():
                there = connection.execute("SELECT to_regclass('alembic_version')").fetchone()
                found = there and there[0] and connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except psycopg.OperationalError as error:
        raise unreachable(error) from error
    return version, found[0] if found else None


def unreachable(error: Exception) -> CannotStart:
    sentence = _("Postgres does not answer at HONE_DATABASE_URL: {reason}. Check the address, and that it runs.")
    return CannotStart(sentence, reason=str(error).strip().splitlines()[-1].rstrip("."))


def migrate(url: str) -> None:
    """Upgrade the database at `url`, which is the one that the settings name; two calls at once take turns.

    :raises CannotStart: the server is away or too old, the schema is newer than this code, or a lock is held.
    """
    _version, revision = _asked(url)
    if revision == ScriptDirectory.from_config(configuration()).get_current_head():
        return  # and nothing else has to be imported: this is what most starts wait for
    try:
        command.upgrade(configuration(), "head")
    except CommandError as error:
        if "Can't locate revision" not in str(error):
            raise
        raise CannotStart(
            _("The database was made by a newer Hone than this one. Update this checkout (git pull), then start again.")
        ) from error
    except DBAPIError as error:
        if not isinstance(error.orig, psycopg.errors.LockNotAvailable):
            raise
        raise CannotStart(
            _("Another transaction keeps a table locked, so the database was left as it is. Try again in a moment.")
        ) from error


def main() -> None:
    url = get_settings().database_url
    assert url, "`hone up` says where the database is"
    try:
        migrate(url.get_secret_value())
    except CannotStart as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
