"""One backbone, many roles: what an adapter may change, and what it may never."""

from __future__ import annotations

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from workers.training import networks
from workers.training.adapters import Adapter, Fused
from workers.training.checkpoints import CheckpointRefused, Opened, open_checkpoint
from workers.training.networks import Backbone, silence_dropout
from workers.training.tensors import pad_left, pad_right

IDS = torch.tensor([[5, 9, 30, 31, 7, 2], [8, 6, 5, 40, 41, 42]])


def shaken(backbone: Backbone, name: str, members: int = 1) -> None:
    """An adapter that does something."""
    backbone.add(name, rank=4, scale=8, members=members)
    with torch.no_grad():
        for tensor in backbone.adapter(name).values():
            tensor.add_(torch.randn_like(tensor) * 0.1)


def test_a_fresh_adapter_changes_nothing(opened: Opened) -> None:
    backbone = Backbone(opened.network)
    before = backbone.hidden(IDS)
    backbone.add("policy", rank=4, scale=8)
    with backbone.using("policy"):
        assert torch.equal(backbone.hidden(IDS), before)


def test_the_reference_is_the_base_and_stays_so_after_an_exception(opened: Opened) -> None:
    """Statement 19: adapters off equal a separately loaded base; an exception leaves the switch as it was."""
    backbone = Backbone(opened.network)
    shaken(backbone, "policy")
    apart = open_checkpoint(opened.folder).network(IDS).logits
    with backbone.using("policy"):
        adapted = backbone.logits(backbone.hidden(IDS))
        with pytest.raises(RuntimeError), backbone.using(None):
            assert torch.allclose(backbone.logits(backbone.hidden(IDS)), apart, atol=1e-6)
            raise RuntimeError
        assert torch.equal(backbone.logits(backbone.hidden(IDS)), adapted)
    assert not torch.allclose(adapted, apart, atol=1e-3)


def test_a_folded_adapter_computes_the_same_and_leaves_no_trace(opened: Opened) -> None:
    backbone = Backbone(opened.network)
    shaken(backbone, "policy")
    before = backbone.hidden(IDS)
    with backbone.using("policy"):
        factored = backbone.hidden(IDS)
        with pytest.raises(RuntimeError), backbone.folded("policy"):
            assert torch.allclose(backbone.hidden(IDS), factored, atol=1e-5)
            raise RuntimeError
    assert torch.equal(backbone.hidden(IDS), before)


def test_members_run_side_by_side_as_they_would_alone(opened: Opened) -> None:
    backbone = Backbone(opened.network)
    shaken(backbone, "many", members=3)
    with backbone.using("many"):
        together = backbone.hidden(IDS.repeat(3, 1)).reshape(3, *IDS.shape, -1)
    for member in range(3):
        backbone.add("one", rank=4, scale=8)
        with torch.no_grad():
            for path, tensor in backbone.adapter("one").items():
                tensor.copy_(backbone.adapter("many")[path][member : member + 1])
        with backbone.using("one"):
            assert torch.allclose(backbone.hidden(IDS), together[member], atol=1e-5)


def test_weights_with_an_adapter_are_an_ordinary_network(opened: Opened) -> None:
    backbone = Backbone(opened.network)
    shaken(backbone, "policy")
    plain = LlamaForCausalLM(LlamaConfig(**opened.network.config.to_dict())).eval()
    plain.load_state_dict(backbone.weights_with("policy"))
    with backbone.using("policy"):
        assert torch.allclose(plain(IDS).logits, backbone.logits(backbone.hidden(IDS)), atol=1e-5)


def test_only_the_adapter_gets_gradients(opened: Opened) -> None:
    backbone = Backbone(opened.network)
    backbone.add("policy", rank=2, scale=4)
    backbone.add("other", rank=2, scale=4)
    with backbone.using("policy"):
        backbone.hidden(IDS).sum().backward()
    assert all(tensor.grad is not None for tensor in backbone.adapter("policy").values())
    changed = {path for path, tensor in backbone.named_parameters() if tensor.grad is not None}
    assert len(changed) == len(backbone.adapter("policy"))


@pytest.mark.parametrize("pads", [1, 3, 7])
def test_padding_on_the_left_changes_no_logit(opened: Opened, pads: int) -> None:
    """Statement 4: the same row with 0 and k pads in front, positions counted from the first real token."""
    backbone = Backbone(opened.network)
    rows = [[5, 9, 30, 31], [8, 6, 5, 40, 41, 42]]
    ids, mask = pad_left([*rows, [7] * (6 + pads)], opened.pad_id)
    hidden = backbone.hidden(ids, mask)
    for number, row in enumerate(rows):
        alone = backbone.hidden(torch.tensor([row]))[0]
        assert torch.allclose(hidden[number, -len(row) :], alone, atol=1e-5)


def test_padding_behind_needs_no_mask(opened: Opened) -> None:
    backbone = Backbone(opened.network)
    ids, mask = pad_right([[5, 9, 30, 31], [8, 6, 5, 40, 41, 42]], opened.pad_id)
    assert torch.allclose(backbone.hidden(ids)[mask], backbone.hidden(ids, mask)[mask], atol=1e-5)


