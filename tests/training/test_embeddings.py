"""Gradients of a vocabulary's weights: autograd's own sums, in the place where they stand already."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from workers.training import embeddings
from workers.training.chosen import chosen_logprobs
from workers.training.embeddings import Embedding, is_plain

WORDS = st.lists(st.lists(st.integers(0, 8), min_size=1, max_size=6), min_size=1, max_size=4)


def pair(padding: int | None = None) -> tuple[nn.Embedding, Embedding]:
    torch.manual_seed(0)
    plain = nn.Embedding(9, 4, padding_idx=padding, dtype=torch.double)
    other = nn.Embedding(9, 4, padding_idx=padding, dtype=torch.double)
    other.load_state_dict(plain.state_dict())
    return plain, Embedding.of(other)


def learn(table: nn.Embedding, passes: list[list[int]]) -> list[Tensor]:
    """What is found in each pass; each pulls at what it found in a way of its own."""
    found = []
    for number, words in enumerate(passes):
        found.append(table(torch.tensor([words])))
        (found[-1] * torch.arange(1.0, 1 + found[-1].numel()).view_as(found[-1]) * (number + 1)).sum().backward()
    return found


@given(passes=WORDS, padding=st.sampled_from([None, 0, 3]))
def test_over_passes_a_table_learns_what_autograd_would_teach_it(passes: list[list[int]], padding: int | None) -> None:
    plain, ours = pair(padding)
    for one, other in zip(learn(plain, passes), learn(ours, passes), strict=True):
        assert torch.equal(one, other)
    assert torch.allclose(plain.weight.grad, ours.weight.grad, rtol=1e-12)


def test_after_the_first_pass_only_rows_that_were_met_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    table = embeddings.table
    monkeypatch.setattr(embeddings, "table", lambda *told: made.append(told[2]) or table(*told))
    _, ours = pair()
    learn(ours, [[1, 2]])
    stands = ours.weight.grad.data_ptr()
    learn(ours, [[5, 5, 7], [1, 1, 1, 1]])
    assert made == [9, 2, 1]
    assert ours.weight.grad.data_ptr() == stands


def test_a_head_adds_to_its_gradient_where_it_stands() -> None:
    torch.manual_seed(0)
    head, rows, tokens = nn.Linear(4, 9, bias=False), torch.randn(3, 4), torch.tensor([1, 2, 8])
    chosen_logprobs(head, rows, tokens, 1.0).sum().backward()
    first, stands = head.weight.grad.clone(), head.weight.grad.data_ptr()
    chosen_logprobs(head, rows, tokens, 1.0).sum().backward()
    assert torch.allclose(head.weight.grad, 2 * first)
    assert head.weight.grad.data_ptr() == stands


def test_a_head_that_is_the_embedding_as_well_learns_as_both() -> None:
    plain, ours = pair()
    for table in (plain, ours):
        head = nn.Linear(4, 9, bias=False, dtype=torch.double)
        head.weight = table.weight
        for words in ([1, 2, 2], [3, 1, 8]):
            rows = table(torch.tensor(words))
            if table is plain:
                found = (rows @ head.weight.T).log_softmax(-1)[torch.arange(3), torch.tensor(words)]
            else:
                found = chosen_logprobs(head, rows, torch.tensor(words), 1.0)
            found.sum().backward()
    assert torch.allclose(plain.weight.grad, ours.weight.grad)


def test_hooks_see_what_each_pass_adds() -> None:
    _, ours = pair()
    told: list[float] = []
    ours.weight.register_hook(lambda gradient: told.append(float(gradient.sum())))
    learn(ours, [[1], [2], [2]])
    assert told == [10.0, 20.0, 30.0]


def test_who_waits_for_gradients_to_be_added_is_told_after_each_pass() -> None:
    """As a reduction between processes would."""
    _, ours = pair()
    told: list[float] = []
    ours.weight.register_post_accumulate_grad_hook(lambda weight: told.append(float(weight.grad.sum())))
    learn(ours, [[1], [2], [2]])
    assert told == [10.0, 30.0, 60.0]


def test_frozen_tables_and_passes_without_gradients_are_looked_up_and_no_more() -> None:
    _, ours = pair()
    with torch.no_grad():
        assert not ours(torch.tensor([1])).requires_grad
    ours.requires_grad_(False)
    assert not ours(torch.tensor([1])).requires_grad


def test_an_embedding_that_does_more_is_left_alone() -> None:
    class Scaled(nn.Embedding):
        pass

    assert is_plain(nn.Embedding(4, 2))
    assert not is_plain(Scaled(4, 2))
    assert not is_plain(nn.Embedding(4, 2, max_norm=1.0))
    assert not is_plain(nn.Embedding(4, 2, scale_grad_by_freq=True))
