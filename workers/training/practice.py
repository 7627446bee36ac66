"""Which prompts a PPO step practises on, and which seeds its answers get: both follow from (seed, step) alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import torch
from pydantic import BaseModel, Field

from app.datasets.records import PromptRecord
from app.training.configs import PPORun
from workers.training.batches import encode_prompts
from workers.training.checkpoints import Opened
from workers.training.lines import read_lines, turns
from workers.training.progress import RunFailed
from workers.training.tensors import seed_of

SHOWN = 4  # prompts that samples are kept of: of a few, more looks are read


@dataclass(frozen=True)
class Prompts:
    """Token ids of prompts to practise on and of those that are only looked at; too_long were left out. pretraining:
    of texts that are mixed in. words: of the first looked-at prompts, which samples are kept of."""

    practice: list[list[int]]
    evaluation: list[list[int]]
    too_long: int
    pretraining: list[list[int]] = field(default_factory=list)
    words: list[str] = field(default_factory=list)

    @property
    def measured(self) -> tuple[list[list[int]], str]:
        """The prompts that the end figures are taken from, and which they are: too few prompts leave none apart, and
        what a policy does on those it practised on says little of others."""
        return (self.evaluation, "set_apart") if self.evaluation else (self.practice, "practised")


def read_prompts(run: PPORun, opened: Opened) -> Prompts:
    config = run.config
    longest = min(config.max_prompt_tokens, opened.context - config.max_tokens)
    practice, too_long = encode_prompts(read_lines(run.prompts, PromptRecord), opened, longest)
    looked_at = read_lines(run.evaluation, PromptRecord) if run.evaluation else []
    evaluation, _ = encode_prompts(looked_at, opened, longest)
    if not practice:
        raise RunFailed(f"{run.prompts.name} has no prompt of at most {longest} tokens ({too_long} are longer).")
    texts = read_texts(run.pretraining, opened, longest + config.max_tokens) if run.pretraining else []
    words = {tuple(opened.prompt_ids(turns(record.prompt))): record.prompt[-1].text for record in looked_at}
    return Prompts(practice, evaluation, too_long, texts, [words[tuple(ids)] for ids in evaluation[:SHOWN]])


class PretrainingText(BaseModel):
    text: str = Field(min_length=1)


def read_texts(file: Path, opened: Opened, longest: int) -> list[list[int]]:
    """Token ids of each text with its end, cut to `longest`. Raises RunRefused naming file and line, RunFailed where
    none is left."""
    encoded = (opened.answer_ids(line.text)[:longest] for line in read_lines(file, PretrainingText))
    texts = [text for text in encoded if len(text) > 1]
    if not texts:
        raise RunFailed(f"{file.name} has no text to mix in.")
    return texts


def draw_prompts(prompts: list[list[int]], first: int, count: int, seed: int) -> list[list[int]]:
    """`count` prompts from place `first` of an endless list that is all prompts, shuffled anew each time round."""
    chosen = []
    for place in range(first, first + count):
        turn, at = divmod(place, len(prompts))
        order = torch.randperm(len(prompts), generator=torch.Generator().manual_seed(seed_of(seed, turn)))
        chosen.append(prompts[int(order[at])])
    return chosen


def seeds_of(seed: int, step: int, count: int) -> list[int]:
    """A seed for each prompt of a step; the sampler tells the samples of one prompt apart itself."""
    return [seed_of(seed, step, number) for number in range(count)]
