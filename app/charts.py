"""Where the parts of a chart go: ticks, points and bars as numbers, for templates to write as SVG attributes.

The plotting area is WIDTH × HEIGHT units. It is stretched to whatever width the page has, so x positions are also
given as shares in percent, which text and tick marks use to keep their shape.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from typing import Any

WIDTH = 1000.0
Point = tuple[float, float | None]


@dataclass(frozen=True)
class Tick:
    at: float  # percent of the width, or units from the top
    value: float
    text: str


@dataclass(frozen=True)
class Curve:
    name: str
    points: tuple[str, ...]  # one `points` attribute per unbroken piece
    dots: tuple[tuple[float, float], ...]  # pieces of a single point: percent from the left, units from the top
    last: float | None
    lowest: float | None
    highest: float | None


@dataclass(frozen=True)
class LineChart:
    curves: tuple[Curve, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    height: float

    @property
    def is_empty(self) -> bool:
        return all(curve.last is None for curve in self.curves)


def line_chart(
    series: Iterable[Mapping[str, object] | tuple[str, Iterable[Point]]],
    height: float = 200,
    y_range: tuple[float, float] | None = None,
    most_points: int = 300,
) -> LineChart:
    """Lay out curves over one pair of axes.

    `series`: (name, points) pairs, or mappings with `name` and `points`; a point is (x, y), y None or NaN leaves a
    gap. `y_range` is at least shown; values beyond it widen it. Longer curves are thinned to `most_points`, keeping
    each stretch's lowest and highest value, so that a spike is never lost.
    """
    named = [(name, _clean(points)) for name, points in map(_unpack, series)]
    xs = [x for _, points in named for x, _ in points]
    ys = [y for _, points in named for _, y in points if y is not None]
    left, right = _span(xs)
    y_ticks = nice_ticks(*_widen(ys, y_range), most=5)
    bottom, top = y_ticks[0], y_ticks[-1]

    def place(x: float, y: float) -> tuple[float, float]:
        return WIDTH * (x - left) / (right - left), height - height * (y - bottom) / (top - bottom)

    whole = all(x.is_integer() for x in xs)  # steps: between two of them there is nothing
    x_ticks = [tick for tick in nice_ticks(left, right, most=6) if left <= tick <= right] if xs else []
    x_ticks = [tick for tick in x_ticks if not whole or math.isclose(tick, round(tick))]
    return LineChart(
        curves=tuple(_curve(name, thin(points, most_points), place) for name, points in named),
        x_ticks=tuple(Tick(_round(100 * (x - left) / (right - left)), x, text) for x, text in _labelled(x_ticks)),
        y_ticks=tuple(Tick(_round(place(left, y)[1]), y, text) for y, text in _labelled(y_ticks)),
        height=height,
    )


@dataclass(frozen=True)
class Histogram:
    """bars: (percent from the left, percent wide, units high, count, words) of each bin."""

    bars: tuple[tuple[float, float, float, int, str], ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    height: float


def histogram(counts: Sequence[int], first: float, last: float, height: float = 200) -> Histogram:
    """Lay out bars of equal bins between two edges. The axis below has round numbers only."""
    y_ticks = [tick for tick in nice_ticks(0, max(*counts, 1), most=4) if tick == int(tick)]
    width, size = 100 / len(counts), (last - first) / len(counts)
    bars = tuple(
        (_round(number * width), _round(width), _round(height * count / y_ticks[-1]), count,
         f"{_plain(first + number * size)} … {_plain(first + (number + 1) * size)}")
        for number, count in enumerate(counts)
    )  # fmt: skip
    x_ticks = [tick for tick in nice_ticks(first, last, most=6) if first <= tick <= last]
    return Histogram(
        bars=bars,
        x_ticks=tuple(Tick(_round(100 * (x - first) / (last - first)), x, text) for x, text in _labelled(x_ticks)),
        y_ticks=tuple(Tick(_round(height - height * y / y_ticks[-1]), y, text) for y, text in _labelled(y_ticks)),
        height=height,
    )


@dataclass(frozen=True)
class Days:
    """bars: (percent from the left, percent wide, units high, count, day). x_ticks: (percent, day)."""

    bars: tuple[tuple[float, float, float, int, date], ...]
    x_ticks: tuple[tuple[float, date], ...]
    y_ticks: tuple[Tick, ...]
    height: float


def day_bars(days: Sequence[date], counts: Sequence[int], height: float = 120) -> Days:
    """Lay out a bar a day; the last day has a label, and three before it at equal distances."""
    y_ticks = [tick for tick in nice_ticks(0, max(*counts, 1), most=3) if tick == int(tick)]
    width = 100 / len(days)
    bars = tuple(
        (_round(number * width), _round(width), _round(height * count / y_ticks[-1]), count, day)
        for number, (day, count) in enumerate(zip(days, counts, strict=True))
    )
    labelled = range(len(days) - 1, -1, -max(1, math.ceil(len(days) / 4)))
    return Days(
        bars=bars,
        x_ticks=tuple((_round((number + 0.5) * width), days[number]) for number in sorted(labelled)),
        y_ticks=tuple(Tick(_round(height - height * y / y_ticks[-1]), y, text) for y, text in _labelled(y_ticks)),
        height=height,
    )


def _plain(value: float) -> str:
    return _signed(f"{value:.2g}")


def sparkline(values: Sequence[float | None], width: float = 120, height: float = 28) -> tuple[str, ...]:
    """`points` attributes of a small curve without axes, one per unbroken piece."""
    points = _clean(enumerate(values))
    ys = [y for _, y in points if y is not None]
    if len(ys) < 2:
        return ()
    low, high = _widen(ys, None)
    inner, last = height - 4, max(len(points) - 1, 1)
    return tuple(
        " ".join(f"{_round(width * x / last)},{_round(2 + inner - inner * (y - low) / (high - low))}" for x, y in piece)
        for piece in _pieces(thin(points, 60))
        if len(piece) > 1
    )


def shares(values: Iterable[float | None], most: float | None = None) -> list[float]:
    """Lengths of bars in percent of the longest (or of `most`); nothing is shorter than 0 or longer than 100."""
    known = [value if value is not None and math.isfinite(value) else 0.0 for value in values]
    longest = most if most is not None else max(known, default=0.0)
    return [_round(min(100.0, max(0.0, 100 * value / longest))) if longest > 0 else 0.0 for value in known]


def spans(rows: Sequence[Sequence[Any]], low: float, high: float) -> list[tuple[float | None, float, float]]:
    """For rows (label, value, its low end, its high end, …) the places of value and ends in percent from `low` to
    `high`; value None where there is none, the ends together where nothing is known of them."""

    def at(value: float) -> float:
        return _round(min(100.0, max(0.0, 100 * (value - low) / (high - low))))

    placed: list[tuple[float | None, float, float]] = []
    for _label, value, left, right, *_words in rows:
        if value is None:
            placed.append((None, 0.0, 0.0))
        else:
            placed.append((at(value), at(value if left is None else left), at(value if right is None else right)))
    return placed


def nice_ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten) from at or below `low` to at or above `high`.

    After Heckbert, "Nice numbers for graph labels", Graphics Gems (1990).
    """
    if not (math.isfinite(low) and math.isfinite(high)) or high <= low:
        raise ValueError("ticks need low < high, both finite")
    rough = (high - low) / most
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [number * step for number in range(first, last + 1)]