def test_dropout_is_off_in_training_mode_too() -> None:
    """Statement 6: two train-mode forwards are equal."""
    network = GPT2LMHeadModel(GPT2Config(vocab_size=64, n_embd=16, n_layer=2, n_head=2, n_positions=16))
    assert not torch.equal(network.train()(IDS).logits, network(IDS).logits)  # the test sees dropout
    silence_dropout(network)
    network.train()
    assert torch.equal(network(IDS).logits, network(IDS).logits)


def test_a_network_of_another_family_carries_adapters() -> None:
    network = GPT2LMHeadModel(GPT2Config(vocab_size=64, n_embd=16, n_layer=2, n_head=2, n_positions=16))
    backbone = Backbone(network)
    shaken(backbone, "policy")
    with backbone.using("policy"):
        factored = backbone.hidden(IDS)
        with backbone.folded("policy"):
            assert torch.allclose(backbone.hidden(IDS), factored, atol=1e-5)
    assert not torch.allclose(backbone.hidden(IDS), factored, atol=1e-3)
    plain = GPT2LMHeadModel(network.config).eval()
    plain.load_state_dict(backbone.weights_with("policy"))
    assert torch.allclose(plain.transformer(IDS).last_hidden_state, factored, atol=1e-5)


def test_logits_that_are_more_than_the_head_are_refused(opened: Opened) -> None:
    inner = opened.network.forward

    class Capped(type(opened.network)):  # type: ignore[misc]
        def forward(self, *args: object, **kwargs: object) -> object:
            out = inner(*args, **kwargs)
            out.logits = torch.tanh(out.logits)
            return out

    opened.network.__class__ = Capped
    with pytest.raises(CheckpointRefused, match=r"config\.json"):
        Backbone(opened.network)


def test_logprobs_in_chunks_are_the_same_with_the_same_gradients(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone = Backbone(opened.network)
    rows, tokens = torch.randn(7, backbone.width), torch.arange(7)
    found = []
    for at_once in (1 << 24, 3 * opened.network.config.vocab_size):
        monkeypatch.setattr(networks, "LOGITS_AT_ONCE", at_once)
        hidden = rows.clone().requires_grad_()
        logprobs, entropy = backbone.answer_logprobs(hidden, tokens, 0.7, entropy=True)
        assert entropy is not None
        (logprobs.sum() + entropy.sum()).backward()
        found.append((logprobs, entropy, hidden.grad))
    for whole, chunked in zip(*found, strict=True):
        assert torch.allclose(whole, chunked, atol=1e-5)


@pytest.mark.parametrize("members", [1, 3])
def test_the_fused_product_has_the_values_and_gradients_of_the_plain_one(members: int) -> None:
    torch.manual_seed(0)
    tensors = [torch.randn(s, dtype=torch.double) for s in ((members, 5, 4), (4, 3), (members, 4, 2), (members, 2, 3))]
    rows, weight, down, up = (tensor.requires_grad_() for tensor in tensors)
    found = []
    for fused in (True, False):
        for tensor in tensors:
            tensor.grad = None
        plain = rows @ weight.detach() + 1.5 * rows @ down @ up
        product = Fused.apply(rows, weight.detach(), down, up, 1.5) if fused else plain
        (product**2).sum().backward()
        found.append([product, rows.grad, down.grad, up.grad])
    for one, other in zip(*found, strict=True):
        assert torch.allclose(one, other)


def test_long_batches_take_the_fused_path_and_compute_the_same(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = Backbone(opened.network)
    shaken(backbone, "policy", members=2)
    ids = torch.randint(3, 400, (8, 40))
    results, weights = [], torch.randn(8, 40, backbone.width)
    for fused in (True, False):
        if not fused:
            monkeypatch.setattr(Adapter, "fits_fused", lambda *_: False)
        with backbone.using("policy"):
            hidden = backbone.hidden(ids)
        grads = torch.autograd.grad((hidden * weights).sum(), list(backbone.adapter("policy").values()))
        results.append([hidden, *grads])
    for one, other in zip(*results, strict=True):
        assert torch.allclose(one, other, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("layers", [0, 1])
def test_a_stem_and_its_crown_are_the_whole(opened: Opened, layers: int) -> None:
    backbone = Backbone(opened.network)
    assert backbone.splits
    backbone.add("top", rank=4, scale=8, above=layers)
    with torch.no_grad():
        for tensor in backbone.adapter("top").values():
            tensor.add_(torch.randn_like(tensor) * 0.1)
    with backbone.using("top"):
        whole = backbone.hidden(IDS)
        stem = backbone.stem(IDS, layers)
        assert torch.allclose(backbone.crown(stem, layers), whole, atol=1e-6)
    assert torch.equal(backbone.stem(IDS, layers), stem)  # no adapter below: the same for every role


def test_a_network_that_cannot_be_split_is_run_whole() -> None:
    network = GPT2LMHeadModel(GPT2Config(vocab_size=64, n_embd=16, n_layer=2, n_head=2, n_positions=16))
    backbone = Backbone(network)
    assert not backbone.splits
    assert torch.equal(backbone.crown(backbone.stem(IDS, 1), 1), backbone.hidden(IDS))
