"""The tasks browser, a task's history, and the queues of reviewers."""

from typing import Any

import httpx
import pytest
from sqlalchemy import literal, select, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.permissions import Role
from app.annotations.rules import conclusion_of
from app.annotations.tables import Annotation
from app.completions.tables import Score
from app.oversight import browsing
from app.oversight.browsing import Queue, TaskFilter, concluded, next_in, tasks_found
from app.projects.actions import change_protocol
from app.projects.protocols import protocol_of
from app.projects.queries import default_batch, newest_protocol
from app.projects.tables import Project
from app.quality.adjudicating import accept_answer, adjudicate
from app.quality.tables import Contest, Figures
from app.tasks.tables import Purpose, Task, TaskCompletion, TaskState
from tests import make
from tests.app.quality.test_mixing import FIRST, answer, argued
from tests.app.scene import claimed, engineer, let_leases_run_out, scene, sweep_all


async def found(session: AsyncSession, project: Project, **only: Any) -> list[int]:
    return (await tasks_found(session, project.id, TaskFilter(**only))).ids


async def some_tasks(session: AsyncSession) -> tuple[Project, list[Task], list[Any]]:
    """Three tasks of two people: they agree, they disagree, one has answered; the second prompt is about bread."""
    project = await make.project(session)
    batch = await default_batch(session, project.id)
    people = [await make.user(session) for _n in range(2)]
    members = [await make.member(session, project, one) for one in people]
    tasks = []
    for words, said in (("How do I fold paper?", (0, 0)), ("Which bread keeps long?", (0, 1)), ("Why is it?", (1,))):
        prompt = await make.prompt(session, project, words, tags=[words.split()[0].lower()])
        task = await make.task(session, project, batch, k=2, prompt_row=prompt)
        for person, outcome in zip(people, said, strict=False):
            await make.annotation(session, task, person, outcome)
        tasks.append(task)
    return project, tasks, members


async def test_filters_find_what_they_say(session: AsyncSession) -> None:
    project, (one, two, three), members = await some_tasks(session)
    two.purpose, three.state = Purpose.calibration, TaskState.done
    await session.flush()
    everything = [three.id, two.id, one.id]
    assert await found(session, project) == everything
    assert await found(session, project, words="BREAD long") == [two.id]
    assert await found(session, project, words="br") == []
    assert await found(session, project, tag="how") == [one.id]
    assert await found(session, project, purpose="calibration") == [two.id]
    assert await found(session, project, state="done") == [three.id]
    assert await found(session, project, rater=members[1].pseudonym) == [two.id, one.id]
    assert await found(session, project, reported=True) == []
    assert await found(session, project, queue="disagreements") == [two.id]
    said = (await session.scalars(select(Annotation).where(Annotation.task_id == two.id).limit(1))).one()
    await accept_answer(session, project.id, said.public_id, (await make.user(session)).id)
    assert await found(session, project, queue="disagreements") == []
    assert await found(session, project, settled=True) == [two.id]
    assert await found(session, await make.project(session)) == []


@pytest.mark.parametrize(
    ("tiers", "others", "is_same"),
    [
        ([[0], [1], [2]], [[0], [2], [1]], True),  # the same best one
        ([[0], [1], [2]], [[1], [0], [2]], False),
        ([[0, 1], [2]], [[0], [1], [2]], False),
        ([], [[0], [1], [2]], False),
    ],
)
async def test_rankings_come_to_their_best_answer(
    session: AsyncSession, tiers: list[list[int]], others: list[list[int]], is_same: bool
) -> None:
    bodies = [
        {"kind": "ranking", "outcome": "ranked" if one else "not_rankable", "tiers": one} for one in (tiers, others)
    ]
    said = [await session.scalar(select(concluded(literal(body, JSONB)))) for body in bodies]
    assert (said[0] == said[1]) is is_same
    assert (conclusion_of(bodies[0]) == conclusion_of(bodies[1])) is is_same


