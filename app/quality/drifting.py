"""Whether somebody's accuracy where the answer is known has fallen. Pure.

The newest weeks that hold FEWEST known answers together stand against all weeks before, by Fisher's exact test, one
side: given how many were met in all, how likely is it that so few or fewer fall into the newest weeks. It needs no
large numbers, so it is right for ten answers; with fewer on either side nothing is said. Many people are looked at each
time, so those who are named are chosen by Benjamini and Hochberg (1995): at most FALSE of them, on average, for
nothing. A fall of less than LEAST_FALL is named for nobody, however sure it is; it counts as none at all (p = 1) before
people are chosen, for whoever is left out only afterwards has already let others in.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from math import comb

FEWEST = 10
FALSE = 0.1
LEAST_FALL = 0.1


@dataclass(frozen=True)
class Week:
    """monday: its first day. n: known answers, hits: those of them that were met."""

    monday: date
    n: int
    hits: int


@dataclass(frozen=True)
class Fall:
    """before, after: (hits, n). since: the Monday that `after` begins with. p: of Fisher's test."""

    before: tuple[int, int]
    after: tuple[int, int]
    since: date
    p: float

    @property
    def by(self) -> float:
        """How far the share fell."""
        return self.before[0] / self.before[1] - self.after[0] / self.after[1]


def monday_of(day: date) -> date:
    return day - timedelta(days=day.weekday())


def weekly(answers: Sequence[tuple[date, bool]]) -> list[Week]:
    """Known answers by week, the oldest first; weeks without one are left out. answers: (local day, was it met)."""
    found: dict[date, list[bool]] = {}
    for day, is_hit in answers:
        found.setdefault(monday_of(day), []).append(is_hit)
    return [Week(monday, len(hits), sum(hits)) for monday, hits in sorted(found.items())]


def fisher(before: tuple[int, int], after: tuple[int, int]) -> float:
    """P(so few hits or fewer among `after`), given the sums: hypergeometric. Each (hits, n)."""
    hits, n, late = before[0] + after[0], before[1] + after[1], after[1]
    least = max(0, late - (n - hits))
    ways = those = comb(hits, least) * comb(n - hits, late - least)
    for few in range(least, after[0]):  # each from the one before, and in whole numbers: thousands cost milliseconds
        those = those * (hits - few) * (late - few) // ((few + 1) * (n - hits - late + few + 1))
        ways += those
    return ways / comb(n, late)


def fall_of(weeks: Sequence[Week]) -> Fall | None:
    """The newest weeks against those before; None where one side has fewer than FEWEST known answers."""
    n = hits = 0
    for place in range(len(weeks) - 1, -1, -1):
        n, hits = n + weeks[place].n, hits + weeks[place].hits
        if n >= FEWEST:
            earlier = sum(one.hits for one in weeks[:place]), sum(one.n for one in weeks[:place])
            if earlier[1] < FEWEST:
                return None
            return Fall(earlier, (hits, n), weeks[place].monday, fisher(earlier, (hits, n)))
    return None


def fallen(falls: Mapping[str, Fall]) -> set[str]:
    """Who is named (Benjamini-Hochberg): the k with the smallest p, k the largest with p(k) <= FALSE · k / m."""
    p = {one: fall.p if fall.by >= LEAST_FALL else 1.0 for one, fall in falls.items()}
    ordered = sorted(p, key=lambda one: p[one])
    most = 0
    for rank, one in enumerate(ordered, 1):
        if p[one] <= FALSE * rank / len(ordered):
            most = rank
    return set(ordered[:most])
