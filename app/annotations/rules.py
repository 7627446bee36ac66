"""Arithmetic on single answers."""

FASTEST_READER = 120.0  # characters a second: about twice what skimming for a known word reaches
SHORTEST, LONGEST = 0.7, 10.0  # seconds


def active_of(measured: float | None, seconds: float) -> float | None:
    """Seconds that a person was at a task, as far as the server believes their page: no more than it was shown.

    measured: by the page; None where nothing measured. seconds: since it was shown, by the server's clock.
    """
    return None if measured is None else min(measured, max(seconds, 0.0))


def is_fast(seconds: float, characters: int) -> bool:
    """Whether an answer came quicker than its texts can be read. seconds: active ones where they were measured."""
    return seconds < min(LONGEST, max(SHORTEST, characters / FASTEST_READER))
