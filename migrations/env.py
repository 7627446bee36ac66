"""Runs migrations: under an advisory lock, with short lock waits, from the same URL as the application."""

from alembic import context
from sqlalchemy import Connection, create_engine, text

from app.database import database_url
from app.tables import metadata

LOCK = 7_203_119  # any number, the same for every upgrade of every installation


def ours(_object: object, name: str | None, kind: str, _reflected: bool, _other: object) -> bool:
    """Leave the queue's schema and Alembic's own table out of comparisons."""
    return not (kind == "table" and name is not None and name.startswith("procrastinate"))


def upgrade(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=metadata,
        include_object=ours,
        compare_type=True,
        compare_server_default=True,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()


def main() -> None:
    handed_in: Connection | None = context.config.attributes.get("connection")
    if handed_in is not None:
        upgrade(handed_in)
        return
    engine = create_engine(database_url(), connect_args={"options": "-c lock_timeout=4s"})
    # The lock is held by a connection of its own, so that each migration can commit on the other one.
    with engine.connect() as guard, engine.connect() as connection:
        guard.execute(text("SET lock_timeout = '10min'"))
        guard.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": LOCK})
        upgrade(connection)
        connection.commit()
        guard.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": LOCK})
    engine.dispose()


main()
