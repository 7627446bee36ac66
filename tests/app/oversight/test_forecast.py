"""When work will be done: by sums that can be redone on paper, and by many made-up projects whose end is known."""

import random
from datetime import date, timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.tables import User
from app.oversight.counting import Counts
from app.oversight.forecast import Forecast, Silence, forecast, profile, range_of
from app.oversight.overview import Clock, forecast_of, room_of
from app.projects.tables import Project
from app.tasks.tables import QuotaDay, Task
from tests import make
from tests.app.scene import scene

MONDAY = date(2026, 3, 2)


def test_the_range_is_that_of_the_formula() -> None:
    # 10, 14, 12: m = 12, s² = (4 + 4 + 0) / 2 = 4; t for 2 degrees is 1.886, so q = 3.557 · 4 = 14.228.
    # 60 are left: 60 / 12 = 5 usual days. a = 144 - 14.228 / 3 = 139.257, b = 1440 + 14.228 = 1454.228,
    # √(b² - 4·a·3600) = 330.9, so 7200 / 1785.1 = 4.03 and 1785.1 / 278.5 = 6.41.
    assert profile([10, 14, 12], MONDAY) == (12, [1.0] * 7, 4, 3)
    early, late = range_of(60, 12, 1.886**2 * 4, 3)
    assert (round(early, 2), round(late or 0, 2)) == (4.03, 6.41)
    told = forecast([0, 0, 10, 14, 12], 60, MONDAY)
    assert told == Forecast(12, *(MONDAY + timedelta(days=days) for days in (4, 4, 6)))


def test_nobody_works_on_sundays() -> None:
    # Two weeks of 70, 70, 70, 70, 70, 70, 0 that do not vary: 60 a usual day. 280 are left on a Friday evening with
    # half of the day to come: 35 on Friday, 70 on Saturday, none on Sunday, 70 on Monday and Tuesday, 35 on Wednesday.
    friday = MONDAY + timedelta(days=4)
    told = forecast([70, 70, 0, 70, 70, 70, 70, 70, 70, 0, 70, 70, 70, 70], 280, friday, of_today=0.5)
    assert (told.a_day, told.likely) == (60, MONDAY + timedelta(days=9))
    assert told.earliest == told.latest == told.likely


def test_a_limit_slows_it_down() -> None:
    # min(count, 30) a day: 300 take 10 days, today being the first.
    assert forecast([60] * 7, 300, MONDAY, most_a_day=30).likely == MONDAY + timedelta(days=9)
    assert forecast([60] * 7, 300, MONDAY, most_a_day=0).silence is Silence.far
    # Of 60 a day that come under a limit of 30, a round that brings 20 of them keeps a third: 10 a day, 10 days.
    assert forecast([20] * 7, 100, MONDAY, most_a_day=30, of=[60] * 7).likely == MONDAY + timedelta(days=9)


@pytest.mark.parametrize(
    ("counts", "left", "silence"),
    [
        ([5] * 9, 0, Silence.done),
        ([], 9, Silence.new),
        ([0, 0, 0, 0, 5, 5], 9, Silence.new),
        ([9] * 9 + [0] * 7, 9, Silence.idle),
        ([1] * 9, 1000, Silence.far),
    ],
)
def test_it_says_when_it_cannot_say(counts: list[int], left: int, silence: Silence) -> None:
    told = forecast(counts, left, MONDAY)
    assert (told.silence, told.likely) == (silence, None)


def test_days_that_differ_too_much_have_no_latest_end() -> None:
    # 0, 0, 90 are cut to the 90 alone; 90, 0, 0: m = 30, s² = 2700, q / 3 = 3.557 · 900 = 3201 > 30² = 900.
    told = forecast([90, 0, 0], 300, MONDAY)
    assert (told.likely, told.latest) == (MONDAY + timedelta(days=9), None)


def test_four_of_five_ends_are_inside() -> None:
    inside = 0
    for seed in range(300):
        drawn = random.Random(seed)
        told = forecast([drawn.randint(20, 180) for _ in range(10)], 2000, MONDAY)
        left, day = 2000, MONDAY
        while (left := left - drawn.randint(20, 180)) > 0:
            day += timedelta(days=1)
        assert told.earliest
        assert told.latest
        inside += told.earliest <= day <= told.latest
    assert 0.75 < inside / 300 < 0.95  # whole days at both ends are a little wider than 80 %


def test_a_round_shares_the_limit_in_all_with_the_others() -> None:
    days = [MONDAY - timedelta(days=back) for back in range(29, -1, -1)]
    counts = Counts(days={day.isoformat(): 10 for day in days[:-1]})
    clock, project = Clock(days, 1.0, "UTC"), Project(answers_a_day=None)
    assert forecast_of(project, counts, 500, clock, counts, None).likely == MONDAY + timedelta(days=49)
    assert forecast_of(project, counts, 500, clock, counts, 20).likely == MONDAY + timedelta(days=1)


async def test_room_in_a_limit_is_counted_as_the_hand_out_counts(session: AsyncSession) -> None:
    """3 of 5 are used, one of them by what is on a screen; what a file brought is none of them."""
    there = await scene(session, tasks=2, answers_in_all=5)
    me = there.me.person.id
    for day, used in ((date(2026, 3, 1), 1), (date(2026, 3, 2), 2)):
        session.add(QuotaDay(project_id=there.project.id, annotator_id=me, day=day, used=used))
    await make.annotation(session, await session.get_one(Task, there.tasks[0]), await session.get_one(User, me))
    assert await room_of(session, there.project, Counts(given=1, leased=1)) == 3
