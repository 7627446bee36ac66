"""From a job to tasks, on a database that commits; a job that runs twice makes them once."""

import pytest
from sqlalchemy import func, select

from app import database
from app.completions.jobs import CompletionsArrived
from app.settings import get_settings
from app.tasks.tables import Slot, SlotState, Task
from tests import make
from tests.app.scene import claimed, let_leases_run_out, scene
from workers.handlers.registry import Context
from workers.handlers.tasks import end_leases_that_ran_out, forget_old_lapses, pair_what_arrived

pytestmark = pytest.mark.committed


async def test_answers_that_arrived_become_tasks_once(committed: str) -> None:
    async with database.transaction() as session:
        project = await make.project(session, k=2)
        prompt = await make.prompt(session, project)
        for _ in range(2):
            await make.completion(session, prompt)
    context = Context(get_settings())
    for _ in range(2):
        await pair_what_arrived(CompletionsArrived(project_id=project.id, prompt_ids=(prompt.id,)), context)
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
