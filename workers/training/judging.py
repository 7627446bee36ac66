"""Who says what an answer is worth: the reward network, and rules beside it, each heard and logged on its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from app.datasets.records import DemonstrationRecord
from app.training.configs import PPORun, RunRefused
from app.training.configs.rules import RuleConfig
from workers.training.checkpoints import Opened
from workers.training.lines import read_lines, turns
from workers.training.rules import Measure, measure_of
from workers.training.scoring import RewardNetwork, Scores

Ruled = dict[str, tuple[float, Tensor]]
"""Title of a rule → what a unit of it is worth, and what it says of each answer, (n,)."""


@dataclass(frozen=True)
class Judges:
    """network: None where rules alone judge. references: of each prompt (its token ids) the answers it is known by."""

    opened: Opened
    network: RewardNetwork | None
    rules: Sequence[tuple[RuleConfig, Measure]] = ()
    references: dict[tuple[int, ...], list[str]] = field(default_factory=dict)

    def scores(self, prompts: Sequence[list[int]], answers: Sequence[list[int]], pad: int) -> Scores:
        """Of answers with their ends, by the network."""
        if self.network is None:
            return Scores(torch.zeros(2, len(answers), device=self.opened.network.device))
        return self.network.score(prompts, answers, pad)

    def ruled(self, prompts: Sequence[list[int]], answers: Sequence[list[int]]) -> Ruled:
        """By each rule, on the texts. Raises RunFailed where a rule of one's own does not answer."""
        if not self.rules:
            return {}
        asked, said = (self._texts(rows) for rows in (prompts, answers))
        known = [self.references.get(tuple(prompt), []) for prompt in prompts]
        device = self.opened.network.device
        return {
            rule.title: (rule.weight, torch.tensor(measure(asked, said, known), dtype=torch.float32, device=device))
            for rule, measure in self.rules
        }

    def _texts(self, rows: Sequence[list[int]]) -> list[str]:
        return [self.opened.tokenizer.decode(row, skip_special_tokens=True) for row in rows]


def open_judges(run: PPORun, opened: Opened, network: RewardNetwork | None) -> Judges:
    """Raises RunRefused for a function that cannot be imported, or an unreadable file."""
    rules = [(rule, measure_of(rule)) for rule in (*run.config.rules, *run.functions)]
    references: dict[tuple[int, ...], list[str]] = {}
    for line in read_lines(run.references, DemonstrationRecord) if run.references else ():
        references.setdefault(tuple(opened.prompt_ids(turns(line.prompt))), []).append(line.answer.text)
    if run.references and not references:
        raise RunRefused(f"{run.references.name} has no reference answer.")
    return Judges(opened, network, rules, references)
