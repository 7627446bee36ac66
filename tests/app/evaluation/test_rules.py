import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.evaluation.rules import Verdict, win_rate

W, T, L, X = Verdict.win, Verdict.tie, Verdict.loss, Verdict.invalid


def test_a_tie_is_half_a_win_and_invalid_counts_nothing() -> None:
    told = win_rate([[W, T], [W, L, X]])
    assert told.rate == pytest.approx((2 + 0.5) / 4)
    assert (told.wins, told.ties, told.losses, told.invalid, told.prompts) == (2, 1, 1, 1, 2)


def test_nothing_valid_has_no_rate() -> None:
    assert win_rate([[X], []]).rate is None


@pytest.mark.parametrize(
    ("verdicts", "low", "high"),
    [
        # 1.96² = 3.8415; n of n: low n / (n + 3.8415), high 1
        ([[W]], 1 / 4.8415, 1.0),
        ([[W]] * 3, 3 / 6.8415, 1.0),
        ([[W, W], [W], [W, X]], 3 / 6.8415, 1.0),
        ([[L]] * 50, 0.0, 3.8415 / 53.8415),
        # half of 4: 0.5 ± 1.96 sqrt(0.25 / 4 + 3.8415 / 64) / (1 + 3.8415 / 4) = 0.5 ± 0.35
        ([[W, L], [T], [T, T], [L, W]], 0.15, 0.85),
    ],
)
def test_prompts_that_all_say_the_same_are_not_certain(verdicts: list[list[Verdict]], low: float, high: float) -> None:
    told = win_rate(verdicts)
    assert told.interval == "wilson"
    assert (told.low, told.high) == (pytest.approx(low, abs=5e-4), pytest.approx(high, abs=5e-4))


def test_prompts_that_differ_are_drawn_anew() -> None:
    assert win_rate([[W], [L]]).interval == "bootstrap"
    assert win_rate([[X]]).interval is None


def test_the_interval_is_over_prompts_not_over_answers() -> None:
    """Four answers to a prompt that always agree carry no more than one: the interval must not shrink."""
    single = win_rate([[W], [L]] * 25)
    repeated = win_rate([[W] * 4, [L] * 4] * 25)
    assert single.low is not None
    assert repeated.low == pytest.approx(single.low)


@given(st.lists(st.lists(st.sampled_from([W, T, L]), min_size=1, max_size=4), min_size=2, max_size=12))
def test_the_rate_lies_in_its_interval_and_mirrors(verdicts: list[list[Verdict]]) -> None:
    told = win_rate(verdicts)
    swapped = win_rate([[{W: L, L: W}.get(one, one) for one in prompt] for prompt in verdicts])
    assert told.rate is not None
    assert told.low is not None
    assert told.high is not None
    assert told.low - 1e-9 <= told.rate <= told.high + 1e-9 or len(verdicts) < 4
    assert swapped.rate == pytest.approx(1 - told.rate)
