"""Whatever a form accepts comes back equal from the lines that it yields: any kind, any text, in any order."""

from io import BytesIO
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import orjson
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from app.annotations.kinds import Body, read_kept, to_keep
from app.datasets.forms import FreezeForm
from app.datasets.lines import lines_of_row
from app.datasets.reading import TaskRead, read_line, task_of
from app.errors import Invalid
from app.lines import Row, read_rows
from app.projects.protocols import ProtocolBody, protocol_of
from app.prompts.forms import Outcome
from app.prompts.tables import Use
from tests.app.annotations.test_questions import protocols_and_answers

FORM: TypeAdapter[Any] = TypeAdapter(Body)
QUESTION = FreezeForm(name="all", heldout_share=0)
WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)
FLAGS = [{"key": "rude", "label": "Rude"}, {"key": "wrong", "label": "Wrong"}]
CRITERIA = [
    {"key": "overall", "label": "Overall", "points": 5, "required": False, "low": "bad", "high": "good"},
    {"key": "grade", "label": "Grade", "scale": "grade", "required": False},
    {"key": "score", "label": "Score", "scale": "slider", "required": False},
    {"key": "rule", "label": "Rule", "scale": "yes_no", "required": False},
]
VALUES = {"overall": (1, 5), "grade": (0, 4), "score": (1, 100), "rule": (0, 1)}
Said = tuple[dict[str, Any], list[dict[str, Any]]]  # a protocol, and bodies as programs send them


@st.composite
def comparisons(draw: st.DrawFn, shown: int, people: int) -> Said:
    scale, choose = draw(st.integers(2, 9)), draw(st.sampled_from(["best", "best_and_worst"]))
    protocol = {"kind": "comparison", "completions": shown, "scale": scale, "choose": choose, "neither_valid": True}
    bodies = []
    for _person in range(people):
        body: dict[str, Any] = {"outcome": draw(st.sampled_from(["preferred", "tie", "both_bad", "neither_valid"]))}
        if body["outcome"] == "preferred":
            best, worst = draw(st.permutations(range(shown)))[:2]
            body["preferred"] = str(best)
            if shown == 2:
                body["strength"] = draw(st.integers(1, scale // 2))
            elif choose == "best_and_worst":
                body["worst"] = str(worst)
        flags = draw(st.lists(WORDS.filter(bool), max_size=2))
        bodies.append({"kind": "comparison", "flags": flags} | body)
    return protocol, bodies


@st.composite
def rankings(draw: st.DrawFn, shown: int, people: int) -> Said:
    bodies: list[dict[str, Any]] = []
    for _person in range(people):
        places = draw(st.none() | st.lists(st.integers(1, shown), min_size=shown, max_size=shown))
        tiers = [[str(n) for n, place in enumerate(places or ()) if place == one] for one in range(1, shown + 1)]
        outcome = "ranked" if places else "not_rankable"
        bodies.append({"kind": "ranking", "outcome": outcome, "tiers": [tier for tier in tiers if tier]})
    return {"kind": "ranking", "completions": shown}, bodies


@st.composite
def ratings(draw: st.DrawFn, shown: int, people: int) -> Said:
    errors = {"categories": [{"key": "fact", "label": "Wrong fact"}]}
    protocol = {"kind": "rating", "completions": shown, "criteria": CRITERIA, "flags": FLAGS, "errors": errors}
    span = st.tuples(st.integers(0, 3), st.integers(4, 8), WORDS.filter(lambda words: not set("\r\n") & set(words)))
    bodies = []
    for _person in range(people):
        rated = [
            {
                "completion": str(number),
                "criteria": {
                    key: draw(st.integers(*VALUES[key])) for key in draw(st.sets(st.sampled_from(list(VALUES))))
                },
                "flags": sorted(draw(st.sets(st.sampled_from(["rude", "wrong"])))),
                "errors": [
                    {"start": start, "end": end, "category": "fact", "severity": "minor", "note": note}
                    for start, end, note in draw(st.lists(span, max_size=2))
                ],
            }
            for number in draw(st.permutations(range(shown)))
        ]
        bodies.append({"kind": "rating", "ratings": rated})
    return protocol, bodies


@st.composite
def questions(draw: st.DrawFn, shown: int, people: int) -> Said:
    protocol, first = draw(protocols_and_answers())
    bodies = [{"kind": "questions", "task": first}]
    bodies += [{"kind": "questions", "task": {}} for _person in range(people - 1)]
    return protocol.as_json() | {"completions": shown}, bodies


@st.composite
def rewrites(draw: st.DrawFn, shown: int, people: int) -> Said:
    number = st.integers(0, shown - 1).map(str)
    bodies = [{"kind": "rewrite", "completion": draw(number), "text": draw(WORDS)} for _person in range(people)]
    return {"kind": "rewrite", "completions": shown}, bodies


@st.composite
def demonstrations(draw: st.DrawFn, shown: int, people: int) -> Said:
    bodies = [{"kind": "demonstration", "text": draw(WORDS)} for _person in range(people)]
    return {"kind": "demonstration", "completions": shown}, bodies


KINDS = (comparisons, rankings, ratings, questions, rewrites, demonstrations)  # a new kind is one here


@st.composite
def anything(draw: st.DrawFn) -> tuple[int, ProtocolBody, list[dict[str, Any]]]:
    """Answers shown, a protocol, and bodies as they are stored."""
    shown, people = draw(st.integers(2, 4)), draw(st.integers(1, 3))
    kinds = draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=3, unique=True))
    parts = [draw(kind(shown, people)) for kind in kinds]
    asked, sent = parts[0]
    for bodies in (bodies for _asked, bodies in parts):
        for body in bodies:
            body["justification"] = draw(WORDS)
    if len(parts) > 1:
        asked = {"kind": "combined", "parts": [asked for asked, _bodies in parts]}
        sent = [
            {"kind": "combined", "parts": list(bodies), "justification": draw(WORDS)}
            for bodies in zip(*(bodies for _asked, bodies in parts), strict=True)
        ]
    protocol, numbers = protocol_of(asked), {str(number): number for number in range(shown)}
    try:
        kept = [to_keep(FORM.validate_python(body), protocol, numbers, texts(shown)) for body in sent]
    except Invalid:  # nothing was written, or a required question is open
        assume(False)
    return shown, protocol, kept


