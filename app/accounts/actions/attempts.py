"""Slows guessing down and locks nobody out: only failed tries count, and only for ten minutes.

A try comes from somewhere that the account knows, or from a stranger. Known is a browser whose cookie once signed this
account in (also when that sign-in is over), and a network from which this account was signed in during the last ninety
days. Who is known is held to ten failed tries of that browser, or of that account from that network, and to nothing
else. Strangers share further limits, on what one address tries, on what is tried at one account from anywhere, and on
all: a rival with many addresses fills those of strangers, never the owner's. What the rival can do is keep the owner
from a first sign-in by password at a new place, where a link by mail or from an admin still opens the door.

The networks are kept with the sign-ins, hashed under the installation's secret: whoever reads the table learns nothing.
"""

import hashlib
import hmac
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from sqlalchemy import case, delete, func, insert, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.credentials import hashed
from app.accounts.tables import Attempt, SignIn, User
from app.database import next_transaction
from app.errors import TooMany
from app.keys import key_for

MINUTES = 10
REMEMBERED = 90  # days that a network stays known after a sign-in from there
# Failed tries in ten minutes: by one browser that is known, at one account from one network; and of strangers: from one
# network, at one account from anywhere, and all.
MOST = {"browser": 10, "pair": 10, "address": 60, "account": 100, "all": 3000}


@dataclass(frozen=True)
class Browser:
    """Where a request comes from: its network address, what the program calls itself, and the cookie it has."""

    address: str
    agent: str = ""
    cookie: str | None = None


@dataclass(frozen=True)
class Try:
    """A try that was noted. rows: its inside ids. narrowest: the subject that a right password forgives."""

    rows: list[int]
    narrowest: str


def network_of(address: str) -> str:
    """Who is behind an address: itself, or the /64 that an IPv6 subscriber has; IPv4 in IPv6's clothes is IPv4."""
    try:
        known = ip_address(address)
    except ValueError:
        return address
    if known.version == 4:
        return address
    return str(known.ipv4_mapped or ip_network(f"{known}/64", strict=False))


def place_of(browser: Browser) -> bytes:
    """What is kept of the network that somebody signed in from."""
    return hmac.digest(key_for("places"), network_of(browser.address).encode(), hashlib.sha256)[:16]


async def how_known(session: AsyncSession, account: str, browser: Browser) -> str | None:
    """`browser 7` by a cookie of the sign-in with inside id 7, `network` by its address; None for a stranger."""
    is_mine = SignIn.token_hash == hashed(browser.cookie or "")
    recent = SignIn.created_at > func.now() - func.make_interval(0, 0, 0, REMEMBERED)
    found = (
        select(SignIn.id, is_mine.label("is_mine"))
        .join(User, User.id == SignIn.user_id)
        .where(func.lower(User.email) == func.lower(account.strip()), recent)
        .where(or_(is_mine, SignIn.place == place_of(browser)))
        .order_by(is_mine.desc(), SignIn.id)
    )
    row = (await session.execute(found.limit(1))).one_or_none()
    if row is None:
        return None
    return f"browser {row.id}" if row.is_mine else "network"


def subjects(account: str, browser: Browser, known: str | None = None, use: str = "") -> dict[str, str]:
    """What is counted, narrowest first, hashed: the table tells nobody who signs in from where."""
    account, network = f"{use} {account.strip().casefold()}", network_of(browser.address)
    if known is None:
        texts = {"pair": f"{account} {network}", "address": network, "account": account, "all": ""}
    elif known == "network":
        texts = {"pair": f"{account} {network}"}
    else:
        texts = {"browser": f"{account} {known}"}
    return {kind: hashlib.sha256(f"{kind} {text}".encode()).hexdigest()[:32] for kind, text in texts.items()}


async def count_attempt(session: AsyncSession, account: str, browser: Browser, use: str = "") -> Try:
    """Note a try before its outcome is known, and commit: whatever comes next, it counts. use: what is tried, when it
    is not a password; each is counted on its own, but an address and all are held to one number.

    :raises TooMany: nothing is noted then, so waiting always helps.
    """
    counted = subjects(account, browser, await how_known(session, account, browser), use)
    narrowest = next(iter(counted.values()))
    # one after the other for the same narrowest subject, else ten tries at once would each see none
    await session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(narrowest, 0))))
    recent = Attempt.at > func.now() - func.make_interval(0, 0, 0, 0, 0, MINUTES)
    numbers = [func.count(case((Attempt.subject == subject, 1))).label(kind) for kind, subject in counted.items()]
    found = (await session.execute(select(*numbers).where(recent, Attempt.subject.in_(counted.values())))).one()
    if any(getattr(found, kind) >= MOST[kind] for kind in counted):
        raise TooMany
    noted = insert(Attempt).returning(Attempt.id)
    ids = (await session.scalars(noted, [{"subject": subject} for subject in counted.values()])).all()
    await next_transaction(session)
    return Try(list(ids), narrowest)


async def forgive(session: AsyncSession, tried: Try) -> None:
    """A right password: this try was none, and earlier slips from here are forgotten."""
    await session.execute(delete(Attempt).where(Attempt.id.in_(tried.rows) | (Attempt.subject == tried.narrowest)))
