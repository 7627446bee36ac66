"""How long work lasts, and whether quotas allow it by a day."""

from datetime import datetime, timedelta

IDLE = timedelta(minutes=30)  # a pause that counts as part of the pace; a longer one at its end does not


def hours_of_work(
    waiting: int, answers: int, first: datetime | None, last: datetime | None, now: datetime
) -> float | None:
    """How many hours `waiting` wanted answers last at the pace of the newest `answers`, given between first and last.

    None: nobody has answered lately, so nobody waits for work. Answers that came at one moment are taken to need a
    minute in all.
    """
    if not answers or first is None or last is None:
        return None
    span = max(last - first + min(now - last, IDLE), timedelta(minutes=1))
    return waiting / (answers / (span / timedelta(hours=1)))


def enough_until(a_day: int, days: float) -> int:
    """Answers that `a_day` allows within so many days, the begun one whole."""
    return a_day * max(0, int(days) + 1)
