"""Reward formulas: what they come to, by hand and against another arithmetic, and where they point when wrong."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.preferences.formula import (
    DEEPEST,
    LONGEST,
    FormulaWrong,
    NoScore,
    checked,
    names_in,
    parsed,
    value_of,
)

VALUES = {"accuracy": 4.0, "relevance": 3.0, "harmful": 1.0, "errors_major": 2.0, "zero": 0.0, "min": 5.0}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.6*accuracy + 0.3*relevance - 1*harmful", 2.3),  # 2.4 + 0.9 - 1
        ("accuracy", 4),
        ("7 - 2 - 1", 4),  # from left to right: (7 - 2) - 1
        ("2 + 3 * 4", 14),
        ("(2 + 3) * 4", 20),
        ("8 / 4 / 2", 1),  # (8 / 4) / 2
        ("-accuracy * -2", 8),
        ("2 - -3", 5),
        ("- - + 3", 3),
        ("min(accuracy, relevance, 9) + max(1, 2)", 5),  # 3 + 2
        ("max(-1)", -1),
        ("min + 1", 6),  # a criterion that is called min
        (".5 + 1. + 2e-1 + 1E+1", 11.7),
        ("max(0, 10 - 5*errors_major) / 2", 0),
        ("\taccuracy\n+1 ", 5),
    ],
)
def test_by_hand(text: str, value: float) -> None:
    assert value_of(parsed(text), VALUES) == pytest.approx(value, abs=1e-12)


@pytest.mark.parametrize(
    ("text", "at", "reason"),
    [
        ("", 1, "is missing"),
        ("   ", 4, "is missing"),
        ("1 +", 4, "a number, a name or “(” is missing"),
        ("1 + * 2", 5, "should stand, not “*”"),
        ("2 accuracy", 3, "an operator (+ - * /) should stand, not “accuracy”"),
        ("2(3)", 2, "should stand, not “(”"),
        ("(1 + 2", 7, "“)” is missing for the “(” at character 1"),
        ("1 + 2)", 6, "should stand, not “)”"),
        ("min(1, )", 8, "should stand, not “)”"),
        ("min(1 2)", 7, "“)” or an operator should stand, not “2”"),
        ("min(1", 6, "at character 4"),
        ("a ** b", 4, "should stand, not “*”"),
        ("a // b", 4, "should stand, not “/”"),
        ("a % b", 3, "“%” means nothing"),
        ("a.b", 2, "“.” means nothing"),
        ("__import__('os')", 12, "means nothing"),
        ("__import__(os)", 11, "should stand, not “(”"),
        ("a[0]", 2, "“[” means nothing"),
        ("näme", 2, "“ä” means nothing"),
        ("٣", 1, "“٣” means nothing"),
        ("1e999", 1, "too large"),
        ("a," + "b", 2, "should stand, not “,”"),
        ("1" * (LONGEST + 1), LONGEST + 1, "characters"),
        ("(" * (DEEPEST + 2) + "1" + ")" * (DEEPEST + 2), DEEPEST + 2, "deep"),
    ],
)
def test_what_is_wrong_is_pointed_at(text: str, at: int, reason: str) -> None:
    with pytest.raises(FormulaWrong) as wrong:
        parsed(text)
    assert wrong.value.at == at
    assert reason in str(wrong.value)


def test_a_name_that_is_not_offered_is_pointed_at() -> None:
    with pytest.raises(FormulaWrong, match="character 12: there is no criterion, flag or error count “acuracy”"):
        checked("relevance+(acuracy)", VALUES)
    assert [name.name for name in names_in(checked("-accuracy*min(zero, 1)/(2+harmful)", VALUES))] == [
        "accuracy",
        "zero",
        "harmful",
    ]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("1 / zero", "division_by_zero"),
        ("1 / (accuracy - 4)", "division_by_zero"),
        ("0 / zero", "division_by_zero"),
        ("0 * tone", "missing:tone"),
        ("1e300 * 1e300", "too_large"),
        ("1e300 * 1e300 - 1e300 * 1e300", "too_large"),
        ("max(1, 1e300 * 1e300)", "too_large"),
        ("min(1, 1e308*10 - 1e308*10)", "too_large"),
        ("5 / (1e308 * 1000)", "too_large"),
    ],
)
def test_without_a_value_there_is_no_score(text: str, why: str) -> None:
    with pytest.raises(NoScore) as none:
        value_of(parsed(text), VALUES)
    assert none.value.why == why


# A formula as text beside what it comes to, computed while it is written down.
Written = tuple[str, float | None]
numbers = st.integers(0, 99).map(lambda n: (str(n), float(n))) | st.sampled_from([("0.5", 0.5), ("1e-3", 0.001)])
names = st.sampled_from(sorted(VALUES)).map(lambda name: (name, VALUES[name]))


def both(one: Written, sign: str, other: Written) -> Written:
    left, right = one[1], other[1]
    text = f"({one[0]}) {sign} ({other[0]})"
    if left is None or right is None or (sign == "/" and right == 0):
        return text, None
    return text, {"+": left + right, "-": left - right, "*": left * right, "/": left / (right or 1)}[sign]


def among(name: str, of: list[Written]) -> Written:
    values = [value for _text, value in of]
    text = f"{name}({', '.join(text for text, _value in of)})"
    return text, None if None in values else {"min": min, "max": max}[name](values)  # type: ignore[type-var]


def larger(smaller: st.SearchStrategy[Written]) -> st.SearchStrategy[Written]:
    return (
        st.builds(both, smaller, st.sampled_from("+-*/"), smaller)
        | st.builds(among, st.sampled_from(["min", "max"]), st.lists(smaller, min_size=1, max_size=3))
        | smaller.map(lambda one: (f"-({one[0]})", None if one[1] is None else -one[1]))
    )


@given(st.recursive(numbers | names, larger, max_leaves=8))
def test_a_formula_comes_to_what_arithmetic_says(written: Written) -> None:
    text, value = written
    if value is None:
        with pytest.raises(NoScore):
            value_of(parsed(text), VALUES)
    else:
        assert value_of(parsed(text), VALUES) == value


@given(st.lists(st.tuples(st.sampled_from("+-*/"), st.integers(1, 9)), max_size=8), st.integers(1, 9))
def test_signs_bind_as_they_do_at_school(rest: list[tuple[str, int]], first: int) -> None:
    text = str(first) + "".join(f" {sign} {number}" for sign, number in rest)
    total, product = 0.0, float(first)
    for sign, number in rest:
        if sign in "+-":
            total, product = total + product, float(number if sign == "+" else -number)
        else:
            product = product * number if sign == "*" else product / number
    assert value_of(parsed(text), {}) == pytest.approx(total + product)


@given(st.text(alphabet="0123456789.+-*/(), abmin\neE_§", max_size=60))
def test_any_text_is_a_formula_or_points_at_one_of_its_characters(text: str) -> None:
    try:
        node: Any = parsed(text)
    except FormulaWrong as wrong:
        assert 1 <= wrong.at <= len(text) + 1  # noqa: PT017
        return
    try:
        value_of(node, dict.fromkeys((name.name for name in names_in(node)), 1.0))
    except NoScore as none:
        assert none.why in ("division_by_zero", "too_large")  # noqa: PT017
