"""Pairs that a DPO run draws itself: the checkpoint's own answers, told apart by a reward model.

West-of-n (Pace et al. 2024): of several answers to a prompt the best beside the worst. They are only learned from, so
none is drawn to a prompt that people's held-out opinions are about: what is measured there would no longer be new.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

from app.datasets.records import PromptRecord
from app.training.configs import BestRun, DPORun, PPOConfig
from workers.sampling.graphs import give_back
from workers.training.best import keep_best
from workers.training.lines import read_lines, turns
from workers.training.opinions import read_judged
from workers.training.processes import anyone, once
from workers.training.progress import CANCEL, RunCancelled, RunFailed, replace_file

ANSWERS_AT_ONCE = 256  # answers that are drawn, and judged, together


def drawn_pairs(run: DPORun, identity: str, should_stop: Callable[[], bool]) -> tuple[list[Path], Counter[str]]:
    """A file of pairs, drawn once a run, and what was not asked by reason; nothing of either without a reward model.

    Raises RunFailed where no prompt is left to ask, and what `keep_best` raises.
    """
    if run.reward is None or run.prompts is None:
        return [], Counter()
    prompts, heldout = apart_from_heldout(run, run.prompts)
    left_out = Counter({"prompts_held_out": heldout})
    # another configuration in the same folder draws its own
    file = run.work / f"drawn-{identity[:12]}.jsonl"
    if not anyone(file.exists()):
        if not prompts:
            raise RunFailed(f"All prompts of {run.prompts.name} are held out in {run.dataset.name}; none may be asked.")
        asked = run.work / f"asked-{identity[:12]}.jsonl"
        once(lambda: replace_file(asked, "".join(one.model_dump_json() + "\n" for one in prompts).encode()))
        draw(run, asked, file, should_stop)
    return [file], left_out


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


def draw(run: DPORun, prompts: Path, file: Path, should_stop: Callable[[], bool]) -> None:
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
        folder=run.work / "drawing",
        config=drawing,
    )
    mark = run.work / CANCEL
    try:
        keep_best(best, should_stop=lambda: mark.exists() or should_stop())
    except RunCancelled:
        mark.unlink(missing_ok=True)
        raise
    give_back()  # base and reward model were opened to draw; the student's own come next