def texts(shown: int) -> list[str]:
    return [f"Answer number {number}" for number in range(shown)]


def read_back(lines: list[dict[str, Any]], order: list[int]) -> TaskRead:
    raw = b"\n".join(orjson.dumps(lines[number]) for number in order)
    rows = list(read_rows(BytesIO(raw)))
    assert all(isinstance(row, Row) for row in rows), rows
    return task_of([read_line(row.number, row.value) for row in rows if isinstance(row, Row)])


@settings(max_examples=150)
@given(anything(), st.data())
def test_what_a_form_accepts_comes_back_from_its_lines(
    said: tuple[int, ProtocolBody, list[dict[str, Any]]], data: st.DataObject
) -> None:
    shown, protocol, bodies = said
    answers = [
        {"id": f"c{n}", "checkpoint": None, "author": "m", "parts": [{"type": "text", "text": text}]}
        for n, text in enumerate(texts(shown))
    ]
    votes = [
        {
            "body": body,
            "rater": f"r{number}",
            "sides": data.draw(st.permutations(range(shown))),
            "protocol": 1,
            "tags": [],
            "at": f"2026-03-0{number + 1}T12:00:00.25+00:00",
        }
        for number, body in enumerate(bodies)
    ]
    messages = [{"role": "user", "parts": [{"type": "text", "text": "Why?"}]}]
    row: Any = SimpleNamespace(
        task=uuid4(),
        tags=[],
        messages=messages,
        component="c",
        group="g",
        use=Use.label,
        answers=answers,
        is_turn=False,
    )
    lines = [orjson.loads(orjson.dumps(line)) for line, _agreed in lines_of_row(row, votes, {1: protocol}, QUESTION)]
    task = read_back(lines, data.draw(st.permutations(range(len(lines)))))
    assert (task.key, task.noted) == (str(row.task), [])
    ids = [str(answer["id"]) for answer in task.answers]
    back = {judged.rater: judged for judged in task.judged}
    for vote, body in zip(votes, bodies, strict=True):
        found = back.pop(vote["rater"])
        was = read_kept(body).told([str(answer["id"]) for answer in answers])
        now = read_kept(found.body).told(ids)
        if body["kind"] == "combined":  # shuffled lines forget in which order the kinds were asked
            for told in (was, now):
                told["parts"].sort(key=lambda part: str(part["kind"]))
        assert now == was
        assert found.at is not None
        assert found.at.isoformat() == "2026-03-0{}T12:00:00.250000+00:00".format(int(vote["rater"][1:]) + 1)
        told_sides = any(part["kind"] not in ("rewrite", "demonstration") for part in body.get("parts", [body]))
        assert found.sides == vote["sides"] or not told_sides
    assert back == {}


def scored(order: dict[str, Any]) -> list[dict[str, Any]]:
    """Scores of a turn's two answers, 90 and 20, and the line beside them."""
    answers = [{"id": name, "checkpoint": None, "parts": [{"type": "text", "text": name}]} for name in ("c0", "c1")]
    start = {"prompt": [{"role": "user", "parts": [{"type": "text", "text": "Why?"}]}], "split": "train", "group": "g"}
    scale = {"key": "score", "label": "Score", "scale": "slider", "least": 1, "most": 100}
    rated = [{"answer": number, "criteria": {"score": score}} for number, score in enumerate((90, 20))]
    vote = {"rater": "r0", "ratings": rated, "shown": [1, 0]}
    scores = start | {"kind": "rating", "id": "x.r0.1.scores", "answers": answers, "criteria": [scale], "votes": [vote]}
    two = {"rater": "r0", "outcome": "a", "strength": 70, "levels": 99, "shown_first": "b"} | order
    a, b = answers
    beside = start | {"kind": "comparison", "id": "x.r0.1", "a": a, "b": b, "conclusion": "a", "votes": [two]}
    return [scores, beside]


@pytest.mark.parametrize("order", [[0, 1], [1, 0], [1, 0, 1, 0]])
def test_what_follows_from_scores_comes_in_with_them(order: list[int]) -> None:
    task = read_back(scored({}), order)
    assert task.is_turn
    (judged,) = task.judged
    assert (judged.body["kind"], len(judged.lines)) == ("rating", 1 + order.count(1))
    assert [noted.outcome for noted in task.noted] == [Outcome.identical] * (order.count(0) - 1)


@pytest.mark.parametrize(
    "order", [{"strength": 69}, {"outcome": "b"}, {"shown_first": "a"}, {"rater": "r1"}, {"comment": "So."}]
)
def test_what_does_not_follow_from_scores_is_told_of(order: dict[str, Any]) -> None:
    """It could not have been said by itself either: nobody is asked for 99 strengths."""
    task = read_back(scored(order), [0, 1])
    assert not task.is_turn
    assert [(noted.line, noted.outcome) for noted in task.noted] == [(2, Outcome.refused)]
    assert [judged.body["kind"] for judged in task.judged] == ["rating"]
