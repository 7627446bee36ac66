"""Questions about blind comparisons."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Select, and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from app.annotations.tables import Annotation, AnnotationState
from app.checkpoints.tables import Checkpoint
from app.completions.tables import Completion, Generation, GenerationState
from app.errors import NotFound
from app.evaluation.rules import Said, Verdict
from app.evaluation.tables import Evaluation, EvaluationState
from app.prompts.tables import Prompt, Use
from app.tasks.tables import Slot, SlotState, Task, TaskCompletion, TaskState

GOING_ON = (EvaluationState.generating, EvaluationState.open)
TO_COUNT = or_(Evaluation.state.in_(GOING_ON), Evaluation.result["recount"].astext == "true")


async def evaluation_of(session: AsyncSession, project_id: int, public_id: UUID) -> Evaluation:
    found = await session.scalar(
        select(Evaluation).where(Evaluation.project_id == project_id, Evaluation.public_id == public_id)
    )
    if found is None:
        raise NotFound
    return found


def evaluations_with_checkpoints(project_id: int) -> Select[Evaluation, UUID, UUID]:
    """Rows (evaluation, outside ids of its candidate and of its baseline)."""
    candidate, baseline = aliased(Checkpoint), aliased(Checkpoint)
    return (
        select(Evaluation, candidate.public_id, baseline.public_id)
        .join(candidate, candidate.id == Evaluation.candidate_id)
        .join(baseline, baseline.id == Evaluation.baseline_id)
        .where(Evaluation.project_id == project_id)
    )


async def evaluations_of(
    session: AsyncSession, project_id: int, checkpoint_id: int | None = None
) -> Sequence[Evaluation]:
    """Newest first; of one checkpoint (as candidate or baseline) where it is given."""
    query = select(Evaluation).where(Evaluation.project_id == project_id).order_by(Evaluation.id.desc())
    if checkpoint_id is not None:
        query = query.where(or_(Evaluation.candidate_id == checkpoint_id, Evaluation.baseline_id == checkpoint_id))
    return (await session.scalars(query)).all()


async def evaluations_to_count(session: AsyncSession) -> Sequence[int]:
    """Inside ids of those that are going on, and of ended ones whose answers have changed since."""
    return (await session.scalars(select(Evaluation.id).where(TO_COUNT).order_by(Evaluation.id))).all()


async def taken_up(session: AsyncSession, evaluation_id: int) -> Evaluation | None:
    """One that wants to be counted, locked; None when somebody else counts it right now, or it is done by now."""
    query = select(Evaluation).where(Evaluation.id == evaluation_id, TO_COUNT).with_for_update(skip_locked=True)
    return (await session.scalars(query, execution_options={"populate_existing": True})).one_or_none()


async def heldout_prompts(session: AsyncSession, project_id: int, most: int) -> list[int]:
    """Held-out prompts in an order that has nothing to do with when they were imported."""
    query = (
        select(Prompt.id)
        .where(Prompt.project_id == project_id, Prompt.use == Use.heldout, Prompt.retired_at.is_(None))
        .order_by(Prompt.content_hash)
        .limit(most)
    )
    return list((await session.scalars(query)).all())


async def unpaired_answers(session: AsyncSession, evaluation: Evaluation) -> Sequence[Any]:
    """Rows (prompt_id, candidate, baseline) of answers that have arrived on both sides and are no task yet."""
    candidate, baseline = aliased(Completion), aliased(Completion)
    of_candidate, of_baseline = aliased(Generation), aliased(Generation)
    already = select(Task.id).where(Task.evaluation_id == evaluation.id, Task.prompt_id == candidate.prompt_id).exists()
    query = (
        select(candidate.prompt_id, candidate, baseline)
        .join(of_candidate, of_candidate.id == candidate.generation_id)
        .join(baseline, baseline.prompt_id == candidate.prompt_id)
        .join(of_baseline, of_baseline.id == baseline.generation_id)
        .where(
            of_candidate.evaluation_id == evaluation.id,
            of_baseline.evaluation_id == evaluation.id,
            candidate.checkpoint_id == evaluation.candidate_id,
            baseline.checkpoint_id == evaluation.baseline_id,
            ~already,
        )
        .order_by(candidate.prompt_id)
    )
    return (await session.execute(query)).all()


async def verdicts(session: AsyncSession, evaluation: Evaluation) -> dict[int, list[Verdict]]:
    """What people said about the candidate, by prompt."""
    first = aliased(TaskCompletion)
    candidate = aliased(Completion)
    query = (
        select(Task.prompt_id, Annotation.body, candidate.checkpoint_id)
        .join(Annotation, and_(Annotation.task_id == Task.id, Annotation.state == AnnotationState.live))
        .join(first, and_(first.task_id == Task.id, first.number == 0))
        .join(candidate, candidate.id == first.completion_id)
        .where(Task.evaluation_id == evaluation.id)
        .order_by(Task.prompt_id, Annotation.id)
    )
    said: dict[int, list[Verdict]] = defaultdict(list)
    for prompt_id, body, first_checkpoint in await session.execute(query):
        candidate_number = 0 if first_checkpoint == evaluation.candidate_id else 1
        said[prompt_id].append(verdict_of(body, candidate_number))
    return said


async def said_of(session: AsyncSession, evaluation: Evaluation, *, generated: bool) -> Said:
    """All that the result is drawn from, as of now."""
    people = await verdicts(session, evaluation)
    return Said(people, evaluation.result.get("by_rule", {}), evaluation.k, evaluation.seed, generated)


def verdict_of(body: dict[str, Any], candidate_number: int) -> Verdict:
    """Both bad is a tie: neither was better."""
    if body["outcome"] == "preferred":
        return Verdict.win if body["preferred"] == candidate_number else Verdict.loss
    return Verdict.invalid if body["outcome"] == "neither_valid" else Verdict.tie


async def is_generated(session: AsyncSession, evaluation: Evaluation) -> bool:
    """Whether no answer is still to come."""
    over = (GenerationState.finished, GenerationState.failed, GenerationState.cancelled)
    waiting = select(Generation.id).where(Generation.evaluation_id == evaluation.id, Generation.state.not_in(over))
    return await session.scalar(waiting.limit(1)) is None


async def generations_of(session: AsyncSession, evaluation: Evaluation) -> Sequence[Generation]:
    """The two requests for answers."""
    query = select(Generation).where(Generation.evaluation_id == evaluation.id).order_by(Generation.id)
    return (await session.scalars(query)).all()


async def reason_of_generations(session: AsyncSession, evaluation: Evaluation) -> str | None:
    """Why answers did not come, where a request says so."""
    return next((one.reason for one in await generations_of(session, evaluation) if one.reason), None)


async def open_tasks_of(session: AsyncSession, evaluation: Evaluation) -> Sequence[int]:
    query = select(Task.id).where(Task.evaluation_id == evaluation.id, Task.state == TaskState.open)
    return (await session.scalars(query.order_by(Task.id))).all()


async def is_held(session: AsyncSession, evaluation: Evaluation) -> bool:
    """Whether somebody has one of its tasks on the screen: also a cancelled one may still be answered by them."""
    holding = select(Slot.id).join(Task, Task.id == Slot.task_id)
    asked = holding.where(Task.evaluation_id == evaluation.id, Slot.state == SlotState.leased)
    return await session.scalar(asked.limit(1)) is not None


async def counts_of_tasks(session: AsyncSession, evaluation: Evaluation) -> tuple[int, int]:
    """(tasks, tasks still open)."""
    row = await session.execute(
        select(func.count(), func.count().filter(Task.state == TaskState.open)).where(
            Task.evaluation_id == evaluation.id
        )
    )
    tasks, still_open = row.one()
    return tasks, still_open


async def named_checkpoints(session: AsyncSession, evaluations: Sequence[Evaluation]) -> dict[int, Checkpoint]:
    """The checkpoints that these comparisons speak of, by inside id."""
    wanted = {one.candidate_id for one in evaluations} | {one.baseline_id for one in evaluations}
    found = await session.scalars(select(Checkpoint).where(Checkpoint.id.in_(wanted)))
    return {checkpoint.id: checkpoint for checkpoint in found}


@dataclass(frozen=True)
class Standing:
    """A checkpoint's side of one comparison, by people's answers: as baseline it is the candidate's mirror image."""

    public_id: UUID
    other: str
    state: str
    answers: int
    rate: float | None
    low: float | None
    high: float | None


async def standings_of(session: AsyncSession, project_id: int, checkpoint_id: int) -> list[Standing]:
    """How a checkpoint fared in the project's comparisons, newest first."""
    found = await evaluations_of(session, project_id, checkpoint_id)
    named = await named_checkpoints(session, found)
    return [_standing(one, checkpoint_id, named) for one in found]


def _standing(evaluation: Evaluation, checkpoint_id: int, named: dict[int, Checkpoint]) -> Standing:
    is_candidate = evaluation.candidate_id == checkpoint_id
    other = named[evaluation.baseline_id if is_candidate else evaluation.candidate_id].name
    return Standing(evaluation.public_id, other, evaluation.state.value, *side_of(evaluation, checkpoint_id))


def side_of(evaluation: Evaluation, checkpoint_id: int) -> tuple[int, float | None, float | None, float | None]:
    """(answers by people, the checkpoint's win rate, low and high end of its interval)."""
    people = evaluation.result.get("people", {})
    rate, low, high = (people.get(name) for name in ("rate", "low", "high"))
    if evaluation.candidate_id != checkpoint_id:
        rate, low, high = (None if share is None else 1 - share for share in (rate, high, low))
    return sum(people.get(name, 0) for name in ("wins", "ties", "losses")), rate, low, high
