"""Of whom, how often and in which order: rounds, tags of prompts, calibration, places of single tasks."""

import re
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.permissions import Role
from app.accounts.tables import Audience, Membership
from app.projects.batching import HandOutEdit
from app.projects.queries import default_batch
from app.projects.tables import Ordering, Project, TagRule
from app.prompts.tables import Prompt
from app.tasks.actions import edit_hand_out, grow_calibration, make_tasks, settle_places
from app.tasks.actions.wishing import is_calibration
from app.tasks.jobs import PlacesChanged
from app.tasks.rules import BANDS, DEFAULT_BAND, rank_in, rank_of
from app.tasks.tables import Purpose, Slot, Task
from tests import make
from tests.app.evaluation.scene import here
from tests.app.scene import access_of, broken, claimed, engineer, scene
from tests.queue import waiting
from workers.handlers.tasks import move_slots


@pytest.fixture
async def project(session: AsyncSession) -> Project:
    return await make.project(session, k=2)


async def pair(session: AsyncSession, project: Project, *tags: str) -> Prompt:
    prompt = await make.prompt(session, project, tags=list(tags))
    for words in ("one answer", "another one"):
        await make.completion(session, prompt, words)
    return prompt


async def made(session: AsyncSession, project: Project, *prompts: Prompt) -> list[Task]:
    batch = await default_batch(session, project.id)
    await make_tasks(session, project.id, batch.id, [prompt.id for prompt in prompts])
    by_prompt = {task.prompt_id: task for task in await session.scalars(select(Task))}
    return [by_prompt[prompt.id] for prompt in prompts]


async def audience(session: AsyncSession, project: Project, number: int, name: str = "Some", **values: Any) -> Audience:
    row = Audience(project_id=project.id, number=number, name=name, **values)
    session.add(row)
    await session.flush()
    return row


async def rule(session: AsyncSession, project: Project, tag: str, place: int = 0, **values: Any) -> None:
    session.add(TagRule(project_id=project.id, tag=tag, place=place, **values))
    await session.flush()


async def slots(session: AsyncSession, task: Task) -> list[Slot]:
    asked = select(Slot).where(Slot.task_id == task.id).order_by(Slot.number)
    return list(await session.scalars(asked.execution_options(populate_existing=True)))


async def test_tags_ask_for_more_answers_other_people_and_an_earlier_place(
    session: AsyncSession, project: Project
) -> None:
    law, poets = await audience(session, project, 3, "Law"), await audience(session, project, 5, "Poets")
    await rule(session, project, "law", place=1, k=4, audience_id=law.id, band=6)
    await rule(session, project, "poem", place=0, k=3, audience_id=poets.id)
    await rule(session, project, "urgent", place=2, band=1)
    plain, legal, both, soon = await made(
        session,
        project,
        await pair(session, project),
        await pair(session, project, "law"),
        await pair(session, project, "law", "poem", "urgent"),
        await pair(session, project, "urgent", "else"),
    )
    assert [task.k for task in (plain, legal, both, soon)] == [2, 4, 4, 2]
    lanes = [{slot.lane for slot in await slots(session, task)} for task in (plain, legal, both, soon)]
    assert lanes == [{0}, {3}, {5}, {0}]
    bands = [{slot.rank >> 48 for slot in await slots(session, task)} for task in (plain, legal, both, soon)]
    assert bands == [{DEFAULT_BAND}, {6}, {1}, {1}]


async def test_calibration_is_drawn_and_goes_to_everybody_of_the_audience(
    session: AsyncSession, project: Project
) -> None:
    batch = await default_batch(session, project.id)
    batch.calibration = 0.4
    for paused in (None, None, None, text("now()")):
        person = await make.user(session)
        await make.member(session, project, person, paused_at=paused)
    await make.member(session, project, await make.user(session), Role.viewer)
    prompts = [await pair(session, project) for _ in range(40)]
    tasks = await made(session, project, *prompts)
    drawn = [task for task in tasks if task.purpose is Purpose.calibration]
    assert {task.k for task in drawn} == {3}
    assert {task.k for task in tasks if task not in drawn} == {2}
    assert [is_calibration(str(task.public_id), 0.4) for task in tasks] == [task in drawn for task in tasks]
    assert 6 <= len(drawn) <= 27  # of 40 at 0.4; outside once in ten thousand draws
    assert {task.chance for task in tasks} == {1.0}


