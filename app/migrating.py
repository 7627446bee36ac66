"""Brings the database to the newest schema. The advisory lock and the short lock waits are in migrations/env.py."""

import psycopg
from alembic import command
from alembic.config import Config
from alembic.util.exc import CommandError
from sqlalchemy.exc import DBAPIError

from app.extras import ROOT
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
    try:
        with psycopg.connect(plain_url(url), connect_timeout=5) as connection:
            version = connection.info.server_version
    except psycopg.OperationalError as error:
        raise unreachable(error) from error
    if version < OLDEST:
        raise CannotStart(_("That server is PostgreSQL {major}; Hone needs 15 to 18."), major=version // 10000)
    return version


def unreachable(error: Exception) -> CannotStart:
    sentence = _("Postgres does not answer at HONE_DATABASE_URL: {reason}. Check the address, and that it runs.")
    return CannotStart(sentence, reason=str(error).strip().splitlines()[-1].rstrip("."))


def migrate(url: str) -> None:
    """Upgrade the database at `url`, which is the one that the settings name; two calls at once take turns.

    :raises CannotStart: the server is away or too old, the schema is newer than this code, or a lock is held.
    """
    server_version(url)
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
