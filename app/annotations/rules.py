"""Arithmetic on single answers, and on what people wait for."""

import math

FASTEST_READER = 120.0  # characters a second: about twice what skimming for a known word reaches
SHORTEST, LONGEST = 0.7, 10.0  # seconds


def is_fast(seconds: float, characters: int) -> bool:
    """Whether an answer came quicker than its texts can be read."""
    return seconds < min(LONGEST, max(SHORTEST, characters / FASTEST_READER))


def minutes_left(coming: int, made: int, minutes: float) -> int | None:
    """About how many minutes until all that is coming is there, if it goes on as it did: `made` in the last `minutes`.

    None: nothing was made, so nobody knows.
    """
    return None if made <= 0 or minutes <= 0 else max(1, math.ceil(coming * minutes / made))
