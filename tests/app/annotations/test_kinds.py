"""The rules of every kind, by property: what is kept says what was said, and can be said again from what is kept."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from app.annotations.kinds import (
    AgainstTheProtocol,
    ComparisonBody,
    NotOneOfThese,
    OnScreen,
    blocks_of,
    fields_from,
    fields_of,
    from_fields,
    in_words,
    read_kept,
    to_keep,
)
from app.annotations.kinds.union import FORMS
from app.errors import Invalid
from app.projects.protocols import ProtocolBody, protocol_of

CRITERIA = [
    {"key": "accuracy", "label": "Accuracy", "points": 5},
    {"key": "relevance", "label": "Relevance", "scale": "grade", "required": False},
    {"key": "appeal", "label": "Appeal", "scale": "slider"},
    {"key": "rule", "label": "No advice", "scale": "yes_no", "low": "broken", "high": "kept"},
]
RATING = {"kind": "rating", "criteria": CRITERIA, "flags": [{"key": "rude", "label": "Rude"}]}


def handles(n: int) -> dict[str, int]:
    return {f"handle-{number}": number for number in range(n)}


@st.composite
def comparisons(draw: st.DrawFn, n: int) -> tuple[ProtocolBody, dict[str, Any]]:
    choose = draw(st.sampled_from(["best", "best_and_worst"]))
    protocol = protocol_of({"completions": n, "choose": choose, "neither_valid": True})
    outcome = draw(st.sampled_from(["preferred", "tie", "both_bad", "neither_valid"]))
    said: dict[str, Any] = {"kind": "comparison", "outcome": outcome}
    if outcome == "preferred":
        best, worst = draw(st.permutations(sorted(handles(n))))[:2]
        said["preferred"] = best
        if n == 2:
            said["strength"] = draw(st.integers(1, 3))
        elif choose == "best_and_worst":
            said["worst"] = worst
    return protocol, said


@st.composite
def rankings(draw: st.DrawFn, n: int) -> tuple[ProtocolBody, dict[str, Any]]:
    protocol = protocol_of({"kind": "ranking", "completions": n})
    if draw(st.integers(0, 5)) == 0:
        return protocol, {"kind": "ranking", "outcome": "not_rankable"}
    places = [draw(st.integers(1, n)) for _ in range(n)]
    tiers = [[f"handle-{number}" for number in range(n) if places[number] == tier] for tier in sorted(set(places))]
    return protocol, {"kind": "ranking", "outcome": "ranked", "tiers": tiers}


@st.composite
def ratings(draw: st.DrawFn, n: int) -> tuple[ProtocolBody, dict[str, Any]]:
    protocol = protocol_of(RATING | {"completions": n})
    bounds = {one.key: (one.least, one.most) for one in protocol.criteria}
    rated = []
    for handle in handles(n):
        values = {key: draw(st.integers(*ends)) for key, ends in bounds.items()}
        if draw(st.booleans()):
            del values["relevance"]
        flags = ["rude"] if draw(st.booleans()) else []
        rated.append({"completion": handle, "criteria": values, "flags": flags})
    return protocol, {"kind": "rating", "ratings": rated}


@st.composite
def judgements(draw: st.DrawFn) -> tuple[int, ProtocolBody, dict[str, Any]]:
    """Completions on the screen, a protocol, and something that may be said under it."""
    n = draw(st.integers(2, 9))
    if draw(st.booleans()):
        protocol, said = draw(st.one_of(comparisons(n), rankings(n), ratings(n)))
        return n, protocol, said | {"justification": draw(st.sampled_from(["", "B is off the subject"]))}
    parts = draw(st.permutations([comparisons(n), rankings(n), ratings(n)]))[: draw(st.integers(2, 3))]
    drawn = [draw(part) for part in parts]
    protocol = protocol_of({"kind": "combined", "parts": [one.as_json() for one, _said in drawn]})
    return n, protocol, {"kind": "combined", "parts": [said for _one, said in drawn]}


@given(judgement=judgements(), chance=st.randoms(use_true_random=False))
def test_what_is_kept_can_be_said_again_from_the_browsers_fields(
    judgement: tuple[int, ProtocolBody, dict[str, Any]], chance: Any
) -> None:
    n, protocol, said = judgement
    body = FORMS[said["kind"]].model_validate(said)
    kept = to_keep(body, protocol, handles(n))
    assert read_kept(json.loads(json.dumps(kept))).model_dump(mode="json") == kept
    sides = list(range(n))
    chance.shuffle(sides)
    shown = [OnScreen("ABCDEFGHI"[place], f"handle-{number}", "") for place, number in enumerate(sides)]
    _title, blocks = blocks_of(protocol, shown)
    fields = fields_of(kept, sides, shown) | {"parts": [block["kind"] for block in blocks]}
    for block in blocks:  # what the page sends along for every answer
        if block["kind"] == "rating":
            fields = {f"{block['prefix']}flag.{one.handle}": [""] for one in shown} | fields
    again = from_fields(protocol.kind, fields)
    assert to_keep(again, protocol, handles(n)) == kept
    assert in_words(kept, sides, protocol)
    assert "handle" not in json.dumps(read_kept(kept).told([f"id-{number}" for number in range(n)]))


@given(judgement=judgements())
def test_nothing_is_kept_about_completions_that_were_not_shown(
    judgement: tuple[int, ProtocolBody, dict[str, Any]],
) -> None:
    n, protocol, said = judgement
    if "handle-" not in json.dumps(said):
        return
    strange = json.loads(json.dumps(said).replace("handle-0", "elsewhere").replace("handle-1", "nowhere"))
    body = FORMS[said["kind"]].model_validate(strange)
    try:
        kept = to_keep(body, protocol, handles(n))
    except (NotOneOfThese, AgainstTheProtocol):
        return
    assert "elsewhere" not in json.dumps(strange)
    assert kept


def test_a_digest_of_yesterday_is_the_digest_of_today() -> None:
    """SHA-256 of the canonical JSON that bodies had before more than two answers could be compared."""
    body = ComparisonBody(outcome="preferred", preferred="h", strength=2)
    assert body.digest().hex() == "6ebf92191abc108125a6281b1423333c78384b7fee5c2f185dec9851fa8ad806"


def test_what_a_part_says_nothing_of_is_no_part_of_a_combined_digest_either() -> None:
    rated = {"kind": "rating", "ratings": [{"completion": "h", "criteria": {"accuracy": 5}}]}
    chosen = {"kind": "comparison", "outcome": "tie"}
    body = FORMS["combined"].model_validate({"kind": "combined", "parts": [rated, chosen]})
    rating, comparison = body.canonical()["parts"]
    assert "worst" not in comparison
    assert "errors" not in rating["ratings"][0]
    assert body.digest() != FORMS["combined"].model_validate({"kind": "combined", "parts": [chosen, rated]}).digest()


def test_a_comparison_that_was_stored_before_reads_unchanged() -> None:
    old = {"schema": {"name": "hone.comparison", "version": 1}, "kind": "comparison", "outcome": "preferred"}
    kept = read_kept(old | {"preferred": 1, "strength": 2, "justification": "so", "flags": []})
    assert kept.words(["A", "B"], protocol_of({})) == "B better"


@pytest.mark.parametrize(
    ("protocol", "said", "field"),
    [
        ({"completions": 3}, {"outcome": "preferred", "preferred": "handle-0", "strength": 2}, "strength"),
        ({"completions": 3}, {"outcome": "preferred", "preferred": "handle-0", "worst": "handle-1"}, "worst"),
        ({"completions": 3, "choose": "best_and_worst"}, {"outcome": "preferred", "preferred": "handle-0"}, "worst"),
        ({"kind": "ranking"}, {"tiers": [["handle-0"]]}, "tiers"),
        ({"kind": "ranking"}, {"tiers": [["handle-0", "handle-1"], ["handle-2", "handle-0"]]}, "tiers"),
        ({"kind": "ranking", "ties": False}, {"tiers": [["handle-0", "handle-1"], ["handle-2"]]}, "tiers"),
        ({"kind": "ranking", "not_rankable": False}, {"outcome": "not_rankable"}, "outcome"),
        (RATING, {"ratings": [{"completion": "handle-0", "criteria": {}}]}, "ratings"),
    ],
)
def test_what_the_protocol_does_not_offer_is_refused_by_name(
    protocol: dict[str, Any], said: dict[str, Any], field: str
) -> None:
    asked = protocol_of(protocol)
    body = FORMS[asked.kind].model_validate({"kind": asked.kind} | said)
    with pytest.raises(AgainstTheProtocol, match=f"^{field}: "):
        to_keep(body, asked, handles(3))


@pytest.mark.parametrize(
    ("criteria", "field"),
    [
        ({"appeal": 5, "rule": 1}, "accuracy"),
        ({"accuracy": 6, "appeal": 5, "rule": 1}, "accuracy"),
        ({"accuracy": 5, "appeal": 0, "rule": 1}, "appeal"),
        ({"accuracy": 5, "appeal": 100, "rule": 2}, "rule"),
        ({"accuracy": 5, "appeal": 100, "rule": 1, "charm": 2}, "charm"),
    ],
)
def test_values_stay_on_their_scale_and_required_ones_are_there(criteria: dict[str, int], field: str) -> None:
    body = FORMS["rating"].model_validate(
        {"kind": "rating", "ratings": [{"completion": "handle-0", "criteria": criteria}]}
    )
    with pytest.raises(AgainstTheProtocol, match=rf"^ratings\.criteria\.{field}: "):
        to_keep(body, protocol_of(RATING), handles(1))


def test_a_combined_body_answers_every_part_in_its_order() -> None:
    protocol = protocol_of({"kind": "combined", "completions": 2, "parts": [RATING, {"kind": "ranking"}]})
    ranking = {"kind": "ranking", "tiers": [["handle-0"], ["handle-1"]]}
    rated = [{"completion": one, "criteria": {"accuracy": 1, "appeal": 1, "rule": 9}} for one in handles(2)]
    rating = {"kind": "rating", "ratings": rated}
    with pytest.raises(AgainstTheProtocol, match="parts: this project asks for rating, ranking"):
        to_keep(
            FORMS["combined"].model_validate({"kind": "combined", "parts": [ranking, rating]}), protocol, handles(2)
        )
    with pytest.raises(AgainstTheProtocol, match=r"^parts\.rating\.ratings\.criteria\.rule: "):
        to_keep(
            FORMS["combined"].model_validate({"kind": "combined", "parts": [rating, ranking]}), protocol, handles(2)
        )


@pytest.mark.parametrize(
    ("kind", "fields", "named"),
    [
        ("poem", {}, "kind"),
        ("comparison", {}, "outcome"),
        ("ranking", {"tier.h": [""]}, "body"),
        ("ranking", {"tier.h": ["1"], "tier.": ["2"]}, "tiers.1.0"),
        ("rating", {"value.h.accuracy": ["much"]}, "ratings.0.criteria.accuracy"),
        ("combined", {"parts": ["ranking", "poem"], "ranking.tier.h": ["1"]}, "parts"),
    ],
)
def test_fields_that_make_no_sense_are_refused_by_name(kind: str, fields: dict[str, list[str]], named: str) -> None:
    with pytest.raises(Invalid, match=f"^{named}: "):
        from_fields(kind, fields)


def test_a_draft_of_a_program_that_is_no_form_is_left_alone() -> None:
    assert fields_from({"justification": "so", "flags": ["a", "b"], "n": 3, "deep": {"x": 1}}) == {
        "justification": ["so"],
        "flags": ["a", "b"],
    }
    assert fields_from(None) == {}


@pytest.mark.parametrize(
    "body",
    [
        {"kind": "combined", "parts": [{"kind": "ranking"}, {"kind": "ranking"}]},
        {"kind": "combined", "parts": [{"kind": "ranking"}]},
        {"kind": "combined", "parts": [{"kind": "ranking", "completions": 3}, {"completions": 2}]},
        {"kind": "combined", "parts": [{"kind": "combined", "parts": []}, {"kind": "ranking"}]},
        {"kind": "rating", "criteria": [CRITERIA[0], CRITERIA[0]]},
        {"kind": "rating", "criteria": []},
        {"kind": "ranking", "completions": 10},
        {"kind": "poem"},
    ],
)
def test_a_protocol_that_cannot_be_asked_is_refused(body: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        protocol_of(body)