def test_a_share_of_tasks_is_drawn_for_calibration() -> None:
    drawn = sum(is_calibration(f"task-{n}", 0.15) for n in range(4000))
    assert 510 < drawn < 690  # 600, and four standard deviations of 22.6


async def test_who_joins_later_is_asked_for_calibration_as_well(session: AsyncSession) -> None:
    there = await scene(session, people=2, tasks=1, k=2)
    batch = await default_batch(session, there.project.id)
    await session.execute(text("UPDATE tasks SET purpose = 'calibration'"))
    batch.calibration = 0.1
    await session.flush()
    assert await grow_calibration(session, batch.id) == 0
    newcomer = await make.user(session)
    await make.member(session, there.project, newcomer)
    assert await grow_calibration(session, batch.id) == 1
    task = (await session.scalars(select(Task).execution_options(populate_existing=True))).one()
    assert (task.k, task.first_k, len(await slots(session, task))) == (3, None, 3)
    assert await broken(session) == {}


async def test_fewest_answers_first_gives_every_task_one_before_any_has_two(session: AsyncSession) -> None:
    there = await scene(session, people=6, tasks=5, k=3)
    batch = await default_batch(session, there.project.id)
    await edit_hand_out(session, batch, HandOutEdit(k=3, ordering=Ordering.fewest), None)
    assert await settle_places(session, there.project.id) == there.tasks[-1]
    assert await settle_places(session, there.project.id, there.tasks[-1]) is None
    first = [(await claimed(session, access)).task_id for access in there.people]
    assert sorted(first[:5]) == there.tasks
    assert len(set(first[:5])) == 5


async def test_oldest_first_is_the_order_of_making(session: AsyncSession) -> None:
    there = await scene(session, people=4, tasks=4)
    await session.execute(text("UPDATE slots SET rank = 1000000000000000 - id"))
    batch = await default_batch(session, there.project.id)
    await edit_hand_out(session, batch, HandOutEdit(ordering=Ordering.oldest), None)
    await settle_places(session, there.project.id)
    assert [(await claimed(session, access)).task_id for access in there.people] == there.tasks


