"""Best-of-n and rejection sampling: the cheap baselines beside PPO. They change no weights; they write an SFT file.

The same judges, the same shaped score and the same run file as PPO's, so that all three can be compared; n is
samples_per_prompt. Best-of-n keeps each prompt's best answer, which is log n - (n - 1) / n nats from the reference;
rejection sampling keeps every answer above a threshold.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import torch

from app.datasets.records import Answer, DemonstrationRecord, PromptRecord, TextPart
from app.training.configs import BestRun
from workers.training.actors import Actors, open_actors
from workers.training.checkpoints import CheckpointRefused
from workers.training.drawn import Drawn
from workers.training.judged import Rollout
from workers.training.lines import read_lines, turns
from workers.training.practice import read_prompts, seeds_of
from workers.training.processes import once
from workers.training.progress import Progress, Report, never, quiet, replace_file
from workers.training.rollouts import draw, judge
from workers.training.shaping import shape_scores
from workers.training.standing import begin


def keep_best(run: BestRun, report: Report = quiet, should_stop: Callable[[], bool] = never) -> Path:
    """Run file in, JSONL of demonstrations out. Raises RunFailed, RunRefused, CheckpointRefused, with a sentence."""
    torch.manual_seed(run.seed)
    if run.output.exists():
        raise CheckpointRefused(f"{run.output} is there already, and is not overwritten.")
    config, progress = run.config, Progress(run.work, report, should_stop)
    actors, judges = open_actors(run)
    asked = read_prompts(run, actors.opened)
    standing = begin(run, actors, judges, asked)
    short = set(map(tuple, asked.practice))
    encoded = [
        (record, actors.opened.prompt_ids(turns(record.prompt))) for record in read_lines(run.prompts, PromptRecord)
    ]
    usable = [(record, ids) for record, ids in encoded if tuple(ids) in short]
    progress.rewind(0)
    lines: list[DemonstrationRecord] = []
    count, n = config.prompts_per_step, config.samples_per_prompt
    batches = [usable[at : at + count] for at in range(0, len(usable), count)]
    for step, batch in enumerate(batches, 1):
        prompts = [ids for _, ids in batch]
        answers = draw(actors, prompts, seeds_of(run.seed, step, len(batch)), n, reference=True)
        rollout = judge(
            actors, judges, Drawn([ids for ids in prompts for _ in range(n)], answers, step), step, reference=True
        )
        scores = shape_scores(rollout, standing, config).tolist()
        kept = [row for first in range(0, len(scores), n) for row in choose(run, rollout, scores, first)]
        lines += [demonstration(run, actors, batch[row // n][0], rollout, row) for row in kept]
        progress.step(step, len(batches), figures_of(scores, kept, n))
        progress.stop_if_asked(step)
    once(lambda: replace_file(run.output, "".join(line.model_dump_json() + "\n" for line in lines).encode()))
    return run.output


def choose(run: BestRun, rollout: Rollout, scores: list[float], first: int) -> list[int]:
    """Rows of one prompt's answers that are kept. None that was cut off: it would teach to stop in the middle."""
    ended = [row for row in range(first, first + run.config.samples_per_prompt) if bool(rollout.ended[row])]
    if run.keep == "above":
        return [row for row in ended if scores[row] > run.threshold]
    return [max(ended, key=lambda row: scores[row])] if ended else []


def demonstration(
    run: BestRun, actors: Actors, prompt: PromptRecord, rollout: Rollout, row: int
) -> DemonstrationRecord:
    text = actors.opened.tokenizer.decode(rollout.answers[row], skip_special_tokens=True)
    n = run.config.samples_per_prompt
    name = f"{prompt.id}.{row % n}"
    return DemonstrationRecord(
        id=name,
        group=prompt.group,
        split="train",
        prompt=prompt.prompt,
        answer=Answer(id=name, checkpoint=run.parent, author=run.checkpoint.name, parts=(TextPart(text=text),)),
        writer=f"best of {n}" if run.keep == "best" else f"above {run.threshold:g} of {n}",
    )


def figures_of(scores: list[float], kept: list[int], n: int) -> dict[str, float]:
    mean = sum(scores) / len(scores)
    return {
        "score_shaped": mean,
        "kept_score": sum(scores[row] for row in kept) / len(kept) if kept else math.nan,
        "kept": float(len(kept)),
        "best_of_n_kl": math.log(n) - (n - 1) / n,
    }
