"""Which card a device is, by what is the same in every process, container and machine: the card's own number.

`python -m workers.training.cards DEVICE` prints it as JSON, for whoever loads no torch.
"""

from __future__ import annotations

import json
import sys

import torch

from workers.training.checkpoints import choose_device


def card_of(device: str) -> tuple[str, str] | None:
    """(its own number, what people call it); None on a CPU, and where there is no such card."""
    if not torch.cuda.is_available():
        return None
    found = choose_device(device)
    if found.type != "cuda" or (found.index or 0) >= torch.cuda.device_count():
        return None
    card = torch.cuda.get_device_properties(found)
    return str(card.uuid), f"{card.name} ({found})"


if __name__ == "__main__":
    print(json.dumps(card_of(sys.argv[1])))  # noqa: T201
