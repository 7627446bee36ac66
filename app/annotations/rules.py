"""Arithmetic on single answers."""

FASTEST_READER = 120.0  # characters a second: about twice what skimming for a known word reaches
SHORTEST, LONGEST = 0.7, 10.0  # seconds


def is_fast(seconds: float, characters: int) -> bool:
    """Whether an answer came quicker than its texts can be read."""
    return seconds < min(LONGEST, max(SHORTEST, characters / FASTEST_READER))
