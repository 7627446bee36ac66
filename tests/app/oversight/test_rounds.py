"""Rounds: made, filled with tasks, brought from state to state; and what is counted about them."""

from datetime import UTC, date, datetime
from typing import Any

import httpx
import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.permissions import Role
from app.accounts.tables import User
from app.datasets.actions import ask_to_freeze, conclude_freezing
from app.datasets.forms import FreezeForm
from app.oversight import counting
from app.oversight.counting import counted
from app.oversight.overview import waiting_for
from app.oversight.piloting import Given, disputes, quarters, sampled
from app.projects.batching import RoundForm, Selection
from app.projects.protocols import protocol_of
from app.projects.queries import default_batch, progress_of, progress_shown
from app.projects.tables import Batch, BatchState, Project
from app.quality.gathering import gather, projects_to_measure
from app.quality.reporting import quality_of
from app.quality.tables import Figures, Inquiry
from app.tasks.actions import make_round, move_round, rounds_beside
from app.tasks.actions.making import make_tasks
from app.tasks.actions.rounds import NoSuchMove, ReportUnread
from app.tasks.jobs import RoundChanged
from app.tasks.tables import Skip, Slot, Task
from tests import make
from tests.app.evaluation.scene import here
from tests.app.scene import engineer, scene
from tests.queue import waiting
from workers.handlers.oversight import count_large
from workers.handlers.tasks import fill_round

S = BatchState


async def with_answers(session: AsyncSession, project: Project, *, prompts: int, **values: Any) -> None:
    checkpoint = await make.checkpoint(session)
    for _ in range(prompts):
        prompt = await make.prompt(session, project, **values)
        for words in ("one answer", "quite another thing"):
            await make.completion(session, prompt, words, checkpoint_id=checkpoint.id)


async def tasks_of(session: AsyncSession, batch: Batch) -> int:
    return len((await session.scalars(select(Task.id).where(Task.batch_id == batch.id))).all())


async def fill(session: AsyncSession, batch: Batch) -> int:
    await fill_round(RoundChanged(batch_id=batch.id), here(session))
    return await tasks_of(session, batch)


async def test_a_round_makes_a_pilot_first_and_its_rest_when_it_opens(session: AsyncSession) -> None:
    project = await make.project(session)
    await with_answers(session, project, prompts=3, tags=["law"])
    await with_answers(session, project, prompts=2)
    form = RoundForm(name="Law", k=2, pilot=2, selection=Selection(tags=("law",)), due=date(2026, 3, 1))
    batch = await make_round(session, project.id, form, None)
    assert (batch.state, batch.due_at, project.has_rounds) == (S.draft, datetime(2026, 3, 2, tzinfo=UTC), True)
    assert (await fill(session, batch), await waiting(session, "RoundChanged")) == (0, [])
    await move_round(session, batch, S.pilot, None)
    assert (await fill(session, batch), await fill(session, batch)) == (2, 2)
    await move_round(session, batch, S.open, None, is_read=True)
    assert await fill(session, batch) == 3
    assert await waiting(session, "RoundChanged") == [{"batch_id": batch.id}] * 2
    # Its answers stand in tasks now, so the default round does not ask about them, unless it is to ask once more.
    default = await default_batch(session, project.id)
    prompts = [row.prompt_id for row in await session.scalars(select(Task).where(Task.batch_id == batch.id))]
    assert await make_tasks(session, project.id, default.id, prompts) == 0
    default.selection = Selection(again=True).as_json()
    assert await make_tasks(session, project.id, default.id, prompts) == 3
    assert await rounds_beside(session, project.id, prompts) == [(batch.id, sorted(prompts))]


