"""What a frozen base is held in: fp32, bf16, or 4 bits a weight (NF4, the base of QLoRA: Dettmers et al. 2023).

Only adapters learn beside it, and they stay fp32. A checkpoint that comes of it is the base as it is stored plus the
adapters, never the base as it was held: the rounding of 4 bits is noise that nothing learned, the next run would round
it once more, and a run of no steps must give its base back to the bit. So what is saved differs from the policy that
was measured while training by what the base lost; `docs/training.md` has how much that is.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from workers.training.checkpoints import CheckpointRefused, Opened, choose_device, open_checkpoint
from workers.training.networks import Backbone, linear_maps
from workers.training.packed import Packed, bitsandbytes


def open_base(folder: str | Path, device: str | torch.device, precision: str) -> Opened:
    """`open_checkpoint` of a base that stays frozen, held as a config's `base_precision` says.

    nf4: what is no linear map stays in the stored type, and the device never sees the whole base.

    Raises CheckpointRefused, RunRefused where bitsandbytes is missing.
    """
    if precision == "float32":
        return open_checkpoint(folder, device)
    if precision == "bfloat16":
        return replace(open_checkpoint(folder, device, torch.bfloat16), precision=precision)
    library = bitsandbytes()
    opened = open_checkpoint(folder, "cpu", None)
    pack_maps(opened.network, library, choose_device(device))
    return replace(opened, precision=precision)


def pack_maps(network: PreTrainedModel, library: Any, device: torch.device) -> None:
    """Put every linear map but the one onto the vocabulary into 4 bits, on the device, and what is left there too."""
    for path, linear in linear_maps(network):
        if isinstance(linear, Conv1D):
            kind = network.config.model_type
            raise CheckpointRefused(f"config.json: {kind} keeps its maps turned round, which nf4 is not built for.")
        parent, _, name = path.rpartition(".")
        setattr(network.get_submodule(parent), name, Packed(linear, library, device))
    network.to(device)


def state_to_keep(opened: Opened, backbone: Backbone, adapter: str | None) -> dict[str, Tensor]:
    """An ordinary network's weights with the adapter added, in the type that the start was stored in."""
    if opened.precision == "float32":
        state = backbone.weights_with(adapter)
    else:
        stored = open_checkpoint(opened.folder, "cpu", None).network.state_dict()
        added = {f"{path}.weight": place.addition(adapter) for path, place in backbone.adapted.items()}
        state = {
            name: tensor if (more := added.get(name)) is None else tensor.float() + more.cpu()
            for name, tensor in stored.items()
        }
    return {
        name: tensor.to(opened.stored_dtype) if tensor.is_floating_point() else tensor for name, tensor in state.items()
    }
