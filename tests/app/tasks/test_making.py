"""From answers that arrived to tasks that people are shown."""

import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.checkpoints.tables import Checkpoint
from app.completions.tables import Completion, Flaw
from app.projects.protocols import RankingProtocol, RatingProtocol
from app.projects.queries import default_batch
from app.projects.rules import Entry, Recipe, Source
from app.projects.tables import BatchState, Project
from app.prompts.tables import Prompt, Use
from app.tasks.actions import NewTask, Wish, make_tasks, open_tasks
from app.tasks.queries import completions_of
from app.tasks.tables import Purpose, Slot, Task, TaskCompletion
from tests import make


@pytest.fixture
async def project(session: AsyncSession) -> Project:
    return await make.project(session, k=3)


async def answered(
    session: AsyncSession, project: Project, texts: list[str], checkpoint: Checkpoint | None = None, **values: object
) -> Prompt:
    prompt = await make.prompt(session, project)
    for words in texts:
        await make.completion(session, prompt, words, checkpoint_id=checkpoint.id if checkpoint else None, **values)
    return prompt


async def made(session: AsyncSession, project: Project, *prompts: Prompt) -> int:
    batch = await default_batch(session, project.id)
    return await make_tasks(session, project.id, batch.id, [prompt.id for prompt in prompts])


async def test_two_samples_become_one_task_with_k_free_slots_and_the_recipes_line(
    session: AsyncSession, project: Project
) -> None:
    prompt = await answered(session, project, ["one answer", "another one"], await make.checkpoint(session))
    assert await made(session, project, prompt) == 1
    task = (await session.scalars(select(Task))).one()
    slots = (await session.scalars(select(Slot).order_by(Slot.number))).all()
    assert (task.k, task.purpose, task.recipe_entry["line"]) == (3, Purpose.collect, 0)
    assert task.recipe_entry["same_checkpoint"] is True
    assert [(slot.state, slot.lane) for slot in slots] == [(0, 0)] * 3
    assert slots[0].sides == slots[1].sides[::-1] == slots[2].sides


async def test_making_tasks_twice_makes_them_once_and_later_answers_make_more(
    session: AsyncSession, project: Project
) -> None:
    checkpoint = await make.checkpoint(session)
    prompt = await answered(session, project, ["one answer", "another one", "and a third"], checkpoint)
    assert await made(session, project, prompt) == 1
    assert await made(session, project, prompt) == 0
    await make.completion(session, prompt, "the fourth of them", checkpoint_id=checkpoint.id)
    assert await made(session, project, prompt) == 1
    used = (await session.scalars(select(TaskCompletion.completion_id))).all()
    assert len(used) == len(set(used)) == 4


async def test_empty_and_identical_answers_are_never_shown_as_a_pair(session: AsyncSession, project: Project) -> None:
    prompt = await answered(session, project, ["the same", "the same"])
    await make.completion(session, prompt, " ", flaw=Flaw.empty)
    assert await made(session, project, prompt) == 0


async def test_heldout_train_and_retired_prompts_are_not_put_before_people(
    session: AsyncSession, project: Project
) -> None:
    prompts = []
    for use in (Use.heldout, Use.train, Use.label):
        prompt = await make.prompt(session, project, use=use)
        prompts.append(prompt)
        for words in ("one answer", "another one"):
            await make.completion(session, prompt, words)
    await session.execute(text("UPDATE prompts SET retired_at = now() WHERE id = :it"), {"it": prompts[2].id})
    assert await made(session, project, *prompts) == 0


async def test_answers_of_two_checkpoints_face_each_other_only_when_the_recipe_says_so(
    session: AsyncSession, project: Project
) -> None:
    old, new = await make.checkpoint(session), await make.checkpoint(session)
    prompt = await answered(session, project, ["an old answer"], old)
    await make.completion(session, prompt, "a new one", checkpoint_id=new.id)
    assert await made(session, project, prompt) == 0
    batch = await default_batch(session, project.id)
    entry = Entry(a=Source(checkpoint=new.public_id), b=Source(checkpoint=old.public_id), same_checkpoint=False)
    batch.recipe = Recipe(entries=(entry,)).as_json()
    await session.flush()
    assert await made(session, project, prompt) == 1


