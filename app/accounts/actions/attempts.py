"""Slows guessing down without locking anybody out: only failed tries count, and only for ten minutes.

A rival who fails on purpose from elsewhere fills their own pair of (account, address), not the owner's.
"""

import hashlib
from ipaddress import ip_address, ip_network

from sqlalchemy import case, delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.tables import Attempt
from app.database import next_transaction
from app.errors import TooMany

MINUTES = 10
# Failed tries in ten minutes: one account from one address, one address, one account from anywhere, and all.
MOST = {"pair": 10, "address": 60, "account": 200, "all": 3000}


def network_of(address: str) -> str:
    """Who is behind an address: itself, or the /64 that an IPv6 subscriber has."""
    try:
        known = ip_address(address)
    except ValueError:
        return address
    return str(ip_network(f"{address}/64", strict=False)) if known.version == 6 else address


def subjects(account: str, address: str) -> dict[str, str]:
    """What is counted, hashed: the table tells nobody who signs in from where."""
    account, address = account.strip().casefold(), network_of(address)
    texts = {"pair": f"{account} {address}", "address": address, "account": account, "all": ""}
    return {kind: hashlib.sha256(f"{kind} {text}".encode()).hexdigest()[:32] for kind, text in texts.items()}


async def count_attempt(session: AsyncSession, account: str, address: str) -> list[int]:
    """Note a try before its outcome is known, and commit: whatever comes next, it counts. Returns the rows' ids.

    :raises TooMany: nothing is noted then, so waiting always helps.
    """
    counted = subjects(account, address)
    # one after the other for one account and address, else ten tries at once would each see none
    await session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(counted["pair"], 0))))
    recent = Attempt.at > func.now() - func.make_interval(0, 0, 0, 0, 0, MINUTES)
    numbers = [func.count(case((Attempt.subject == subject, 1))).label(kind) for kind, subject in counted.items()]
    found = (await session.execute(select(*numbers).where(recent, Attempt.subject.in_(counted.values())))).one()
    if any(getattr(found, kind) >= most for kind, most in MOST.items()):
        raise TooMany
    noted = insert(Attempt).returning(Attempt.id)
    ids = (await session.scalars(noted, [{"subject": subject} for subject in counted.values()])).all()
    await next_transaction(session)
    return list(ids)


async def forgive(session: AsyncSession, ids: list[int], account: str, address: str) -> None:
    """A right password: this try was none, and earlier slips from here are forgotten."""
    pair = subjects(account, address)["pair"]
    await session.execute(delete(Attempt).where(Attempt.id.in_(ids) | (Attempt.subject == pair)))
