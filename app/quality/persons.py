"""What is known of each person who answers, for those who run a project: effort, known answers, drift and signs.

As JSON that pages draw, from what was gathered: live answers alone, of every purpose, the newest 200,000 of a project.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from typing import Any

import orjson

from app.projects.rules import local_day
from app.quality import signals
from app.quality.drifting import Fall, Week, fall_of, fallen, weekly
from app.quality.gathering import Argued, Fact, Gathered, Written
from app.quality.leanings import is_first, middle
from app.quality.numbering import Figure
from app.quality.queries import LONGEST
from app.quality.rules import decision
from app.quality.signals import Sign
from app.quality.statistics.intervals import wilson
from app.quality.tables import Use

SCHEMA = {"name": "hone.people", "version": 1}
MOST_SHOWN = 50  # answers that are kept as the evidence of one sign, the newest
MOST_WEEKS = 26
MOST_MISSES = 50


def persons_of(gathered: Gathered) -> Figure:
    """people: by inside id, as text. pace: characters a second that the middle answer of the project was read at."""
    by_person: dict[int, list[Fact]] = defaultdict(list)
    for fact in gathered.facts:
        by_person[fact.person].append(fact)
    everybody: dict[str, Counter[str]] = defaultdict(Counter)
    for fact in gathered.facts:
        if fact.version >= 0:  # what a file brought was shown to nobody here
            everybody[fact.body["kind"]][pressed_by(fact)] += 1
    copies = copies_in(gathered.facts)
    people: dict[str, Figure] = {}
    falls: dict[str, Fall] = {}
    of_known = {person: known_of(own, gathered.argued) for person, own in by_person.items()}
    checked = checks_of(of_known.values(), gathered.argued)
    all_met = [hit for _known, met in of_known.values() for hit in met]
    for person, own in by_person.items():
        known, met = of_known[person]
        others = len(all_met) - len(met)
        of_others = (sum(all_met) - sum(met)) / others if others else 0.0
        days = [local_day(fact.came, gathered.zone) for fact in known]
        weeks = weekly(list(zip(days, met, strict=True)))
        fall = fall_of(weeks)
        if fall is not None:
            falls[str(person)] = fall
        signs = signs_of(own, known, met, everybody, copies, gathered.argued, of_others)
        signs["attention"] = attention_of(known, met, checked)
        people[str(person)] = (
            effort_of(own, gathered.written)
            | {"gold": gold_of(known, met), "weeks": [_week(one) for one in weeks[-MOST_WEEKS:]]}
            | {"drift": _drift(fall), "signs": {name: _sign(sign, facts) for name, (sign, facts) in signs.items()}}
        )
    for name in fallen(falls):
        people[name]["drift"]["fell"] = True
    pace = middle(pace_of(fact, gathered.written) for fact in gathered.facts)
    return {"schema": SCHEMA, "people": people, "pace": pace, "is_cut": gathered.is_cut}


# ---- effort ---------------------------------------------------------------------------------------------------------


def effort_of(own: Sequence[Fact], written: dict[int, Written]) -> Figure:
    """answers; active: seconds at them, as `quality.queries.Day` counts; seconds, pace: of the middle answer."""
    return {
        "answers": len(own),
        "active": round(sum(seconds_at(fact) for fact in own), 1),
        "seconds": middle(fact.seconds for fact in own),
        "pace": middle(pace_of(fact, written) for fact in own),
    }


def seconds_at(fact: Fact) -> float:
    if fact.seconds is not None:
        return fact.seconds
    return 0.0 if fact.shown is None else min(LONGEST, max(0.0, (fact.came - fact.shown).total_seconds()))


def pace_of(fact: Fact, written: dict[int, Written]) -> float | None:
    """Characters of the answers that were judged, for each second at them; None where no time was measured."""
    size = sum(written[one].length for one in fact.completions if one in written)
    return size / fact.seconds if fact.seconds and size else None


# ---- known answers --------------------------------------------------------------------------------------------------


def _is_known(fact: Fact, argued: dict[int, Argued]) -> bool:
    """Whether its answer was known when it came: before, it may be one of those that the argument rests on."""
    return fact.task in argued and fact.came > argued[fact.task].since


def known_of(own: Sequence[Fact], argued: dict[int, Argued]) -> tuple[list[Fact], list[bool]]:
    """Of somebody's answers those whose task was known, and whether each met what is accepted."""
    known = [fact for fact in own if _is_known(fact, argued)]
    return known, [decided(said_unaided(fact)) in accepted_by(argued[fact.task]) for fact in known]


