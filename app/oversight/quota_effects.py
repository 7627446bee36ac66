"""What other quotas would do to the date when work is done and to what it costs. Pure.

Nobody knows how people would work under other limits. What is known is how much each of them did on each of the last
days, so those days are counted anew as if the limits had held then: a lower limit takes off what was above it, a higher
one adds nothing. From that the forecast is drawn, as everywhere (`forecast.forecast`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from app.oversight.forecast import WINDOW, Forecast, forecast

Done = Mapping[date, Mapping[str, int]]  # answers by day and person


@dataclass(frozen=True)
class Limits:
    """a_day, in_all: of people who are asked, by pseudonym; in_all only of those who have one. project_a_day,
    project_in_all: of the project. budget: in hundredths."""

    a_day: Mapping[str, int]
    in_all: Mapping[str, int]
    project_a_day: int | None
    project_in_all: int | None
    budget: int | None


@dataclass(frozen=True)
class Stand:
    """wanted: answers that are still to come. used: by the project so far; used_by: by person. spent: in hundredths;
    dearest: what an answer may cost at most."""

    today: date
    wanted: int
    used: int
    used_by: Mapping[str, int]
    spent: int
    dearest: int


@dataclass(frozen=True)
class Outlook:
    """at_most_a_day: what the limits allow on a day. reachable: of the answers that are wanted, those that limits in
    all and the budget leave room for. costs: at most, with what is spent; None where nothing is paid."""

    at_most_a_day: int
    reachable: int
    costs: int | None
    forecast: Forecast


def counted_under(done: Done, limits: Mapping[str, int], today: date) -> list[int]:
    """Answers of the last whole days, the oldest first, as if nobody had passed these limits; people without one count
    as they did."""
    days = [today - timedelta(days=back) for back in range(WINDOW, 0, -1)]
    return [sum(min(used, limits.get(who, used)) for who, used in done.get(day, {}).items()) for day in days]


def reachable(limits: Limits, stand: Stand) -> int:
    """How many of the answers that are wanted can still be given."""
    rooms = [stand.wanted]
    if limits.project_in_all is not None:
        rooms.append(limits.project_in_all - stand.used)
    if limits.budget is not None and stand.dearest:
        rooms.append((limits.budget - stand.spent) // stand.dearest)
    if limits.a_day and set(limits.a_day) <= set(limits.in_all):  # everybody has an end of their own
        rooms.append(sum(max(0, limits.in_all[who] - stand.used_by.get(who, 0)) for who in limits.a_day))
    return max(0, min(rooms))


def outlook(done: Done, limits: Limits, stand: Stand) -> Outlook:
    of_people = sum(limits.a_day.values())
    reach = reachable(limits, stand)
    counts = counted_under(done, limits.a_day, stand.today)
    return Outlook(
        at_most_a_day=of_people if limits.project_a_day is None else min(of_people, limits.project_a_day),
        reachable=reach,
        costs=stand.spent + reach * stand.dearest if stand.dearest else None,
        forecast=forecast(counts, reach, stand.today, most_a_day=limits.project_a_day),
    )
