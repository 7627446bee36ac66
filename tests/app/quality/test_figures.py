"""Figures of a project: gathered from its answers, computed by housekeeping, kept, shown to each as far as they may."""

from typing import Any

import httpx
import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.permissions import Role
from app.accounts.tables import Membership, User
from app.completions.tables import Completion
from app.projects.protocols import protocol_of
from app.projects.queries import default_batch
from app.projects.tables import Project
from app.quality.gathering import gather, projects_to_measure
from app.quality.leanings import weighted_middle
from app.quality.queries import figures_of
from app.quality.reading import Said, places_in, preferred_of_two, said_in
from app.quality.reporting import quality_of
from app.tasks.actions import change_k
from app.tasks.tables import Purpose, Task
from tests import make
from tests.app.evaluation.scene import here
from tests.app.scene import engineer
from workers.handlers.quality import measure_again

A = {"kind": "comparison", "outcome": "preferred", "preferred": 0, "strength": 2}


def test_what_a_body_says_measure_by_measure() -> None:
    comparison = protocol_of(make.PROTOCOL)  # seven points: three strengths
    assert list(said_in(A, comparison)) == [Said("choice", -1, "0"), Said("strength", -1, 2 / 3)]
    tie = {"kind": "comparison", "outcome": "tie"}
    assert list(said_in(tie, comparison)) == [Said("choice", -1, "tie"), Said("strength", -1, 0.0)]
    rating = {"kind": "rating", "ratings": [{"completion": 1, "criteria": {"true": 3}, "flags": []}]}
    assert list(said_in(rating, protocol_of({"kind": "rating"}))) == [Said("rating:true", 1, 3.0)]
    asked = [{"key": "safe", "label": "Safe?"}, {"key": "why", "label": "Why?", "type": "text"}]
    questions = {"kind": "questions", "task": {"safe": True, "why": "x"}, "answers": []}
    protocol = protocol_of({"kind": "questions", "questions": asked, "completions": 0})
    assert list(said_in(questions, protocol)) == [Said("question:safe", -1, "True")]
    both = {"kind": "combined", "parts": [A | {"preferred": 1}, rating]}
    assert (preferred_of_two(both), preferred_of_two(tie), preferred_of_two(rating)) == (0.0, 0.5, None)
    assert preferred_of_two({"kind": "comparison", "outcome": "neither_valid"}) is None
    assert places_in({"kind": "ranking", "tiers": [[2], [0, 1]]}) == [1, 1, 0]


async def labelled(session: AsyncSession, tasks: int = 8) -> tuple[Project, list[User], list[Task]]:
    """Three people answer each task; the third says the opposite of the others about every fourth."""
    project = await make.project(session)
    batch = await default_batch(session, project.id)
    people = [await make.user(session, f"Person of figures {n}") for n in range(3)]
    for person in people:
        await make.member(session, project, person)
    pair = [await make.checkpoint(session, project_id=project.id, name=name) for name in ("newer", "older")]
    made = []
    for number in range(tasks):
        prompt = await make.prompt(session, project, tags=["tag one"])
        texts = ("x" * 40, "y" * 10)
        shown = [
            await make.completion(session, prompt, text + str(number), checkpoint_id=one.id)
            for text, one in zip(texts, pair, strict=True)
        ]
        task = await make.task(session, project, batch, k=3, prompt_row=prompt, completions=shown)
        for who, person in enumerate(people):
            outcome = number % 2 if who < 2 or number % 4 else 1 - number % 2
            await make.annotation(session, task, person, outcome, sides=[who % 2, 1 - who % 2], active_seconds=10.0)
        made.append(task)
    return project, people, made


async def figures(session: AsyncSession, project: Project) -> dict[str, Any]:
    return quality_of(await gather(session, project.id))


@pytest.mark.parametrize(
    ("values", "middle"),
    [
        ([(3.0, 1.0), (1.0, 1.0), (None, 9.0)], 2.0),
        ([(1.0, 1.0), (2.0, 1.0), (9.0, 5.0)], 9.0),
        ([(4.0, 0.2)], 4.0),
        ([], None),
    ],
)
def test_the_middle_has_half_the_weight_on_either_side(
    values: list[tuple[float | None, float]], middle: float | None
) -> None:
    assert weighted_middle(values) == middle


async def test_figures_by_hand(session: AsyncSession) -> None:
    """8 tasks, 2 with one of three against the others: there 1 of 3 pairs agrees: (6 + 2/3) / 8 = 0.8333."""
    project, people, _tasks = await labelled(session)
    found = await figures(session, project)
    choice = next(one for one in found["measures"] if one["measure"] == "choice")
    assert round(choice["figures"]["percent"]["value"], 4) == 0.8333
    assert (found["answers"], found["counted"], found["apart"]) == (24, 24, 0)
    # people 0 and 2 saw completion 0 first, person 1 saw it second: 0 is chosen 4 + 4 + 2 times, so first 4 + 4 + 2
    assert found["biases"]["first"]["value"] == (4 + 4 + 2) / 24
    assert found["biases"]["longer"]["value"] == (4 + 4 + 2) / 24
    one = found["people"][str(people[0].id)]
    assert one["agrees"]["value"] == (6 + 2 * 0.5) / 8
    assert one["seconds"] == 10.0
    assert [group["key"] for group in choice["by"]["tag"]] == ["tag one"]
    assert len(choice["by"]["pair"][0]["key"]) == 2


