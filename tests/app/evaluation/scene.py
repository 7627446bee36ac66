"""Two checkpoints, held-out prompts and a person to judge; what samplers, people and housekeeping make of them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.annotations.tables import Annotation
from app.checkpoints.tables import Checkpoint, CheckpointKind
from app.completions.actions import Answer, note_failure, take_order, write_answers
from app.completions.tables import Generation
from app.evaluation.actions import start_evaluation
from app.evaluation.forms import EvaluationForm
from app.evaluation.tables import Evaluation
from app.projects.tables import Project
from app.prompts.tables import Use
from app.settings import get_settings
from app.tasks.jobs import AnswersChanged
from app.tasks.tables import Task, TaskState
from tests import make
from tests.queue import waiting
from workers.handlers.evaluation import answers_changed, look_after
from workers.handlers.registry import Context


class Ground:
    def __init__(self, project: Project, candidate: Checkpoint, baseline: Checkpoint, person: Any) -> None:
        self.project, self.candidate, self.baseline, self.person = project, candidate, baseline, person


async def ground(session: AsyncSession, heldout: int = 4) -> Ground:
    """A project with held-out prompts and others, a base, and a policy made from it."""
    baseline = await make.checkpoint(session)
    candidate = await make.checkpoint(session, CheckpointKind.policy, parent_id=baseline.id)
    project = await make.project(session, k=1)
    person = await make.user(session)
    await make.member(session, project, person, pseudonym="r0")
    for _ in range(heldout):
        await make.prompt(session, project, use=Use.heldout)
    for use in (Use.label, Use.train):
        await make.prompt(session, project, use=use)
    return Ground(project, candidate, baseline, person)


async def started(session: AsyncSession, there: Ground, **values: Any) -> Evaluation:
    form = EvaluationForm(candidate=there.candidate.public_id, baseline=there.baseline.public_id, **values)
    return await start_evaluation(session, there.project.id, form, there.candidate, there.baseline, None)


async def answer(
    session: AsyncSession, evaluation: Evaluation, checkpoint: Checkpoint, texts: list[str | None]
) -> None:
    """What the sampler does with the checkpoint's job; None: no answer to that prompt."""
    query = select(Generation).filter_by(evaluation_id=evaluation.id, checkpoint_id=checkpoint.id)
    generation = (await session.scalars(query)).one()
    jobs = [job for job in await waiting(session, "GenerateCompletions") if job["generation_id"] == generation.id]
    prompt_ids = [prompt_id for job in jobs for prompt_id in job["prompt_ids"]]
    lacking = [one for one, text in zip(prompt_ids, texts, strict=True) if text is None]
    there = [(one, text) for one, text in zip(prompt_ids, texts, strict=True) if text is not None]
    order = await take_order(session, generation.id, [one for one, _text in there])
    if order is not None:
        said = dict(there)
        await write_answers(session, order, [[Answer(said[prompt.id], 5, "stop", -1.0)] for prompt in order.prompts])
    if lacking:
        await note_failure(session, generation.id, lacking, "The prompt is too long.")


async def tasks_of(session: AsyncSession, evaluation: Evaluation) -> list[Task]:
    return list(await session.scalars(select(Task).filter_by(evaluation_id=evaluation.id).order_by(Task.id)))


async def judged(session: AsyncSession, there: Ground, evaluation: Evaluation, outcomes: list[Any]) -> list[Annotation]:
    """One answer a task, and then what housekeeping makes of it."""
    made = []
    for task, outcome in zip(await tasks_of(session, evaluation), outcomes, strict=True):
        made.append(await make.annotation(session, task, there.person, outcome))
        task.state = TaskState.done
    await session.flush()
    await look_after_evaluations(session)
    await session.refresh(evaluation)
    return made


async def answered(session: AsyncSession, there: Ground, **values: Any) -> Evaluation:
    """A comparison for which both checkpoints have written all their answers, and whose tasks are open."""
    evaluation = await started(session, there, **values)
    await answer(session, evaluation, there.candidate, [f"new {n}" for n in range(4)])
    await answer(session, evaluation, there.baseline, [f"old {n}" for n in range(4)])
    await look_after_evaluations(session)
    return evaluation


@dataclass(frozen=True)
class Here(Context):
    """What a handler gets; its transactions are savepoints of the test's own, and `open` holds those of this moment."""

    of: AsyncSession | None = None
    open: list[AsyncSession] = field(default_factory=list)

    @asynccontextmanager
    async def session(self) -> AsyncIterator[AsyncSession]:  # type: ignore[override]
        assert self.of is not None
        async with self.of.begin_nested():
            self.open.append(self.of)
            try:
                yield self.of
            finally:
                self.open.pop()


def here(session: AsyncSession) -> Here:
    return Here(get_settings(), of=session)


async def look_after_evaluations(session: AsyncSession) -> None:
    """One round of housekeeping."""
    await look_after(here(session))


async def told_of_changes(session: AsyncSession, evaluation: Evaluation) -> None:
    """What the queue and then housekeeping do after answers have changed."""
    for job in await waiting(session, "AnswersChanged"):
        await answers_changed(AnswersChanged.model_validate(job), here(session))
    await look_after_evaluations(session)
    await session.refresh(evaluation)
