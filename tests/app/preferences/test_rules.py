import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.preferences.rules import agreement, conclusion, lean, vote_of
from app.preferences.votes import Outcome, Vote


def vote(outcome: str, strength: int | None = None, levels: int = 3, weight: float = 1.0) -> Vote:
    return Vote(rater="r", outcome=outcome, strength=strength, levels=levels, shown_first="a", weight=weight)


def test_two_of_three_votes_agree_in_one_of_three_pairs() -> None:
    assert agreement([vote("a", 1), vote("a", 3), vote("b", 1)]) == 1 / 3


def test_a_single_vote_agrees_with_itself() -> None:
    assert agreement([vote("tie")]) == 1.0


def test_lean_counts_strength_by_levels_and_ties_as_nothing() -> None:
    # (3/3 - 1/3 + 0) / 3 = 2/9
    assert abs(lean([vote("a", 3), vote("b", 1), vote("tie")]) - 2 / 9) < 1e-12


def test_lean_weighs_votes() -> None:
    # (2·1/3 - 1·3/3) / 3 = -1/9
    assert abs(lean([vote("a", 1, weight=2), vote("b", 3)]) + 1 / 9) < 1e-12


def test_the_side_with_more_votes_wins_whatever_the_strength() -> None:
    assert conclusion([vote("a", 1), vote("a", 1), vote("b", 3)]) is Outcome.a


def test_equal_votes_are_decided_by_strength() -> None:
    assert conclusion([vote("a", 1), vote("b", 3)]) is Outcome.b


def test_equal_votes_of_equal_strength_are_a_tie() -> None:
    assert conclusion([vote("a", 2), vote("b", 2)]) is Outcome.tie


def test_more_ties_than_preferences_are_a_tie() -> None:
    assert conclusion([vote("tie"), vote("tie"), vote("a", 3)]) is Outcome.tie


def test_both_bad_by_most_is_both_bad() -> None:
    assert conclusion([vote("both_bad"), vote("both_bad"), vote("tie")]) is Outcome.both_bad


A3, A1, B3, B1 = vote("a", 3), vote("a", 1), vote("b", 3), vote("b", 1)
T, BAD, NOT = vote("tie"), vote("both_bad"), vote("neither_valid")


@pytest.mark.parametrize(
    ("votes", "told"),
    [
        ([A1, A1, B3, T, T, T], "a"),  # 3 ties are not more than 2 + 1 choices; 2 > 1
        ([A1, A1, B3, T, T, T, T], "tie"),  # 4 > 2 + 1
        ([A1, T], "a"),  # 1 is not more than 1 + 0
        ([A1, T, T], "tie"),  # 2 > 1 + 0
        ([A3, B1, T], "tie"),  # sides equal, 1 and 1; 1 tie is at least 1
        ([A3, A3, B1, B1, T], "a"),  # sides equal, 2 and 2; 1 tie is less; (2·3/3 - 2·1/3) / 5 = 4/15 > 0
        ([A1, A1, B3, B1, T], "b"),  # (2·1/3 - 3/3 - 1/3) / 5 = -2/15 < 0
        ([A3, B3, vote("tie", weight=0.5)], "tie"),  # 0.5 is less than 1, but (3/3 - 3/3) / 2.5 = 0
        ([A3, B1, BAD, BAD], "both_bad"),  # 2 are not more than 1 + 1, but at least 1, and the sides are equal
        ([A1, T, BAD, NOT, BAD], "both_bad"),  # the heaviest other, 2 > 1
        ([A1, T, BAD], "a"),  # others do not add up: 1 is not more than 1
        ([BAD, T], "tie"),  # equal others: the first named
        ([vote("a", 1, weight=0.5), vote("tie", weight=0.75)], "tie"),  # 0.75 > 0.5
        ([vote("a", 1, weight=0.1)] * 3 + [vote("b", 3, weight=0.1)] * 3, "b"),  # equal, so by strength
        ([vote("tie", weight=0), vote("b", 1, weight=0)], "tie"),  # nothing has weight: nothing leans
    ],
)
def test_conclusions_by_hand(votes: list[Vote], told: str) -> None:
    assert conclusion(votes) == told
    assert conclusion(votes[::-1]) == told


def test_sides_on_the_screen_do_not_change_what_is_preferred() -> None:
    body = {"outcome": "preferred", "preferred": 1, "strength": 2}
    first = vote_of(body, rater="r", sides=[0, 1], levels=3)
    second = vote_of(body, rater="r", sides=[1, 0], levels=3)
    assert (first.outcome, first.shown_first) == (Outcome.b, "a")
    assert (second.outcome, second.shown_first) == (Outcome.b, "b")


votes = st.lists(
    st.one_of(
        st.builds(vote, st.sampled_from(["a", "b"]), st.integers(1, 3)),
        st.builds(vote, st.sampled_from(["tie", "both_bad", "neither_valid"])),
    ),
    min_size=1,
    max_size=8,
)
MIRROR = {Outcome.a: Outcome.b, Outcome.b: Outcome.a}


def mirrored(one: Vote) -> Vote:
    return one.model_copy(update={"outcome": MIRROR.get(one.outcome, one.outcome)})


@given(votes)
def test_exchanging_the_sides_exchanges_the_conclusion(given_votes: list[Vote]) -> None:
    told = conclusion(given_votes)
    assert conclusion([mirrored(one) for one in given_votes]) is MIRROR.get(told, told)


@given(votes)
def test_the_order_of_votes_does_not_matter(given_votes: list[Vote]) -> None:
    assert conclusion(given_votes[::-1]) is conclusion(given_votes)
    assert 0.0 <= agreement(given_votes) <= 1.0
    assert -1.0 <= lean(given_votes) <= 1.0
