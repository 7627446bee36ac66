"""Answers of one measure in numbers, as the statistics take them."""

from collections.abc import Hashable, Iterable, Sequence
from typing import Any

import numpy as np

from app.quality.gathering import Fact
from app.quality.reading import Said
from app.quality.statistics.agreement import Answers
from app.quality.statistics.intervals import Floats, Ints

WIDEST = 15  # categories; a finer scale is cut into as many equal steps

Figure = dict[str, Any]
Line = tuple[Fact, Said]


def numbered(names: Iterable[Hashable]) -> Ints:
    """Numbers from 0 on, in the order of first appearance."""
    seen: dict[Hashable, int] = {}
    return np.array([seen.setdefault(name, len(seen)) for name in names], dtype=np.int64)


def answers_of(lines: Sequence[Line]) -> tuple[Answers, list[float] | None]:
    """Lines of one measure in numbers, and the values of the categories where these are points of a scale."""
    unit = numbered((fact.task, said.about) for fact, said in lines)
    task = numbered(fact.task for fact, _said in lines)
    weight, drawn = np.ones(int(unit.max()) + 1), np.zeros(int(unit.max()) + 1, dtype=np.int64)
    weight[unit], drawn[unit] = [fact.weight for fact, _said in lines], task
    rater = numbered(fact.person for fact, _said in lines)
    told = [said.value for _fact, said in lines]
    if any(isinstance(value, str) for value in told):
        names = sorted({str(value) for value in told})
        place = {name: number for number, name in enumerate(names)}
        category = np.array([place[str(value)] for value in told], dtype=np.int64)
        return Answers(unit, rater, category, len(names), weight, drawn), None
    points, category = np.unique(stepped(np.array(told, dtype=np.float64)), return_inverse=True)
    values = [float(point) for point in points]
    return Answers(unit, rater, category, len(values), weight, drawn), values if len(values) > 1 else None


def stepped(values: Floats) -> Floats:
    """At most WIDEST different values: a slider's are cut into steps of equal width, each at its middle."""
    if len(np.unique(values)) <= WIDEST:
        return values
    least, width = float(values.min()), float(np.ptp(values)) / WIDEST
    return np.asarray(least + (np.minimum(np.floor((values - least) / width), WIDEST - 1) + 0.5) * width)
