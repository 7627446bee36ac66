"""Blind comparisons: asked for, paired as answers arrive, counted as people answer."""

import asyncio
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from sqlalchemy import func
from sqlalchemy.ext.asyncio import AsyncSession

from app import events
from app.checkpoints.tables import Checkpoint, CheckpointKind, CheckpointState
from app.completions.actions import cancel_generation, request_generation
from app.completions.tables import Completion
from app.errors import Invalid
from app.evaluation.forms import EvaluationForm
from app.evaluation.queries import (
    counts_of_tasks,
    generations_of,
    heldout_prompts,
    is_generated,
    open_evaluations,
    open_tasks_of,
    reason_of_generations,
    unpaired_answers,
    verdicts,
)
from app.evaluation.rules import Verdict, win_rate
from app.evaluation.tables import Evaluation, EvaluationState
from app.projects.tables import Batch, BatchState
from app.tasks.actions import NewTask, cancel_tasks, open_tasks
from app.tasks.tables import Purpose
from app.translation import _


async def start_evaluation(
    session: AsyncSession,
    project_id: int,
    form: EvaluationForm,
    candidate: Checkpoint,
    baseline: Checkpoint,
    actor_id: int | None,
) -> Evaluation:
    """Ask both checkpoints for one answer each to the same held-out prompts; tasks follow as the answers arrive."""
    for name, checkpoint in (("candidate", candidate), ("baseline", baseline)):
        if checkpoint.kind is CheckpointKind.reward or checkpoint.state is not CheckpointState.ready:
            raise Invalid(field=name, reason=_("that checkpoint cannot write answers"))
    prompts = await heldout_prompts(session, project_id, form.prompts)
    if not prompts:
        raise Invalid(field="prompts", reason=_("the project has no held-out prompts; import some with use heldout"))
    batch = Batch(project_id=project_id, name=f"{_('Evaluation')} · {candidate.name}", state=BatchState.open, k=form.k)
    session.add(batch)
    await session.flush()
    evaluation = Evaluation(
        project_id=project_id,
        batch_id=batch.id,
        candidate_id=candidate.id,
        baseline_id=baseline.id,
        sampling=form.sampling.model_dump(mode="json"),
        seed=form.seed,
        prompts=len(prompts),
        k=form.k,
        created_by_id=actor_id,
    )
    session.add(evaluation)
    await session.flush()
    await session.refresh(evaluation)
    for checkpoint in (candidate, baseline):
        await request_generation(
            session, project_id, checkpoint, prompts, n=1, sampling=form.sampling, seed=form.seed,
            batch_id=batch.id, evaluation_id=evaluation.id, actor_id=actor_id,
        )  # fmt: skip
    await events.record(
        session, "evaluation.started", actor_id=actor_id, project_id=project_id, subject=evaluation.public_id
    )
    return evaluation


async def pair_answers(session: AsyncSession, evaluation: Evaluation) -> None:
    """Open a task for each prompt that both sides have answered. Identical or empty answers are no question to put
    to people: they are counted by rule and noted as such."""
    assert evaluation.batch_id is not None, "every evaluation has a batch of its own"
    by_rule, wanted = dict(evaluation.result.get("by_rule", {})), []
    for prompt_id, candidate, baseline in await unpaired_answers(session, evaluation):
        decided = decided_by_rule(candidate, baseline)
        if decided is None:
            wanted.append(NewTask(prompt_id, [candidate.id, baseline.id]))
        else:
            by_rule[str(prompt_id)] = decided
    await open_tasks(
        session,
        evaluation.project_id,
        evaluation.batch_id,
        wanted,
        k=evaluation.k,
        purpose=Purpose.evaluation,
        evaluation_id=evaluation.id,
    )
    evaluation.result = {**evaluation.result, "by_rule": by_rule}


def decided_by_rule(candidate: Completion, baseline: Completion) -> Verdict | None:
    """Identical answers tie; one without an answer loses to one with. None: people decide."""
    if candidate.content_hash == baseline.content_hash or (candidate.flaw and baseline.flaw):
        return Verdict.tie
    if candidate.flaw:
        return Verdict.loss
    return Verdict.win if baseline.flaw else None


