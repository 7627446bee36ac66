"""Requests for completions, by hand and by itself when the queue runs low."""

import secrets
from collections.abc import Sequence

from sqlalchemy import func
from sqlalchemy.ext.asyncio import AsyncSession

from app import events
from app.checkpoints.actions import must_answer
from app.checkpoints.queries import checkpoint_of, serving
from app.checkpoints.tables import Checkpoint, CheckpointState
from app.completions.forms import GenerationForm
from app.completions.jobs import GenerateCompletions
from app.completions.queries import (
    GOING_ON,
    asked_automatically,
    is_collecting,
    prompts_by_need,
    prompts_named,
)
from app.completions.rules import Sampling, in_jobs
from app.completions.tables import Generation, GenerationState
from app.errors import Invalid, NotFound
from app.jobs.queue import enqueue
from app.projects.actions import locked
from app.projects.queries import Progress, batch_by_public_id, default_batch, progress_of, protocol_of_batch
from app.projects.tables import ProjectState
from app.prompts.tables import Use
from app.translation import _

TOP_UP_PROMPTS = 64  # asked by itself at a time


class NothingToAsk(Invalid):
    code = "nothing-to-ask"
    sentence = _("No prompt is in use for that; import some first, or choose others.")


async def ask(session: AsyncSession, project_id: int, form: GenerationForm, actor_id: int | None) -> Generation:
    """Start what the form asks for.

    :raises NothingToAsk: no prompts. :raises Invalid: no checkpoint. :raises NotFound: an id of elsewhere.
    """
    if form.checkpoint is not None:
        checkpoint: Checkpoint | None = await checkpoint_of(session, project_id, form.checkpoint)
    else:
        checkpoint = await serving(session, project_id)
    if checkpoint is None:
        raise Invalid(field="checkpoint", reason=_("none answers for this project yet; choose one"))
    batch = await batch_by_public_id(session, project_id, form.batch) if form.batch else None
    if form.batch and batch is None:
        raise NotFound
    if form.prompts is not None:
        prompts = await prompts_named(session, project_id, form.prompts)
    else:
        prompts = await prompts_by_need(session, project_id, form.use, form.tags, form.most)
    seed = secrets.randbelow(1 << 31) if form.seed is None else form.seed
    return await request_generation(
        session,
        project_id,
        checkpoint,
        prompts,
        n=form.n,
        sampling=form.sampling,
        seed=seed,
        batch_id=batch.id if batch else None,
        actor_id=actor_id,
    )


async def request_generation(
    session: AsyncSession,
    project_id: int,
    checkpoint: Checkpoint,
    prompt_ids: Sequence[int],
    *,
    n: int,
    sampling: Sampling,
    seed: int,
    batch_id: int | None = None,
    evaluation_id: int | None = None,
    actor_id: int | None = None,
    automatic: bool = False,
) -> Generation:
    """A request for n answers to each prompt (inside ids), and the jobs that do it.

    :raises CannotAnswer: the checkpoint scores, or is not ready. :raises NothingToAsk: no prompts.
    """
    must_answer(checkpoint)
    if not prompt_ids:
        raise NothingToAsk
    generation = Generation(
        project_id=project_id,
        checkpoint_id=checkpoint.id,
        batch_id=batch_id,
        evaluation_id=evaluation_id,
        n=n,
        sampling=sampling.as_json(),
        seed=seed,
        wanted=n * len(prompt_ids),
        automatic=automatic,
        created_by_id=actor_id,
    )
    session.add(generation)
    await session.flush()
    for some in in_jobs(prompt_ids):
        await enqueue(session, GenerateCompletions(generation_id=generation.id, prompt_ids=some))
    await events.record(
        session,
        "generation.requested",
        actor_id=actor_id,
        project_id=project_id,
        subject=generation.public_id,
        checkpoint=str(checkpoint.public_id),
        wanted=generation.wanted,
        automatic=automatic,
    )
    return generation


async def top_up_if_low(session: AsyncSession, project_id: int) -> Generation | None:
    """`top_up`, unless enough answers are waited for already: new prompts alone are no reason to ask."""
    project = await locked(session, project_id)
    progress = (await progress_of(session, [project_id], None)).get(project_id, Progress())
    return await top_up(session, project_id) if progress.free < project.low_water else None


async def top_up(session: AsyncSession, project_id: int) -> Generation | None:
    """Ask for more completions, as many as a task shows for each of the label prompts with the fewest, up to the
    project's limit.

    None when there is nothing to do: answers to judge are under way already, the limit is reached, the project is
    not open, nothing answers for it, it has no prompts, or its tasks show no completions.
    """
    project = await locked(session, project_id)
    checkpoint = await serving(session, project_id)
    if project.state is not ProjectState.open or checkpoint is None or checkpoint.state is not CheckpointState.ready:
        return None
    if await is_collecting(session, project_id):
        return None
    n = (await protocol_of_batch(session, await default_batch(session, project_id))).completions
    if not n:
        return None
    left = project.generation_limit - await asked_automatically(session, project_id)
    most = min(TOP_UP_PROMPTS, left // n)
    prompts = await prompts_by_need(session, project_id, Use.label, (), most) if most > 0 else []
    if not prompts:
        return None
    seed = secrets.randbelow(1 << 31)
    return await request_generation(
        session, project_id, checkpoint, prompts, n=n, sampling=Sampling(), seed=seed, automatic=True
    )


async def cancel_generation(session: AsyncSession, generation: Generation, actor_id: int | None) -> None:
    """Stop asking; what has been answered stays. One that has ended stays as it is."""
    await session.refresh(generation, with_for_update=True)
    if generation.state not in GOING_ON:
        return
    generation.state, generation.finished_at = GenerationState.cancelled, func.now()
    await session.flush()
    await events.record(
        session,
        "generation.cancelled",
        actor_id=actor_id,
        project_id=generation.project_id,
        subject=generation.public_id,
    )
