"""From a job to tasks, on a database that commits; a job that runs twice makes them once."""

import pytest
from sqlalchemy import func, select

from app import database
from app.completions.jobs import CompletionsArrived
from app.settings import get_settings
from app.tasks.tables import Slot, SlotState, Task
from tests import make
from tests.app.scene import claimed, let_leases_run_out, scene
from workers.handlers import tasks
from workers.handlers.registry import Context
from workers.handlers.tasks import end_leases_that_ran_out, forget_old_lapses, make_tasks_of_what_arrived

pytestmark = pytest.mark.committed


async def test_answers_that_arrived_become_tasks_once(committed: str) -> None:
    async with database.transaction() as session:
        project = await make.project(session, k=2)
        prompt = await make.prompt(session, project)
        for _ in range(2):
            await make.completion(session, prompt)
    context = Context(get_settings())
    for _ in range(2):
        await make_tasks_of_what_arrived(CompletionsArrived(project_id=project.id, prompt_ids=(prompt.id,)), context)
    async with database.transaction() as session:
        assert await session.scalar(select(func.count()).select_from(Task)) == 1
        assert await session.scalar(select(func.count()).select_from(Slot)) == 2


async def test_housekeeping_frees_what_people_left_lying(committed: str) -> None:
    async with database.transaction() as session:
        there = await scene(session, people=3, tasks=3)
        for person in there.people:
            await claimed(session, person)
        await let_leases_run_out(session)
    context = Context(get_settings())
    await end_leases_that_ran_out(context)
    await end_leases_that_ran_out(context)
    await forget_old_lapses(context)
    async with database.transaction() as session:
        assert set(await session.scalars(select(Slot.state))) == {SlotState.free}


async def test_a_lease_that_cannot_be_ended_holds_up_no_others(committed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with database.transaction() as session:
        there = await scene(session, people=2, tasks=2)
        held = [(await claimed(session, person)).slot_id for person in there.people]
        await let_leases_run_out(session)
    ended: list[int] = []

    async def fails_once(session: object, slot_id: int, *more: int) -> None:
        ended.append(slot_id)
        if len(ended) == 1:
            raise ValueError

    monkeypatch.setattr(tasks, "sweep", fails_once)
    await end_leases_that_ran_out(Context(get_settings()))
    assert sorted(ended) == sorted(held)
