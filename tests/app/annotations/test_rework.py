"""Many answers at once: the effect first, then the deed, and back again; while people go on answering."""

import asyncio
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app import database
from app.accounts.permissions import Role
from app.accounts.tables import Membership
from app.annotations.actions import reworking, submit
from app.annotations.actions.editing import NotToBeChanged
from app.annotations.actions.returning import return_answer
from app.annotations.actions.reworking import start_rework, undo_rework
from app.annotations.jobs import ReworkAsked
from app.annotations.reworking import ReworkForm, Selection
from app.annotations.tables import Annotation, AnnotationState, Rework
from app.events import Event
from app.projects.tables import Project
from app.settings import get_settings
from app.tasks.actions import Waiting, claim
from app.tasks.tables import Slot, Task
from tests.app.evaluation.scene import here
from tests.app.scene import Scene, broken, claimed, engineer, prefers, scene
from tests.app.tasks.test_limits import limit, states
from tests.queue import waiting
from workers.handlers.annotations import rework
from workers.handlers.registry import Context


async def answer(session: AsyncSession, there: Scene, nth: int = 0) -> Any:
    shown = await claimed(session, there.people[nth])
    return await submit(session, there.project.id, there.people[nth].person.id, shown.task, shown.key, prefers(shown))


async def name_of(session: AsyncSession, there: Scene, nth: int) -> str:
    who = select(Membership.pseudonym).where(Membership.user_id == there.people[nth].person.id)
    found: str = (await session.scalars(who)).one()
    return found


async def done(session: AsyncSession) -> None:
    for payload in await waiting(session, "ReworkAsked"):
        await rework(ReworkAsked.model_validate(payload), here(session))
    await session.execute(text("DELETE FROM jobs.procrastinate_jobs WHERE task_name = 'ReworkAsked'"))


async def of(session: AsyncSession, state: str) -> int:
    return await session.scalar(select(func.count()).where(Annotation.state == AnnotationState(state))) or 0


