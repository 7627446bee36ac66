"""Answers scored for trainers elsewhere: what one of them asks over HTTP, and what it is told.

Two shapes of a request, told by their fields. OpenRLHF's `--reward.remote_url` sends the text of prompt and answer
together as its policy's template has it; what we write ourselves (the `remote` rule of PPO, `hone train export`) sends
messages and answers apart. Both are answered alike.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from app.training.configs import PPOConfig, RunRefused, first_complaint
from workers.sampling.answers import NotAnswerable, Prompt
from workers.sampling.asking import DoorError
from workers.sampling.shelf import Shelf
from workers.sampling.translating import prompt_ids
from workers.training.checkpoints import Opened
from workers.training.heads import Mix, mix_of
from workers.training.progress import RunFailed

TOGETHER = 32  # answers that are scored before somebody else's turn comes


@dataclass(frozen=True)
class Templated:
    """A prompt as the policy's chat template has written it, control tokens and all."""

    text: str


Pair = tuple[Prompt | Templated, str]
"""A prompt and an answer to it."""


@dataclass(frozen=True)
class Judged:
    """rewards: of each answer, in deviations of the reference's answers (with a formula: in its own unit), the members'
    disagreement taken off. doubt: that disagreement. heads: each in deviations, where there are several."""

    rewards: list[float]
    doubt: list[float]
    heads: dict[str, list[float]]


class JudgeRequest(BaseModel):
    """query with prompts (and labels) as OpenRLHF sends them, or prompts with answers. head_weights, formula,
    uncertainty: as PPO's config has them; without them counts what a run would count by itself."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)

    prompts: list[str | list[dict[str, Any]]] = Field(min_length=1, max_length=4096)
    answers: list[str] | None = None
    query: list[str] | None = None
    labels: list[Any] | None = None
    head_weights: dict[str, float] = {}
    formula: str = ""
    uncertainty: float = Field(default=0.5, ge=0)

    @model_validator(mode="after")
    def says_as_many(self) -> JudgeRequest:
        said = self.answers if self.query is None else self.query
        if said is None or len(said) != len(self.prompts):
            raise ValueError("answers (or query) and prompts must be lists of one length")
        if self.labels is not None and len(self.labels) != len(self.prompts):
            raise ValueError("labels and prompts must be lists of one length")
        return self

    @property
    def config(self) -> PPOConfig:
        return PPOConfig(head_weights=self.head_weights, formula=self.formula, uncertainty=self.uncertainty)

    def pairs(self) -> list[Pair]:
        """Raises DoorError where a query does not begin with its prompt."""
        if self.query is None:
            return [(asked(prompt), answer) for prompt, answer in zip(self.prompts, self.answers or [], strict=True)]
        found: list[Pair] = []
        labels = self.labels or [None] * len(self.query)
        for number, (query, prompt, label) in enumerate(zip(self.query, self.prompts, labels, strict=True)):
            if not isinstance(prompt, str) or not query.startswith(prompt):
                raise DoorError(400, "It does not begin with the text of its prompt.", field=f"query[{number}]")
            found.append((messages_in(label) or Templated(prompt), query.removeprefix(prompt)))
        return found


def asked(prompt: str | list[dict[str, Any]]) -> Prompt:
    return [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt


def messages_in(label: Any) -> Prompt | None:
    """The prompt's own messages, which our exports carry in the column of labels: they are read by the reward model's
    template, whatever template the policy has."""
    try:
        told = json.loads(label) if isinstance(label, str) else None
    except ValueError:
        return None
    is_talk = isinstance(told, list) and all(isinstance(one, dict) and "role" in one for one in told)
    return told if is_talk and told else None


def read_judge_request(body: bytes, words: dict[str, str]) -> JudgeRequest:
    """words: of the address, for clients that can put nothing else into the body. Raises DoorError."""
    try:
        content = json.loads(body)
        found = JudgeRequest.model_validate({**words, **content} if isinstance(content, dict) else content)
    except ValidationError as error:
        raise DoorError(400, first_complaint(error)) from None
    except ValueError as error:
        raise DoorError(400, f"The body is not valid JSON: {error}.") from None
    try:
        _config = found.config
    except ValidationError as error:
        raise DoorError(400, f"What is to count: {first_complaint(error)}", field="formula") from None
    return found


def reply(parts: Sequence[Judged]) -> dict[str, Any]:
    """scores: what OpenRLHF filters by; extra_logs: what it logs, left empty because its versions differ there."""
    rewards = [value for part in parts for value in part.rewards]
    heads = {name: [value for part in parts for value in part.heads[name]] for name in parts[0].heads}
    doubt = [value for part in parts for value in part.doubt]
    return {"rewards": rewards, "scores": rewards, "extra_logs": {}, "doubt": doubt, "heads": heads}


def judge(shelf: Shelf, reward: Path, base: Path, pairs: Sequence[Pair], config: PPOConfig) -> Judged:
    """What a reward model says of answers to prompts, each answer read with an end.

    :raises CheckpointRefused: the model or its base cannot be opened. :raises NotAnswerable: a text is too long, or
    what is to count is not there.
    """
    taken = shelf.take_judge(reward, base)
    opened, network = taken.opened, taken.network
    answers = [opened.answer_ids(without_end(opened, answer)) for _prompt, answer in pairs]
    prompts = [
        ids_of(opened, prompt, f"prompts[{number}]", len(answer))
        for number, ((prompt, _answer), answer) in enumerate(zip(pairs, answers, strict=True))
    ]
    try:
        network.mix = mix_of(config, network.constants)
        scores = network.score(prompts, answers, opened.pad_id)
    except (RunRefused, RunFailed) as wrong:
        raise NotAnswerable("head_weights", wrong.sentence) from None
    finally:
        network.mix = Mix()  # the playground takes the same network as it is
    mean, deviation = (0.0, 1.0) if config.head_weights or config.formula else network.unit
    rewards = (scores.mean - config.uncertainty * scores.sd - mean) / deviation
    heads = {name: values.tolist() for name, values in scores.heads.items()}
    return Judged(rewards.tolist(), (scores.sd / deviation).tolist(), heads)


def ids_of(opened: Opened, prompt: Prompt | Templated, field: str, room: int) -> list[int]:
    if not isinstance(prompt, Templated):
        return prompt_ids(opened, prompt, field, room, opened.context)
    ids = list(opened.tokenizer(prompt.text, add_special_tokens=False)["input_ids"])
    if len(ids) + room > opened.context:
        raise NotAnswerable(field, f"It has {len(ids)} tokens and its answer {room}; {opened.context} can be read.")
    return ids


def without_end(opened: Opened, answer: str) -> str:
    """An answer without the end that the policy drew and the padding behind it: `answer_ids` adds the end again."""
    ends = [end for end in (opened.tokenizer.eos_token, opened.tokenizer.pad_token) if end]
    while cut := next((end for end in ends if answer.endswith(end)), ""):
        answer = answer.removesuffix(cut)
    return answer