def said_unaided(fact: Fact) -> Any:
    """The body before its author was told what is accepted, which is with the answer, or after it."""
    return fact.edited_from or fact.body


def decided(body: Any) -> str:
    return orjson.dumps(decision(body), option=orjson.OPT_SORT_KEYS).decode()


def accepted_by(argued: Argued) -> frozenset[str]:
    return frozenset(decided(body) for body in argued.bodies)


def gold_of(known: Sequence[Fact], met: Sequence[bool]) -> Figure:
    """An interval after Wilson: one known answer is one trial. misses: answers (inside ids), the newest first."""
    n, hits = len(met), sum(met)
    low, high = wilson(hits / n, n) if n else (None, None)
    misses = [fact.id for fact, is_hit in zip(known, met, strict=True) if not is_hit]
    share = hits / n if n else None
    return {"value": share, "low": low, "high": high, "n": n, "hits": hits, "misses": misses[::-1][:MOST_MISSES]}


def _week(week: Week) -> Figure:
    low, high = wilson(week.hits / week.n, week.n)
    told = {"monday": week.monday.isoformat(), "n": week.n, "hits": week.hits}
    return told | {"value": week.hits / week.n, "low": low, "high": high}


def _drift(fall: Fall | None) -> Figure | None:
    """None: too few known answers to say anything. fell: whether it is named."""
    if fall is None:
        return None
    told = {"before": list(fall.before), "after": list(fall.after), "since": fall.since.isoformat()}
    return told | {"p": fall.p, "by": fall.by, "fell": False}


# ---- signs ----------------------------------------------------------------------------------------------------------

Seen = tuple[Sign, Sequence[Fact]]  # a sign, and the answers that its places count


def signs_of(
    own: Sequence[Fact],
    known: Sequence[Fact],
    met: Sequence[bool],
    everybody: dict[str, Counter[str]],
    copies: dict[int, bool],
    argued: dict[int, Argued],
    of_others: float,
) -> dict[str, Seen]:
    """Each sign by its name. everybody: by kind, how often each answer was given, by this person as well. of_others:
    the share of known answers that everybody else meets."""
    kind = Counter(fact.body["kind"] for fact in own).most_common(1)[0][0]
    usual = [fact for fact in own if fact.body["kind"] == kind and fact.version >= 0]
    pressed = [pressed_by(fact) for fact in usual]
    timed = [fact for fact in own if fact.shown is not None]
    chosen = [fact for fact in own if fact.points in (0.0, 1.0)]
    texts = [fact for fact in own if fact.id in copies]
    came = [fact.came for fact in timed]
    return {
        "fast": (signals.too_fast([fact.fast for fact in timed]), timed),
        "clockwork": (signals.like_clockwork(came), timed),
        "side": (signals.one_side([is_first(fact) for fact in chosen]), chosen),
        "key": (signals.one_key(pressed, everybody[kind]), usual),
        "copied": (signals.copied([copies[fact.id] for fact in texts]), texts),
        "gold": (signals.near_chance(met, chance_at(known, argued), of_others), known),
        "clock": (signals.round_the_clock(came), timed),
    }