def thin(points: Sequence[Point], most: int) -> list[Point]:
    """At most `most` points; of each stretch the lowest, the highest and its gaps stay."""
    if len(points) <= most:
        return list(points)
    size = math.ceil(len(points) / max(1, most // 2))
    kept: list[Point] = []
    for start in range(0, len(points), size):
        stretch = points[start : start + size]
        known = [point for point in stretch if point[1] is not None]
        if not known:
            kept.append(stretch[0])
            continue
        ends = {min(known, key=_height), max(known, key=_height)}
        kept.extend(sorted(ends))
    if kept[-1] != points[-1]:
        kept.append(points[-1])
    return kept


def _height(point: Point) -> float:
    return point[1] if point[1] is not None else 0.0


def _unpack(entry: Mapping[str, object] | tuple[str, Iterable[Point]]) -> tuple[str, Iterable[Point]]:
    if isinstance(entry, Mapping):
        return str(entry["name"]), entry["points"]  # type: ignore[return-value]
    return entry


def _clean(points: Iterable[Point]) -> list[Point]:
    """In order of x; what is not a finite number becomes a gap."""
    finite = [(float(x), float(y) if y is not None and math.isfinite(y) else None) for x, y in points]
    return sorted((point for point in finite if math.isfinite(point[0])), key=lambda point: point[0])


def _span(xs: Sequence[float]) -> tuple[float, float]:
    low, high = min(xs, default=0.0), max(xs, default=1.0)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _widen(ys: Sequence[float], shown: tuple[float, float] | None) -> tuple[float, float]:
    """From the lowest to the highest, with room when they are equal."""
    low, high = min([*ys, *(shown or ())], default=0.0), max([*ys, *(shown or ())], default=1.0)
    if high - low > 1e-12 * max(abs(low), abs(high)):
        return low, high
    room = abs(low) * 0.1 or 1.0
    return low - room, high + room


def _curve(name: str, points: Sequence[Point], place: object) -> Curve:
    assert callable(place)
    known = [y for _, y in points if y is not None]
    placed = [[place(x, y) for x, y in piece] for piece in _pieces(points)]
    return Curve(
        name=name,
        points=tuple(" ".join(f"{_round(x)},{_round(y)}" for x, y in piece) for piece in placed if len(piece) > 1),
        dots=tuple((_round(100 * piece[0][0] / WIDTH), _round(piece[0][1])) for piece in placed if len(piece) == 1),
        last=known[-1] if known else None,
        lowest=min(known, default=None),
        highest=max(known, default=None),
    )


def _pieces(points: Sequence[Point]) -> list[list[tuple[float, float]]]:
    """The stretches between gaps."""
    pieces: list[list[tuple[float, float]]] = [[]]
    for x, y in points:
        if y is None:
            pieces.append([])
        else:
            pieces[-1].append((x, y))
    return [piece for piece in pieces if piece]


def _labelled(ticks: Sequence[float]) -> list[tuple[float, str]]:
    """Ticks with just enough decimals to tell neighbours apart; thousands and millions by letter."""
    if not ticks:
        return []
    biggest = max(abs(tick) for tick in ticks)
    scale, letter = (1e6, "M") if biggest >= 1e6 else (1e3, "k") if biggest >= 1e4 else (1.0, "")
    step = min((b - a for a, b in pairwise(ticks)), default=1.0) / scale
    if biggest < 1e-4 or step < 1e-6:
        return [(tick, f"{tick:.1e}" if tick else "0") for tick in ticks]
    digits = max(0, math.ceil(-math.log10(step) - 1e-9))
    return [(tick, _signed(f"{tick / scale:.{digits}f}") + (letter if tick else "")) for tick in ticks]


def _signed(text: str) -> str:
    return text.replace("-", "\N{MINUS SIGN}") if text.strip("-0.") else text.lstrip("-")


def _round(value: float) -> float:
    return round(value, 2)
