from hashlib import sha256
from itertools import permutations
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.datasets.records import ComparisonRecord
from app.datasets.rules import Form, LinesChanged, rewritten, signed_strength, split_of
from app.preferences.rules import lean
from app.preferences.votes import Vote


def line(conclusion: str = "a", split: str = "train", **more: Any) -> dict[str, Any]:
    vote = {"rater": "r1", "outcome": "a", "strength": 3, "levels": 3, "shown_first": "b", "weight": 1.0}
    other = vote | {"rater": "r2", "outcome": "b", "strength": 1}
    return {
        "kind": "comparison",
        "schema_version": 1,
        "id": "t1",
        "group": "g1",
        "split": split,
        "prompt": [{"role": "user", "parts": [{"type": "text", "text": "How?"}]}],
        "a": {"id": "c1", "checkpoint": None, "parts": [{"type": "text", "text": "Like so."}]},
        "b": {"id": "c2", "checkpoint": None, "parts": [{"type": "text", "text": "No."}]},
        "conclusion": conclusion,
        "votes": [vote, other],
        "weight": 1.0,
    } | more


def told(path: Path, lines: list[dict[str, Any]], form: Form, split: str | None = None) -> list[dict[str, Any]]:
    raw = b"".join(orjson.dumps(one) + b"\n" for one in lines)
    path.write_bytes(raw)
    told = rewritten(path, sha256(raw).hexdigest(), form, split)
    return [orjson.loads(one) for one in b"".join(told).splitlines()]


@pytest.mark.parametrize(("form", "split"), [(Form.native, None), (Form.native, "train"), (Form.hh, None)])
def test_lines_that_are_not_those_that_were_frozen_never_end_well(tmp_path: Path, form: Form, split: str) -> None:
    path = tmp_path / "x"
    path.write_bytes(orjson.dumps(line()) + b"\n")
    pieces = rewritten(path, "0" * 64, form, split)
    assert next(pieces)
    with pytest.raises(LinesChanged):
        next(pieces)


def test_native_lines_are_records(tmp_path: Path) -> None:
    (found,) = told(tmp_path / "x", [line()], Form.native)
    assert ComparisonRecord.model_validate(found).a.text == "Like so."


def test_trl_lines_name_chosen_and_rejected_with_the_margin(tmp_path: Path) -> None:
    (found,) = told(tmp_path / "x", [line()], Form.trl)
    assert found["prompt"] == [{"role": "user", "content": "How?"}]
    assert found["chosen"] == [{"role": "assistant", "content": "Like so."}]
    assert found["rejected"] == [{"role": "assistant", "content": "No."}]
    assert found["margin"] == pytest.approx((3 / 3 - 1 / 3) / 2)


def test_a_preference_for_the_second_answer_turns_the_pair(tmp_path: Path) -> None:
    (found,) = told(tmp_path / "x", [line("b")], Form.trl_standard)
    assert (found["prompt"], found["chosen"], found["rejected"]) == ("How?", "No.", "Like so.")


def test_the_margin_is_never_turned_against_the_conclusion(tmp_path: Path) -> None:
    weak = {"rater": "r1", "outcome": "a", "strength": 1, "levels": 3, "shown_first": "a", "weight": 1.0}
    votes = [weak, weak | {"rater": "r2"}, weak | {"rater": "r3", "outcome": "b", "strength": 3}]
    (found,) = told(tmp_path / "x", [line(votes=votes)], Form.trl)  # (1 + 1 - 3) / 9 leans to b
    assert (found["chosen"][0]["content"], found["margin"]) == ("Like so.", 0.0)


def test_hh_lines_are_two_transcripts(tmp_path: Path) -> None:
    (found,) = told(tmp_path / "x", [line()], Form.hh)
    assert found == {
        "chosen": "\n\nHuman: How?\n\nAssistant: Like so.",
        "rejected": "\n\nHuman: How?\n\nAssistant: No.",
    }


def test_ties_appear_in_native_lines_only(tmp_path: Path) -> None:
    assert told(tmp_path / "x", [line("tie")], Form.trl) == []
    assert len(told(tmp_path / "x", [line("tie")], Form.native)) == 1


def test_one_side_of_the_split_can_be_asked_for(tmp_path: Path) -> None:
    lines = [line(), line(split="heldout", id="t2")]
    assert [one["id"] for one in told(tmp_path / "x", lines, Form.native, "heldout")] == ["t2"]


def test_strengths_of_different_scales_add_up() -> None:
    votes = [
        {"outcome": "a", "strength": 1, "levels": 1, "weight": 1.0},
        {"outcome": "b", "strength": 1, "levels": 4, "weight": 1.0},
        {"outcome": "tie", "strength": None, "levels": 4, "weight": 2.0},
    ]
    assert signed_strength(votes) == pytest.approx((1 - 0.25) / 4)


def test_strength_leans_as_in_the_conclusion_whatever_the_order_of_the_votes() -> None:
    said = [Vote(rater="r", outcome=side, strength=strength, levels=10, shown_first="a")
            for side, strength in (("a", 1), ("a", 2), ("a", 3), ("b", 6), ("b", 7))]  # fmt: skip
    told = [vote.model_dump(mode="json") for vote in said]
    assert {signed_strength(order) for order in permutations(told)} == {lean(said)}


@given(st.text(), st.floats(0, 0.9), st.floats(0, 0.9))
def test_a_root_held_out_at_a_small_share_is_held_out_at_a_larger_one(key: str, one: float, other: float) -> None:
    smaller, larger = sorted((one, other))
    if split_of(key, smaller) == "heldout":
        assert split_of(key, larger) == "heldout"


def test_the_share_is_kept_about_right() -> None:
    heldout = sum(split_of(f"root-{n}", 0.2) == "heldout" for n in range(5000))
    assert 900 < heldout < 1100


def test_no_share_holds_nothing_out() -> None:
    assert {split_of(f"root-{n}", 0.0) for n in range(500)} == {"train"}