async def count(session: AsyncSession, evaluation: Evaluation, *, generated: bool) -> None:
    """Write the result as of now, and finish when every task has its answers. generated: no answer was still to come
    before pairs were looked for.

    What is finished is asked before what was said: the last answer may come between the two.
    """
    tasks, still_open = await counts_of_tasks(session, evaluation)
    said = await verdicts(session, evaluation)
    told = digest_of(said, evaluation.result.get("by_rule", {}))
    if evaluation.result.get("told") != told:  # the interval takes a while, so it is drawn when something is new
        evaluation.result = {**await asyncio.to_thread(result_of, evaluation, said), "told": told}
    if not generated:
        return
    if evaluation.state is EvaluationState.generating:
        evaluation.state = EvaluationState.open
    if still_open:
        return
    evaluation.state, evaluation.finished_at = EvaluationState.finished, func.now()
    if tasks == 0 and not evaluation.result["by_rule"]:
        evaluation.state, evaluation.reason = EvaluationState.failed, await why_nothing(session, evaluation)
    await session.flush()
    await events.record(
        session,
        f"evaluation.{evaluation.state.value}",
        project_id=evaluation.project_id,
        subject=evaluation.public_id,
    )


def digest_of(said: Mapping[int, list[Verdict]], by_rule: Mapping[str, str]) -> str:
    """Changes exactly when what was said changes."""
    whole = [sorted((prompt, sorted(verdicts)) for prompt, verdicts in said.items()), sorted(by_rule.items())]
    return hashlib.sha256(json.dumps(whole).encode()).hexdigest()[:16]


def result_of(evaluation: Evaluation, said: Mapping[int, list[Verdict]]) -> dict[str, Any]:
    """people: what was answered. all: with the pairs that a rule decided, each as often as it would have been asked."""
    by_rule = evaluation.result.get("by_rule", {})
    ruled = [[Verdict(verdict)] * evaluation.k for verdict in by_rule.values()]
    return {
        "schema": {"name": "hone.evaluation", "version": 1},
        "by_rule": by_rule,
        "people": asdict(win_rate(said.values(), seed=evaluation.seed)),
        "all": asdict(win_rate([*said.values(), *ruled], seed=evaluation.seed)),
    }


async def why_nothing(session: AsyncSession, evaluation: Evaluation) -> str:
    """The reason that a generation gave, where one did."""
    reason = await reason_of_generations(session, evaluation)
    sentence = _("No prompt was answered by both checkpoints.")
    return f"{sentence} {reason}" if reason else sentence


async def look_after_evaluations(session: AsyncSession) -> None:
    """Housekeeping: pair what has arrived, count what was said."""
    for evaluation in await open_evaluations(session):
        generated = await is_generated(session, evaluation)  # before the pairs: an answer that comes between is one
        await pair_answers(session, evaluation)
        await session.flush()
        await count(session, evaluation, generated=generated)


async def baseline_of(session: AsyncSession, candidate: Checkpoint) -> Checkpoint:
    """What a candidate is compared with unless somebody says otherwise: its parent."""
    if candidate.parent_id is None:
        raise Invalid(field="baseline", reason=_("the candidate has no parent; name a checkpoint to compare with"))
    return await session.get_one(Checkpoint, candidate.parent_id)


async def cancel_evaluation(session: AsyncSession, evaluation: Evaluation, actor_id: int | None) -> None:
    """Ask no further; what was answered stays and stays counted. One that has ended stays as it is."""
    await session.refresh(evaluation, with_for_update=True)
    if evaluation.state not in (EvaluationState.generating, EvaluationState.open):
        return
    for generation in await generations_of(session, evaluation):
        await cancel_generation(session, generation, actor_id)
    still_open = await open_tasks_of(session, evaluation)
    await cancel_tasks(session, evaluation.project_id, still_open, actor_id=actor_id)
    evaluation.state, evaluation.finished_at = EvaluationState.cancelled, func.now()
    await session.flush()
    await session.refresh(evaluation)
    await events.record(
        session,
        "evaluation.cancelled",
        actor_id=actor_id,
        project_id=evaluation.project_id,
        subject=evaluation.public_id,
    )