async def test_states_follow_each_other_and_a_pilots_report_is_read_first(session: AsyncSession) -> None:
    project, person = await make.project(session), await make.user(session)
    batch = await make_round(session, project.id, RoundForm(name="A"), None)
    with pytest.raises(NoSuchMove):
        await move_round(session, batch, S.closed, None)
    await move_round(session, batch, S.pilot, None)
    with pytest.raises(ReportUnread):
        await move_round(session, batch, S.open, person.id)
    for state in (S.open, S.closed, S.accepted):
        await move_round(session, batch, state, person.id, {"agreed": None}, is_read=state is S.open)
    assert [(step["state"], step["by"], step["read"]) for step in batch.steps] == [
        ("pilot", None, False),
        ("open", person.id, True),
        ("closed", person.id, False),
        ("accepted", person.id, False),
    ]
    told = select(text("body->>'after'")).select_from(text("events")).where(text("kind = 'batch.moved'"))
    assert (await session.scalars(told)).all() == ["pilot", "open", "closed", "accepted"]
    dataset = await ask_to_freeze(session, project.id, FreezeForm(name="D", batches=(batch.public_id,)), person.id)
    await conclude_freezing(session, dataset.id, {"sha256": "0" * 64, "lines": 1})
    assert batch.state is S.frozen


async def a_pilot(session: AsyncSession) -> tuple[Any, Batch]:
    """Three tasks with two answers each: one pair alike, one apart, one apart by a tie; and one skip."""
    there = await scene(session, people=2, tasks=3, k=3)
    batch = await default_batch(session, there.project.id)
    said = [(0, 0), (0, 1), (1, "tie")]
    at = datetime.now(UTC)
    for number, (task_id, both) in enumerate(zip(there.tasks, said, strict=True)):
        task = await session.get_one(Task, task_id)
        for person, outcome in zip(there.people, both, strict=True):
            values = {"shown_at": at, "submitted_at": at, "active_seconds": 10.0 * (number + 1)}
            await make.annotation(session, task, await session.get_one(User, person.person.id), outcome, **values)
    third = await make.user(session)
    about = {"task_id": there.tasks[0], "project_id": there.project.id}
    session.add_all([Skip(annotator_id=third.id, **about), Inquiry(asker_id=third.id, words="Which?", **about)])
    await session.flush()
    return there, batch


async def test_a_round_is_counted(session: AsyncSession) -> None:
    there, batch = await a_pilot(session)
    found = await counted(session, there.project.id)
    assert found is not None
    one = found.of(batch.id)
    assert (one.made, one.open, one.done, one.free, one.wanted, one.given) == (3, 3, 6, 3, 9, 6)
    # 10, 10, 20, 20, 30, 30 seconds
    assert (one.seconds_each, one.spent, sum(one.days.values()), found.whole) == (20.0, 0, 6, one)
    report = await sampled(session, batch.id)
    assert (report.tasks, report.answers, report.people, report.seconds) == (3, 6, 2, (12.5, 20.0, 27.5))
    assert report.outcomes == {"tie": 1 / 6, "both_bad": 0, "neither_valid": 0}
    assert report.questions == 1
    assert (report.passed, report.skipped) == ({"skipped": 1, "not_known": 0, "reported": 0}, 1 / 7)
    ids = {row.public_id: row.id for row in await session.execute(select(Task.public_id, Task.id))}
    assert [ids[one.task] for one in report.disputed] == there.tasks[1:]


async def test_a_large_project_is_counted_by_a_job(session: AsyncSession, monkeypatch: pytest.MonkeyPatch) -> None:
    there, batch = await a_pilot(session)
    await count_large(there.project.id, here(session))
    monkeypatch.setattr(counting, "SMALL", dict.fromkeys(counting.SMALL, 2))
    assert await counted(session, there.project.id) is None
    await count_large(there.project.id, here(session))
    found = await counted(session, there.project.id)
    assert found is not None
    assert (found.of(batch.id).done, found.at is not None) == (6, True)
    ids, me = [there.project.id], there.me.person.id
    assert await progress_shown(session, ids, me) == await progress_of(session, ids, me)


