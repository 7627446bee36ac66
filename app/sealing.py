"""The log of events, sealed: segments of rows, each hashed onto the one before, so that a row that was edited, taken
out or slipped in later is found and named.

The chain is SHA-256 over the lines that the export writes, so whoever kept a download can follow it. Beside each link
stands its HMAC under the installation's secret: who can write to the database alone cannot make a chain that holds.
"""

import hashlib
import hmac
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson
from sqlalchemy import BigInteger, LargeBinary, Row, func, insert, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Base, now
from app.events import Event
from app.keys import key_for

MOST = 5_000  # events a segment
SHORT = 8  # bytes of a line's own hash: enough to say which line it was
LOCK = 7_203_120  # any number: one sealing at a time


class Seal(Base):
    """One segment. ids, marks: of its events and the beginnings of their hashes, SHORT bytes each. digest: SHA-256 over
    the former digest and the segment's lines. signature: its HMAC."""

    __tablename__ = "seals"
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    last_id: Mapped[int]
    ids: Mapped[list[int]] = mapped_column(ARRAY(BigInteger))
    marks: Mapped[bytes] = mapped_column(LargeBinary)
    digest: Mapped[bytes] = mapped_column(LargeBinary)
    signature: Mapped[bytes] = mapped_column(LargeBinary)
    at: Mapped[datetime] = now()


def line_of(event: Event | Row[Any]) -> bytes:
    """An event (or a row with its columns) as the export writes it and the chain hashes it: JSON with sorted keys,
    in UTC to the microsecond."""
    told = {
        "id": event.id,
        "at": event.at.astimezone(UTC).isoformat(timespec="microseconds"),
        "actor": event.actor_id,
        "project": event.project_id,
        "kind": event.kind,
        "subject": event.subject,
        "body": event.body,
    }
    return orjson.dumps(told, option=orjson.OPT_SORT_KEYS) + b"\n"


def chained(before: bytes, lines: list[bytes]) -> bytes:
    return hashlib.sha256(before + b"".join(lines)).digest()


def signed(number: int, digest: bytes) -> bytes:
    return hmac.digest(key_for("events.seal"), number.to_bytes(8) + digest, hashlib.sha256)


def mark_of(line: bytes) -> bytes:
    return hashlib.sha256(line).digest()[:SHORT]


@dataclass(frozen=True)
class Place:
    """newest: event that can be seen. oldest_running, next: numbers of transactions."""

    newest: int
    oldest_running: int
    next: int


async def place_of(session: AsyncSession) -> Place:
    asked = text(
        "SELECT coalesce((SELECT max(id) FROM events), 0), pg_snapshot_xmin(pg_current_snapshot())::text::bigint,"
        " pg_snapshot_xmax(pg_current_snapshot())::text::bigint"
    )
    return Place(*(await session.execute(asked)).one())


@dataclass
class Settling:
    """Which events no transaction that still runs can slip in before. Numbers are given before a commit shows them, so
    an event is settled when every transaction has ended that ran a round after it was seen."""

    seen: int = 0  # the newest event, a round ago
    waiting: list[tuple[int, int]] = field(default_factory=list)  # (event, transaction that must not have begun)

    def settled(self, place: Place) -> int:
        """The last event that is settled by now; call it once a round."""
        upto = 0
        while self.waiting and place.oldest_running >= self.waiting[0][1]:
            upto = self.waiting.pop(0)[0]
        if self.seen:
            self.waiting.append((self.seen, place.next))
        self.seen = place.newest
        return upto


async def seal(session: AsyncSession, upto: int) -> int:
    """Seal the next segment of events up to this one. Returns how many were sealed: 0 when there is nothing to do."""
    await session.execute(text(f"SELECT pg_advisory_xact_lock({LOCK})"))
    last = (await session.scalars(select(Seal).order_by(Seal.number.desc()).limit(1))).first()
    asked = select(Event).where(Event.id > (last.last_id if last else 0), Event.id <= upto).order_by(Event.id)
    events = (await session.scalars(asked.limit(MOST))).all()
    if not events:
        return 0
    lines = [line_of(event) for event in events]
    number = last.number + 1 if last else 1
    digest = chained(last.digest if last else b"", lines)
    row = {
        "number": number,
        "last_id": events[-1].id,
        "ids": [event.id for event in events],
        "marks": b"".join(mark_of(line) for line in lines),
        "digest": digest,
        "signature": signed(number, digest),
    }
    await session.execute(insert(Seal).values(row))
    return len(events)


@dataclass(frozen=True)
class Fault:
    """what: edited, missing or added (of an event), or broken (of a segment, whose number stands in event)."""

    what: str
    event: int


@dataclass(frozen=True)
class Verified:
    """digest: of the newest segment; kept elsewhere it proves the log up to there even against who knows the secret."""

    segments: int
    events: int
    open: int
    digest: str
    faults: list[Fault]


async def verify(session: AsyncSession) -> Verified:
    """Follow the chain from its beginning, a segment at a time."""
    before, number, first, count = b"", 0, 0, 0
    faults: list[Fault] = []
    async for one in _seals(session):
        number += 1
        events = (await session.scalars(select(Event).where(Event.id > first, Event.id <= one.last_id))).all()
        lines = {event.id: line_of(event) for event in sorted(events, key=lambda event: event.id)}
        faults += faults_of(one, lines)
        digest = chained(before, list(lines.values()))
        is_whole = one.number == number and hmac.compare_digest(one.signature, signed(one.number, one.digest))
        if not is_whole or (digest != one.digest and not faults):
            faults.append(Fault("broken", one.number))
        before, first, count = one.digest, one.last_id, count + len(one.ids)
        session.expunge_all()
    still_open = await session.scalar(select(func.count()).select_from(Event).where(Event.id > first))
    return Verified(number, count, still_open or 0, before.hex(), faults)


async def _seals(session: AsyncSession) -> AsyncIterator[Seal]:
    number = 0
    while found := (
        await session.scalars(select(Seal).where(Seal.number > number).order_by(Seal.number).limit(1))
    ).first():
        number = found.number
        yield found


def faults_of(one: Seal, lines: dict[int, bytes]) -> list[Fault]:
    """Rows that are not what was sealed. lines: by event, as they are now."""
    marks = {event: one.marks[place * SHORT : (place + 1) * SHORT] for place, event in enumerate(one.ids)}
    edited = [
        Fault("edited", event) for event, line in lines.items() if event in marks and mark_of(line) != marks[event]
    ]
    missing = [Fault("missing", event) for event in one.ids if event not in lines]
    return edited + missing + [Fault("added", event) for event in lines if event not in marks]
