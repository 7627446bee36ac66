"""Arithmetic on ragged rows: sums a reader can redo, and properties that hold for any numbers."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from workers.training.tensors import (
    by_token_budget,
    entropy_of,
    fill_right,
    logprobs_of,
    mask_of,
    masked_mean,
    pad_left,
    pad_right,
    places_before,
    positions_of,
    seed_of,
    whiten,
)

ragged = st.lists(st.lists(st.floats(-10, 10), min_size=1, max_size=6), min_size=1, max_size=5)


def padded(rows: list[list[float]], extra: int, filler: float) -> tuple[torch.Tensor, torch.Tensor]:
    width = max(map(len, rows)) + extra
    values = torch.tensor([[*row, *[filler] * (width - len(row))] for row in rows])
    return values, mask_of([len(row) for row in rows], width)


def test_masked_mean_by_hand() -> None:
    values, mask = torch.tensor([[1.0, 2.0, 9.0], [6.0, 9.0, 9.0]]), torch.tensor([[1, 1, 0], [1, 0, 0]]).bool()
    assert masked_mean(values, mask).item() == 3.0  # (1 + 2 + 6) / 3


@given(ragged, st.integers(0, 4), st.sampled_from([0.0, 7.0, math.nan, math.inf]))
def test_padding_changes_nothing_whatever_it_holds(rows: list[list[float]], extra: int, filler: float) -> None:
    """Statement 21, and 28: a NaN in a masked slot changes nothing."""
    bare, bare_mask = padded(rows, 0, 0.0)
    more, more_mask = padded(rows, extra, filler)
    assert torch.allclose(masked_mean(bare, bare_mask), masked_mean(more, more_mask))
    width = bare.shape[1]
    assert torch.allclose(whiten(bare, bare_mask), whiten(more, more_mask)[:, :width], atol=1e-5)
    assert not whiten(more, more_mask)[:, width:].any()


@given(ragged)
def test_whitened_numbers_have_mean_0_and_variance_1(rows: list[list[float]]) -> None:
    values, mask = padded(rows, 2, 5.0)
    white = whiten(values, mask)[mask]
    assert abs(white.mean().item()) < 1e-3
    if values[mask].var(unbiased=False) > 1e-2:
        assert white.var(unbiased=False).item() == pytest.approx(1, abs=1e-2)


@given(ragged)
def test_whitening_that_keeps_the_mean_keeps_it(rows: list[list[float]]) -> None:
    """Statement 22."""
    values, mask = padded(rows, 1, 5.0)
    assert masked_mean(whiten(values, mask, shift_mean=False), mask) == pytest.approx(
        masked_mean(values, mask).item(), abs=1e-2
    )


def test_logprobs_use_the_temperature() -> None:
    """Statement 1. Logits 0 and ln 3 give 1/4 and 3/4 at temperature 1, and 1/10 and 9/10 at 1/2."""
    logits = torch.tensor([[0.0, math.log(3)]] * 2)
    tokens = torch.tensor([0, 1])
    assert logprobs_of(logits, tokens).exp().tolist() == pytest.approx([0.25, 0.75])
    assert logprobs_of(logits, tokens, 0.5).exp().tolist() == pytest.approx([0.1, 0.9])


def test_the_entropy_of_a_fair_die_is_ln_6() -> None:
    assert entropy_of(torch.zeros(1, 6)).item() == pytest.approx(math.log(6))


def test_padding_on_either_side() -> None:
    ids, mask = pad_right([[1, 2, 3], [4]], 0)
    assert ids.tolist() == [[1, 2, 3], [4, 0, 0]]
    assert mask.tolist() == [[True] * 3, [True, False, False]]
    ids, mask = pad_left([[1, 2, 3], [4]], 0)
    assert ids.tolist() == [[1, 2, 3], [0, 0, 4]]
    assert positions_of(mask).tolist() == [[0, 1, 2], [0, 0, 0]]
    assert fill_right([[1.5], [2.0, 3.0]], 2).tolist() == [[1.5, 0.0], [2.0, 3.0]]


@given(st.lists(st.integers(1, 50), max_size=30), st.integers(1, 200))
def test_groups_hold_every_row_once_and_keep_to_the_budget(lengths: list[int], budget: int) -> None:
    groups = by_token_budget(lengths, budget)
    assert sorted(row for group in groups for row in group) == list(range(len(lengths)))
    for group in groups:
        assert len(group) == 1 or len(group) * max(lengths[row] for row in group) <= budget


def test_a_seed_differs_by_each_number_and_not_by_process() -> None:
    assert seed_of(1, 2) == 40513546261803153
    assert len({seed_of(a, b) for a in range(20) for b in range(20)}) == 400


def test_answer_tokens_are_drawn_from_the_places_before_them() -> None:
    """Answers of 3 and 2 tokens behind prompts of 2 and 3, in rows of 6."""
    assert places_before([2, 3], mask_of([3, 2], 3), 6).tolist() == [1, 2, 3, 8, 9]
