"""Where a project's checkpoints stand by people's comparisons, as JSON that the leaderboard draws."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from app.quality.gathering import OURS, Fact, Gathered, Written
from app.quality.statistics.intervals import Floats
from app.quality.statistics.standings import Games, components, standings, win_matrix
from app.tasks.tables import Purpose

SCHEMA = {"name": "hone.standings", "version": 1}
MOST = 50_000  # the newest comparisons
STYLES = ("length", "markdown")

Game = tuple[Fact, int, int]  # an answer, and the checkpoints of its first and its second completion


def standings_of(gathered: Gathered) -> dict[str, Any]:
    """groups: checkpoints that comparisons connect, each with its order, plain and controlled for style, and the share
    of points of one against another."""
    games = [game for fact in gathered.facts if (game := _game(fact, gathered.written)) is not None][-MOST:]
    names = sorted({checkpoint for _fact, one, other in games for checkpoint in (one, other)})
    place = {checkpoint: number for number, checkpoint in enumerate(names)}
    groups = components(len(names), [place[one] for _f, one, _o in games], [place[other] for _f, _o, other in games])
    found = []
    for group in groups:
        inside = {names[number] for number in group}
        found.append(_group([game for game in games if game[1] in inside], sorted(inside), gathered.written))
    return {"schema": SCHEMA, "answers": len(games), "groups": found}


def _game(fact: Fact, written: dict[int, Written]) -> Game | None:
    """An answer that compares two checkpoints and counts; evaluations draw their prompts from those held out."""
    if fact.purpose not in (*OURS, Purpose.evaluation) or not fact.counts:
        return None
    sides = [written[one].checkpoint for one in fact.completions if one in written]
    if len(sides) != 2 or sides[0] is None or sides[1] is None or sides[0] == sides[1]:
        return None
    return None if fact.points is None else (fact, sides[0], sides[1])


def _group(games: Sequence[Game], names: list[int], written: dict[int, Written]) -> dict[str, Any]:
    place = {checkpoint: number for number, checkpoint in enumerate(names)}
    task = np.array([fact.task for fact, _one, _other in games])
    one = np.array([place[first] for _fact, first, _other in games])
    other = np.array([place[second] for _fact, _first, second in games])
    points = np.array([fact.points for fact, _one, _other in games], dtype=np.float64)
    style, sizes = styles_of(games, written)
    weight = np.array([fact.weight for fact, _one, _other in games])
    whole = Games(task, one, other, points, style, weight)
    plain = standings(Games(task, one, other, points, np.zeros((len(games), 0)), weight), len(names))
    controlled, matrix = standings(whole, len(names)), win_matrix(whole, len(names))
    order = sorted(range(len(names)), key=lambda number: -(plain.strengths[number].value or 0.0))
    met = np.bincount(one, minlength=len(names)) + np.bincount(other, minlength=len(names))
    return {
        "answers": len(games),
        "checkpoints": [
            {
                "checkpoint": names[number],
                "answers": int(met[number]),
                "plain": asdict(plain.strengths[number]),
                "controlled": asdict(controlled.strengths[number]),
            }
            for number in order
        ],
        "style": [
            asdict(found) | {"of": name, "size": size}
            for name, found, size in zip(STYLES, controlled.style, sizes, strict=True)
        ],
        "matrix": [[None if cell is None else asdict(cell) for cell in (matrix[a][b] for b in order)] for a in order],
    }


def styles_of(games: Sequence[Game], written: dict[int, Written]) -> tuple[Floats, list[float]]:
    """(games, 2) differences in length and marks of Markdown, in their standard deviations; and what one of these
    is."""
    pairs = [[written[number] for number in fact.completions] for fact, _one, _other in games]
    raw = np.array([[a.length - b.length, a.marks - b.marks] for a, b in pairs], dtype=np.float64)
    sizes = raw.std(axis=0)
    return np.where(sizes > 0, raw / np.where(sizes > 0, sizes, 1.0), 0.0), [float(size) for size in sizes]
