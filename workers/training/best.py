"""Best-of-n and rejection sampling: the cheap baselines beside PPO. They change no weights; they write a file that SFT
learns from, or DPO.

The same judges, the same shaped score and the same run file as PPO's, so that all can be compared; n is
samples_per_prompt. Best-of-n keeps each prompt's best answer, which is log n - (n - 1) / n nats from the reference;
rejection sampling keeps every answer above a threshold; West-of-n (Pace et al. 2024) sets the best beside the worst.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from app.datasets.records import Answer, ComparisonRecord, DemonstrationRecord, Outcome, PromptRecord, TextPart, Vote
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
    """Run file in, JSONL of demonstrations (or of comparisons, where `keep` is pair) out. Raises RunFailed, RunRefused,
    CheckpointRefused, with a sentence."""
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
    lines: list[DemonstrationRecord | ComparisonRecord] = []
    count, n = config.prompts_per_step, config.samples_per_prompt
    batches = [usable[at : at + count] for at in range(0, len(usable), count)] * run.rounds
    for step, batch in enumerate(batches, 1):
        prompts = [ids for _, ids in batch]
        answers = draw(actors, prompts, seeds_of(run.seed, step, len(batch)), n, reference=True)
        rollout = judge(
            actors, judges, Drawn([ids for ids in prompts for _ in range(n)], answers, step), step, reference=True
        )
        scores = shape_scores(rollout, standing, config).tolist()
        chosen = [choose(run, rollout, scores, first) for first in range(0, len(scores), n)]
        earlier = n * ((step - 1) * run.rounds // len(batches))  # answers to these prompts in earlier rounds
        for (record, _), rows in zip(batch, chosen, strict=True):
            answers_kept = [answer_of(run, actors, record, rollout, row, earlier) for row in rows]
            lines += written(run, record, answers_kept)
        kept = [row for rows in chosen for row in (rows[:1] if run.keep == "pair" else rows)]
        progress.step(step, len(batches), figures_of(rollout, scores, kept, n))
        progress.stop_if_asked(step)
    once(lambda: replace_file(run.output, "".join(line.model_dump_json() + "\n" for line in lines).encode()))
    return run.output


def choose(run: BestRun, rollout: Rollout, scores: list[float], first: int) -> list[int]:
    """Rows of one prompt's answers that are kept, of a pair the better one first. None that was cut off: it would teach
    to stop in the middle."""
    ended = [row for row in range(first, first + run.config.samples_per_prompt) if bool(rollout.ended[row])]
    if run.keep == "above":
        return [row for row in ended if scores[row] > run.threshold]
    ranked = sorted(ended, key=lambda row: -scores[row])
    if run.keep == "best":
        return ranked[:1]
    return [ranked[0], ranked[-1]] if ranked and scores[ranked[0]] > scores[ranked[-1]] else []


def answer_of(run: BestRun, actors: Actors, prompt: PromptRecord, rollout: Rollout, row: int, earlier: int) -> Answer:
    text = actors.opened.tokenizer.decode(rollout.answers[row], skip_special_tokens=True)
    name = f"{prompt.id}.{earlier + row % run.config.samples_per_prompt}"
    return Answer(id=name, checkpoint=run.parent, author=run.checkpoint.name, parts=(TextPart(text=text),))


def written(
    run: BestRun, prompt: PromptRecord, answers: list[Answer]
) -> Iterator[DemonstrationRecord | ComparisonRecord]:
    """What the file says of a prompt's answers that were kept."""
    n = run.config.samples_per_prompt
    if run.keep == "pair":
        if answers:
            yield comparison(prompt, answers[0], answers[1], f"best and worst of {n}")
        return
    writer = f"best of {n}" if run.keep == "best" else f"above {run.threshold:g} of {n}"
    for answer in answers:
        yield DemonstrationRecord(
            id=answer.id, group=prompt.group, split="train", prompt=prompt.prompt, answer=answer, writer=writer
        )


def comparison(prompt: PromptRecord, better: Answer, worse: Answer, rater: str) -> ComparisonRecord:
    vote = Vote(rater=rater, outcome=Outcome.a, strength=1, shown_first="a")
    return ComparisonRecord(
        id=better.id,
        group=prompt.group,
        split="train",
        prompt=prompt.prompt,
        a=better,
        b=worse,
        conclusion=Outcome.a,
        votes=(vote,),
    )


def figures_of(rollout: Rollout, scores: list[float], kept: list[int], n: int) -> dict[str, float]:
    mean = sum(scores) / len(scores)
    return {
        "answers": float(len(scores)),
        "ended": float(rollout.ended.float().mean()),
        "score_shaped": mean,
        "kept_score": sum(scores[row] for row in kept) / len(kept) if kept else math.nan,
        "kept": float(len(kept)),
        "best_of_n_kl": math.log(n) - (n - 1) / n,
    }
