"""When work will be done, from how many answers came on the last days. Pure.

Answers of a day are taken to vary around what that weekday usually brings (with less than two whole weeks behind:
around the plain mean), independently from day to day. What is left is then counted in usual days, tau, of which a
strong weekday is more than one and a free Sunday none. n days that brought m a day with a residual variance s² predict
for tau usual days m·tau answers, with a variance of s²·(tau + tau²/n): the second part is that m itself is known from n
days alone, and it is what makes a far date uncertain; drawing days anew with replacement would leave it out. The range
runs between the days on which m·tau ± t·s·√(tau + tau²/n) meets what is left, with t the 90 % quantile of Student's
distribution, so in four of five projects like this one the end falls inside.

Days without an answer count as such: who had nothing to do is not told from who did nothing.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

WINDOW = 28  # whole days that are looked at: four of each weekday
FEWEST = 3  # whole days since the first answer, before anything is said
QUIET = 7  # days without an answer, after which nothing is said
FAR = 730  # days ahead, beyond which no date is named
# The 90 % quantile of Student's t with 1, 2 … 30 degrees of freedom.
T90 = (
    3.078, 1.886, 1.638, 1.533, 1.476, 1.440, 1.415, 1.397, 1.383, 1.372, 1.363, 1.356, 1.350, 1.345, 1.341,
    1.337, 1.333, 1.330, 1.328, 1.325, 1.323, 1.321, 1.319, 1.318, 1.316, 1.315, 1.314, 1.313, 1.311, 1.310,
)  # fmt: skip


class Silence(StrEnum):
    """Why no date is named. done: nothing is left. new: there are too few whole days yet. idle: nobody has answered for
    a week. far: at this rate it takes more than two years."""

    done = "done"
    new = "new"
    idle = "idle"
    far = "far"


@dataclass(frozen=True)
class Forecast:
    """a_day: answers of a usual day. likely: the day on which the last answer is to be expected; earliest, latest: four
    of five end between them. latest empty although there is a likely day: it may take for ever, the days differ too
    much. silence: why there is no likely day."""

    a_day: float = 0.0
    earliest: date | None = None
    likely: date | None = None
    latest: date | None = None
    silence: Silence | None = None


def forecast(
    counts: Sequence[int],
    left: float,
    today: date,
    *,
    of_today: float = 1.0,
    most_a_day: int | None = None,
    of: Sequence[int] | None = None,
) -> Forecast:
    """When `left` answers will have come. counts: of the last whole days, the oldest first, ending with yesterday.

    of_today: share of today that is still to come. most_a_day: a limit that holds from now on, for what it would change
    (days that brought more are taken to bring just this). of: what came together with these, under the same limit, on
    these days; they keep their share of it.
    """
    if left <= 0:
        return Forecast(silence=Silence.done)
    begun = next((place for place, count in enumerate(counts) if count), len(counts))
    totals, counts = (of or counts)[begun:], counts[begun:]
    if len(counts) < FEWEST:
        return Forecast(silence=Silence.new)
    if not sum(counts[-QUIET:]):
        return Forecast(silence=Silence.idle)
    both = zip(counts[-WINDOW:], totals[-WINDOW:], strict=True)
    capped = [count if most_a_day is None else count * min(1, most_a_day / max(total, 1)) for count, total in both]
    mean, weights, variance, days = profile(capped, today)
    if not mean:
        return Forecast(silence=Silence.far)
    degrees = days - (7 if days >= 14 else 1)
    early, late = range_of(left, mean, T90[degrees - 1] ** 2 * variance, days)
    likely = day_of(left / mean, weights, today, of_today)
    return Forecast(
        a_day=mean,
        earliest=day_of(early, weights, today, of_today),
        likely=likely,
        latest=None if late is None else day_of(late, weights, today, of_today),
        silence=None if likely else Silence.far,
    )


def profile(counts: Sequence[float], today: date) -> tuple[float, list[float], float, int]:
    """Answers of a usual day; what each weekday (Monday first) brings, 1 is usual; residual variance; days behind it.

    Whole weeks where there are two or more, so that each weekday weighs the same.
    """
    if len(counts) < 14:
        mean = sum(counts) / len(counts)
        return mean, [1.0] * 7, sum((count - mean) ** 2 for count in counts) / (len(counts) - 1), len(counts)
    counts = counts[-(len(counts) // 7 * 7) :]
    weekdays = [(today - timedelta(days=back)).weekday() for back in range(len(counts), 0, -1)]
    sums = [0.0] * 7
    for weekday, count in zip(weekdays, counts, strict=True):
        sums[weekday] += count
    usual = [one / (len(counts) // 7) for one in sums]
    mean = sum(usual) / 7
    spread = sum((count - usual[weekday]) ** 2 for weekday, count in zip(weekdays, counts, strict=True))
    weights = [one / mean for one in usual] if mean else [1.0] * 7
    return mean, weights, spread / (len(counts) - 7), len(counts)


def range_of(left: float, mean: float, q: float, days: int) -> tuple[float, float | None]:
    """Usual days until `left` answers have come, at the earliest and at the latest; None: perhaps never.

    The roots of (left - mean·tau)² = q·(tau + tau²/days); q: t² times the variance.
    """
    a, b = mean**2 - q / days, 2 * left * mean + q
    root = math.sqrt(max(0.0, b**2 - 4 * a * left**2))
    return 2 * left**2 / (b + root), (b + root) / (2 * a) if a > 0 else None


def day_of(usual_days: float, weights: Sequence[float], today: date, of_today: float) -> date | None:
    """The day on which so many usual days are over, today being the first; None: that is too far ahead."""
    gone = 0.0
    for ahead in range(FAR):
        day = today + timedelta(days=ahead)
        gone += weights[day.weekday()] * (of_today if ahead == 0 else 1.0)
        if gone >= usual_days - 1e-9:
            return day
    return None
