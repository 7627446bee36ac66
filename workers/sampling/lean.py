"""One decoding step of a Llama-shaped network without what it costs to ask transformers for it.

A step reads one token a row, so its arithmetic takes less time than the some hundred calls around it: masks, caches and
outputs are made anew in each. The same modules are used here (adapters work), in the same order; what is computed
differs by rounding alone. Other networks are called as they are.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import rms_norm, scaled_dot_product_attention
from transformers import LlamaForCausalLM, MistralForCausalLM, Qwen2ForCausalLM
from transformers.cache_utils import Cache

KNOWN = (LlamaForCausalLM, MistralForCausalLM, Qwen2ForCausalLM)
FIXED = ("default", "linear", "llama3")  # ways of turning by position that do not depend on how long a text is
BLOCK = 256  # outputs of one block of a large product
FEW_ROWS = 128  # up to which products are quicker the other way round


class Lean:
    """A step of one network: `Lean.of(network)`, None where it has to be called as it is."""

    def __init__(self, network: Any) -> None:
        self.network = network
        self.trunk = network.model
        attention = self.trunk.layers[0].self_attn
        self.size = int(attention.head_dim)
        self.scale = float(attention.scaling)
        self._turns: tuple[Tensor, Tensor] | None = None

    @classmethod
    def of(cls, network: Any) -> Lean | None:
        if type(network) not in KNOWN or any(m._forward_hooks or m._forward_pre_hooks for m in network.modules()):
            return None
        config = network.config
        slides = set(getattr(config, "layer_types", None) or ()) - {"full_attention"}
        if slides or (not getattr(config, "layer_types", None) and getattr(config, "sliding_window", None)):
            return None
        return cls(network) if network.model.rotary_emb.rope_type in FIXED else None

    def open(self, ids: Tensor, mask: Tensor, positions: Tensor, cache: Cache) -> tuple[Tensor, Tensor]:
        """As `step`, of whole prompts: ids, mask and positions (B, t)."""
        placed = {"attention_mask": mask.long(), "position_ids": positions, "past_key_values": cache}
        states = self.trunk(input_ids=ids, use_cache=True, **placed).last_hidden_state[:, -1]
        return states, self.network.lm_head(states)

    def step(self, tokens: Tensor, mask: Tensor, positions: Tensor, cache: Cache) -> tuple[Tensor, Tensor]:
        """The last layer's states (B, H) after one more token a row, and the logits (B, V) that they give.

        tokens (B,); mask (B, width) True on real columns, the new one included; positions (B,) of the tokens.
        """
        cos, sin = (table[positions][:, None] for table in self.turns(positions, mask.shape[1]))  # (B, 1, size)
        seen = None if bool(mask.all()) else mask[:, None, None]  # (B, 1, 1, width)
        return self.read(tokens, seen, cos, sin, cache)

    def read(
        self, tokens: Tensor, seen: Tensor | None, cos: Tensor, sin: Tensor, cache: Cache
    ) -> tuple[Tensor, Tensor]:
        """The step itself, which asks the device for nothing back.

        seen: (B, 1, 1, columns) True on those of a row's own columns that it may read; None: all of them. cos, sin
        (B, 1, size), see `turns`.
        """
        states = self.trunk.embed_tokens(tokens)  # (B, H)
        for index, layer in enumerate(self.trunk.layers):
            read = normed(layer.input_layernorm, states)
            heard = self._attend(layer.self_attn, read, cos, sin, seen, cache.layers[index])
            states = states + heard
            read = normed(layer.post_attention_layernorm, states)
            opened = layer.mlp.act_fn(product(layer.mlp.gate_proj, read)) * product(layer.mlp.up_proj, read)
            states = states + product(layer.mlp.down_proj, opened)
        states = normed(self.trunk.norm, states)
        return states, product(self.network.lm_head, states).contiguous()

    def _attend(
        self, attention: Any, states: Tensor, cos: Tensor, sin: Tensor, seen: Tensor | None, layer: Any
    ) -> Tensor:
        rows = len(states)
        asked = product(attention.q_proj, states).reshape(rows, -1, self.size)
        shown = product(attention.k_proj, states).reshape(rows, -1, self.size)
        value = product(attention.v_proj, states).reshape(rows, -1, 1, self.size)
        heads = shown.shape[1]
        both = torch.cat([asked, shown], 1)
        both = torch.addcmul(both * cos, both.roll(self.size // 2, -1), sin)
        asked, shown = both[:, :-heads], both[:, -heads:]
        keys, values = layer.update(shown[:, :, None], value)
        # heads that share keys ask side by side, as if they were several tokens: nothing is repeated for them
        asked = asked.reshape(rows, heads, -1, self.size)
        if layer.shared is None:
            heard = scaled_dot_product_attention(asked, keys, values, attn_mask=seen, scale=self.scale)
        else:
            heard = self._attend_shared(asked * self.scale, keys, values, seen, *layer.shared)
        return product(attention.o_proj, heard.reshape(rows, -1))

    def _attend_shared(
        self, asked: Tensor, keys: Tensor, values: Tensor, seen: Tensor | None, first: Tensor, told: Tensor
    ) -> Tensor:
        """Attention to one prompt's keys `first` and values `told`, (1, heads, read, size), which all rows share and
        which are read from memory once, and to each row's own keys and values (B, heads, t, size), as far as `seen`.
        """
        rows, heads, group, _ = asked.shape
        read = first.shape[2]
        gathered = asked.transpose(0, 1).reshape(heads, rows * group, -1)
        of_prompt = (gathered @ first[0].transpose(1, 2)).view(heads, rows, group, read).transpose(0, 1)
        own = asked @ keys.transpose(2, 3)
        if seen is not None:
            own = own.masked_fill(~seen, -torch.inf)
        weights = torch.cat([of_prompt, own], -1).softmax(-1, torch.float32).to(asked.dtype)
        of_prompt = weights[..., :read].transpose(0, 1).reshape(heads, rows * group, read)
        heard = (of_prompt @ told[0]).view(heads, rows, group, -1).transpose(0, 1)
        return heard + weights[..., read:] @ values

    def turns(self, positions: Tensor, width: int) -> tuple[Tensor, Tensor]:
        """cos and sin by position, (at least width, size); sin is negative where its half is turned backwards."""
        if self._turns is None or len(self._turns[0]) < width:
            places = torch.arange(-(-width // 256) * 256, device=positions.device)
            like = self.trunk.embed_tokens.weight[:0]  # they are of the type of the states
            cos, sin = (table[0] for table in self.trunk.rotary_emb(like, places[None]))
            half = self.size // 2
            self._turns = cos, torch.cat([-sin[:, :half], sin[:, half:]], -1)
        return self._turns


def product(linear: nn.Module, states: Tensor) -> Tensor:
    """linear(states) for few rows (B, inputs) → (B, outputs).

    On a CPU weight × statesᵀ takes a third of the time of states × weightᵀ, which is the same numbers; the result is
    not contiguous.
    """
    weight = getattr(linear, "folded", None)  # a network with an adapter folded in
    if weight is None and type(linear) is nn.Linear:
        weight = linear.weight
    if weight is None or weight.device.type != "cpu" or len(states) > FEW_ROWS:
        return linear(states)
    bias = getattr(getattr(linear, "linear", linear), "bias", None)
    blocks = len(weight) // BLOCK
    if blocks > 8 and len(weight) % BLOCK == 0 and len(states) <= 16:  # the vocabulary: threads share blocks better
        cut, turned = weight.view(blocks, BLOCK, -1), states.T.expand(blocks, -1, -1)
        found = torch.bmm(cut, turned).view(len(weight), -1).T
    else:
        found = (weight @ states.T).T
    return found if bias is None else found + bias


def normed(norm: nn.Module, states: Tensor) -> Tensor:
    """norm(states) in one pass where the arithmetic is fp32, as it is inside of the norm."""
    if states.dtype != torch.float32:
        return norm(states)
    return rms_norm(states, norm.weight.shape, norm.weight, norm.variance_epsilon)