async def test_one_persons_answers_are_set_aside_and_others_are_asked_instead(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    there = await scene(session, people=3, tasks=4, k=2)
    for nth in (0, 1, 0, 1, 0):
        await answer(session, there, nth)
    await engineer(client, session, there.project, Role.manager)
    base = f"/api/v1/projects/{there.project.public_id}/reworks"
    careless = await name_of(session, there, 0)
    effect = (await client.get(f"{base}/effect", params={"rater": careless})).json()
    assert effect == {"answers": 3, "tasks": 3, "people": 1, "paid": 0}
    assert (await client.post(base, json={"reason": "x", "does": "reopen"})).status_code == 422  # says not which
    sent = await client.post(base, json={"rater": careless, "reason": "Did not read.", "does": "reopen"})
    assert (sent.status_code, sent.json()["state"]) == (202, "running")
    await done(session)
    assert (await of(session, "set_aside"), await of(session, "live")) == (3, 2)
    assert await broken(session) == {}
    told = (await client.get(base)).json()[0]
    assert (told["state"], told["answers"], told["selection"]) == ("done", 3, {"rater": careless, "fast": False})
    assert await session.scalar(select(func.count()).where(Event.kind == "annotation.set_aside")) == 3
    seen = set()
    while not isinstance(shown := await claim(session, there.people[0]), Waiting):
        seen.add(shown.task_id)
        await submit(session, there.project.id, there.people[0].person.id, shown.task, shown.key, prefers(shown))
    assert seen == {there.tasks[3]}  # never again what was set aside
    for _ in range(3):
        await answer(session, there, 2)  # somebody else is asked instead
    assert await broken(session) == {}


@pytest.mark.parametrize("somebody_else", [False, True])
async def test_what_was_set_aside_comes_back(
    client: httpx.AsyncClient, session: AsyncSession, somebody_else: bool
) -> None:
    there = await scene(session, people=2, tasks=2)
    for _ in range(2):
        await answer(session, there)
    await engineer(client, session, there.project, Role.manager)
    base = f"/api/v1/projects/{there.project.public_id}/reworks"
    ask = {"rater": await name_of(session, there, 0), "reason": "By mistake."}
    made = (await client.post(base, json=ask)).json()
    assert (await client.post(f"{base}/{made['id']}/undo")).status_code == 409  # it has not ended
    await done(session)
    if somebody_else:
        await answer(session, there, 1)
    assert (await client.post(f"{base}/{made['id']}/undo")).status_code == 202
    await done(session)
    assert await of(session, "set_aside") == 0
    assert await of(session, "surplus") == (1 if somebody_else else 0)
    assert await of(session, "live") == 2
    assert await broken(session) == {}
    assert (await client.get(base)).json()[0]["state"] == "undone"
    assert (await client.post(f"{base}/{made['id']}/undo")).status_code == 409
    assert set(await session.scalars(select(Task.state))) == {"done"}


async def test_an_undo_tells_the_answer_that_counted_from_the_surplus_one(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    """The second answer of a slot counts and is returned, the first came back when the slot was taken. Both are set
    aside at once and brought back: all is as before."""
    there = await scene(session, people=2, tasks=1)
    first = await answer(session, there, 0)
    reviewer = await engineer(client, session, there.project, Role.manager)
    base = f"/api/v1/projects/{there.project.public_id}/reworks"
    ask = {"rater": await name_of(session, there, 0), "reason": "By mistake."}
    made = (await client.post(base, json=ask)).json()
    await done(session)
    second = await answer(session, there, 1)
    await client.post(f"{base}/{made['id']}/undo")
    await done(session)
    project = there.project.id
    await return_answer(session, project, second.public_id, reviewer_id=reviewer.id, text="Why?")
    fresh = {"populate_existing": True}
    asked = select(Annotation).order_by(Annotation.id).execution_options(**fresh)

    async def are() -> list[tuple[int, str, bool]]:
        return [(one.id, one.state.value, one.returned_at is not None) for one in await session.scalars(asked)]

    before = await are()
    assert before == [(first.id, "surplus", False), (second.id, "live", True)]
    made = (await client.post(base, json={"since": "2020-01-01", "reason": "All.", "does": "set_aside"})).json()
    await done(session)
    assert await are() == [(first.id, "set_aside", False), (second.id, "set_aside", False)]
    await client.post(f"{base}/{made['id']}/undo")
    await done(session)
    assert await are() == before
    assert await broken(session) == {}


async def test_set_aside_without_asking_others(client: httpx.AsyncClient, session: AsyncSession) -> None:
    there = await scene(session, people=2, tasks=2, k=2)
    await answer(session, there, 0)
    await answer(session, there, 1)
    await answer(session, there, 0)
    await engineer(client, session, there.project, Role.manager)
    base = f"/api/v1/projects/{there.project.public_id}/reworks"
    ask = {"rater": await name_of(session, there, 0), "reason": "Too fast.", "does": "set_aside"}
    made = (await client.post(base, json=ask)).json()
    await done(session)
    assert await states(session) == {2: 1, 3: 2, 0: 1}
    assert await broken(session) == {}
    await client.post(f"{base}/{made['id']}/undo")
    await done(session)
    assert await states(session) == {2: 3, 0: 1}
    assert await broken(session) == {}


async def test_a_lowered_k_is_not_passed_by_what_comes_back(client: httpx.AsyncClient, session: AsyncSession) -> None:
    there = await scene(session, people=2, tasks=1, k=2)
    await answer(session, there, 0)
    await answer(session, there, 1)
    await engineer(client, session, there.project, Role.manager)
    base = f"/api/v1/projects/{there.project.public_id}/reworks"
    ask = {"since": "2020-01-01", "reason": "All of it.", "does": "set_aside"}
    made = (await client.post(base, json=ask)).json()
    await done(session)
    await session.execute(text("UPDATE tasks SET k = 1"))
    await client.post(f"{base}/{made['id']}/undo")
    await done(session)
    assert (await of(session, "live"), await of(session, "surplus")) == (1, 1)
    assert await broken(session) == {}


async def test_answers_are_given_back_with_a_remark(client: httpx.AsyncClient, session: AsyncSession) -> None:
    there = await scene(session, people=2, tasks=2)
    await answer(session, there, 0)
    await answer(session, there, 1)
    await engineer(client, session, there.project, Role.manager)
    base = f"/api/v1/projects/{there.project.public_id}/reworks"
    ask = {"guidelines": 1, "reason": "Please look at the new rule.", "does": "give_back"}
    made = (await client.post(base, json=ask)).json()
    await done(session)
    returned = select(func.count()).where(Annotation.returned_at.is_not(None), Annotation.state == AnnotationState.live)
    assert await session.scalar(returned) == 2
    assert await session.scalar(text("SELECT count(*) FROM inbox_items WHERE kind = 'returned'")) == 2
    assert (await client.post(f"{base}/{made['id']}/undo")).status_code == 409


@pytest.mark.parametrize(
    ("said", "count"),
    [
        ({"cohort": "north"}, 2),
        ({"tag": "law"}, 1),
        ({"tag": "poems"}, 0),
        ({"since": "2020-01-01", "until": "2020-12-31"}, 0),
        ({"since": "2020-01-01"}, 3),
        ({"protocol": 1}, 3),
        ({"protocol": 2}, 0),
        ({"fast": True}, 1),
        ({"fast": True, "cohort": "north"}, 0),
    ],
)
async def test_what_a_selection_takes(
    client: httpx.AsyncClient, session: AsyncSession, said: dict[str, Any], count: int
) -> None:
    there = await scene(session, people=2, tasks=3)
    first = await answer(session, there, 0)
    await answer(session, there, 0)
    last = await answer(session, there, 1)
    await session.execute(text("UPDATE annotations SET fast = (id = :last), tags = CASE WHEN id = :first "
                               "THEN '{law}'::text[] ELSE '{}' END"), {"first": first.id, "last": last.id})  # fmt: skip
    north = text("UPDATE memberships SET cohort = 'north' WHERE user_id = :me")
    await session.execute(north, {"me": there.me.person.id})
    await engineer(client, session, there.project, Role.manager)
    effect = await client.get(f"/api/v1/projects/{there.project.public_id}/reworks/effect", params=said)
    assert effect.json()["answers"] == count


async def test_in_a_project_with_limits_what_is_opened_anew_waits_for_room(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    there = await scene(session, people=2, tasks=3)
    await limit(session, there, answers_in_all=2)
    for _ in range(2):
        await answer(session, there)
    await engineer(client, session, there.project, Role.manager)
    ask = {"rater": await name_of(session, there, 0), "reason": "x"}
    await client.post(f"/api/v1/projects/{there.project.public_id}/reworks", json=ask)
    await done(session)
    assert await states(session) == {-1: 3}  # the work was done, and counts
    assert await broken(session) == {}


async def test_the_page_shows_the_effect_then_does_it(client: httpx.AsyncClient, session: AsyncSession) -> None:
    there = await scene(session, people=2, tasks=2)
    await answer(session, there)
    await engineer(client, session, there.project, Role.manager)
    base = f"/projects/{there.project.public_id}/rework"
    careless = await name_of(session, there, 0)
    empty = {"cohort": "", "batch": "", "since": "", "until": "", "tag": "", "guidelines": "", "protocol": ""}
    shown = (await client.get(base, params=empty | {"rater": careless})).text
    assert "What is done with them" in shown
    assert "What is done with them" not in (await client.get(base)).text
    nothing = await client.post(base, data=empty | {"rater": "", "does": "reopen", "reason": "x"})
    assert (nothing.status_code, "say which answers" in nothing.text.lower()) == (422, True)
    assert (
        await client.post(base, data=empty | {"rater": careless, "does": "reopen", "reason": "x"})
    ).status_code == 303
    await done(session)
    public_id = await session.scalar(select(Rework.public_id))
    assert "Undo" in (await client.get(base)).text
    assert (await client.post(f"{base}/{public_id}/undo")).status_code == 303


@pytest.mark.committed
async def test_people_go_on_answering_while_their_answers_are_set_aside_and_brought_back(committed: str) -> None:
    """Two workers do the same job; nothing is lost, doubled or stuck."""
    async with database.transaction() as session:
        there = await scene(session, people=8, tasks=120, k=2)
    acknowledged: list[int] = []

    async def work(nth: int, times: int) -> None:
        for _ in range(times):
            async with database.transaction() as session:
                shown = await claim(session, there.people[nth])
            if isinstance(shown, Waiting):
                return
            async with database.transaction() as session:
                me = there.people[nth].person.id
                said = await submit(session, there.project.id, me, shown.task, shown.key, prefers(shown))
                acknowledged.append(said.id)

    await asyncio.gather(*[work(nth, 20) for nth in range(8)])
    async with database.transaction() as session:
        project = await session.get_one(Project, there.project.id)
        form = ReworkForm(rater=await name_of(session, there, 0), reason="x")
        made = await start_rework(session, project, form, there.me.person.id)
    context = Context(get_settings())
    job = ReworkAsked(rework_id=made.id)
    await asyncio.gather(rework(job, context), rework(job, context), *[work(nth, 10) for nth in range(1, 8)])
    async with database.transaction() as session:
        assert await broken(session) == {}
        assert await of(session, "set_aside") == 20
        await undo_rework(session, there.project.id, made.public_id, there.me.person.id)
    await asyncio.gather(rework(job, context), rework(job, context), *[work(nth, 5) for nth in range(1, 8)])
    async with database.transaction() as session:
        assert await broken(session) == {}
        assert await of(session, "set_aside") == 0
        assert sorted(await session.scalars(select(Annotation.id))) == sorted(acknowledged)
        assert await session.scalar(select(func.count()).where(Slot.state == 2)) == await of(session, "live")


async def test_what_was_paid_is_for_those_who_may_see_pay(client: httpx.AsyncClient, session: AsyncSession) -> None:
    there = await scene(session, people=2, tasks=2)
    await answer(session, there)
    await engineer(client, session, there.project, Role.reviewer)
    base = f"/api/v1/projects/{there.project.public_id}/reworks"
    told = (await client.get(f"{base}/effect", params={"rater": await name_of(session, there, 0)})).json()
    assert (told["answers"], told["paid"]) == (1, None)


@pytest.mark.parametrize("day", ["9999-12-31", "0001-01-01", "10000-01-01"])
async def test_days_that_no_calendar_shifts_are_refused(
    client: httpx.AsyncClient, session: AsyncSession, day: str
) -> None:
    there = await scene(session, people=2, tasks=1)
    await engineer(client, session, there.project, Role.manager)
    base = f"/api/v1/projects/{there.project.public_id}/reworks"
    for name in ("since", "until"):
        assert (await client.get(f"{base}/effect", params={name: day})).status_code == 422
        assert (await client.post(base, json={name: day, "reason": "x"})).status_code == 422


async def test_the_evaluations_protocol_is_something_said() -> None:
    assert Selection(protocol=0).is_narrow
    assert not Selection().is_narrow


async def test_after_opening_anew_places_are_settled(client: httpx.AsyncClient, session: AsyncSession) -> None:
    """Slots that were answered long ago stand where they were wanted then: audiences and rules may be others now."""
    there = await scene(session, people=2, tasks=2)
    await answer(session, there)
    await engineer(client, session, there.project, Role.manager)
    ask = {"rater": await name_of(session, there, 0), "reason": "x"}
    await client.post(f"/api/v1/projects/{there.project.public_id}/reworks", json=ask)
    await session.execute(text("DELETE FROM jobs.procrastinate_jobs WHERE task_name = 'PlacesChanged'"))
    await done(session)
    assert await waiting(session, "PlacesChanged") == [{"project_id": there.project.id}]


async def test_what_cannot_be_given_back_is_left_out_and_changes_nothing(
    client: httpx.AsyncClient, session: AsyncSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = await scene(session, people=2, tasks=2)
    first = await answer(session, there)
    await answer(session, there)
    await engineer(client, session, there.project, Role.manager)
    ask = {"rater": await name_of(session, there, 0), "reason": "x", "does": "give_back"}
    await client.post(f"/api/v1/projects/{there.project.public_id}/reworks", json=ask)

    async def refuses_the_first(session: AsyncSession, project_id: int, public_id: Any, **values: Any) -> Any:
        found = await return_answer(session, project_id, public_id, **values)
        if public_id == first.public_id:
            raise NotToBeChanged
        return found

    monkeypatch.setattr(reworking, "return_answer", refuses_the_first)
    await done(session)
    back = select(Annotation.public_id).where(Annotation.returned_at.is_not(None))
    assert len(list(await session.scalars(back))) == 1
    assert set(await session.scalars(select(Rework.state))) == {"done"}
