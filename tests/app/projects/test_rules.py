from datetime import UTC, date, datetime, timedelta
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.projects.protocols import ComparisonProtocol
from app.projects.queries import local_day_in_sql
from app.projects.rules import (
    Entry,
    Origin,
    Recipe,
    Sampling,
    Shares,
    Source,
    checked_zone,
    day_begins,
    last_days,
    local_day,
)
from tests import make


def test_the_protocol_of_the_factories_reads_and_writes_unchanged() -> None:
    assert ComparisonProtocol.model_validate(make.PROTOCOL).as_json() == make.PROTOCOL


def test_a_scale_of_seven_goes_from_a_much_better_over_the_tie_to_b_much_better() -> None:
    assert [(point.side, point.strength, point.words) for point in ComparisonProtocol(scale=7).points] == [
        ("first", 3, "A much better"),
        ("first", 2, "A better"),
        ("first", 1, "A slightly better"),
        (None, None, "about the same"),
        ("second", 1, "B slightly better"),
        ("second", 2, "B better"),
        ("second", 3, "B much better"),
    ]


def test_a_scale_of_two_only_asks_which_one() -> None:
    assert [point.words for point in ComparisonProtocol(scale=2).points] == ["A better", "B better"]


def test_an_odd_scale_needs_ties() -> None:
    with pytest.raises(ValidationError, match="allow ties"):
        ComparisonProtocol(scale=5, ties=False)
    assert ComparisonProtocol(scale=4, ties=False).levels == 2


@given(st.integers(2, 9))
def test_every_scale_is_the_same_from_either_end(scale: int) -> None:
    points = ComparisonProtocol(scale=scale).points
    mirrored = {"first": "second", "second": "first", None: None}
    assert [(mirrored[point.side], point.strength) for point in reversed(points)] == [
        (point.side, point.strength) for point in points
    ]
    assert max(point.strength or 0 for point in points) == scale // 2


@pytest.mark.parametrize("number", [0, 8, -1])
def test_a_point_off_the_scale_is_refused(number: int) -> None:
    with pytest.raises(ValueError, match="points 1 to 7"):
        ComparisonProtocol(scale=7).point(number)


def test_unknown_fields_are_refused_in_all_that_lasts() -> None:
    for kind in (ComparisonProtocol, Recipe, Shares, Sampling):
        with pytest.raises(ValidationError, match="Extra inputs"):
            kind.model_validate({"surprise": 1})


def test_by_default_two_samples_of_one_checkpoint_face_each_other() -> None:
    entry = Recipe().entries[0]
    one, other = Origin(checkpoint=uuid4()), Origin(checkpoint=uuid4())
    assert entry.joins(one, one)
    assert not entry.joins(one, other)
    assert entry.joins(Origin(author="gpt"), Origin(author="alpaca"))


def test_an_entry_joins_its_two_sides_either_way_round() -> None:
    old, new = Origin(checkpoint=uuid4()), Origin(checkpoint=uuid4(), sampling=Sampling(temperature=0.5).as_json())
    a, b = Source(checkpoint=old.checkpoint), Source(checkpoint=new.checkpoint, sampling=Sampling(temperature=0.5))
    entry = Entry(a=a, b=b, same_checkpoint=False)
    assert entry.joins(old, new)
    assert entry.joins(new, old)
    assert not entry.joins(old, old)
    assert not entry.joins(old, new.model_copy(update={"sampling": Sampling().as_json()}))


def test_an_entry_that_can_never_match_is_refused() -> None:
    with pytest.raises(ValidationError, match="cannot be one"):
        Entry(a=Source(checkpoint=uuid4()), b=Source(checkpoint=uuid4()))


def test_shares_must_be_all_of_it() -> None:
    with pytest.raises(ValidationError, match="sum to 100"):
        Shares(label=50, train=0, heldout=20)


def test_shares_are_kept_over_many_roots() -> None:
    drawn = [Shares(label=70, train=10, heldout=20).draw(f"root {number}") for number in range(2000)]
    assert 0.66 < drawn.count("label") / 2000 < 0.74
    assert 0.07 < drawn.count("train") / 2000 < 0.13


def test_a_zone_must_be_an_iana_name() -> None:
    assert checked_zone("Europe/Berlin") == "Europe/Berlin"
    with pytest.raises(ValueError, match="Berlin Time"):
        checked_zone("Berlin Time")


@pytest.mark.parametrize(
    ("instant", "zone", "day"),
    [
        (datetime(2026, 3, 28, 23, 30, tzinfo=UTC), "Europe/Berlin", date(2026, 3, 29)),  # the night the clock jumps
        (datetime(2026, 10, 24, 22, 30, tzinfo=UTC), "Europe/Berlin", date(2026, 10, 25)),
        (datetime(2024, 2, 29, 11, 0, tzinfo=UTC), "Pacific/Kiritimati", date(2024, 3, 1)),
        (datetime(2026, 1, 1, 7, 59, tzinfo=UTC), "America/Los_Angeles", date(2025, 12, 31)),
    ],
)
def test_a_local_day_is_the_day_on_the_wall_there(instant: datetime, zone: str, day: date) -> None:
    assert local_day(instant, zone) == day


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "America/Los_Angeles", "Asia/Kathmandu"])
async def test_the_database_counts_the_same_local_day(session: AsyncSession, zone: str) -> None:
    instant, day = (await session.execute(select(func.now(), local_day_in_sql(zone)))).one()
    assert local_day(instant, zone) == day


def test_days_begin_at_the_first_instant_of_theirs_in_a_zone_whose_clocks_change() -> None:
    # Berlin: 29 March 2026 has 23 hours, 25 October 25
    spring, autumn = date(2026, 3, 29), date(2026, 10, 25)
    assert day_begins(spring, "Europe/Berlin") == datetime(2026, 3, 28, 23, tzinfo=UTC)
    assert day_begins(spring + timedelta(days=1), "Europe/Berlin") == datetime(2026, 3, 29, 22, tzinfo=UTC)
    length = day_begins(autumn + timedelta(days=1), "Europe/Berlin") - day_begins(autumn, "Europe/Berlin")
    assert length == timedelta(hours=25)
    # Santiago skips midnight itself: 6 September 2026 begins at 01:00 there (UTC-3), the instant 04:00
    assert day_begins(date(2026, 9, 6), "America/Santiago") == datetime(2026, 9, 6, 4, tzinfo=UTC)


def test_the_last_days_are_those_of_the_zone() -> None:
    now = datetime(2026, 3, 29, 22, 30, tzinfo=UTC)  # half past midnight of the 30th in Berlin
    assert last_days(now, "Europe/Berlin", 3) == [date(2026, 3, 30), date(2026, 3, 29), date(2026, 3, 28)]
    assert last_days(now, "UTC", 1) == [date(2026, 3, 29)]