def test_answers_are_apart_by_what_both_say() -> None:
    protocol = protocol_of({"kind": "comparison", "scale": 8})
    bodies = [
        {"kind": "comparison", "outcome": "preferred", "preferred": preferred, "strength": strength}
        for preferred, strength in ((0, 4), (0, 4), (0, 2), (1, 4))
    ]
    first, same, weaker, other = bodies
    pairs = enumerate([(first, same), (first, weaker), (first, other)])
    given = [Given(task, body, protocol, None, False) for task, both in pairs for body in both]
    # The choice differs or not; strengths are 1, ½ and -1, 2 from end to end: (1 + 1) / 2 and (0 + ¼) / 2.
    assert disputes(given) == [(2, 2, 1.0), (1, 2, 0.125)]
    # Of eleven answers the first ten are compared: one of ten is apart, 9 pairs of 45.
    many = [Given(0, body, protocol, None, False) for body in [other, *[first] * 9, other]]
    assert disputes(many) == [(0, 11, 0.2)]
    assert (quarters([]), quarters([3]), quarters([1, 2, 3, 4, 5])) == (None, (3, 3, 3), (2, 3, 4))


async def test_agreement_is_told_by_round(session: AsyncSession) -> None:
    there, batch = await a_pilot(session)
    figures = quality_of(await gather(session, there.project.id))
    of_round = figures["measures"][0]["by"]["round"]
    assert [(one["key"], one["answers"]) for one in of_round] == [(batch.id, 6)]
    assert of_round[0]["figures"]["percent"]["value"] == pytest.approx(1 / 3)


async def test_a_round_from_its_form_to_acceptance(client: httpx.AsyncClient, session: AsyncSession) -> None:
    project = await make.project(session)
    await with_answers(session, project, prompts=2, tags=["law"])
    base = f"/projects/{project.public_id}"
    await engineer(client, session, project, Role.manager)
    assert f'{base}/rounds"' not in (await client.get(base)).text, "whoever has one round never meets the word"
    bad = await client.post(f"{base}/rounds", data={"name": "Law", "k": "3", "most_k": "2", "pilot": "50"})
    assert (bad.status_code, "must not be less" in bad.text) == (422, True)
    form = {"name": "Law", "k": "2", "pilot": "1", "calibration": "10", "tags": "law", "faces": "mixed"}
    address = (await client.post(f"{base}/rounds", data=form | {"due": "2026-03-01"})).headers["location"]
    session.expunge_all()
    batch = (await session.scalars(select(Batch).where(Batch.name == "Law"))).one()
    assert (batch.k, batch.calibration, batch.recipe["entries"][0]["same_checkpoint"]) == (2, 0.1, False)
    edit = (await client.get(f"{address}/edit")).text
    assert 'value="2026-03-01"' in edit
    assert '<option value="mixed" selected' in edit
    assert f'href="{base}/rounds"' in (await client.get(base)).text
    for sent, status in (
        ({"state": "pilot"}, 303),
        ({"state": "open"}, 409),
        ({"state": "open", "read": "true"}, 303),
        ({"state": "closed"}, 303),
        ({"state": "nonsense"}, 422),
        ({"state": "accepted"}, 303),
    ):
        assert (await client.post(f"{address}/state", data=sent)).status_code == status, sent
    assert (await client.get(address)).status_code == 200
    assert "Law" in (await client.get(f"{base}/rounds")).text


async def test_a_pilots_page_says_what_its_report_says(client: httpx.AsyncClient, session: AsyncSession) -> None:
    there, batch = await a_pilot(session)
    batch.state = S.pilot
    await engineer(client, session, there.project, Role.manager)
    page = (await client.get(f"/projects/{there.project.public_id}/rounds/{batch.public_id}")).text
    assert "I have read this report" in page
    assert page.count("/tasks/") == 2
    await engineer(client, session, there.project, Role.viewer)
    page = (await client.get(f"/projects/{there.project.public_id}/rounds/{batch.public_id}")).text
    assert "I have read this report" not in page
    assert "How do I fold" not in page, "who may not read answers sees no prompt"


