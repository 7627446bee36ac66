"""The last sums of the loop, from what the API gives out: texts, scores and the report of each run."""

import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from app.preferences.votes import Outcome
from app.training.configs import DPOConfig
from workers.demo.annotators import ceiling
from workers.demo.judge import Heard, true_win_rate
from workers.demo.loop.people import Given
from workers.training.checkpoints import open_checkpoint
from workers.training.lessons import Student
from workers.training.networks import Backbone
from workers.training.packing import Text
from workers.training.scoring import load_reward


@dataclass(frozen=True)
class Answered:
    """One prompt with the answers of a checkpoint and their lengths in tokens."""

    prompt: str
    texts: list[str]
    tokens: list[int]


def by_prompt(completions: Sequence[Mapping[str, Any]], words: Mapping[str, str]) -> dict[str, Answered]:
    """Completions as the API lists them, gathered by prompt. words: a prompt's text by its id."""
    gathered: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for one in completions:
        if one["prompt"] in words:
            gathered[one["prompt"]].append(one)
    return {
        prompt: Answered(
            words[prompt],
            ["\n\n".join(part["text"] for part in one["parts"]) for one in found],
            [one["token_count"] for one in found],
        )
        for prompt, found in gathered.items()
    }


def win_rate_true(new: Mapping[str, Answered], old: Mapping[str, Answered]) -> float:
    """The hidden taste without noise on the very answers that people compared."""
    heard = [Heard(new[prompt].prompt, new[prompt].texts[0], old[prompt].texts[0]) for prompt in new if prompt in old]
    return true_win_rate(heard)


def distinct_ratio(new: Mapping[str, Answered], old: Mapping[str, Answered]) -> float:
    """Different answers of the new checkpoint over different answers of the old, to the same prompts."""
    return len({text for one in new.values() for text in one.texts}) / len(
        {text for one in old.values() for text in one.texts}
    )


def length_ratio(new: Mapping[str, Answered], old: Mapping[str, Answered]) -> float:
    """Mean length in tokens, new over old."""
    mean_new, mean_old = (statistics.mean(n for one in side.values() for n in one.tokens) for side in (new, old))
    return mean_new / mean_old


def ceiling_of(given: Sequence[Given]) -> float:
    """The best accuracy on these votes that anything could reach; votes that chose no side say nothing about it."""
    return ceiling((one.annotator, one.prompt, one.a, one.b) for one in given if one.outcome in (Outcome.a, Outcome.b))


def best_of_four(base: Path, reward: Path, drawn: Mapping[str, Answered], old: Mapping[str, Answered]) -> float:
    """True win rate of the best of four answers by the reward model's score over a single one: what a policy should
    beat, since it needs a quarter of the sampling."""
    opened = open_checkpoint(base)
    network = load_reward(reward, Backbone(opened.network), opened.weights_sha256)
    heard = []
    for prompt, answered in drawn.items():
        asked = [opened.prompt_ids([("user", answered.prompt)])] * len(answered.texts)
        scores = network.score(asked, [opened.answer_ids(text) for text in answered.texts], opened.pad_id).mean
        heard.append(Heard(answered.prompt, answered.texts[int(scores.argmax())], old[prompt].texts[0]))
    return true_win_rate(heard)


@torch.no_grad()
def divergence(base: Path, policy: Path, new: Mapping[str, Answered]) -> float:
    """Nats an answer between two checkpoints, on the answers of `policy`: for a run that does not say it itself."""
    sums = []
    for folder in (policy, base):
        opened = open_checkpoint(folder)
        network = Student(opened, Backbone(opened.network), DPOConfig(), adapter=None, packing=False)
        texts = [
            Text(opened.prompt_ids([("user", one.prompt)]), opened.answer_ids(text))
            for one in new.values()
            for text in one.texts
        ]
        sums.append([float(network.answer_sums([text])) for text in texts])
    return statistics.mean(own - reference for own, reference in zip(*sums, strict=True))
