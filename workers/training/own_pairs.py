"""Pairs that a DPO run draws itself: the checkpoint's own answers, told apart by a reward model.

West-of-n (Pace et al. 2024): of several answers to a prompt the best beside the worst. They are only learned from, so
none is drawn to a prompt that people's held-out opinions are about: what is measured there would no longer be new.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from app.datasets.records import PromptRecord
from app.training.configs import BestRun, DPORun, PPOConfig
from workers.sampling.graphs import give_back
from workers.training.best import keep_best
from workers.training.lines import read_lines, turns
from workers.training.opinions import read_judged
from workers.training.processes import anyone, once
from workers.training.progress import CANCEL, METRICS, RunCancelled, RunFailed, replace_file

ANSWERS_AT_ONCE = 256  # answers that are drawn, and judged, together
LEAST_ENDED = 0.1  # share of drawn answers: cut-off ones are in no pair, and those left are a choice of short ones


@dataclass(frozen=True)
class OwnPairs:
    """A file of pairs, or none. left_out: what was not asked, by reason. figures: of the drawing, for the record."""

    files: list[Path] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    figures: dict[str, float] = field(default_factory=lambda: {"drawn_pairs": 0})


def drawn_pairs(run: DPORun, identity: str, should_stop: Callable[[], bool]) -> OwnPairs:
    """Drawn once a run; nothing without a reward model.

    Raises RunFailed where no prompt is left to ask or hardly an answer ends, and what `keep_best` raises.
    """
    if run.reward is None or run.prompts is None:
        return OwnPairs()
    prompts, heldout = apart_from_heldout(run, run.prompts)
    own = identity[:12]  # another configuration in the same folder draws its own
    file, asked, folder = run.work / f"drawn-{own}.jsonl", run.work / f"asked-{own}.jsonl", run.work / f"drawing-{own}"
    if not anyone(file.exists()):
        if not prompts:
            raise RunFailed(f"All prompts of {run.prompts.name} are held out in {run.dataset.name}; none may be asked.")
        once(lambda: replace_file(asked, "".join(one.model_dump_json() + "\n" for one in prompts).encode()))
        draw(run, asked, file, folder, should_stop)
    share, pairs = ended_share(folder), len(file.read_bytes().splitlines())
    if share < LEAST_ENDED:
        tokens = run.config.drawn_tokens
        raise RunFailed(f"{share:.0%} of the drawn answers ended within {tokens} tokens: raise drawn_tokens.")
    return OwnPairs([file], Counter({"prompts_held_out": heldout}), {"drawn_pairs": pairs, "drawn_ended": share})


def ended_share(folder: Path) -> float:
    """Of all answers that were drawn, by the steps' figures in the drawing's folder."""
    steps = [json.loads(line)["values"] for line in (folder / METRICS).read_text(encoding="utf-8").splitlines()]
    return float(sum(one["ended"] * one["answers"] for one in steps) / sum(one["answers"] for one in steps))


def apart_from_heldout(run: DPORun, file: Path) -> tuple[list[PromptRecord], int]:
    """The file's prompts of which the dataset holds nothing out, and how many others there are.

    On the platform both name a prompt's group alike. A file from elsewhere has names of its own, and a component that
    was joined since has another: there the prompt's words tell, and its whole group goes with it. An empty name is no
    group.
    """
    asked = read_lines(file, PromptRecord)
    heldout = [one for one in read_judged([run.dataset], run.config, Counter()) if one.split != "train"]
    words = {tuple(turns(one.prompt)) for one in heldout}
    same = [one for one in asked if tuple(turns(one.prompt)) in words]
    groups = {one.group for one in [*heldout, *same]} - {""}
    prompts = [one for one in asked if one.group not in groups and tuple(turns(one.prompt)) not in words]
    return prompts, len(asked) - len(prompts)


def draw(run: DPORun, prompts: Path, file: Path, folder: Path, should_stop: Callable[[], bool]) -> None:
    config = run.config
    many = config.drawn_answers * max(1, ANSWERS_AT_ONCE // config.drawn_answers)
    drawing = PPOConfig(
        batch=many,
        minibatch=many,
        samples_per_prompt=config.drawn_answers,
        max_tokens=config.drawn_tokens,
        max_prompt_tokens=config.max_tokens,
        token_budget=config.token_budget,
        base_precision=config.base_precision,
    )
    told = run.model_dump(include={"checkpoint", "reward", "reward_base", "seed", "device", "sharding", "parent"})
    best = BestRun(
        **told,
        prompts=prompts,
        keep="pair",
        rounds=config.drawn_pairs,
        output=file,
        folder=folder,
        config=drawing,
    )
    mark = run.work / CANCEL
    try:
        keep_best(best, should_stop=lambda: mark.exists() or should_stop())
    except RunCancelled:
        mark.unlink(missing_ok=True)
        raise
    give_back()  # base and reward model were opened to draw; the student's own come next
