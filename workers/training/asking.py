"""Asks a Hone sampler what answers are worth, for trainers elsewhere. `hone train export` writes this file beside their
configuration, with the two lines below filled in; it needs nothing of Hone's, and torch is where they are.

OpenRLHF calls `reward_func` (`--reward.remote_url reward.py`), verl `compute_score` (`custom_reward_function`).
The token stands in HONE_SCORER_TOKEN; HONE_SCORER is another address, where the one below cannot be reached.
"""

import json
import os
import time
import urllib.request
from typing import Any

import torch

SCORER = ""
COUNTED: dict[str, Any] = {}
TRIES, SECONDS = 5, 180


def ask(content: dict[str, Any]) -> list[float]:
    """Tried some times: a step is dear, and a sampler may be starting anew."""
    address, token = os.environ.get("HONE_SCORER", SCORER), os.environ["HONE_SCORER_TOKEN"]
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    request = urllib.request.Request(address, json.dumps({**content, **COUNTED}).encode(), headers)  # noqa: S310
    for number in range(1, TRIES + 1):
        try:
            with urllib.request.urlopen(request, timeout=SECONDS) as response:  # noqa: S310
                rewards: list[float] = json.load(response)["rewards"]
                return rewards
        except OSError as error:
            refused = getattr(error, "code", 500)
            if number == TRIES or (400 <= refused < 500 and refused != 429):
                raise RuntimeError(f"No score from {address}: {said_by(error)}") from error
            time.sleep(number)
    raise AssertionError


def said_by(error: OSError) -> str:
    read = getattr(error, "read", None)
    return f"{error} {read().decode(errors='replace')[:500] if read else ''}".strip()


def reward_func(queries: list[str], prompts: list[str], labels: list[str], **_more: Any) -> dict[str, Any]:
    """OpenRLHF's: queries are prompts with their answers, as the policy's template writes them; each label holds the
    prompt's messages."""
    rewards = torch.tensor(ask({"query": list(queries), "prompts": list(prompts), "labels": list(labels)}))
    return {"rewards": rewards, "scores": rewards, "extra_logs": {}}


def compute_score(
    data_source: str, solution_str: str, ground_truth: str, extra_info: dict[str, Any] | None = None, **_more: Any
) -> float:
    """verl's: one answer, whose prompt's messages stand in extra_info."""
    messages = json.loads((extra_info or {})["messages"])
    return ask({"prompts": [messages], "answers": [solution_str]})[0]