def chance_at(known: Sequence[Fact], argued: dict[int, Argued]) -> float:
    """The share of known answers that one's own would meet if they were dealt to the tasks of their kind at random."""
    by_kind: dict[str, list[Fact]] = defaultdict(list)
    for fact in known:
        by_kind[fact.body["kind"]].append(fact)
    met = 0.0
    for facts in by_kind.values():
        said = [decided(said_unaided(fact)) for fact in facts]
        met += len(facts) * signals.chance_of(said, [accepted_by(argued[one.task]) for one in facts])
    return met / len(known) if known else 0.0


def checks_of(
    of_known: Iterable[tuple[list[Fact], list[bool]]], argued: dict[int, Argued]
) -> dict[int, tuple[int, int]]:
    """Of each attention check (task): how many answered it, and how many of them missed it."""
    found: dict[int, tuple[int, int]] = {}
    for known, met in of_known:
        for fact, is_hit in zip(known, met, strict=True):
            if argued[fact.task].use is Use.attention:
                n, missed = found.get(fact.task, (0, 0))
                found[fact.task] = n + 1, missed + (not is_hit)
    return found


def attention_of(known: Sequence[Fact], met: Sequence[bool], checked: dict[int, tuple[int, int]]) -> Seen:
    """By the checks that somebody else has answered as well: of one that nobody else met, nobody knows that it can be
    met."""
    checks = [
        (fact, not is_hit) for fact, is_hit in zip(known, met, strict=True) if checked.get(fact.task, (0, 0))[0] > 1
    ]
    others = [(checked[fact.task][1] - missed) / (checked[fact.task][0] - 1) for fact, missed in checks]
    of_others = sum(others) / len(others) if others else 0.0
    return signals.inattentive([missed for _fact, missed in checks], of_others), [fact for fact, _missed in checks]


def _sign(sign: Sign, facts: Sequence[Fact]) -> Figure:
    shows = [facts[place].id for place in sign.shows[-MOST_SHOWN:]] if sign.is_raised else []
    return {"value": sign.value, "n": sign.n, "limit": sign.limit, "raised": sign.is_raised, "shows": shows[::-1]}


def pressed_by(fact: Fact) -> str:
    """What an answer says as it stood on the screen: completions by their places there, and how strongly."""
    place = {number: at for at, number in enumerate(fact.sides)}
    return orjson.dumps(_placed(fact.body, place), option=orjson.OPT_SORT_KEYS).decode()


def _placed(body: Any, place: dict[int, int]) -> Any:
    if body["kind"] == "combined":
        return [_placed(part, place) for part in body["parts"]]
    if body["kind"] == "comparison":
        chosen = [place.get(body[name], body[name]) if name in body else None for name in ("preferred", "worst")]
        return [body["outcome"], *chosen, body.get("strength")]
    if body["kind"] == "ranking":
        return [sorted(place.get(one, one) for one in tier) for tier in body["tiers"]]
    if body["kind"] in ("rating", "questions"):
        parts = body["ratings"] if body["kind"] == "rating" else body["answers"]
        said = [[place.get(one["completion"], -1), one.get("criteria"), one.get("said")] for one in parts]
        return [sorted(said, key=lambda one: int(one[0])), body.get("task")]
    return decision(body)


def copies_in(facts: Sequence[Fact]) -> dict[int, bool]:
    """For each answer with a text that is long enough: whether somebody else had handed in the same text before.
    facts: the oldest first."""
    first: dict[bytes, int] = {}
    found: dict[int, bool] = {}
    for fact in facts:
        for text in texts_in(fact.body):
            plain = signals.comparable(text)
            if plain is not None:
                who = first.setdefault(blake2b(plain.encode(), digest_size=16).digest(), fact.person)
                found[fact.id] = found.get(fact.id, False) or who != fact.person
    return found


def texts_in(body: Any) -> Iterator[str]:
    """What its author typed, as the answer or as its reason; who mends the same mistake of a completion writes the same
    rewrite."""
    for part in [*body.get("parts", ()), body]:
        for name in ("text", "justification"):
            if part.get(name) and (part.get("kind"), name) != ("rewrite", "text"):
                yield part[name]
