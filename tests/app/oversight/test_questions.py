"""A question about the task on the screen, its answer, and a ruling for everybody."""

from datetime import timedelta
from uuid import uuid4

import httpx
from sqlalchemy import delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.permissions import Role
from app.accounts.tables import InboxItem, Letter, Membership, User
from app.events import Event
from app.projects.tables import Batch
from app.quality.inquiries import OPEN_AT_ONCE
from app.quality.tables import Inquiry
from app.tasks.queries import shown_task
from app.tasks.tables import Lapse, Slot, SlotState, Task
from tests import make
from tests.app.scene import Scene, claimed, let_leases_run_out, scene, sweep_all
from tests.conftest import sign_in

PART = {"HX-Request": "true"}


async def asked(client: httpx.AsyncClient, session: AsyncSession, words: str = "Does length count?") -> Scene:
    """Somebody asks about the task that they hold; they are signed in."""
    there = await scene(session, people=2)
    shown = await claimed(session, there.me)
    await sign_in(client, session, await person(session, there.me.person.id))
    address = f"/projects/{there.project.public_id}/annotate/{shown.task}/question"
    assert (await client.post(address, data={"words": words}, headers=PART)).status_code == 204
    return there


async def person(session: AsyncSession, person_id: int) -> User:
    return await session.get_one(User, person_id)


async def leads(client: httpx.AsyncClient, session: AsyncSession, there: Scene, role: Role, **values: object) -> User:
    somebody = await make.user(session)
    await make.member(session, there.project, somebody, role, **values)
    await sign_in(client, session, somebody)
    return somebody


async def the_question(session: AsyncSession) -> Inquiry:
    return (await session.scalars(select(Inquiry), execution_options={"populate_existing": True})).one()


