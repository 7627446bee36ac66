"""Figures about a project's answers, from what was gathered: agreement, reliability, biases, as JSON that pages draw.

Headline figures rest on the randomly drawn slice alone (`Fact.counts`); the rest stands apart. An interval is
{value, low, high, n} (`statistics.intervals.Estimate`).
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from app.projects.protocols import ProtocolBody, protocol_of
from app.quality.gathering import OURS, Fact, Gathered, Written
from app.quality.leanings import biases_of, consistency_of, met_again, people_of
from app.quality.numbering import Figure, Line, answers_of
from app.quality.reading import RANKING, Said, places_in, said_in
from app.quality.statistics.agreement import Answers, agreement, kendall
from app.quality.statistics.intervals import Estimate
from app.quality.statistics.raters import ceiling

SCHEMA = {"name": "hone.quality", "version": 1}
GROUPS = 40  # of one kind that are shown, the largest


def quality_of(gathered: Gathered) -> Figure:
    """All figures of the page; a second or two for each hundred thousand answers, without a transaction."""
    protocols = {key: protocol_of(body) for key, body in gathered.protocols.items()}
    ours = [fact for fact in gathered.facts if fact.purpose in OURS]
    counted, apart = [fact for fact in ours if fact.counts], [fact for fact in ours if not fact.counts]
    measures = measures_of(counted, protocols, gathered.written)
    agreed = two_sided(counted)
    return {
        "schema": SCHEMA,
        "answers": len(gathered.facts),
        "counted": len(counted),
        "apart": len(apart),
        "is_cut": gathered.is_cut,
        "measures": measures,
        "biased": measures_of(apart, protocols, None),
        "ceiling": asdict(ceiling(agreed)),
        "two_sided": asdict(agreed),
        "biases": biases_of(counted, gathered.written) | {"consistency": consistency_of(met_again(gathered.facts))},
        **people_of(counted, gathered, protocols),
    }


def two_sided(facts: Sequence[Fact]) -> Estimate:
    """How often two people who both decide for an answer decide for the same one."""
    lines = [(fact, fact.points) for fact in facts if fact.points in (0.0, 1.0)]
    if not lines:
        return Estimate(None)
    return agreement(answers_of([(fact, Said("", -1, str(points))) for fact, points in lines])[0])["percent"]


# ---- agreement ------------------------------------------------------------------------------------------------------


def measures_of(
    facts: Sequence[Fact], protocols: dict[int, ProtocolBody], written: dict[int, Written] | None
) -> list[Figure]:
    """One entry a measure that two people answered for a task, the one with most answers first. written: of
    completions, for the breakdowns; None: none are wanted."""
    by_measure: dict[str, list[Line]] = defaultdict(list)
    shared = {task for task, many in Counter(fact.task for fact in facts).items() if many > 1}
    rankings = [fact for fact in facts if fact.task in shared and places_in(fact.body)]
    for fact in facts:
        if fact.task in shared:
            for said in said_in(fact.body, protocols[fact.protocol]):
                by_measure[said.measure].append((fact, said))
    found = [measured(measure, lines, written) for measure, lines in by_measure.items()]
    if rankings:
        found.append(ranked(rankings, written))
    return sorted(found, key=lambda one: -one["answers"])


def measured(measure: str, lines: Sequence[Line], written: dict[int, Written] | None) -> Figure:
    answers, values = answers_of(lines)
    whole: Figure = {
        "measure": measure,
        "answers": len(lines),
        "figures": as_json(agreement(answers, values)),
    }
    if written is None:
        return whole

    def again(part: Sequence[int]) -> Figure:
        rows = np.array(part)
        narrowed = answers_of([lines[row] for row in part])[0]
        return as_json(
            agreement(
                Answers(
                    narrowed.task,
                    narrowed.rater,
                    answers.category[rows],
                    answers.categories,
                    narrowed.weight,
                    narrowed.drawn,
                ),
                values,
            )
        )

    return whole | {"by": broken_down([fact for fact, _said in lines], written, again)}


def ranked(facts: Sequence[Fact], written: dict[int, Written] | None) -> Figure:
    """Kendall's tau of whole orders."""

    def of(part: Sequence[int]) -> Figure:
        chosen = [facts[row] for row in part]
        return as_json(
            {"kendall": kendall([fact.task for fact in chosen], [places_in(fact.body) or [] for fact in chosen])}
        )

    whole: Figure = {"measure": RANKING, "answers": len(facts), "figures": of(range(len(facts)))}
    return whole if written is None else whole | {"by": broken_down(facts, written, of)}


def broken_down(
    facts: Sequence[Fact], written: dict[int, Written], of: Callable[[Sequence[int]], Figure]
) -> dict[str, list[Figure]]:
    """The same figures by version of the protocol and of the guidelines, prompt tag, pair of checkpoints and round
    (inside id), for groups in which tasks are shared; of rounds the newest."""
    rows: dict[str, dict[Any, list[int]]] = {"protocol": {}, "guidelines": {}, "tag": {}, "pair": {}, "round": {}}
    for row, fact in enumerate(facts):
        rows["protocol"].setdefault(fact.version, []).append(row)
        rows["round"].setdefault(fact.batch, []).append(row)
        if fact.guidelines is not None:
            rows["guidelines"].setdefault(fact.guidelines, []).append(row)
        for tag in fact.tags:
            rows["tag"].setdefault(tag, []).append(row)
        pair = sorted({written[one].checkpoint or 0 for one in fact.completions if one in written})
        if 1 <= len(pair) <= 2 and pair[0]:
            rows["pair"].setdefault((pair[0], pair[-1]), []).append(row)
    return {
        kind: [{"key": key, "answers": len(part), "figures": of(part)} for key, part in first_of(kind, groups)]
        for kind, groups in rows.items()
    }


def first_of(kind: str, groups: dict[Any, list[int]]) -> list[tuple[Any, list[int]]]:
    """The largest groups; of rounds the newest."""
    return sorted(groups.items(), key=lambda one: one[0] if kind == "round" else len(one[1]), reverse=True)[:GROUPS]


def as_json(figures: dict[str, Estimate]) -> Figure:
    return {name: asdict(one) for name, one in figures.items()}