async def test_answers_made_for_an_evaluation_are_not_collected(session: AsyncSession, project: Project) -> None:
    checkpoint = await make.checkpoint(session)
    generation = await session.scalar(
        text("INSERT INTO generations (project_id, checkpoint_id, n, sampling, seed, wanted, evaluation_id) "
             "VALUES (:project, :checkpoint, 2, '{}', 1, 2, 77) RETURNING id"),
        {"project": project.id, "checkpoint": checkpoint.id},
    )  # fmt: skip
    prompt = await make.prompt(session, project)
    for number, words in enumerate(("one answer", "another one")):
        await make.completion(session, prompt, words, generation_id=generation, number=number)
    assert await made(session, project, prompt) == 0


async def test_a_batch_never_gets_more_tasks_than_its_target(session: AsyncSession, project: Project) -> None:
    batch = await default_batch(session, project.id)
    batch.target = 2
    await session.flush()
    prompts = [await answered(session, project, ["one answer", "another one"]) for _ in range(4)]
    assert await made(session, project, *prompts) == 2
    assert await made(session, project, *prompts) == 0
    batch.target = 1  # lowered below what is there: nothing more, and nothing taken away
    await session.flush()
    assert await made(session, project, *prompts) == 0


@pytest.mark.parametrize("state", BatchState)
async def test_a_batch_that_asks_nobody_gets_no_tasks(
    session: AsyncSession, project: Project, state: BatchState
) -> None:
    (await default_batch(session, project.id)).state = state
    await session.flush()
    prompt = await answered(session, project, ["one answer", "another one"])
    assert await made(session, project, prompt) == (1 if state in ("pilot", "open") else 0)


async def test_tasks_can_be_opened_for_a_purpose_of_their_own(session: AsyncSession, project: Project) -> None:
    batch = await default_batch(session, project.id)
    prompt = await make.prompt(session, project, use=Use.heldout)
    pair = [(await make.completion(session, prompt)).id for _ in range(2)]
    wanted = [NewTask(prompt.id, pair, Wish(2, purpose=Purpose.evaluation))]
    (task_id,) = await open_tasks(session, project.id, batch.id, wanted)
    shown = await session.scalars(
        select(TaskCompletion.completion_id).where(TaskCompletion.task_id == task_id).order_by(TaskCompletion.number)
    )
    assert list(shown) == pair


async def test_a_protocol_of_four_makes_tasks_of_four_different_answers_of_its_kind(session: AsyncSession) -> None:
    project = await make.project(session, protocol=RankingProtocol().as_json())
    words = ["red fox runs", "blue hen sits", "old oak grows", "red fox runs", "new car waits", "wet day ends"]
    prompt = await answered(session, project, words, await make.checkpoint(session))
    assert await made(session, project, prompt) == 1
    task = (await session.scalars(select(Task))).one()
    shown = await completions_of(session, task.id)
    parts = [one.parts[0]["text"] for one in await session.scalars(select(Completion).where(Completion.id.in_(shown)))]
    assert (task.kind, len(set(parts))) == ("ranking", 4)
    slot = (await session.scalars(select(Slot))).one()
    assert sorted(slot.sides or []) == [0, 1, 2, 3]


async def test_two_checkpoints_in_a_task_of_four_are_both_there(session: AsyncSession) -> None:
    project = await make.project(session, protocol=RankingProtocol().as_json())
    one, other = await make.checkpoint(session), await make.checkpoint(session)
    prompt = await answered(session, project, ["red fox", "blue hen", "old oak", "new car"], one)
    for words in ("wet day", "hot tea", "big sea", "far hill"):
        await make.completion(session, prompt, words, checkpoint_id=other.id)
    entry = Entry(a=Source(checkpoint=one.public_id), b=Source(checkpoint=other.public_id), same_checkpoint=False)
    batch = await default_batch(session, project.id)
    batch.recipe = Recipe(entries=(entry,)).as_json()
    assert await made(session, project, prompt) >= 1
    for task in await session.scalars(select(Task)):
        ids = await completions_of(session, task.id)
        written = set(await session.scalars(select(Completion.checkpoint_id).where(Completion.id.in_(ids))))
        assert written == {one.id, other.id}


async def test_a_protocol_that_shows_one_answer_makes_a_task_an_answer(session: AsyncSession) -> None:
    project = await make.project(session, protocol=RatingProtocol().as_json())
    prompt = await answered(session, project, ["red fox", "blue hen", "old oak"], await make.checkpoint(session))
    assert await made(session, project, prompt) == 3