async def test_rounds_over_rest(client: httpx.AsyncClient, session: AsyncSession) -> None:
    there, default = await a_pilot(session)
    there.project.pays = True
    base = f"/api/v1/projects/{there.project.public_id}"
    await engineer(client, session, there.project)
    assert (await client.post(f"{base}/batches", json={"name": "A"})).status_code == 403
    told = (await client.get(f"{base}/overview")).json()
    assert (told["done"], told["free"], told["spent"], sum(told["days"].values())) == (6, 3, None, 6)
    await engineer(client, session, there.project, Role.manager)
    assert (await client.get(f"{base}/overview")).json()["spent"] == 0
    made = (await client.post(f"{base}/batches", json={"name": "A", "k": 2, "target": 5})).json()
    assert (made["state"], made["asks"]["target"], made["forecast"]["silence"]) == ("draft", 5, None)
    one = f"{base}/batches/{made['id']}"
    form = {"name": "B", "calibration": 0.2, "version": made["version"]}
    assert (await client.put(one, json=form)).json()["asks"]["calibration"] == 0.2
    late = await client.put(one, json=form | {"target": 9})
    assert (late.status_code, late.json()["type"]) == (409, "urn:hone:edited-meanwhile")
    moved = await client.post(f"{one}/state", json={"state": "open"})
    assert [step["state"] for step in moved.json()["steps"]] == ["open"]
    assert (await client.post(f"{one}/state", json={"state": "accepted"})).status_code == 409
    rows = (await client.get(f"{base}/batches", params={"limit": 1})).json()
    assert ([row["name"] for row in rows["rows"]], rows["next"] is None) == (["B"], False)
    whole = (await client.get(f"{base}/batches/{default.public_id}")).json()
    assert (len(whole["disputed"]), whole["report"]["compared"]) == (2, 6)


async def test_a_pilot_that_was_closed_goes_on_as_a_pilot(client: httpx.AsyncClient, session: AsyncSession) -> None:
    """Closing it for a night is no way past its report."""
    project = await make.project(session)
    batch = await make_round(session, project.id, RoundForm(name="A"), None)
    await move_round(session, batch, S.pilot, None)
    await move_round(session, batch, S.closed, None)
    with pytest.raises(ReportUnread):
        await move_round(session, batch, S.open, None)
    await engineer(client, session, project, Role.manager)
    address = f"/projects/{project.public_id}/rounds/{batch.public_id}"
    page = (await client.get(address)).text
    assert ("Go on with the pilot" in page, "Open again" in page) == (True, False)
    assert (await client.post(f"{address}/state", data={"state": "pilot"})).status_code == 303
    batch = await session.get_one(Batch, batch.id)
    for state in (S.open, S.closed):
        await move_round(session, batch, state, None, is_read=True)
    with pytest.raises(NoSuchMove):
        await move_round(session, batch, S.pilot, None)


async def test_places_of_rounds_that_do_not_ask_are_not_waited_for(session: AsyncSession) -> None:
    there = await scene(session, people=1, tasks=3)
    await session.execute(text("UPDATE batches SET state = 'closed'"))
    found = await counted(session, there.project.id)
    assert found is not None
    assert (found.whole.left, found.whole.wanted) == (0, 0)
    assert (await waiting_for(session, there.project.id, there.me.person.id)).free == 0


async def test_a_large_project_without_an_answer_is_counted_as_well(
    session: AsyncSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = await scene(session, tasks=3)
    monkeypatch.setitem(counting.SMALL, Slot, 2)
    assert await counted(session, there.project.id) is None
    assert list(await projects_to_measure(session, counting.NAME)) == [there.project.id]
    assert list(await projects_to_measure(session)) == []
    await count_large(there.project.id, here(session))
    found = await counted(session, there.project.id)
    assert found is not None
    assert found.whole.free == 3
    kept = await session.get_one(Figures, (there.project.id, counting.NAME))
    kept.body = kept.body | {"schema": {"name": "hone.rounds", "version": 0}}
    await session.flush()
    assert await counted(session, there.project.id) is None, "an earlier version had other words"
    assert list(await projects_to_measure(session, counting.NAME, counting.SCHEMA)) == [there.project.id]
