"""A pilot asks about prompts that are drawn at random, whatever it shows and in whichever order answers arrive."""

from hashlib import md5

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.completions.tables import Generation, GenerationState
from app.projects.queries import default_batch
from app.projects.tables import Batch, BatchState, Project
from app.prompts.tables import Prompt
from app.tasks.actions import ask_about_prompts, pair_what_arrived
from app.tasks.jobs import RoundChanged
from app.tasks.tables import Task
from tests import make
from tests.app.evaluation.scene import here
from tests.queue import waiting
from workers.handlers.tasks import fill_round


async def a_pilot(session: AsyncSession, project: Project, prompts: int) -> tuple[Batch, list[Prompt]]:
    """Of two tasks; and the round's prompts in the order of its draw."""
    batch = Batch(project_id=project.id, name="Pilot", state=BatchState.pilot, pilot=2)
    session.add(batch)
    await session.flush()
    made = [await make.prompt(session, project) for _ in range(prompts)]
    draw = {one.id: md5(f"{one.public_id}{batch.public_id}".encode()).hexdigest() for one in made}
    return batch, sorted(made, key=lambda one: draw[one.id])


async def asked(session: AsyncSession, batch: Batch) -> set[int]:
    return set(await session.scalars(select(Task.prompt_id).where(Task.batch_id == batch.id)))


async def test_prompts_that_people_answer_themselves_are_drawn(session: AsyncSession) -> None:
    project = await make.project(session, protocol={"kind": "demonstration"})
    (await default_batch(session, project.id)).state = BatchState.closed
    batch, drawn = await a_pilot(session, project, 8)
    assert await ask_about_prompts(session, project.id) == 2
    assert await asked(session, batch) == {one.id for one in drawn[:2]}


async def test_answers_that_come_first_are_no_sample(session: AsyncSession) -> None:
    project = await make.project(session)
    batch, drawn = await a_pilot(session, project, 4)
    checkpoint = await make.checkpoint(session)
    values = {"project_id": project.id, "checkpoint_id": checkpoint.id, "sampling": {}}
    request = Generation(**values, wanted=8, n=2, seed=1, batch_id=batch.id, state=GenerationState.running)
    session.add(request)
    await session.flush()
    came = [drawn[3], drawn[1], drawn[2]]  # nothing came for the first one drawn, and never will
    for prompt in came:
        for words in ("one answer", "quite another thing"):
            await make.completion(session, prompt, words, checkpoint_id=checkpoint.id)
    ids = [one.id for one in came]
    assert await pair_what_arrived(session, batch.id, ids) == 1
    assert await asked(session, batch) == {drawn[1].id}
    request.state = GenerationState.failed
    assert await pair_what_arrived(session, batch.id, ids) == 0
    assert await waiting(session, "RoundChanged") == [{"batch_id": batch.id}]
    await fill_round(RoundChanged(batch_id=batch.id), here(session))
    assert await asked(session, batch) == {drawn[1].id, drawn[2].id}
