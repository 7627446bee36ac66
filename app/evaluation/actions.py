"""Blind comparisons: asked for, paired as answers arrive, counted as people answer."""

from typing import Any

from sqlalchemy import func, update
from sqlalchemy.ext.asyncio import AsyncSession

from app import events
from app.checkpoints.tables import Checkpoint, CheckpointKind, CheckpointState
from app.completions.actions import cancel_generation, request_generation
from app.completions.tables import Completion
from app.errors import Invalid
from app.evaluation.forms import EvaluationForm
from app.evaluation.queries import (
    GOING_ON,
    counts_of_tasks,
    generations_of,
    heldout_prompts,
    is_generated,
    is_held,
    open_tasks_of,
    reason_of_generations,
    said_of,
    taken_up,
    unpaired_answers,
)
from app.evaluation.rules import Said, Verdict
from app.evaluation.tables import Evaluation, EvaluationState
from app.jobs.queue import enqueue
from app.projects.actions import comparison_protocol
from app.projects.tables import Batch, BatchState
from app.tasks.actions import NewTask, Wish, cancel_tasks, open_tasks
from app.tasks.jobs import RoundTurned
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
    protocol = await comparison_protocol(session, project_id)
    name = f"{_('Evaluation')} · {candidate.name}"
    batch = Batch(project_id=project_id, name=name, state=BatchState.open, k=form.k, protocol_id=protocol.id)
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
    await note(session, evaluation, "started", actor_id)
    return evaluation


async def pair_answers(session: AsyncSession, evaluation: Evaluation) -> None:
    """Open a task for each prompt that both sides have answered. Identical or empty answers are no question to put
    to people: they are counted by rule and noted as such."""
    assert evaluation.batch_id is not None, "every evaluation has a batch of its own"
    by_rule, wanted = dict(evaluation.result.get("by_rule", {})), []
    wish = Wish(evaluation.k, purpose=Purpose.evaluation)
    for prompt_id, candidate, baseline in await unpaired_answers(session, evaluation):
        decided = decided_by_rule(candidate, baseline)
        if decided is None:
            wanted.append(NewTask(prompt_id, [candidate.id, baseline.id], wish))
        else:
            by_rule[str(prompt_id)] = decided
    await open_tasks(session, evaluation.project_id, evaluation.batch_id, wanted, evaluation_id=evaluation.id)
    evaluation.result = {**evaluation.result, "by_rule": by_rule}


def decided_by_rule(candidate: Completion, baseline: Completion) -> Verdict | None:
    """Identical answers tie; one without an answer loses to one with. None: people decide."""
    if candidate.content_hash == baseline.content_hash or (candidate.flaw and baseline.flaw):
        return Verdict.tie
    if candidate.flaw:
        return Verdict.loss
    return Verdict.win if baseline.flaw else None


async def take_stock(session: AsyncSession, evaluation_id: int) -> Said | None:
    """Pair what has arrived and see what was said. What comes back waits for its result to be drawn up, without a
    transaction, and then for `conclude`; None: nothing new was said, or somebody else counts this one right now.
    """
    evaluation = await taken_up(session, evaluation_id)
    if evaluation is None:
        return None
    generated = await is_generated(session, evaluation)  # before the pairs: an answer that comes between is one
    if evaluation.state in GOING_ON:
        await pair_answers(session, evaluation)
        await session.flush()
    said = await said_of(session, evaluation, generated=generated)
    if said.told != evaluation.result.get("told"):  # the interval takes a while, so it is drawn when something is new
        return said
    await conclude(session, evaluation_id, said, evaluation.result)
    return None


