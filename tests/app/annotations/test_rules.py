"""Arithmetic on answers and on what people wait for."""

import pytest

from app.annotations.rules import minutes_left


@pytest.mark.parametrize(
    ("coming", "made", "minutes", "told"),
    [
        (8, 20, 10, 4),  # two a minute
        (9, 20, 10, 5),  # four and a half, rounded up: nobody waits longer than they were told
        (1, 600, 10, 1),
        (8, 0, 10, None),  # nothing was made, so nobody knows
    ],
)
def test_waiting_is_told_as_it_went_lately_or_not_at_all(
    coming: int, made: int, minutes: float, told: int | None
) -> None:
    assert minutes_left(coming, made, minutes) == told
