"""When a schedule is due. Standard library only."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo


def at_local(day: date, at: time, zone: str) -> datetime:
    """The instant of a local wall-clock time, in UTC.

    A time that the clocks jump over (02:30 on a spring night) is taken at the moment after the jump (03:00); one that
    happens twice in autumn is its first.
    """
    local = datetime.combine(day, at, ZoneInfo(zone))
    if exists(local):
        return local.astimezone(UTC)
    return _end_of_gap(local).astimezone(UTC)


def exists(local: datetime) -> bool:
    """Whether the clocks of its zone ever show this time."""
    return local.astimezone(UTC).astimezone(local.tzinfo).replace(tzinfo=None) == local.replace(tzinfo=None)


def _end_of_gap(local: datetime) -> datetime:
    """The first minute after `local` that the clocks show."""
    while not exists(local):
        local += timedelta(minutes=1)
    return local


def latest_due(weekday: int, at: time, zone: str, now: datetime) -> datetime:
    """The newest weekly instant that is not after `now`; weekday 0 is Monday. Older ones that were missed stay missed:
    a schedule catches up once at most."""
    today = now.astimezone(ZoneInfo(zone)).date()
    day = today - timedelta(days=(today.weekday() - weekday) % 7)
    due = at_local(day, at, zone)
    return due if due <= now else at_local(day - timedelta(days=7), at, zone)


def next_due(weekday: int, at: time, zone: str, now: datetime) -> datetime:
    """The first weekly instant after `now`."""
    today = now.astimezone(ZoneInfo(zone)).date()
    day = today + timedelta(days=(weekday - today.weekday()) % 7)
    due = at_local(day, at, zone)
    return due if due > now else at_local(day + timedelta(days=7), at, zone)
