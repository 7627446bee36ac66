"""What people's choices follow, and how far each person can be relied on, from what was gathered, as JSON."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from itertools import pairwise
from statistics import median

import numpy as np

from app.projects.protocols import ProtocolBody
from app.quality.gathering import OURS, Fact, Gathered, Written
from app.quality.numbering import Figure, Line, answers_of, numbered
from app.quality.reading import places_in, said_in
from app.quality.statistics.biases import length_bias
from app.quality.statistics.intervals import Estimate, share_of
from app.quality.statistics.raters import crowd_bt, dawid_skene, votes_of
from app.tasks.tables import Purpose

FEWEST = 5  # answers of a person, below which nothing is said of them

Repeat = tuple[Fact, Fact]  # the same answers before the same person, one after the other


def biases_of(facts: Sequence[Fact], written: dict[int, Written]) -> Figure:
    """first: share of choices for what stood first (½ is none, since sides are drawn). longer: share for the longer
    answer. length: odds for each doubling of length."""
    chosen = [fact for fact in facts if fact.points in (0.0, 1.0)]
    task = numbered(fact.task for fact in chosen)
    weight = np.array([fact.weight for fact in chosen])
    first = np.array([is_first(fact) for fact in chosen], dtype=np.float64)
    apart = np.array([doublings(fact, written) for fact in chosen], dtype=np.float64)
    told = np.abs(apart) > 0
    longer = (first == (apart > 0)).astype(np.float64)
    return {
        "first": asdict(share_of(task, first, weight)),
        "longer": asdict(share_of(task[told], longer[told], weight[told])),
        "length": asdict(
            length_bias(task[told], first[told], apart[told], weight[told]) if told.any() else Estimate(None)
        ),
        "seconds": weighted_middle((fact.seconds, fact.weight) for fact in facts),
        "fast": sum(fact.weight for fact in facts if fact.fast) / sum(fact.weight for fact in facts) if facts else None,
    }


def is_first(fact: Fact) -> bool:
    """Whether the answer that stood on the left or on top was preferred."""
    return (fact.points == 1.0) == (fact.sides[0] == 0)


def doublings(fact: Fact, written: dict[int, Written]) -> float:
    """log2 of the quotient of lengths, what stood first over the other; 0 where one is not known."""
    sizes = [written[fact.completions[side]].length for side in fact.sides if fact.completions[side] in written]
    return math.log2(max(sizes[0], 1) / max(sizes[1], 1)) if len(sizes) == 2 else 0.0


def weighted_middle(values: Iterable[tuple[float | None, float]]) -> float | None:
    """Half the weight lies on either side; between two values where it is split evenly.

    values: (value, weight); those that are not known count for nothing."""
    known = sorted((value, weight) for value, weight in values if value is not None)
    half, passed = sum(weight for _value, weight in known) / 2, 0.0
    for place, (value, weight) in enumerate(known):
        passed += weight
        if math.isclose(passed, half):
            return (value + known[place + 1][0]) / 2
        if passed > half:
            return value
    return None


def middle(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None


def met_again(facts: Sequence[Fact]) -> list[Repeat]:
    """What people said about answers that they had judged before, beside what they said then."""
    met: dict[tuple[int, tuple[int, ...]], list[Fact]] = defaultdict(list)
    for fact in facts:
        if fact.purpose in (*OURS, Purpose.repeat) and fact.completions:
            met[fact.person, tuple(sorted(fact.completions))].append(fact)
    return [pair for showings in met.values() for pair in pairwise(showings)]


def consistency_of(pairs: Sequence[Repeat]) -> Figure:
    """How often they say the same again, and apart where the answers had changed sides meanwhile."""
    task = numbered(tuple(sorted(one.completions)) for one, _other in pairs)
    same = np.array([decided(one) == decided(other) for one, other in pairs], dtype=np.float64)
    turned = np.array([left_of(one) != left_of(other) for one, other in pairs], dtype=bool)
    return {
        "all": asdict(share_of(task, same)),
        "mirrored": asdict(share_of(task[turned], same[turned]) if turned.any() else Estimate(None)),
    }


def left_of(fact: Fact) -> int:
    return fact.completions[fact.sides[0]]


def decided(fact: Fact) -> object:
    """What an answer says about its completions, by these: two tasks may hold them in another order."""
    points, places = fact.points, places_in(fact.body)
    if points is not None:
        return points if points == 0.5 else fact.completions[0 if points else 1]
    if places is not None:
        return tuple(sorted(zip(fact.completions, places, strict=False)))
    return str({name: value for name, value in fact.body.items() if name not in ("justification", "strength")})


# ---- people ---------------------------------------------------------------------------------------------------------


def people_of(facts: Sequence[Fact], gathered: Gathered, protocols: dict[int, ProtocolBody]) -> Figure:
    """people: by inside id, as text. spread: how far apart answers are (`raters.crowd_bt`)."""
    by_person: dict[int, list[Fact]] = defaultdict(list)
    for fact in facts:
        by_person[fact.person].append(fact)
    tasks = Counter(fact.task for fact in facts)
    shared = [fact for fact in facts if tasks[fact.task] > 1]
    (trusted, spread), skilled, others = reliabilities(shared), skills(shared, protocols), with_others(shared)
    again: dict[int, list[Repeat]] = defaultdict(list)
    for pair in met_again(gathered.facts):
        again[pair[0].person].append(pair)
    people = {
        str(person): biases_of(own, gathered.written)
        | {"answers": len(own), "consistency": consistency_of(again[person])}
        | {"reliability": trusted.get(person), "skill": skilled.get(person), "agrees": others.get(person)}
        for person, own in by_person.items()
        if len(own) >= FEWEST
    }
    return {"people": people, "spread": spread}


def reliabilities(facts: Sequence[Fact]) -> tuple[dict[int, Figure], float | None]:
    """Crowd-BT on choices between two answers, by person."""
    chosen = [fact for fact in facts if fact.points in (0.0, 1.0)]
    people = sorted({fact.person for fact in chosen})
    if len(people) < 3:
        return {}, None
    place = {person: number for number, person in enumerate(people)}
    rater = np.array([place[fact.person] for fact in chosen], dtype=np.int64)
    first = np.array([fact.points for fact in chosen], dtype=np.float64)
    weight = np.array([fact.weight for fact in chosen])
    found = crowd_bt(votes_of(numbered(fact.task for fact in chosen), rater, first, weight))
    told = {
        person: {"eta": asdict(found.people[number]), "better": asdict(found.better[number])}
        for person, number in place.items()
    }
    return told, found.spread


def skills(facts: Sequence[Fact], protocols: dict[int, ProtocolBody]) -> dict[int, Figure]:
    """Dawid-Skene on the label with most answers that is no choice between answers, by person."""
    by_measure: dict[str, list[Line]] = defaultdict(list)
    for fact in facts:
        for said in said_in(fact.body, protocols[fact.protocol]):
            if ":" in said.measure:
                by_measure[said.measure].append((fact, said))
    if not by_measure:
        return {}
    measure, lines = max(by_measure.items(), key=lambda one: len(one[1]))
    answers, _values = answers_of(lines)
    if answers.categories < 2 or int(answers.rater.max()) < 2:
        return {}
    found = dawid_skene(
        answers.task,
        answers.rater,
        answers.category,
        answers.categories,
        weight=answers.weight,
        drawn=answers.drawn,
    )
    named = {int(number): fact.person for number, (fact, _said) in zip(answers.rater, lines, strict=True)}
    return {named[number]: asdict(one) | {"measure": measure} for number, one in enumerate(found)}


def with_others(facts: Sequence[Fact]) -> dict[int, Figure]:
    """How often each person says what another one says about the same task."""
    by_task: dict[int, list[Fact]] = defaultdict(list)
    for fact in facts:
        by_task[fact.task].append(fact)
    task: dict[int, list[int]] = defaultdict(list)
    same: dict[int, list[float]] = defaultdict(list)
    weight: dict[int, list[float]] = defaultdict(list)
    for number, answers in by_task.items():
        said = [decided(fact) for fact in answers]
        for place, fact in enumerate(answers):
            task[fact.person].append(number)
            weight[fact.person].append(fact.weight)
            same[fact.person].append((said.count(said[place]) - 1) / (len(answers) - 1))
    return {
        person: asdict(share_of(np.array(task[person]), np.array(same[person]), np.array(weight[person])))
        for person in task
    }
