"""What makes somebody's answers look like a program's, or like nobody's who reads: one pure function for each sign.

A sign is evidence for a person who looks at it, never a verdict: each says what it saw, over how many answers, from
where on it is raised, and which answers show it. Thresholds are such that people who work in earnest hardly ever meet
them (docs/quality.md says why for each); with fewer than FEWEST answers nothing is raised.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import quantiles

from app.quality.statistics.intervals import wilson

FEWEST = 20  # answers, below which nothing is raised
FEWEST_GOLD = 10
HIGHEST_CHANCE = 0.8
FEWEST_MISSED, MOST_MISSED, TIMES_OTHERS = 3, 0.2, 2  # of attention checks
MOST_FAST = 0.1  # share of answers that came faster than their texts can be read
LEAST_SPREAD = 1.5  # ninth tenth of the times between answers over the first
MOST_ONE_SIDE = 0.75  # share of choices for one side, which the draw makes a half whatever is preferred
MOST_ONE_KEY, MOST_OF_OTHERS = 0.9, 0.6  # share of one same answer, and of it among everybody else's
FEWEST_COPIES, MOST_COPIED = 3, 0.1
SITTING = timedelta(minutes=15)  # a longer pause is one, and no time between two answers
PAUSE, LONGEST_SITTING = timedelta(hours=3), timedelta(hours=20)
SHORTEST_TEXT, FEWEST_WORDS = 40, 6  # of a text that two people hardly write alike


@dataclass(frozen=True)
class Sign:
    """value: what was measured, None where nothing can be; its meaning is the sign's. n: what it rests on.
    limit: from where on it is raised. shows: places of the answers that show it, in the order they were handed in."""

    value: float | None
    n: int
    limit: float
    is_raised: bool = False
    shows: list[int] = field(default_factory=list)


def too_fast(fast: Sequence[bool]) -> Sign:
    """Share of answers that came faster than their texts can be read. Raised when its interval lies above the limit."""
    n = len(fast)
    if not n:
        return Sign(None, 0, MOST_FAST)
    share = sum(fast) / n
    raised = n >= FEWEST and wilson(share, n)[0] >= MOST_FAST
    return Sign(share, n, MOST_FAST, raised, [place for place, one in enumerate(fast) if one])


def like_clockwork(came: Sequence[datetime]) -> Sign:
    """How far the times between answers spread within sittings: the ninth tenth over the first. came: in their order.

    People's times are spread about as a log-normal law with σ of a half and more, which makes this quotient 3.6;
    1.5 is σ = 0.16.
    """
    gaps = [(place, (after - before).total_seconds()) for place, (before, after) in enumerate(pairwise(came), 1)]
    inside = [(place, gap) for place, gap in gaps if gap <= SITTING.total_seconds()]
    if len(inside) < FEWEST:
        return Sign(None, len(inside), LEAST_SPREAD)
    cuts = quantiles([gap for _place, gap in inside], n=10, method="inclusive")
    spread = 1.0 if cuts[-1] == cuts[0] else cuts[-1] / max(cuts[0], 1e-3)
    return Sign(spread, len(inside), LEAST_SPREAD, spread <= LEAST_SPREAD, [place for place, _gap in inside])


def one_side(first: Sequence[bool]) -> Sign:
    """Share of choices for what stood first. Sides are drawn for each showing, so honest choices follow a fair coin.
    Raised when the interval of the larger side's share lies above the limit."""
    n = len(first)
    if not n:
        return Sign(None, 0, MOST_ONE_SIDE)
    share = sum(first) / n
    raised = n >= FEWEST and wilson(max(share, 1 - share), n)[0] >= MOST_ONE_SIDE
    return Sign(share, n, MOST_ONE_SIDE, raised, [place for place, one in enumerate(first) if one == (share >= 0.5)])


