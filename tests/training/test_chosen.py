"""Log-probabilities of chosen tokens: the same as by the textbook, with the same gradients, and less in memory."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from workers.training import chosen
from workers.training.chosen import chosen_logprobs, is_plain


def textbook(head, rows, tokens, temperature):
    logits = head(rows)
    wide = logits.to(torch.promote_types(logits.dtype, torch.float32)) / temperature
    return wide.log_softmax(-1).gather(1, tokens[:, None])[:, 0]


def made(n, width, vocabulary, *, bias=False, dtype=torch.float64, seed=0):
    torch.manual_seed(seed)
    head = nn.Linear(width, vocabulary, bias=bias).to(dtype)
    rows = (3 * torch.randn(n, width)).to(dtype).requires_grad_()
    return head, rows, torch.randint(vocabulary, (n,)), torch.randn(n, dtype=torch.promote_types(dtype, torch.float32))


def gradients(of, head, rows, tokens, pull, temperature):
    for tensor in (rows, *head.parameters()):
        tensor.grad = None
    found = of(head, rows, tokens, temperature)
    (found * pull).sum().backward()
    return [found.detach(), rows.grad, *(one.grad for one in head.parameters())]


@settings(deadline=None, max_examples=40)
@given(
    n=st.integers(1, 9),
    vocabulary=st.integers(2, 30),
    temperature=st.sampled_from([0.3, 1.0, 1.7]),
    bias=st.booleans(),
    room=st.sampled_from([(0, 1), (0, 40), (0, 1 << 20), (1 << 20, 1 << 20)]),
)
def test_values_and_gradients_are_the_textbooks(n, vocabulary, temperature, bias, room):
    told = made(n, 5, vocabulary, bias=bias, seed=n)
    expected = gradients(textbook, *told, temperature)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(chosen, "KEPT", {"cpu": room[0]})
        patched.setattr(chosen, "AT_ONCE", {"cpu": room[1]})
        found = gradients(chosen_logprobs, *told, temperature)
    for one, other in zip(found, expected, strict=True):
        assert torch.allclose(one, other, atol=1e-12, rtol=1e-10)


def test_a_frozen_head_gets_no_gradient_and_rows_get_theirs():
    head, rows, tokens, pull = made(4, 5, 9)
    head.requires_grad_(False)
    (chosen_logprobs(head, rows, tokens, 1.0) * pull).sum().backward()
    assert head.weight.grad is None
    assert rows.grad.abs().min() > 0


def test_half_precision_is_summed_in_single():
    head, rows, tokens, pull = made(6, 8, 300, dtype=torch.bfloat16)
    found, expected = (gradients(of, head, rows, tokens, pull, 0.7) for of in (chosen_logprobs, textbook))
    assert found[0].dtype == torch.float32
    assert torch.allclose(found[0], expected[0], atol=1e-6)
    assert torch.allclose(found[1].float(), expected[1].float(), atol=0.05, rtol=0.05)


def test_autocast_decides_the_type_of_the_product():
    head, rows, tokens, pull = made(6, 8, 300, dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found, expected = (gradients(of, head, rows, tokens, pull, 1.0) for of in (chosen_logprobs, textbook))
    assert torch.allclose(found[0], expected[0], atol=1e-5)
    assert not torch.allclose(found[0], textbook(head, rows, tokens, 1.0), atol=1e-5)
    assert torch.allclose(found[2], expected[2], atol=0.05, rtol=0.05)


@pytest.mark.parametrize("kept", [0, 1 << 20])
def test_a_second_backward_pass_gives_the_same_gradient(monkeypatch, kept):
    monkeypatch.setattr(chosen, "KEPT", {"cpu": kept})
    head, rows, tokens, pull = made(4, 5, 9)
    loss = (chosen_logprobs(head, rows, tokens, 1.0) * pull).sum()
    first = torch.autograd.grad(loss, rows, retain_graph=True)[0].clone()
    assert torch.allclose(torch.autograd.grad(loss, rows)[0], first, atol=1e-12)


def test_only_a_bare_product_counts_as_plain():
    head = nn.Linear(3, 4)
    assert is_plain(head)
    assert not is_plain(nn.Sequential(head))
    head.register_forward_hook(lambda *_: None)
    assert not is_plain(head)