async def test_the_answer_reaches_who_asked_and_the_task_stays_with_them(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    there = await asked(client, session)
    base = f"/projects/{there.project.public_id}"
    assert (await session.scalars(select(Slot.state))).all() == [1]
    assert "waits for an answer" in (await client.get(f"{base}/questions/mine")).text
    await leads(client, session, there, Role.reviewer)
    page = (await client.get(f"{base}/questions")).text
    assert "Does length count?" in page
    question = await the_question(session)
    await client.post(f"{base}/questions/{question.public_id}", data={"answer": "It does **not**."})
    letter = (await session.scalars(select(InboxItem).where(InboxItem.kind == Letter.answered))).one()
    assert letter.user_id == there.me.person.id
    await sign_in(client, session, await person(session, there.me.person.id))
    assert "A question of yours is answered." in (await client.get("/inbox")).text
    assert "It does **not**." in (await client.get(f"{base}/questions/mine")).text
    assert (await session.scalars(select(InboxItem.read_at).where(InboxItem.kind == Letter.answered))).one() is not None
    noted = select(Event.kind).where(Event.kind.like("question.%")).order_by(Event.id)
    assert (await session.scalars(noted)).all() == ["question.asked", "question.answered"]


async def test_leads_answer_their_own_cohort_and_nobody_their_own_question(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    there = await asked(client, session)
    base = f"/projects/{there.project.public_id}"
    question = await the_question(session)
    address = f"{base}/questions/{question.public_id}"
    await leads(client, session, there, Role.lead)  # who is in no cohort leads nobody
    assert "Does length count?" not in (await client.get(f"{base}/questions")).text
    lead = await leads(client, session, there, Role.lead, cohort="north")
    assert "Does length count?" not in (await client.get(f"{base}/questions")).text
    assert (await client.post(address, data={"answer": "No."})).status_code == 404
    theirs = await session.scalar(select(Membership).where(Membership.user_id == there.me.person.id))
    assert theirs is not None
    theirs.cohort = "north"
    await session.flush()
    assert "Does length count?" in (await client.get(f"{base}/questions")).text
    await session.execute(update(Inquiry).values(asker_id=lead.id))
    assert (await client.post(address, data={"answer": "No."})).status_code == 403
    await leads(client, session, there, Role.engineer)
    assert (await client.get(f"{base}/questions")).status_code == 403


async def test_an_answer_becomes_a_ruling_beside_the_guidelines_with_its_task_and_goes_again(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    there = await asked(client, session)
    base, rest = f"/projects/{there.project.public_id}", f"/api/v1/projects/{there.project.public_id}"
    await leads(client, session, there, Role.reviewer)
    question = await the_question(session)
    address = f"{base}/questions/{question.public_id}"
    said = {"question": "Is longer better?", "answer": "Length is **nothing**."}
    assert (await client.post(f"{address}/ruling", data=said)).status_code == 409  # not answered yet
    told = await client.post(f"{rest}/questions/{question.public_id}/answer", json={"answer": "No."})
    assert told.status_code == 200
    assert (await client.post(f"{address}/ruling", data=said)).headers["location"] == f"{base}/rulings"
    listed = (await client.get(f"{rest}/questions?answered=true")).json()["questions"]
    (ruling,) = (await client.get(f"{rest}/rulings")).json()
    assert listed[0]["ruling"] == ruling["id"]
    await sign_in(client, session, await person(session, there.people[1].person.id))
    beside = (await client.get(f"{base}/rulings", headers=PART)).text
    assert "Length is <strong>nothing</strong>." in beside
    assert "How do I fold paper" in beside, "the task is its example"
    assert "retire" not in beside
    assert "/rulings" in (await client.get(f"{base}/annotate")).text
    await leads(client, session, there, Role.manager)
    await client.post(f"{base}/rulings/{ruling['id']}/retire")
    assert (await client.get(f"{rest}/rulings")).json() == []


async def test_only_a_task_that_was_shown_is_asked_about_and_so_many_at_once(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    there = await asked(client, session)
    other = await make.task(session, there.project, await batch_of(session, there))
    base = f"/projects/{there.project.public_id}/annotate"
    assert (await client.post(f"{base}/{other.public_id}/question", data={"words": "?"})).status_code == 404
    question = await the_question(session)
    many = {"project_id": there.project.id, "task_id": question.task_id, "asker_id": question.asker_id, "words": "?"}
    session.add_all([Inquiry(**many) for _n in range(OPEN_AT_ONCE - 1)])
    await session.flush()
    shown = f"/api/v1/tasks/{await task_of(session, question)}/question"
    assert (await client.post(shown, json={"words": "One more?"})).json()["type"] == "urn:hone:enough-asked"
    assert await session.scalar(select(func.count()).select_from(Inquiry)) == OPEN_AT_ONCE


async def batch_of(session: AsyncSession, there: Scene) -> object:

    return await session.get_one(Batch, there.batch_id)


async def task_of(session: AsyncSession, question: Inquiry) -> object:

    return (await session.get_one(Task, question.task_id)).public_id


async def test_a_lead_who_answers_sees_the_task_as_it_was_seen_and_no_ones_answer(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    """A and B are what the asker calls so, also after the task was taken from them; leads cannot open the task."""
    there = await asked(client, session)
    await session.execute(update(Membership).values(cohort="north"))
    slot = (await session.scalars(select(Slot).where(Slot.annotator_id == there.me.person.id))).one()
    task = await session.get_one(Task, slot.task_id)
    own = (await shown_task(session, there.project.id, task.public_id)).htmls
    first = list(slot.sides)
    seen = [own[number] for number in first]
    address = f"/projects/{there.project.public_id}/questions/{(await the_question(session)).public_id}"
    await leads(client, session, there, Role.lead, cohort="north")

    page = (await client.get(address)).text
    assert [page.count(html) for html in seen] == [1, 1]
    assert page.index(seen[0]) < page.index(seen[1])
    assert "in the order in which they saw it" in page
    assert (await client.get(f"/projects/{there.project.public_id}/tasks/{task.public_id}")).status_code == 403

    await session.execute(update(Slot).where(Slot.id == slot.id).values(sides=first[::-1]))
    page = (await client.get(address)).text
    assert page.index(seen[1]) < page.index(seen[0])
    await let_leases_run_out(session)
    assert await sweep_all(session) == 1
    page = (await client.get(address)).text
    assert page.index(seen[1]) < page.index(seen[0])

    held = {"state": SlotState.leased, "lease": uuid4(), "annotator_id": there.me.person.id}
    turned = {"sides": first, "shown_at": func.now() + timedelta(hours=1)}  # the same task once more
    await session.execute(update(Slot).where(Slot.id == slot.id).values(held | turned))
    page = (await client.get(address)).text
    assert page.index(seen[1]) < page.index(seen[0])
    await session.execute(delete(Lapse))
    page = (await client.get(address)).text
    assert "in which order they saw it is not kept" in page
    assert 'class="letter"' not in page

    await leads(client, session, there, Role.lead, cohort="south")
    assert (await client.get(address)).status_code == 404