def one_key(pressed: Sequence[str], everybody: Counter[str]) -> Sign:
    """Share of the commonest answer, as it stood on the screen. Raised when its interval lies above the limit, and
    those of everybody else are another one in two of five cases: where all say the same, so may this person.
    everybody: how often each answer was given, by this person as well."""
    n = len(pressed)
    if not n:
        return Sign(None, 0, MOST_ONE_KEY)
    commonest, times = Counter(pressed).most_common(1)[0]
    others = everybody.total() - n
    of_others = (everybody[commonest] - times) / others if others else 1.0
    raised = n >= FEWEST and wilson(times / n, n)[0] >= MOST_ONE_KEY and of_others <= MOST_OF_OTHERS
    return Sign(times / n, n, MOST_ONE_KEY, raised, [place for place, one in enumerate(pressed) if one == commonest])


def comparable(text: str) -> str | None:
    """A text as copies are found by: letters and figures alone; None where it is so short that two people may well have
    written it."""
    words = "".join(sign if sign.isalnum() else " " for sign in text.casefold()).split()
    plain = " ".join(words)
    return plain if len(plain) >= SHORTEST_TEXT and len(words) >= FEWEST_WORDS else None


def copied(is_copy: Sequence[bool]) -> Sign:
    """Share of texts that somebody else had handed in before, among those long enough to tell."""
    n = len(is_copy)
    if not n:
        return Sign(None, 0, MOST_COPIED)
    copies = [place for place, one in enumerate(is_copy) if one]
    share = len(copies) / n
    return Sign(share, n, MOST_COPIED, len(copies) >= FEWEST_COPIES and share >= MOST_COPIED, copies)


def near_chance(hits: Sequence[bool], chance: float, of_others: float) -> Sign:
    """Share of known answers met. chance: what the same answers would meet, dealt to these tasks at random. of_others:
    the share that everybody else meets; an answer with many parts is seldom met as a whole. Raised when the whole
    interval lies nearer to chance than to knowing all of them, and below half of what others meet beyond chance."""
    n = len(hits)
    limit = (1 + chance) / 2
    tells = chance <= HIGHEST_CHANCE  # where nearly all known answers are the same, giving that one tells nothing
    if not n:
        return Sign(None, 0, limit)
    share = sum(hits) / n
    seldom = min(limit, (of_others + chance) / 2)
    raised = tells and n >= FEWEST_GOLD and wilson(share, n)[1] < seldom
    return Sign(share, n, limit, raised, [place for place, one in enumerate(hits) if not one])


def inattentive(missed: Sequence[bool], of_others: float) -> Sign:
    """Share of attention checks missed. of_others: the share that everybody else misses of the same checks. Raised when
    the interval lies above the limit, and above twice what others miss: a check that many miss says it badly."""
    n = len(missed)
    if not n:
        return Sign(None, 0, MOST_MISSED)
    share = sum(missed) / n
    seldom = max(MOST_MISSED, TIMES_OTHERS * of_others)
    raised = sum(missed) >= FEWEST_MISSED and wilson(share, n)[0] >= seldom
    return Sign(share, n, MOST_MISSED, raised, [place for place, one in enumerate(missed) if one])


def chance_of(said: Sequence[str], accepted: Sequence[frozenset[str]]) -> float:
    """The share of known answers that these would meet if they were dealt to the tasks at random: the mean over all
    pairs of an answer and a task. said: decisions; accepted: those of each task."""
    if not said:
        return 0.0
    own = Counter(said)
    met = sum(sum(own[one] for one in kept) * times for kept, times in Counter(accepted).items())
    return met / (len(said) * len(accepted))


def round_the_clock(came: Sequence[datetime]) -> Sign:
    """The longest time, in hours, in which no three hours passed without an answer. came: in their order."""
    limit = LONGEST_SITTING.total_seconds() / 3600
    longest, shows, begin = timedelta(0), range(0), 0
    for place, one in enumerate(came):
        if place and one - came[place - 1] > PAUSE:
            begin = place
        if one - came[begin] > longest:
            longest, shows = one - came[begin], range(begin, place + 1)
    hours = longest.total_seconds() / 3600
    return Sign(hours if came else None, len(came), limit, len(came) >= FEWEST and hours >= limit, list(shows))
