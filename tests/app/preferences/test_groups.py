"""Orders, choices and ratings as votes, and the pairs that follow: by hand and by property."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.preferences.groups import (
    agreement_of_orders,
    choice_of,
    concluded_pairs,
    pairs_of_tiers,
    ranking_of,
    rating_of,
    tiers_of_choice,
)


def order_of(places: list[int]) -> list[list[int]]:
    """Answers 0 … by the place that each was given."""
    return [[n for n, place in enumerate(places) if place == tier] for tier in sorted(set(places))]


ORDERS = st.integers(2, 6).flatmap(
    lambda n: st.lists(st.lists(st.integers(1, n), min_size=n, max_size=n).map(order_of), min_size=1, max_size=5)
)


def test_a_body_becomes_a_vote() -> None:
    vote = ranking_of({"outcome": "ranked", "tiers": [[1], [0, 2]]}, rater="r", sides=[2, 0, 1])
    assert (vote.tiers, vote.shown, vote.weight) == (((1,), (0, 2)), (2, 0, 1), 1.0)
    choice = choice_of({"outcome": "preferred", "preferred": 2, "worst": 0}, rater="r", sides=[0, 1, 2])
    assert (choice.outcome, choice.best, choice.worst) == ("chosen", 2, 0)
    assert choice_of({"outcome": "both_bad", "preferred": None}, rater="r", sides=[0, 1, 2]).best is None
    rated = rating_of({"ratings": [{"completion": 0, "criteria": {"x": 3}, "flags": ["rude"]}]}, rater="r", sides=[0])
    assert (rated.ratings[0].criteria, rated.ratings[0].flags) == ({"x": 3}, ("rude",))


def test_pairs_of_tiers_leave_ties_out() -> None:
    assert list(pairs_of_tiers([[1], [0, 2], [3]])) == [(1, 0), (1, 2), (1, 3), (0, 3), (2, 3)]


def test_the_best_and_the_worst_say_nothing_about_those_between() -> None:
    """4 answers, 2 best, 0 worst: 5 of the 6 pairs are said."""
    assert tiers_of_choice(2, 0, 4) == [[2], [1, 3], [0]]
    assert len(list(pairs_of_tiers(tiers_of_choice(2, 0, 4)))) == 5
    assert list(pairs_of_tiers(tiers_of_choice(2, None, 3))) == [(2, 0), (2, 1)]


def test_pairs_go_by_the_weight_of_votes() -> None:
    """0 › 1 twice against once: margin (2 − 1) / 3. A tie and an order that says nothing weigh in the total."""
    first, second = [[0], [1]], [[1], [0]]
    assert concluded_pairs([(first, 1), (first, 1), (second, 1)]) == [((0, 1), pytest.approx(1 / 3))]
    assert concluded_pairs([(first, 1), (second, 1)]) == []
    assert concluded_pairs([(first, 1), ([[0, 1]], 1), ([], 2)]) == [((0, 1), pytest.approx(1 / 4))]


def test_agreement_counts_pairs_that_two_raters_see_alike() -> None:
    """0 › 1 › 2 and 0 › 2 › 1 agree on 2 of 3 pairs."""
    assert agreement_of_orders([[[0], [1], [2]], [[0], [2], [1]]]) == pytest.approx(2 / 3)
    assert agreement_of_orders([[[0], [1]]]) == 1.0
    assert agreement_of_orders([[[0], [1]], [[0, 1]]]) == 0.0


@given(orders=ORDERS)
def test_no_pair_is_concluded_both_ways_and_a_single_order_says_all_its_pairs(orders: list[list[list[int]]]) -> None:
    n = max(number for tier in orders[0] for number in tier) + 1
    orders = [order for order in orders if sum(map(len, order)) == n]
    found = dict(concluded_pairs([(order, 1.0) for order in orders]))
    assert all((worse, better) not in found for better, worse in found)
    assert all(0 < margin <= 1 for margin in found.values())
    alone = dict(concluded_pairs([(orders[0], 1.0)]))
    ties = sum(len(list(combinations(tier, 2))) for tier in orders[0])
    assert len(alone) == n * (n - 1) // 2 - ties
    assert 0 <= agreement_of_orders(orders) <= 1