async def test_a_change_moves_what_nobody_has_and_leaves_what_somebody_has_placed(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    there = await scene(session, people=2, tasks=3)
    await engineer(client, session, there.project, Role.manager)
    in_hand = await claimed(session, there.me)
    base = f"/api/v1/projects/{there.project.public_id}"
    made = (await client.post(f"{base}/audiences", json={"name": "Nobody", "skills": ["none"]})).json()
    own = await session.scalar(select(Task.public_id).where(Task.id == there.tasks[1]))
    assert (await client.put(f"/api/v1/tasks/{own}/place", json={"band": 0})).status_code == 204
    sent = await client.put(f"{base}/hand-out", json={"k": 1, "audience": made["id"], "ordering": "oldest"})
    told = {"k": 1, "most_k": None, "calibration": 0.0, "ordering": "oldest", "audience": made["id"], "version": 2}
    assert sent.json() == told
    assert len(await waiting(session, "PlacesChanged")) == 1
    await move_slots(PlacesChanged(project_id=there.project.id), here(session))
    found = await session.execute(select(Slot.task_id, Slot.lane, Slot.rank // 2**48).order_by(Slot.task_id))
    assert [tuple(row) for row in found] == [
        (there.tasks[0], 1, DEFAULT_BAND),  # in somebody's hands, and in its place should it come back
        (there.tasks[1], 0, 0),  # placed
        (there.tasks[2], 1, DEFAULT_BAND),
    ]
    assert in_hand.task_id == there.tasks[0]
    refused = await client.delete(f"{base}/audiences/{made['id']}")
    assert refused.status_code == 409
    assert await broken(session) == {}


async def test_a_task_is_assigned_to_one_person(client: httpx.AsyncClient, session: AsyncSession) -> None:
    there = await scene(session, people=2, tasks=2)
    await engineer(client, session, there.project, Role.manager)
    base = f"/api/v1/projects/{there.project.public_id}"
    theirs = select(Membership.pseudonym).where(Membership.user_id == there.people[1].person.id)
    named = {"name": "One person", "people": [await session.scalar(theirs)]}
    made = (await client.post(f"{base}/audiences", json=named)).json()
    task = await session.scalar(select(Task.public_id).where(Task.id == there.tasks[0]))
    assert (
        await client.put(f"/api/v1/tasks/{task}/place", json={"audience": made["id"], "band": 0})
    ).status_code == 204
    lanes = tuple(await session.scalar(select(Membership.lanes).where(Membership.user_id == there.people[1].person.id)))
    assert lanes == (0, made_number := 1), made_number
    assert (await claimed(session, there.me)).task_id == there.tasks[1]
    chosen = access_of(there.project, there.people[1].person, lanes=lanes)
    assert (await claimed(session, chosen)).task_id == there.tasks[0]


async def test_the_page_saves_and_names_what_is_wrong(client: httpx.AsyncClient, session: AsyncSession) -> None:
    there = await scene(session)
    await engineer(client, session, there.project, Role.manager)
    page = f"/projects/{there.project.public_id}/settings/hand-out"
    fields = {"k": "2", "most_k": "5", "calibration": "15", "audience": "", "ordering": "fewest"}
    assert (await client.post(page, data=fields)).status_code == 303
    batch = await default_batch(session, there.project.id)
    await session.refresh(batch)
    assert (batch.k, batch.most_k, batch.calibration, batch.ordering) == (2, 5, 0.15, Ordering.fewest)
    shown = (await client.get(page)).text
    assert 'value="15"' in shown
    less = await client.post(page, data=fields | {"most_k": "1"})
    assert (less.status_code, "must not be less" in less.text) == (422, True)
    wrong = await client.post(page, data=fields | {"calibration": "lots"})
    assert wrong.status_code == 422


async def test_of_two_who_edit_the_hand_out_at_once_the_second_is_told(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    there = await scene(session)
    await engineer(client, session, there.project, Role.manager)
    page = f"/projects/{there.project.public_id}/settings/hand-out"
    shown = (await client.get(page)).text
    version = re.search(r'action="[^"]+/hand-out" .*?name="version" value="(\d+)"', shown, re.S)
    assert version is not None
    fields = {"most_k": "", "calibration": "0", "audience": "", "ordering": "random", "version": version[1]}
    assert (await client.post(page, data=fields | {"k": "2"})).status_code == 303
    late = await client.post(page, data=fields | {"k": "7"})
    assert (late.status_code, "in the meantime" in late.text) == (409, True)
    assert 'value="7"' in late.text  # what was typed stays, under the version that is there: sent again, it holds
    api = f"/api/v1{page.replace('/settings', '')}"
    assert (await client.get(api)).json()["k"] == 2
    again = re.search(r'action="[^"]+/hand-out" .*?name="version" value="(\d+)"', late.text, re.S)
    assert again is not None
    assert (await client.post(page, data=fields | {"k": "7", "version": again[1]})).status_code == 303
    there_now = (await client.get(api)).json()
    assert there_now["k"] == 7
    put = {name: value for name, value in there_now.items() if name != "version"}
    assert (await client.put(api, json=put | {"version": 1})).status_code == 409
    assert (await client.put(api, json=put)).status_code == 200  # a program that does not say what it saw


@given(st.uuids().map(str), st.sampled_from(list(BANDS)), st.integers(1, 2**40), st.integers(0, 49))
def test_ranks_stay_in_their_band_and_order_as_they_say(key: str, band: int, task_id: int, number: int) -> None:
    for ordering in Ordering:
        assert rank_in(ordering, key, band, task_id=task_id, number=number) >> 48 == band
    assert rank_in(Ordering.random, key, band, task_id=task_id, number=number) == rank_of(key, band)
    older = rank_in(Ordering.oldest, "x", band, task_id=task_id, number=number)
    assert older < rank_in(Ordering.oldest, key, band, task_id=task_id + 1, number=0)
    fewer = rank_in(Ordering.fewest, key, band, task_id=task_id, number=number)
    assert fewer < rank_in(Ordering.fewest, "x", band, task_id=1, number=number + 1)
