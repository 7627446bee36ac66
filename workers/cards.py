"""The card that a worker declares: asked of torch in a child, where there may be one; workers that only watch over
trainings load no torch themselves."""

import asyncio
import json
import logging
import sys
from os.path import exists

from app.jobs.rules import Card

log = logging.getLogger("hone.workers")

DRIVERS = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")  # of Nvidia, of Windows' Linux, of AMD
WORDS = (sys.executable, "-m", "workers.training.cards")
known: dict[str, Card | None] = {}


async def card_of(device: str) -> Card | None:
    """The card behind the setting `device`; None on a CPU, which is shared by the kernel and leased to nobody."""
    if device == "cpu" or (device == "auto" and not any(map(exists, DRIVERS))):
        return None
    if device not in known:
        known[device] = await asked_of_torch(device)
        log.info("device %s is %s", device, known[device])
    return known[device]


async def asked_of_torch(device: str) -> Card | None:
    """What cannot be found out is no card: the training itself says what is wrong with its device."""
    child = await asyncio.create_subprocess_exec(*WORDS, device, stdout=asyncio.subprocess.PIPE)
    told, _errors = await child.communicate()
    found = json.loads(told) if child.returncode == 0 else None
    return Card(*found) if found else None
