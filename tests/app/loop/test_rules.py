from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from app.loop.rules import at_local, latest_due, next_due

BERLIN = "Europe/Berlin"


def test_a_time_that_the_clocks_jump_over_is_taken_after_the_jump() -> None:
    # 29 March 2026: 02:00 becomes 03:00, which is 01:00 UTC
    assert at_local(date(2026, 3, 29), time(2, 30), BERLIN) == datetime(2026, 3, 29, 1, 0, tzinfo=UTC)


def test_a_time_that_happens_twice_is_its_first() -> None:
    # 25 October 2026: 02:30 is 00:30 UTC, and again 01:30 UTC
    assert at_local(date(2026, 10, 25), time(2, 30), BERLIN) == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)


def test_monday_at_three_is_due_from_three_on() -> None:
    monday_at_three = datetime(2026, 11, 16, 2, 0, tzinfo=UTC)
    assert latest_due(0, time(3), BERLIN, monday_at_three) == monday_at_three
    before = monday_at_three - timedelta(seconds=1)
    assert latest_due(0, time(3), BERLIN, before) == monday_at_three - timedelta(days=7)


def test_weeks_that_were_missed_stay_missed() -> None:
    assert latest_due(0, time(3), BERLIN, datetime(2026, 11, 20, tzinfo=UTC)) == datetime(2026, 11, 16, 2, tzinfo=UTC)


instants = st.datetimes(datetime(2000, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))
zones = st.sampled_from([BERLIN, "UTC", "America/New_York", "Asia/Kathmandu", "Pacific/Apia", "Australia/Lord_Howe"])


@given(st.integers(0, 6), st.times(timezones=st.none()), zones, instants)
def test_now_lies_between_the_latest_and_the_next(weekday: int, at: time, zone: str, now: datetime) -> None:
    at = at.replace(second=0, microsecond=0)
    latest, following = latest_due(weekday, at, zone, now), next_due(weekday, at, zone, now)
    assert latest <= now < following
    assert following - latest < timedelta(days=8, hours=3)


@given(st.integers(0, 6), zones, instants)
def test_noon_is_always_noon_on_the_right_day(weekday: int, zone: str, now: datetime) -> None:
    local = latest_due(weekday, time(12), zone, now).astimezone(ZoneInfo(zone))
    assert (local.weekday(), local.hour, local.minute) == (weekday, 12, 0)