async def test_a_costly_filter_looks_through_so_many_and_goes_on(
    session: AsyncSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, (one, two, three), _members = await some_tasks(session)
    await make.annotation(session, three, await make.user(session), 1)  # one answer alone would not be looked at
    monkeypatch.setattr(browsing, "LOOKED_THROUGH", 1)
    only = TaskFilter(queue=Queue.disagreements)
    first = await tasks_found(session, project.id, only)
    assert (first.ids, first.looked) == ([], 1)
    second = await tasks_found(session, project.id, only.model_copy(update={"cursor": first.next}))
    assert second.ids == [two.id]
    assert await next_in(session, project.id, only, three.id) == (two.public_id, None)
    nothing, cursor = await next_in(session, project.id, only, two.id + 2)  # one window, and no further
    assert (nothing, cursor) == (None, first.next)
    nothing, cursor = await next_in(session, project.id, only, two.id)
    assert (nothing, cursor is not None) == (None, True)
    assert await next_in(session, project.id, only, one.id) == (None, None)
    assert await tasks_found(session, project.id, TaskFilter(queue=Queue.reward)) == browsing.Found([], None)


async def test_unreliable_people_and_reward_models_have_queues(session: AsyncSession) -> None:
    project, (one, two, three), members = await some_tasks(session)
    people = {str(members[0].user_id): {"reliability": {"better": {"value": 0.9}}},
              str(members[1].user_id): {"reliability": {"better": {"value": 0.55}}}}  # fmt: skip
    session.add(Figures(project_id=project.id, name="quality", body={"people": people}, through=0, seconds=1))
    checkpoint = await make.checkpoint(session, project_id=project.id)
    # people: 0 twice; 0 and 1; 1 once. The model is for 1, 1, and for 0 by less than it is unsure of, then by more.
    for task, values in ((one, (0.0, 1.0)), (two, (0.0, 1.0)), (three, (0.3, 0.0))):
        shown = select(TaskCompletion.completion_id).where(TaskCompletion.task_id == task.id)
        for completion, value in zip(await session.scalars(shown.order_by(TaskCompletion.number)), values, strict=True):
            about = {"completion_id": completion, "checkpoint_id": checkpoint.id, "project_id": project.id}
            session.add(Score(value=value, uncertainty=0.3, **about))
    await session.flush()
    assert await found(session, project, queue="reliability") == [two.id, one.id]
    assert await found(session, project, queue="reward") == [one.id]
    await session.execute(text("UPDATE scores SET uncertainty = NULL"))
    assert await found(session, project, queue="reward") == [three.id, one.id]


async def test_a_reviewer_goes_through_a_queue(client: httpx.AsyncClient, session: AsyncSession) -> None:
    project, (one, two, three), _members = await some_tasks(session)
    await engineer(client, session, project, Role.reviewer)
    base = f"/projects/{project.public_id}"
    assert "Which bread keeps long?" in (await client.get(f"{base}/review")).text
    at = f"{base}/tasks/{two.public_id}?queue=disagreements"
    page = (await client.get(at)).text
    assert page.count("data-answer") == 2
    said = (await session.scalars(select(Annotation).where(Annotation.task_id == two.id).limit(1))).one()
    sent = await client.post(f"{base}/annotations/{said.public_id}/accept?queue=disagreements", data={"remark": ""})
    assert sent.headers["location"] == f"{base}/review/next?queue=disagreements&after={two.public_id}"
    assert (await client.get(sent.headers["location"])).headers["location"] == f"{base}/review?queue=disagreements"
    own = {"kind": "comparison", "choice": "x", "argument": "No."}
    assert (await client.post(f"{base}/tasks/{one.public_id}/settled", data=own)).status_code == 422
    session.add(Contest(project_id=project.id, annotation_id=said.id, words="Mine is right."))
    contested = (await client.get(f"{base}/review/contests")).text
    assert "Mine is right." in contested
    assert "Which bread keeps long?" in contested
    assert (await client.get(f"{base}/review/contests?state=closed")).status_code == 200
    assert (await client.get(f"{base}/tasks/cut-o")).status_code == 404
    for filters in ("words=bread&state=open", "queue=reward", "rater=nobody&tag=x&argued=true&prompt="):
        assert (await client.get(f"{base}/tasks?{filters}")).status_code == 200, filters
    assert three.id


async def test_what_is_refused_shows_all_that_was_filled_in(client: httpx.AsyncClient, session: AsyncSession) -> None:
    project, (one, _two, _three), _members = await some_tasks(session)
    await engineer(client, session, project, Role.reviewer)
    own = {"kind": "comparison", "choice": "both_bad", "use": "gold", "argument": ""}
    again = await client.post(f"/projects/{project.public_id}/tasks/{one.public_id}/argued", data=own)
    assert again.status_code == 422
    assert 'value="both_bad" required checked' in again.text
    assert 'value="gold" checked' in again.text


async def test_a_tasks_history_tells_everything(client: httpx.AsyncClient, session: AsyncSession) -> None:
    there = await scene(session, people=2, tasks=1, k=2)
    await claimed(session, there.me)
    await let_leases_run_out(session)
    await sweep_all(session)
    await answer(session, there, 1, 0)
    task = await session.get_one(Task, there.tasks[0])
    person = await engineer(client, session, there.project, Role.reviewer)
    protocol = (await session.scalars(select(Annotation.protocol_id))).one()
    await adjudicate(session, task, protocol, FIRST, person.id, remark="Because of this.")
    page = (await client.get(f"/projects/{there.project.public_id}/tasks/{task.public_id}")).text
    for words in ("Made", "Shown", "Its time ran out", "Answered", "Settled by a reviewer", "Because of this."):
        assert words in page, words


async def test_a_script_finds_tasks_and_reads_what_happened(client: httpx.AsyncClient, session: AsyncSession) -> None:
    project, (_one, two, _three), members = await some_tasks(session)
    await engineer(client, session, project)
    sent = await client.get(f"/api/v1/projects/{project.public_id}/tasks/found?queue=disagreements")
    assert sent.json() == {"tasks": [str(two.public_id)], "looked": 2, "next": None}  # the third has one answer
    lines = (await client.get(f"/api/v1/tasks/{two.public_id}/history")).json()
    said = sorted((line["what"], line["by"]) for line in lines if line["by"])
    assert said == sorted(("Answered", member.pseudonym) for member in members)


async def test_a_tasks_page_says_what_was_settled_in_the_words_of_that_time(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    there = await scene(session, people=2, tasks=1)
    task = await argued(session, there, 0)
    before = await newest_protocol(session, there.project.id)
    await adjudicate(session, task, before.id, FIRST | {"strength": 3}, there.me.person.id)
    smaller = protocol_of(before.body).model_copy(update={"scale": 2})
    await change_protocol(session, there.project.id, smaller, None)
    await engineer(client, session, there.project, Role.reviewer)
    page = await client.get(f"/projects/{there.project.public_id}/tasks/{task.public_id}")
    assert page.status_code == 200
    assert "A much better" in page.text