async def test_answers_that_were_wanted_for_what_was_said_stand_apart(session: AsyncSession) -> None:
    project, _people, tasks = await labelled(session)
    await change_k(session, project.id, tasks[0].id, 4)
    await session.refresh(tasks[0])
    assert tasks[0].first_k == 3
    late = await make.user(session)
    await make.annotation(session, tasks[0], late, 1)
    chosen = tasks[1]
    chosen.chance = None  # by what was known of it
    repeat = await session.get_one(Task, tasks[2].id)
    repeat.purpose = Purpose.gold
    await session.flush()
    found = await figures(session, project)
    assert (found["answers"], found["counted"], found["apart"]) == (25, 24 - 3 - 3, 1 + 3)
    assert [one["measure"] for one in found["biased"]] == ["choice", "strength"]
    assert str(late.id) not in found["people"]


async def test_what_somebody_says_again(session: AsyncSession) -> None:
    project, people, tasks = await labelled(session, tasks=2)
    batch = await default_batch(session, project.id)
    gathered = await gather(session, project.id)
    shown = next(fact.completions for fact in gathered.facts if fact.task == tasks[0].id)
    prompt = await make.prompt(session, project)
    turned = [await session.get_one(Completion, one) for one in reversed(shown)]  # the other way round
    again = await make.task(session, project, batch, prompt_row=prompt, completions=turned, purpose=Purpose.repeat)
    await make.annotation(session, again, people[0], 1, sides=[0, 1])  # before: number 0 of [first, second]
    found = await figures(session, project)
    assert found["biases"]["consistency"]["all"]["value"] == 1.0
    assert found["biases"]["consistency"]["mirrored"]["value"] == 1.0
    assert found["counted"] == 6  # a repeat is no answer of its own


async def test_each_sees_what_they_may(client: httpx.AsyncClient, session: AsyncSession) -> None:
    project, people, _tasks = await labelled(session)
    address = f"/projects/{project.public_id}/quality"
    await engineer(client, session, project, Role.manager)
    assert "No figures yet" in (await client.get(address)).text
    await measure_again(here(session))
    assert project.id not in await projects_to_measure(session)  # it rests
    page = (await client.get(address)).text
    assert "83" in page
    assert people[0].name in page
    pseudonym = await session.scalar(select_pseudonym(project, people[0]))
    await engineer(client, session, project, Role.engineer)
    page = (await client.get(address)).text
    assert people[0].name not in page
    assert pseudonym in page
    told = (await client.get(f"/api/v1{address}")).json()
    assert pseudonym in told["people"]
    of_one = (await client.get(f"/projects/{project.public_id}/annotations?rater={pseudonym}&tag=tag+one")).text
    assert of_one.count(f">{pseudonym}</td>") == 8
    await engineer(client, session, project, Role.viewer)
    page = (await client.get(address)).text
    assert pseudonym not in page
    assert (await client.get(f"/api/v1{address}")).json()["people"] == {}
    await engineer(client, session, project, Role.annotator)
    assert (await client.get(address)).status_code == 403


def select_pseudonym(project: Project, person: User) -> Any:
    return select(Membership.pseudonym).filter_by(project_id=project.id, user_id=person.id)


async def test_the_leaderboard_orders_what_met(client: httpx.AsyncClient, session: AsyncSession) -> None:
    project, people, _tasks = await labelled(session, tasks=6)
    batch = await default_batch(session, project.id)
    other = [await make.checkpoint(session, project_id=project.id, name=name) for name in ("apart one", "apart two")]
    prompt = await make.prompt(session, project)
    shown = [await make.completion(session, prompt, checkpoint_id=one.id) for one in other]
    task = await make.task(session, project, batch, prompt_row=prompt, completions=shown)
    await make.annotation(session, task, people[0], 1)
    await measure_again(here(session))
    kept = await figures_of(session, project.id, "standings")
    assert kept is not None
    assert [group["answers"] for group in kept.body["groups"]] == [18, 1]
    await engineer(client, session, project, Role.viewer)
    page = (await client.get(f"/projects/{project.public_id}/leaderboard")).text
    assert page.index("apart two") < page.index("apart one")
    told = (await client.get(f"/api/v1/projects/{project.public_id}/leaderboard")).json()
    first = told["groups"][0]
    # of 18 answers 9 or so for each: person 2 turned two of six; the newer one won 3 + 3 + 2 (tasks 0, 2, 4 of 0 … 5)
    assert first["matrix"][0][1]["n"] == 18
    assert {one["name"] for one in first["places"]} == {"newer", "older"}