async def conclude(session: AsyncSession, evaluation_id: int, said: Said, drawn: dict[str, Any]) -> None:
    """Keep the result that was drawn from `said`, unless more was said meanwhile: then the next round draws it anew.

    Who is still asked is looked at before what was said: the last answer may come between the two.
    """
    evaluation = await session.get_one(Evaluation, evaluation_id, with_for_update=True, populate_existing=True)
    tasks, still_open = await counts_of_tasks(session, evaluation)
    is_awaited = still_open > 0 or await is_held(session, evaluation)
    if (await said_of(session, evaluation, generated=said.generated)).told != said.told:
        return
    evaluation.result = {**drawn, "recount": evaluation.state not in GOING_ON and is_awaited}
    if evaluation.state is EvaluationState.finished and still_open:
        await reopen(session, evaluation)
    if not said.generated or evaluation.state not in GOING_ON:
        return
    evaluation.state = EvaluationState.open
    if not is_awaited:
        await finish(session, evaluation, is_empty=tasks == 0 and not said.by_rule)


async def finish(session: AsyncSession, evaluation: Evaluation, *, is_empty: bool) -> None:
    """Every task has its answers, and nothing more is collected for it."""
    evaluation.state, evaluation.finished_at = EvaluationState.finished, func.now()
    if is_empty:
        evaluation.state, evaluation.reason = EvaluationState.failed, await why_nothing(session, evaluation)
    await set_batch(session, evaluation, BatchState.closed)
    await note(session, evaluation, evaluation.state.value)


async def reopen(session: AsyncSession, evaluation: Evaluation) -> None:
    """An answer was taken back after the end, or more are wanted: people are asked again."""
    evaluation.state, evaluation.finished_at = EvaluationState.open, None
    await set_batch(session, evaluation, BatchState.open)
    await note(session, evaluation, "reopened")


async def set_batch(session: AsyncSession, evaluation: Evaluation, state: BatchState) -> None:
    """The evaluation's round of collection, once it has one, ends and begins with it."""
    await session.flush()
    if evaluation.batch_id is None:
        return
    await session.execute(update(Batch).where(Batch.id == evaluation.batch_id).values(state=state))
    await enqueue(session, RoundTurned(batch_id=evaluation.batch_id))  # slots of a round that does not ask rest


async def note(session: AsyncSession, evaluation: Evaluation, what: str, actor_id: int | None = None) -> None:
    await events.record(
        session,
        f"evaluation.{what}",
        actor_id=actor_id,
        project_id=evaluation.project_id,
        subject=evaluation.public_id,
    )


async def count_again(session: AsyncSession, evaluation_id: int) -> None:
    """Answers changed after they were counted: housekeeping counts this comparison once more, ended or not."""
    evaluation = await session.get_one(Evaluation, evaluation_id, with_for_update=True)
    evaluation.result = {**evaluation.result, "recount": True}
    await session.flush()


async def why_nothing(session: AsyncSession, evaluation: Evaluation) -> str:
    """The reason that a generation gave, where one did."""
    reason = await reason_of_generations(session, evaluation)
    sentence = _("No prompt was answered by both checkpoints.")
    return f"{sentence} {reason}" if reason else sentence


async def baseline_of(session: AsyncSession, candidate: Checkpoint) -> Checkpoint:
    """What a candidate is compared with unless somebody says otherwise: its parent."""
    if candidate.parent_id is None:
        raise Invalid(field="baseline", reason=_("the candidate has no parent; name a checkpoint to compare with"))
    return await session.get_one(Checkpoint, candidate.parent_id)


async def cancel_evaluation(session: AsyncSession, evaluation: Evaluation, actor_id: int | None) -> None:
    """Ask no further; what was answered stays and is counted, also from those who hold a task of it right now.
    One that has ended stays as it is.
    """
    await session.refresh(evaluation, with_for_update=True)
    if evaluation.state not in GOING_ON:
        return
    for generation in await generations_of(session, evaluation):
        await cancel_generation(session, generation, actor_id)
    still_open = await open_tasks_of(session, evaluation)
    await cancel_tasks(session, evaluation.project_id, still_open, actor_id=actor_id)
    evaluation.state, evaluation.finished_at = EvaluationState.cancelled, func.now()
    await set_batch(session, evaluation, BatchState.closed)
    await count_again(session, evaluation.id)
    await session.refresh(evaluation)
    await note(session, evaluation, "cancelled", actor_id)
