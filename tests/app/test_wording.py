"""Numbers and instants as readers of different languages and zones write them."""

from datetime import UTC, date, datetime, timedelta

import pytest

from app.translation import NOBODY, reader, reading
from app.wording import THIN, byte_size, day, duration, instant, number, percent


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (0, "0"),
        (12345, "12,345"),
        (-1234.0, "\u22121,234"),
        (0.0123456, "0.0123"),
        (1.5, "1.50"),
        (250.42, "250.4"),
        (None, "–"),
        (float("nan"), "–"),
    ],
)
def test_numbers_show_three_figures(value: float | None, written: str) -> None:
    assert number(value) == written


def test_infinity_is_a_sign_and_no_error() -> None:
    assert number(float("inf")) == "∞"
    assert number(float("-inf")) == "\u2212∞"


def test_signs_follow_the_language() -> None:
    with reading("de-AT", "UTC"):
        assert number(12345.678, 1) == "12.345,7"
    with reading("fr", "UTC"):
        assert number(12345) == f"12{THIN}345"
    assert number(12345) == "12,345"


def test_shares_are_percentages() -> None:
    assert percent(0.7149) == f"71{THIN}%"
    assert percent(0.7149, 1) == f"71.5{THIN}%"
    assert percent(None) == "–"


@pytest.mark.parametrize(
    ("size", "written"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (7_912_345, "7.9 MB"), (999_960, "1.0 MB"), (2.5e13, "25.0 TB")],
)
def test_sizes_in_powers_of_a_thousand(size: int, written: str) -> None:
    assert byte_size(size).replace(THIN, " ") == written


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (0, "0 s"),
        (2.34, "2.3 s"),
        (59.6, "1 min"),
        (192, "3 min 12 s"),
        (3600, "1 h"),
        (7500, "2 h 5 min"),
        (273_900, "3 d 4 h"),
        (-90, "\u22121 min 30 s"),
    ],
)
def test_durations_in_their_two_largest_units(seconds: float, written: str) -> None:
    assert duration(seconds).replace(THIN, " ") == written
    assert duration(timedelta(seconds=seconds)) == duration(seconds)


def test_an_instant_is_told_in_the_readers_zone() -> None:
    late = datetime(2026, 3, 31, 22, 30, tzinfo=UTC)
    with reading("en", "Europe/Berlin"):  # summer time, two hours ahead: the next day
        drawn = instant(late)
    assert 'datetime="2026-03-31T22:30:00Z"' in drawn
    assert 'title="2026-04-01 00:30:00 CEST"' in drawn
    assert ">1\xa0Apr\xa02026, 00:30<" in drawn
    assert day(late) == "31\xa0Mar\xa02026"


def test_a_day_is_a_day_everywhere() -> None:
    with reading("en", "Pacific/Kiritimati"):
        assert day(date(2026, 1, 2)) == "2\xa0Jan\xa02026"


def test_a_time_without_a_zone_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="time zone"):
        instant(datetime(2026, 1, 1))


def test_what_is_not_there_is_a_dash() -> None:
    assert instant(None) == day(None) == duration(None) == byte_size(None) == "–"


def test_the_reader_is_forgotten_after_a_failure() -> None:
    with pytest.raises(RuntimeError), reading("de", "UTC"):
        raise RuntimeError
    assert reader.get() == NOBODY
