"""A person takes their consent back: labels are marked, datasets that hold them too, and what was trained is named."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.permissions import Role
from app.accounts.tables import User
from app.annotations.actions import submit
from app.annotations.actions.reworking import ON_ITS_WAY, go_on
from app.annotations.actions.withdrawing import take_consent_back
from app.annotations.tables import Annotation, Rework, ReworkState
from app.datasets.actions import NothingToFreeze, ask_to_freeze, give_up_freezing
from app.datasets.forms import FreezeForm
from app.datasets.jobs import FreezingEnded
from app.datasets.tables import DatasetWithdrawal
from app.datasets.withdrawing import datasets_to_mark, labels_in, mark
from app.events import Event
from app.projects.actions import change_consent
from app.projects.queries import default_batch, newest_protocol
from app.projects.tables import Project
from app.quality.tables import Adjudication
from app.tasks.actions import Waiting, claim, grow_calibration, settle_places
from app.tasks.actions.claiming import ConsentTakenBack
from app.tasks.tables import Slot, Task
from app.training.tables import Method
from tests import make
from tests.app.datasets.scene import frozen, people
from tests.app.evaluation.scene import here
from tests.app.scene import access_of, broken, claimed, prefers, scene
from tests.conftest import sign_in
from tests.queue import waiting
from workers.handlers.loop import dataset_frozen


async def worked_off(session: AsyncSession, home: Path, person_id: int, project: Project) -> None:
    """What the worker does with the two jobs."""
    rework = await session.scalar(select(Rework))
    assert rework is not None
    rework.at -= 2 * ON_ITS_WAY
    await session.flush()
    while await go_on(session, rework.id):
        pass
    pseudonym, datasets = await datasets_to_mark(session, project.id, person_id)
    for dataset in datasets:
        await mark(session, dataset, person_id, labels_in(home, dataset, pseudonym))


async def states(session: AsyncSession) -> list[str]:
    return [str(one) for one in await session.scalars(select(Annotation.state).order_by(Annotation.id))]


async def test_labels_go_into_no_new_dataset_and_old_ones_are_marked_and_stay_as_they_are(
    client: httpx.AsyncClient, session: AsyncSession, tmp_path: Path
) -> None:
    project = await make.project(session, k=2)
    batch = await default_batch(session, project.id)
    one, two = await people(session, project, 2)
    shared, alone = [await make.task(session, project, batch, k=2, state="done") for _n in range(2)]
    then = {"submitted_at": datetime.now(UTC) - timedelta(hours=1)}
    await make.annotation(session, shared, one, 0, **then)
    await make.annotation(session, shared, two, 1, **then)
    await make.annotation(session, alone, two, 1, **then)
    old, lines = await frozen(session, project, tmp_path)
    base, trained = await make.checkpoint(session), await make.checkpoint(session, name="taught by them")
    await make.run(session, project, base, method=Method.reward, dataset_id=old.id, result_id=trained.id)
    boss = await make.user(session)
    await make.member(session, project, boss, Role.manager, pseudonym="boss")
    await sign_in(client, session, boss)
    address = f"/projects/{project.public_id}/members/r0/withdraw"
    page = (await client.get(address)).text
    assert "Answers that are withdrawn: 1." in page
    assert "which may hold some: 1." in page
    await client.post(address)
    later, slices = await frozen(session, project, tmp_path, name="later")
    raters = {vote["rater"] for line in slices for vote in line["votes"]}
    assert raters == {"r1"}, "at once, before the job has marked anything"
    await worked_off(session, tmp_path, one.id, project)
    assert await states(session) == ["withdrawn", "live", "live"]
    marks = (await session.scalars(select(DatasetWithdrawal))).all()
    assert [(row.dataset_id, row.user_id, row.labels) for row in marks] == [(old.id, one.id, 1)]
    told = (await client.get(f"/api/v1/datasets/{old.public_id}")).json()
    assert (told["withdrawn"]["people"], told["withdrawn"]["labels"]) == (1, 1)
    assert told["sha256"] == old.sha256
    assert (await client.get(f"/api/v1/datasets/{later.public_id}")).json()["withdrawn"] is None
    page = (await client.get(f"/datasets/{old.public_id}")).text
    assert "took their consent back" in page
    assert "taught by them" in page
    assert "taught by them" in (await client.get(address)).text
    assert "consent taken back" in (await client.get(f"/projects/{project.public_id}/members")).text
    await make.member(session, project, reviewer := await make.user(session), Role.reviewer)
    await sign_in(client, session, reviewer)
    page = (await client.get(f"/projects/{project.public_id}/members")).text
    assert "r0" in page
    assert "consent taken back" not in page
    kinds = set(await session.scalars(select(Event.kind)))
    assert {"consent.taken_back", "dataset.marked", "annotation.withdrawn"} <= kinds
    assert len(lines) == 2


async def test_who_took_it_back_is_asked_nothing_and_may_come_back_to_begin_anew(
    client: httpx.AsyncClient, session: AsyncSession, tmp_path: Path
) -> None:
    project = await make.project(session)
    (one,) = await people(session, project, 1)
    batch = await default_batch(session, project.id)
    for _n in range(2):
        await make.task(session, project, batch)
    await change_consent(session, project.id, "We keep answers.", None)
    me = access_of(project, one)
    await claimed(session, me)
    await sign_in(client, session, one)
    base = f"/projects/{project.public_id}"
    assert (await client.post(f"{base}/consent/withdraw")).status_code == 303
    assert (await session.scalars(select(Slot.state))).all() == [0, 0], "the task in hand is free"
    assert "You took your consent back" in (await client.get(f"{base}/annotate")).text
    with pytest.raises(ConsentTakenBack):
        await claim(session, access_of(project, one, has_withdrawn=True))
    assert (await client.post(f"{base}/consent/withdraw")).status_code == 409
    assert (await client.post(f"{base}/consent/again")).status_code == 409, "its answers are being withdrawn"
    await worked_off(session, tmp_path, one.id, project)
    dataset = await ask_to_freeze(session, project.id, FreezeForm(name="under way"), None)
    assert (await client.post(f"{base}/consent/again")).status_code == 409, "something of theirs may be in it"
    await give_up_freezing(session, dataset.id, "no room")
    assert (await client.post(f"{base}/consent/again")).status_code == 303
    assert "We keep answers." in (await client.get(f"{base}/annotate")).text, "it is asked about anew"
    assert await broken(session) == {}


async def test_what_was_set_aside_is_withdrawn_as_well_and_others_are_asked_instead(
    session: AsyncSession, tmp_path: Path
) -> None:
    project = await make.project(session)
    (one,) = await people(session, project, 1)
    batch = await default_batch(session, project.id)
    first, second = [await make.task(session, project, batch, state="done") for _n in range(2)]
    await make.annotation(session, first, one, 0)
    aside = await make.annotation(session, second, one, 0)
    aside.state, aside.slot_id = "set_aside", None  # type: ignore[assignment]
    await session.flush()
    await take_consent_back(session, project.id, one.id, one.id)
    await worked_off(session, tmp_path, one.id, project)
    assert await states(session) == ["withdrawn", "withdrawn"]
    state = await session.scalar(select(Slot.state).where(Slot.task_id == first.id))
    assert state == 0
    with pytest.raises(NothingToFreeze):
        await frozen(session, project, tmp_path)


async def test_a_dataset_that_was_being_frozen_is_looked_at_when_it_is_done(
    session: AsyncSession, tmp_path: Path
) -> None:
    """In one transaction now() stands still, so this dataset was asked for when the consent was taken back; whoever
    looks comes after what froze it."""
    project = await make.project(session)
    one, two = await people(session, project, 2)
    batch = await default_batch(session, project.id)
    for person in (one, two):
        await make.annotation(session, await make.task(session, project, batch), person, 0)
    await take_consent_back(session, project.id, one.id, one.id)
    before = len(await waiting(session, "ConsentWithdrawn"))
    await frozen(session, project, tmp_path)
    assert len(await waiting(session, "ConsentWithdrawn")) == before + 1
    [job] = await waiting(session, "FreezingEnded")
    await dataset_frozen(FreezingEnded(**job), here(session))
    assert len(await waiting(session, "ConsentWithdrawn")) == before + 2


async def test_what_comes_after_a_consent_was_taken_back_is_refused_or_withdrawn_as_well(
    client: httpx.AsyncClient, session: AsyncSession, tmp_path: Path
) -> None:
    there = await scene(session, tasks=2)
    me, project = there.me, there.project
    shown = await claimed(session, me)
    one = await session.get_one(User, me.person.id)
    await sign_in(client, session, one)
    base = f"/projects/{project.public_id}"
    await client.post(f"{base}/consent/withdraw")
    sent = {"key": str(shown.key), "body": prefers(shown).model_dump(mode="json", exclude_none=True)}
    late = await client.post(f"/api/v1/tasks/{shown.task}/annotations", json=sent)
    assert (late.status_code, late.json()["type"]) == (409, "urn:hone:consent-taken-back"), late.text
    posted = {"key": str(shown.key), "outcome": "both_bad"}
    late = await client.post(f"{base}/annotate/{shown.task}", data=posted, headers={"HX-Request": "true"})
    assert late.status_code == 409
    assert "You took your consent back" in late.text
    assert await states(session) == []
    rework = (await session.scalars(select(Rework))).one()
    assert not await go_on(session, rework.id)
    assert rework.state is ReworkState.running, "what was let in just before may still come"
    assert len(await waiting(session, "ReworkAsked")) == 2
    await submit(session, project.id, one.id, shown.task, shown.key, prefers(shown))
    assert await states(session) == ["live"], "it was on its way"
    await worked_off(session, tmp_path, one.id, project)
    assert await states(session) == ["withdrawn"]
    assert rework.state is ReworkState.done
    assert await broken(session) == {}


async def test_tasks_for_everybody_do_not_wait_for_who_took_it_back(session: AsyncSession, tmp_path: Path) -> None:
    there = await scene(session, people=3, tasks=2, k=3)
    project = there.project
    batch = await default_batch(session, project.id)
    await session.execute(text("UPDATE tasks SET purpose = 'calibration'"))
    batch.calibration, batch.k = 1, 1
    await session.flush()
    for person in there.people:  # each answers the first task that they are shown
        shown = await claimed(session, person)
        await submit(session, project.id, person.person.id, shown.task, shown.key, prefers(shown))
    gone = there.me.person.id
    await take_consent_back(session, project.id, gone, gone)
    await worked_off(session, tmp_path, gone, project)
    assert await waiting(session, "PlacesChanged")
    await settle_places(session, project.id)
    assert await grow_calibration(session, batch.id) == 0
    tasks = (await session.scalars(select(Task).execution_options(populate_existing=True))).all()
    assert {task.k for task in tasks} == {2}
    for person in there.people[1:]:
        while not isinstance(shown := await claim(session, person), Waiting):
            await submit(session, project.id, person.person.id, shown.task, shown.key, prefers(shown))
    assert set(await session.scalars(select(Task.state))) == {"done"}
    assert sorted(await states(session)) == ["live"] * 4 + ["withdrawn"]
    assert await broken(session) == {}


async def test_what_they_settled_as_a_reviewer_comes_into_no_new_dataset(session: AsyncSession, tmp_path: Path) -> None:
    project = await make.project(session)
    one, reviewer = await people(session, project, 2)
    task = await make.task(session, project, await default_batch(session, project.id), state="done")
    said = await make.annotation(session, task, one, 0)
    protocol = await newest_protocol(session, project.id)
    about = {"task_id": task.id, "project_id": project.id, "protocol_id": protocol.id, "by_id": reviewer.id}
    session.add(Adjudication(**about, body=said.body | {"preferred": 1}))
    await session.flush()
    _old, (line,) = await frozen(session, project, tmp_path)
    assert [vote["rater"] for vote in line["votes"]] == ["r0", "r1"]
    await take_consent_back(session, project.id, reviewer.id, reviewer.id)
    _later, (line,) = await frozen(session, project, tmp_path, name="later")
    assert [vote["rater"] for vote in line["votes"]] == ["r0"]
    assert line["conclusion"] == "a"
