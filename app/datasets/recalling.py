"""From one record back to what each rater sent and under which protocol: the reverse of `datasets.lines`. Pure.

Bodies are as programs send them over REST, with the numbers of a record's answers as handles. `ids` are those of the
answers that the task showed. A new kind of record is a line in RECALLS.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.datasets.records import (
    Asked,
    ChoiceRecord,
    ComparisonRecord,
    DemonstrationRecord,
    QuestionsRecord,
    RankingRecord,
    RatingRecord,
    Scale,
)
from app.translation import _

Body = dict[str, Any]


@dataclass(frozen=True)
class Recalled:
    """What one rater said in one record. sides: the order on their screen; None where the record does not tell."""

    rater: str
    body: Body
    protocol: Body
    sides: list[int] | None
    at: datetime | None
    overall: str


def as_said(record: Any) -> Any:
    """A record without what a reviewer settled, which is settled anew where it comes in: what people said."""
    votes = getattr(record, "votes", ())
    if not any(vote.adjudicated for vote in votes):
        return record
    said = tuple(vote.model_copy(update={"weight": 1.0}) for vote in votes if not vote.adjudicated)
    if not said:
        raise ValueError(_("votes: a reviewer settled it, and nothing is told of what people said"))
    return record.model_copy(update={"votes": said})


def recalled(vote: Any, body: Body, protocol: Body, shown: Sequence[int] | None, answers: int) -> Recalled:
    """:raises ValueError: what was shown is not all of the answers."""
    if shown is not None and sorted(shown) != list(range(answers)):
        reason = _("votes.shown: {shown} does not name each of the {answers} answers once")
        raise ValueError(reason.format(shown=list(shown), answers=answers))
    sides = None if shown is None else list(shown)
    rater = vote.writer if isinstance(vote, DemonstrationRecord) else vote.rater
    flags = {"flags": vote.flags} if getattr(vote, "flags", ()) else {}
    sent = body | flags | ({"justification": vote.comment} if vote.comment else {})
    return Recalled(rater, sent, protocol, sides, vote.at, vote.overall)


def comparison(record: ComparisonRecord, ids: Sequence[str]) -> Iterator[Recalled]:
    """A scale of as many strengths as the vote could have had, with all that can stand beside it."""
    for vote in record.votes:
        body: Body = {"kind": "comparison", "outcome": vote.outcome.value}
        if vote.strength is not None:
            preferred = "01"[vote.outcome.value == "b"]
            body |= {"outcome": "preferred", "preferred": preferred, "strength": vote.strength}
        body |= ahead({key: {"a": "0", "b": "1"}.get(side, side) for key, side in vote.criteria.items()})
        asked = {"kind": "comparison", "completions": 2, "scale": 2 * vote.levels + 1, "neither_valid": True}
        asked |= points_of_view(record)
        yield recalled(vote, body, asked, [0, 1] if vote.shown_first == "a" else [1, 0], 2)


def choice(record: ChoiceRecord, ids: Sequence[str]) -> Iterator[Recalled]:
    """:raises ValueError: among two answers there is no choice, but a comparison."""
    if len(ids) < 3:
        raise ValueError(_("answers: a choice is made among three or more"))
    asks_worst = any(vote.worst is not None for vote in record.votes)
    for vote in record.votes:
        body: Body = {"kind": "comparison", "outcome": vote.outcome}
        if vote.best is not None:
            body |= {"outcome": "preferred", "preferred": str(vote.best)}
            body |= {} if vote.worst is None else {"worst": str(vote.worst)}
        choose = "best_and_worst" if asks_worst and (vote.best is None or vote.worst is not None) else "best"
        body |= ahead({key: str(side) for key, side in vote.criteria.items()})
        asked = {"kind": "comparison", "completions": len(ids), "choose": choose, "neither_valid": True}
        asked |= points_of_view(record)
        yield recalled(vote, body, asked, vote.shown, len(ids))


def ahead(sides: Mapping[str, str]) -> Body:
    return {"criteria": dict(sides)} if sides else {}


def points_of_view(record: ComparisonRecord | ChoiceRecord) -> Body:
    """Nothing is required: what a vote leaves open was left open."""
    views = [{"key": one.key, "label": one.label, "required": False} for one in record.criteria]
    return {"criteria": views} if views else {}


def ranking(record: RankingRecord, ids: Sequence[str]) -> Iterator[Recalled]:
    asked = {"kind": "ranking", "completions": len(ids)}
    for vote in record.votes:
        tiers = [[str(number) for number in tier] for tier in vote.tiers]
        body = {"kind": "ranking", "outcome": "ranked" if tiers else "not_rankable", "tiers": tiers}
        yield recalled(vote, body, asked, vote.shown, len(ids))


def rating(record: RatingRecord, ids: Sequence[str]) -> Iterator[Recalled]:
    """Nothing is required: what a vote leaves open was left open."""
    errors = {
        "categories": named(record.error_categories),
        "severities": named(record.error_severities),
    }
    asked = {
        "kind": "rating",
        "completions": len(ids),
        "criteria": [criterion(one) for one in record.criteria],
        "flags": named(record.flags),
        "errors": errors if record.error_categories else None,
    }
    for vote in record.votes:
        rated = [one.model_dump(exclude={"answer", "score"}) | {"completion": str(one.answer)} for one in vote.ratings]
        yield recalled(vote, {"kind": "rating", "ratings": rated}, asked, vote.shown, len(ids))


def named(words: Mapping[str, str]) -> list[Body]:
    return [{"key": key, "label": label} for key, label in words.items()]


def criterion(asked: Scale) -> Body:
    points = {"points": asked.most} if asked.scale == "likert" else {}
    told = {name: getattr(asked, name) for name in ("key", "label", "scale", "low", "high")}
    return told | points | {"required": False}


def questions(record: QuestionsRecord, ids: Sequence[str]) -> Iterator[Recalled]:
    """Nothing is required, and nothing depends on anything: what a vote does not hold was not asked or left open."""
    numbers = [
        (key, value)
        for vote in record.votes
        for said in (vote.task, *(about.said for about in vote.answers))
        for key, value in said.items()
    ]
    broken = {key for key, value in numbers if isinstance(value, float)}
    asked = {
        "kind": "questions",
        "completions": len(ids),
        "questions": [question(one, is_whole=one.key not in broken) for one in record.questions],
    }
    for vote in record.votes:
        answers = [{"completion": str(about.answer), "said": about.said} for about in vote.answers]
        body = {"kind": "questions", "task": vote.task, "answers": answers}
        yield recalled(vote, body, asked, vote.shown, len(ids))


def question(asked: Asked, *, is_whole: bool) -> Body:
    told = {name: getattr(asked, name) for name in ("key", "label", "type", "about", "low", "high")}
    points = {} if asked.points is None else {"points": asked.points}
    longest = {"longest": 20_000} if asked.type == "text" else {}
    options = {"options": named(asked.options)}
    return told | points | longest | options | {"required": False, "whole": asked.type == "number" and is_whole}


def demonstration(record: DemonstrationRecord, ids: Sequence[str]) -> Iterator[Recalled]:
    """Written from nothing, or made from one of the answers.

    :raises ValueError: nothing of the file shows what it was made from.
    """
    text = record.answer.text
    if record.rewritten_from is None:
        asked = {"kind": "demonstration", "completions": len(ids)}
        yield recalled(record, {"kind": "demonstration", "text": text}, asked, None, len(ids))
        return
    if record.rewritten_from not in ids:
        raise ValueError(_("rewritten_from: no line shows the answer that it was made from"))
    asked = {"kind": "rewrite", "completions": len(ids)}
    body = {"kind": "rewrite", "completion": str(ids.index(record.rewritten_from)), "text": text}
    yield recalled(record, body, asked, None, len(ids))


RECALLS: dict[str, Callable[[Any, Sequence[str]], Iterator[Recalled]]] = {
    "comparison": comparison,
    "choice": choice,
    "ranking": ranking,
    "rating": rating,
    "questions": questions,
    "demonstration": demonstration,
}
