"""A clock that tests turn: a night passes, and everything that is written down is a day older."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

# Ends of leases, links and sign-ins are moments as well: what would have run out over night has.
MOMENTS = text("""
    SELECT table_name, string_agg(format('%I = %I - interval ''1 day''', column_name, column_name), ', ')
    FROM information_schema.columns JOIN information_schema.tables USING (table_schema, table_name)
    WHERE table_schema = 'public' AND table_type = 'BASE TABLE' AND table_name NOT IN ('sign_ins', 'alembic_version')
      AND (data_type = 'timestamp with time zone' OR data_type = 'date' AND table_name <> 'quota_days')
    GROUP BY table_name
""")


async def night(session: AsyncSession) -> None:
    """A day goes by in which nobody does anything. Append-only tables are older afterwards as well; who is signed in
    stays so."""
    for table, moments in (await session.execute(MOMENTS)).all():
        await session.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
        await session.execute(text(f"UPDATE {table} SET {moments}"))
        await session.execute(text(f"ALTER TABLE {table} ENABLE TRIGGER USER"))
    # one row after the other: a day's row may only go where the day before has gone already
    days = text("SELECT DISTINCT day FROM quota_days ORDER BY day")
    for day in list(await session.scalars(days)):
        await session.execute(text("UPDATE quota_days SET day = day - 1 WHERE day = :day"), {"day": day})
