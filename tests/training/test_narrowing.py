"""The last layer where it is read: the same states and gradients, from less work."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from transformers import (
    BloomConfig,
    BloomForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MixtralConfig,
    MixtralForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from workers.sampling.lean import Lean
from workers.training.networks import Backbone

SHAPE = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "vocab_size": 50}
IDS = torch.tensor([[5, 9, 30, 31, 7, 2], [8, 6, 5, 40, 41, 42]])
FAMILIES = {
    "llama": (lambda: LlamaForCausalLM(LlamaConfig(**SHAPE)), 3),
    "qwen3": (lambda: Qwen3ForCausalLM(Qwen3Config(**SHAPE, num_key_value_heads=1, head_dim=8)), 3),
    "neox": (lambda: GPTNeoXForCausalLM(GPTNeoXConfig(**SHAPE)), 1),
    "gpt2": (lambda: GPT2LMHeadModel(GPT2Config(vocab_size=50, n_embd=16, n_layer=2, n_head=2, n_positions=16)), 1),
}


def backbone_of(family: str) -> Backbone:
    torch.manual_seed(0)
    backbone = Backbone(FAMILIES[family][0]().double())
    backbone.network.requires_grad_(True)
    return backbone


def learned(backbone: Backbone, states: Tensor) -> list[Tensor]:
    for weight in backbone.parameters():
        weight.grad = None
    (states * torch.arange(1.0, 1 + states.numel()).view_as(states)).sum().backward()
    return [weight.grad for weight in backbone.parameters() if weight.grad is not None]


def same_as_the_whole(backbone: Backbone, wanted: Tensor) -> None:
    """In states and gradients."""
    whole = backbone.hidden(IDS).flatten(0, 1)[wanted]
    expected = learned(backbone, whole)
    found = backbone.states(IDS, wanted)
    assert torch.allclose(found, whole)
    for one, other in zip(learned(backbone, found), expected, strict=True):
        assert torch.allclose(one, other, rtol=1e-8, atol=1e-10)


def rows_seen(backbone: Backbone, read: Callable[[], Tensor]) -> list[int]:
    """How many places the MLP of each layer computes."""
    seen: list[int] = []
    layers = backbone.network.base_model.layers
    hooks = [
        layer.mlp.down_proj.register_forward_hook(lambda part, given, found: seen.append(found[..., 0].numel()))
        for layer in layers
    ]
    read()
    for hook in hooks:
        hook.remove()
    return seen


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=10, deadline=None)
@given(places=st.lists(st.integers(0, 11), min_size=1, max_size=8))
def test_states_at_places_are_those_of_the_whole(family: str, places: list[int]) -> None:
    """Also where a place is asked for several times."""
    backbone, wanted = backbone_of(family), torch.tensor(places)
    assert len(backbone.narrow.parts) == FAMILIES[family][1]
    same_as_the_whole(backbone, wanted)


def test_an_mlp_that_wants_more_than_rows_gets_all_of_them() -> None:
    """BLOOM's adds the residual itself."""
    backbone = Backbone(BloomForCausalLM(BloomConfig(vocab_size=50, hidden_size=16, n_layer=2, n_head=2)))
    assert backbone.narrow.parts == []
    assert torch.allclose(backbone.states(IDS, torch.tensor([4])), backbone.hidden(IDS)[0, 4:5], atol=1e-5)


def test_a_layer_that_looks_elsewhere_is_found_out_in_half_precision_too() -> None:
    """A map of the last layer that mixes in the place before, by as much as a trained one might."""

    class Mixing(nn.Linear):
        def forward(self, rows: Tensor) -> Tensor:
            return super().forward(rows + 0.07 * rows.roll(1, -2))

    torch.manual_seed(0)
    network = LlamaForCausalLM(LlamaConfig(**SHAPE, initializer_range=0.3)).bfloat16()
    assert len(Backbone(copy.deepcopy(network)).narrow.parts) == 3
    mlp = network.model.layers[-1].mlp
    mixing = Mixing(24, 16, bias=False).bfloat16()
    mixing.load_state_dict(mlp.down_proj.state_dict())
    mlp.down_proj = mixing
    assert Backbone(network).narrow.parts == []


def test_inside_another_the_inner_places_count() -> None:
    backbone, (outer, inner) = backbone_of("llama"), (torch.tensor([1, 2, 3]), torch.tensor([7]))

    def read() -> Tensor:
        with backbone.narrow.at(outer):
            backbone.states(IDS, inner)
            with backbone.narrow.at(None):
                backbone.hidden(IDS)
            return backbone.hidden(IDS)

    assert rows_seen(backbone, read) == [12, 1, 12, 12, 12, 3]


def test_experts_get_all_tokens() -> None:
    """What they do with fewer is theirs to say: some drop what is beyond their room."""
    backbone = Backbone(MixtralForCausalLM(MixtralConfig(**SHAPE, num_key_value_heads=2, num_local_experts=2)))
    assert len(backbone.narrow.parts) == 2
    assert torch.allclose(backbone.states(IDS, torch.tensor([4])), backbone.hidden(IDS)[0, 4:5], atol=1e-5)


@pytest.mark.parametrize("places", [[1, 4, 7, 11], [1, 1, 1, 7, 9, 11]])
def test_members_read_and_learn_from_their_own_places(places: list[int]) -> None:
    """As many of each member's rows, if need be some of them again: an adapter deals rows out in equal blocks."""
    backbone, wanted = backbone_of("llama"), torch.tensor(places)
    backbone.network.requires_grad_(False)
    backbone.add("some", rank=2, scale=4, members=2)
    for tensor in backbone.adapter("some").values():
        tensor.data = torch.randn_like(tensor, dtype=torch.double)
    with backbone.using("some"):
        same_as_the_whole(backbone, wanted)


def test_only_the_places_asked_for_are_computed_in_the_last_layer() -> None:
    backbone = backbone_of("llama")
    assert rows_seen(backbone, lambda: backbone.states(IDS, torch.tensor([5, 11, 3]))) == [12, 3]
    assert rows_seen(backbone, lambda: backbone.hidden(IDS)) == [12, 12]


def test_nothing_stays_behind_for_the_sampler_to_stumble_over() -> None:
    backbone = backbone_of("llama")
    with pytest.raises(IndexError):
        backbone.states(IDS, torch.tensor([12]))
    backbone.states(IDS, torch.tensor([3]))
    assert backbone.narrow.cut is None
    assert Lean.of(backbone.network) is not None


def test_a_copy_narrows_itself() -> None:
    backbone = backbone_of("llama")
    other = copy.deepcopy(backbone)
    assert rows_seen(other, lambda: backbone.states(IDS, torch.tensor([3]))) == []
    assert rows_seen(other, lambda: other.states(IDS, torch.tensor([3]))) == [12, 1]


def test_a_network_that_passes_its_last_layer_twice_is_read_whole() -> None:
    network = LlamaForCausalLM(LlamaConfig(**SHAPE))
    layers = network.model.layers
    network.model.layers = nn.ModuleList([layers[0], layers[0]])
    backbone = Backbone(network)
    assert backbone.narrow.parts == []
    assert torch.allclose(backbone.states(IDS, torch.tensor([4])), backbone.hidden(IDS)[0, 4:5])
