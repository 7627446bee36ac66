import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.evaluation.rules import Verdict, win_rate

W, T, L, X = Verdict.win, Verdict.tie, Verdict.loss, Verdict.invalid


def test_a_tie_is_half_a_win_and_invalid_counts_nothing() -> None:
    told = win_rate([[W, T], [W, L, X]])
    assert told.rate == pytest.approx((2 + 0.5) / 4)
    assert (told.wins, told.ties, told.losses, told.invalid, told.prompts) == (2, 1, 1, 1, 2)


def test_nothing_valid_has_no_rate() -> None:
    assert win_rate([[X], []]).rate is None


def test_agreeing_prompts_have_a_narrow_interval() -> None:
    told = win_rate([[W]] * 50)
    assert (told.low, told.high) == (1.0, 1.0)


def test_the_interval_is_over_prompts_not_over_answers() -> None:
    """Four answers to a prompt that always agree carry no more than one: the interval must not shrink."""
    single = win_rate([[W], [L]] * 25)
    repeated = win_rate([[W] * 4, [L] * 4] * 25)
    assert single.low is not None
    assert repeated.low == pytest.approx(single.low)


@settings(deadline=None)  # two thousand resamples take as long as the machine is busy
@given(st.lists(st.lists(st.sampled_from([W, T, L]), min_size=1, max_size=4), min_size=2, max_size=12))
def test_the_rate_lies_in_its_interval_and_mirrors(verdicts: list[list[Verdict]]) -> None:
    told = win_rate(verdicts)
    swapped = win_rate([[{W: L, L: W}.get(one, one) for one in prompt] for prompt in verdicts])
    assert told.rate is not None
    assert told.low is not None
    assert told.high is not None
    assert told.low - 1e-9 <= told.rate <= told.high + 1e-9 or len(verdicts) < 4
    assert swapped.rate == pytest.approx(1 - told.rate)
