"""Blind comparisons: asked for, paired as answers arrive, counted as people answer."""

from dataclasses import asdict

from sqlalchemy import func
from sqlalchemy.ext.asyncio import AsyncSession

from app import events
from app.checkpoints.tables import Checkpoint, CheckpointKind, CheckpointState
from app.completions.actions import request_generation
from app.completions.tables import Completion
from app.errors import Invalid
from app.evaluation.forms import EvaluationForm
from app.evaluation.queries import (
    counts_of_tasks,
    heldout_prompts,
    is_generated,
    open_evaluations,
    unpaired_answers,
    verdicts,
)
from app.evaluation.rules import Verdict, win_rate
from app.evaluation.tables import Evaluation, EvaluationState
from app.projects.tables import Batch, BatchState
from app.tasks.actions.making import NewTask, open_tasks
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


async def count(session: AsyncSession, evaluation: Evaluation) -> None:
    """Write the result as of now, and finish when every task has its answers."""
    said = await verdicts(session, evaluation)
    by_rule = evaluation.result.get("by_rule", {})
    people = win_rate(said.values(), seed=evaluation.seed)
    ruled = [[Verdict(verdict)] * evaluation.k for verdict in by_rule.values()]
    everything = win_rate([*said.values(), *ruled], seed=evaluation.seed)
    evaluation.result = {
        "schema": {"name": "hone.evaluation", "version": 1},
        "by_rule": by_rule,
        "people": asdict(people),
        "all": asdict(everything),
    }
    tasks, still_open = await counts_of_tasks(session, evaluation)
    if not await is_generated(session, evaluation):
        return
    if evaluation.state is EvaluationState.generating:
        evaluation.state = EvaluationState.open
    if still_open == 0:
        evaluation.state, evaluation.finished_at = EvaluationState.finished, func.now()
        if tasks == 0 and not by_rule:
            evaluation.state, evaluation.reason = EvaluationState.failed, _("Neither checkpoint answered any prompt.")


async def look_after_evaluations(session: AsyncSession) -> None:
    """Housekeeping: pair what has arrived, count what was said."""
    for evaluation in await open_evaluations(session):
        await pair_answers(session, evaluation)
        await session.flush()
        await count(session, evaluation)


async def baseline_of(session: AsyncSession, candidate: Checkpoint) -> Checkpoint:
    """What a candidate is compared with unless somebody says otherwise: its parent."""
    if candidate.parent_id is None:
        raise Invalid(field="baseline", reason=_("the candidate has no parent; name a checkpoint to compare with"))
    return await session.get_one(Checkpoint, candidate.parent_id)
