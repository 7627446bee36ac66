"""A reward formula over ratings: the values it may name, and the score of each rater for each answer. Pure."""

import math
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from app.preferences.formula import FormulaWrong, NoScore, checked, parsed, value_of
from app.projects.protocols import CombinedProtocol, ConversationProtocol, ProtocolBody, RatingProtocol
from app.projects.protocols.rating import Errors
from app.translation import _

Line = dict[str, Any]
ALL = "errors"


def ratings_in(protocol: ProtocolBody) -> list[RatingProtocol]:
    """What a protocol asks about each answer by itself."""
    parts = protocol.parts if isinstance(protocol, CombinedProtocol) else [protocol]
    of_turns = [part.asked_of(2) for part in parts if isinstance(part, ConversationProtocol)]
    return [part for part in (*parts, *of_turns) if isinstance(part, RatingProtocol)]


def names_of(protocols: Iterable[ProtocolBody]) -> dict[str, str]:
    """Every name that a formula may use, with what it stands for. Of two versions the later words hold.

    Where a criterion and a flag have one key, the criterion is meant.
    """
    criteria: dict[str, str] = {}
    beside: dict[str, str] = {}
    for protocol in protocols:
        for rating in ratings_in(protocol):
            criteria |= {
                one.key: f"{one.label}: {one.least} … {one.most}{only_about(one.tags)}" for one in rating.criteria
            }
            flag = _("{label}: 1 where the flag holds, else 0")
            beside |= {one.key: flag.format(label=one.label) for one in rating.flags} | dict(error_names(rating.errors))
    return criteria | {name: words for name, words in beside.items() if name not in criteria}


def only_about(tags: Sequence[str]) -> str:
    """A criterion is asked of some prompts alone, so that a formula with it scores no others."""
    return _("; asked only about prompts with the tags {tags}").format(tags=", ".join(tags)) if tags else ""


def error_names(errors: Errors | None) -> Iterator[tuple[str, str]]:
    """Names of the counts of error spans, with what each counts."""
    if errors is None:
        return
    yield ALL, _("how many errors are marked")
    for one in (*errors.severities, *errors.categories):
        yield f"{ALL}_{one.key}", _("marked errors: {label}").format(label=one.label)
    for category in errors.categories:
        for severity in errors.severities:
            label = f"{category.label}, {severity.label}"
            yield f"{ALL}_{category.key}_{severity.key}", _("marked errors: {label}").format(label=label)


def values_of(rated: Mapping[str, Any], protocol: RatingProtocol) -> dict[str, float]:
    """What one rater said about one answer, by name. A criterion that was left open has no value."""
    values = {one.key: float(one.key in rated["flags"]) for one in protocol.flags}
    for name, _words in error_names(protocol.errors):
        values[name] = 0.0
    for error in rated.get("errors", ()) if protocol.errors else ():
        category, severity = error["category"], error["severity"]
        for name in (ALL, f"{ALL}_{category}", f"{ALL}_{severity}", f"{ALL}_{category}_{severity}"):
            values[name] += 1
    for one in protocol.criteria:  # it is meant wherever a flag or a count has its name, also where it was left open
        values.pop(one.key, None)
    return values | {key: float(value) for key, value in rated["criteria"].items()}


class Scorer:
    """Applies one formula and counts what came of it. none: scores that there are not, by reason."""

    def __init__(self, name: str, version: int, expression: str) -> None:
        self.name, self.version, self.expression = name, version, expression
        self.formula = parsed(expression)
        self.given = 0
        self.none: Counter[str] = Counter()

    def score(self, rated: Mapping[str, Any], protocol: RatingProtocol) -> float | None:
        try:
            value = value_of(self.formula, values_of(rated, protocol))
        except NoScore as none:
            self.none[none.why] += 1
            return None
        self.given += 1
        return value

    def scored(self, line: Line, said: Sequence[Any]) -> Line:
        """A rating's line with a score for each rater and answer. said: bodies in the order of the line's votes."""
        votes = [
            vote
            | {
                "ratings": [
                    told | {"score": self.score(rated, one.protocol)}
                    for told, rated in zip(vote["ratings"], one.body["ratings"], strict=True)
                ]
            }
            for vote, one in zip(line["votes"], said, strict=True)
        ]
        return line | {"votes": votes}

    def as_json(self) -> dict[str, Any]:
        """For the manifest: the formula whole, and how many scores there are and are not."""
        formula = {"name": self.name, "version": self.version, "expression": self.expression}
        return {"formula": formula, "given": self.given, "none": dict(sorted(self.none.items()))}


@dataclass(frozen=True)
class Tried:
    """What a formula comes to on an example: a value, or a sentence that says why there is none. at: number of the
    character that is wrong, from 1."""

    value: float | None = None
    sentence: str = ""
    at: int | None = None


def tried(expression: str, names: Collection[str], example: Mapping[str, float]) -> Tried:
    """names: that the project offers."""
    if not expression.strip():
        return Tried(sentence=_("Nothing is written yet."))
    try:
        return Tried(value=value_of(checked(expression, names), example))
    except FormulaWrong as wrong:
        return Tried(sentence=str(wrong), at=wrong.at)
    except NoScore as none:
        return Tried(sentence=why_none(none.why))


def why_none(why: str) -> str:
    """A reason as a sentence."""
    if why == "division_by_zero":
        return _("No score: it divides by zero here.")
    if why == "too_large":
        return _("No score: the value is too large for a number.")
    return _("No score: “{name}” has no value here.").format(name=why.partition(":")[2])


def numbers_in(given: Mapping[str, str], names: Collection[str]) -> dict[str, float]:
    """What a browser's fields say about these names, as far as it is numbers."""
    found = {}
    for name in names:
        with suppress(ValueError):
            value = float(given.get(name, ""))
            if math.isfinite(value):
                found[name] = value
    return found
