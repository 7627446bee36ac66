"""Today: what needs a decision, for whom, with its evidence and one action."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app import wording
from app.accounts.permissions import Role
from app.accounts.tables import User
from app.annotations.tables import Annotation, LedgerLine
from app.oversight import counting, deciding
from app.oversight.capacity import first_short
from app.oversight.deciding import budget_nearly_spent
from app.oversight.rules import enough_until, hours_of_work
from app.projects.tables import Batch, BatchState, Project
from app.prompts.tables import Import
from app.quality.tables import ArguedAnswer, Inquiry, Use
from app.tasks.tables import Report, Task
from app.training.tables import RunState
from tests import make
from tests.app.evaluation.scene import here
from tests.app.scene import Scene, scene
from tests.conftest import sign_in
from workers.handlers.oversight import count_large

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("waiting", "answers", "minutes", "hours"),
    [(400, 100, 60, 4.0), (0, 10, 60, 0.0), (60, 1, 0, 1.0), (10, 0, 0, None)],
)
def test_work_lasts_as_long_as_the_pace_of_the_newest_answers_says(
    waiting: int, answers: int, minutes: int, hours: float | None
) -> None:
    first = NOW - timedelta(minutes=minutes) if answers else None
    assert hours_of_work(waiting, answers, first, NOW if answers else None, NOW) == (
        None if hours is None else pytest.approx(hours)
    )


def test_a_night_without_answers_is_no_slow_work() -> None:
    """100 answers in the hour before a night, 200 wanted: two hours and a little, not a day."""
    last = NOW - timedelta(hours=12)
    assert hours_of_work(200, 100, last - timedelta(hours=1), last, NOW) == pytest.approx(3.0)  # with 30 minutes' rest


def test_quotas_allow_so_many_until_a_day() -> None:
    assert (enough_until(10, 0.5), enough_until(10, 2.0), enough_until(0, 5)) == (10, 30, 0)


async def kinds(client: httpx.AsyncClient, there: Scene) -> list[str]:
    found = await client.get(f"/api/v1/projects/{there.project.public_id}/today")
    return [one["kind"] for one in found.json()]


async def manages(client: httpx.AsyncClient, session: AsyncSession, there: Scene, role: Role = Role.manager) -> Any:
    somebody = await make.user(session)
    await make.member(session, there.project, somebody, role, cohort="south")
    await sign_in(client, session, somebody)
    return somebody


async def test_a_project_where_all_is_well_says_so_and_is_what_its_manager_sees_first(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    there = await scene(session)
    await manages(client, session, there)
    assert (await client.get("/")).headers["location"] == "/today"
    page = (await client.get("/today")).text
    assert "Nothing needs a decision." in page
    assert there.project.name in page
    assert await kinds(client, there) == []


async def test_annotators_are_not_led_there(client: httpx.AsyncClient, session: AsyncSession) -> None:
    there = await scene(session)
    await manages(client, session, there, Role.annotator)
    assert (await client.get("/")).status_code == 200
    assert "You lead no project" in (await client.get("/today")).text
    assert (await client.get(f"/projects/{there.project.public_id}/today")).status_code == 403


async def test_each_matter_stands_there_with_its_evidence_and_one_action_that_leads_somewhere(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    there = await scene(session, people=1, tasks=3, budget=1000, pays=True)
    person = await session.merge(await make.user(session))
    await in_need(session, there, person)
    await manages(client, session, there)
    found = (await client.get(f"/api/v1/projects/{there.project.public_id}/today")).json()
    assert [one["kind"] for one in found] == [
        "run_failed",
        "import_failed",
        "queue_short",
        "reports_open",
        "questions_open",
        "pilot_done",
        "due_date_fails",
        "budget_nearly_spent",
        "gold_doubted",
        "returned_unanswered",
    ]
    assert all(one["evidence"] and one["action"] for one in found)
    page = (await client.get(f"/projects/{there.project.public_id}/today")).text
    for one in found:
        assert f'href="{one["address"]}"' in page
        assert (await client.get(one["address"])).status_code == 200, one


async def in_need(session: AsyncSession, there: Scene, person: Any) -> None:
    """One of everything that needs a decision."""
    project, default = there.project, await session.get_one(Batch, there.batch_id)
    at = {"finished_at": func.now(), "state": RunState.failed, "reason": "out of memory"}
    await make.run(session, project, await make.checkpoint(session), **at)
    session.add(Import(project_id=project.id, name="a.jsonl", report={"refused": 2}))
    first, second = [await session.get_one(Task, one) for one in there.tasks[:2]]
    old = datetime.now(UTC) - timedelta(days=2)
    said = await make.annotation(session, first, person)
    said.returned_at = old
    session.add(Report(project_id=project.id, task_id=second.id, annotator_id=person.id))
    session.add(Inquiry(project_id=project.id, task_id=second.id, asker_id=person.id, words="Which?"))
    pilot = Batch(project_id=project.id, name="Pilot", state=BatchState.pilot)
    session.add(pilot)
    await session.flush()
    await make.task(session, project, pilot, state="done")
    default.due_at = datetime.now(UTC) + timedelta(hours=1)
    project.answers_a_day = 1
    session.add(LedgerLine(project_id=project.id, annotator_id=person.id, annotation_id=said.id, amount=950))
    told = {
        "protocol_id": said.protocol_id,
        "use": Use.gold,
        "bodies": [],
        "markdown": "",
        "html": "",
        "by_id": person.id,
    }
    session.add(ArguedAnswer(task_id=second.id, project_id=project.id, doubted_at=old, **told))
    await session.flush()


async def test_a_lead_sees_what_is_theirs_to_decide_and_over_all_their_projects(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    there, other = await scene(session, tasks=3, budget=1000), await scene(session)
    await in_need(session, there, await make.user(session))
    lead = await manages(client, session, there, Role.lead)
    assert await kinds(client, there) == []  # the question is of no cohort
    asker = (await session.scalars(select(Inquiry.asker_id))).one()
    await make.member(session, there.project, await session.get_one(type(lead), asker), cohort="south")
    assert await kinds(client, there) == ["questions_open"]
    await make.member(session, other.project, lead, Role.manager)
    page = (await client.get("/today")).text
    assert page.count('class="panel day"') == 2
    assert "People wait for answers" in page
    assert (await session.scalars(select(Project.id))).all()


async def test_what_a_large_project_has_spent_is_read_from_what_is_kept(
    session: AsyncSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = await scene(session, budget=1000, pays=True)
    person = await session.get_one(User, there.me.person.id)
    said = await make.annotation(session, await session.get_one(Task, there.tasks[0]), person)
    session.add(LedgerLine(project_id=there.project.id, annotator_id=person.id, annotation_id=said.id, amount=950))
    await session.flush()
    monkeypatch.setitem(counting.SMALL, Annotation, 0)
    assert await budget_nearly_spent(session, there.me, there.project) is None
    await count_large(there.project.id, here(session))
    found = await budget_nearly_spent(session, there.me, there.project)
    assert found is not None
    assert found.evidence.startswith("9.50 of 10.00")


async def test_of_many_returned_answers_the_oldest_is_named(
    session: AsyncSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = await scene(session, tasks=2)
    person = await session.get_one(User, there.me.person.id)
    days = [datetime(2026, 3, 5, 12, tzinfo=UTC), datetime(2026, 3, 1, 12, tzinfo=UTC)]
    for task_id, day in zip(there.tasks, days, strict=True):
        await make.annotation(session, await session.get_one(Task, task_id), person, returned_at=day)
    monkeypatch.setattr(deciding, "MOST", 1)
    found = await deciding.returned_unanswered(session, there.me, there.project)
    assert found is not None
    assert wording.day(days[1]) in found.evidence


async def test_every_round_with_a_date_is_looked_at_with_the_tasks_it_still_makes(session: AsyncSession) -> None:
    there = await scene(session, answers_a_day=2)
    near, now = await session.get_one(Batch, there.batch_id), datetime.now(UTC)
    near.due_at, near.target = now + timedelta(days=2, hours=12), 6  # on three days
    far = Batch(project_id=there.project.id, name="Far", due_at=now + timedelta(days=8, hours=12), target=19)
    session.add(far)
    await session.flush()
    short = await first_short(session, there.project)
    assert short is not None
    assert (short.batch.name, short.a_day, short.allowed) == ("Far", 2, 18)
