"""What answers earn: rates, the ledger that adds up to the cent, statements, and a budget that holds."""

import csv
import re
from datetime import timedelta
from html import unescape
from io import StringIO
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from app import database
from app.accounts.permissions import Role
from app.accounts.tables import Membership, User
from app.annotations.actions import submit
from app.annotations.earnings import Period, earned, in_currency, statement
from app.annotations.tables import LedgerLine
from app.errors import Invalid
from app.projects.tables import Project, Rate
from app.tasks.actions import Waiting, claim, release, release_slots
from app.tasks.actions.ending import drop
from app.tasks.tables import Slot
from tests import make
from tests.app.scene import (
    Scene,
    broken,
    claimed,
    engineer,
    let_leases_run_out,
    prefers,
    scene,
    sweep_all,
)
from tests.app.tasks.test_limits import limit, states
from tests.conftest import sign_in


async def rate(session: AsyncSession, there: Scene, hours: float = -1, **values: Any) -> None:
    now = (await session.execute(select(func.now()))).scalar_one()
    session.add(Rate(project_id=there.project.id, starts_at=now + timedelta(hours=hours), **values))
    await session.execute(text("UPDATE projects SET pays = true"))
    await session.flush()


async def answer(session: AsyncSession, there: Scene, nth: int = 0, active: float | None = None) -> Any:
    shown = await claimed(session, there.people[nth])
    me = there.people[nth].person.id
    return await submit(session, there.project.id, me, shown.task, shown.key, prefers(shown), active)


async def amounts(session: AsyncSession) -> list[int]:
    return list(await session.scalars(select(LedgerLine.amount).order_by(LedgerLine.id)))


async def test_every_answer_gets_one_line_and_only_where_there_are_rates(session: AsyncSession) -> None:
    there = await scene(session, tasks=3)
    await answer(session, there)
    assert await amounts(session) == []
    await rate(session, there, an_answer=12)
    shown = await claimed(session, there.me)
    for _twice in range(2):
        await submit(session, there.project.id, there.me.person.id, shown.task, shown.key, prefers(shown))
    assert await amounts(session) == [12]


@pytest.mark.parametrize(
    ("rates", "worth"),
    [
        ([{"an_answer": 5}], 5),
        ([{"an_answer": 5}, {"an_answer": 7, "hours": -0.5}], 7),  # of two alike the newest
        ([{"an_answer": 5}, {"an_answer": 7, "hours": 1}], 5),  # it has not begun
        ([{"an_answer": 5}, {"an_answer": 3, "kind": "comparison", "hours": -5}], 3),
        ([{"an_answer": 5}, {"an_answer": 3, "kind": "ranking"}], 5),
        ([{"an_answer": 5, "kind": "comparison"}, {"an_answer": 4, "cohort": "north", "hours": -9}], 4),
        ([{"an_answer": 4, "cohort": "north"}, {"an_answer": 2, "mine": True, "hours": -9}], 2),
        ([{"an_answer": 4, "cohort": "south"}], 0),
    ],
)
async def test_the_nearest_rate_counts(session: AsyncSession, rates: list[dict[str, Any]], worth: int) -> None:
    there = await scene(session)
    await session.execute(text("UPDATE memberships SET cohort = 'north'"))
    for one in rates:
        mine = {"annotator_id": there.me.person.id} if one.pop("mine", False) else {}
        await rate(session, there, **one, **mine)
    await answer(session, there)
    assert await amounts(session) == [worth]


@pytest.mark.parametrize(
    ("active", "worth", "a_minute"),
    [(0.0, 0, 30), (30.0, 15, 30), (61.0, 31, 30), (59.0, 30, 30), (600.0, 100, 30), (150.0, 28, 11)],
)  # 30 a minute: 61 s are 30.5, rounded up; 11 a minute: 150 s are 27.5
async def test_minutes_are_paid_up_to_a_cap(session: AsyncSession, active: float, worth: int, a_minute: int) -> None:
    there = await scene(session)
    await rate(session, there, a_minute=a_minute, most=100)
    shown = await claimed(session, there.me)
    await session.execute(text("UPDATE slots SET shown_at = shown_at - interval '20 minutes'"))
    await submit(session, there.project.id, there.me.person.id, shown.task, shown.key, prefers(shown), active)
    assert await amounts(session) == [worth]


async def test_late_and_surplus_work_is_paid(session: AsyncSession) -> None:
    there = await scene(session, people=2)
    await rate(session, there, an_answer=9)
    late = await claimed(session, there.me)
    await let_leases_run_out(session)
    await sweep_all(session)
    await answer(session, there, nth=1)
    said = await submit(session, there.project.id, there.me.person.id, late.task, late.key, prefers(late))
    assert said.state.value == "surplus"
    assert await amounts(session) == [9, 9]
    assert await broken(session) == {}


@pytest.mark.parametrize("how", ["given back", "long ago"])
async def test_what_comes_after_its_showing_was_given_back_earns_nothing(session: AsyncSession, how: str) -> None:
    """No money is kept for it; the line says so, and a manager may add one."""
    there = await scene(session, people=2)
    await rate(session, there, an_answer=9)
    late = await claimed(session, there.me)
    if how == "given back":
        await release(session, there.project.id, there.me.person.id, late.task, late.key)
    else:
        await let_leases_run_out(session)
        await sweep_all(session)
        await session.execute(text("UPDATE lapses SET at = at - interval '25 hours'"))
    await submit(session, there.project.id, there.me.person.id, late.task, late.key, prefers(late))
    told = await session.execute(select(LedgerLine.amount, LedgerLine.remark))
    assert [tuple(row) for row in told] == [(0, "late")]
    assert await broken(session) == {}


async def test_the_currency_stays_once_somebody_has_earned_something(session: AsyncSession) -> None:
    there = await scene(session)
    await limit(session, there, currency="CHF")
    await rate(session, there, an_answer=9)
    await answer(session, there)
    await limit(session, there, answers_in_all=5)  # it does not speak of the currency
    with pytest.raises(Invalid, match="CHF"):
        await limit(session, there, currency="EUR")
    assert await session.scalar(select(Project.currency)) == "CHF"


async def test_the_ledger_cannot_be_changed(session: AsyncSession) -> None:
    there = await scene(session)
    await rate(session, there, an_answer=9)
    await answer(session, there)
    for change in ("UPDATE ledger SET amount = 1", "DELETE FROM ledger", "TRUNCATE ledger"):
        with pytest.raises(DBAPIError, match=r"append-only|permission denied"):
            async with session.begin_nested():
                await session.execute(text(change))


async def test_a_budget_is_kept_at_the_dearest_rate_until_somebody_has_answered(session: AsyncSession) -> None:
    there = await scene(session, people=2, tasks=20)
    await rate(session, there, an_answer=10)
    await rate(session, there, an_answer=25, cohort="dear")
    await limit(session, there, budget=100)
    assert await states(session) == {0: 4, -1: 16}  # four at 25
    for _ in range(4):
        await answer(session, there)
    await release_slots(session, there.project.id)
    assert await states(session) == {0: 2, -1: 14, 2: 4}  # 40 were spent, 60 leave room for two at 25
    await session.execute(
        text("UPDATE memberships SET cohort = 'dear' WHERE user_id = :me"), {"me": there.me.person.id}
    )
    for _ in range(2):
        await answer(session, there)
    await release_slots(session, there.project.id)
    assert await states(session) == {-1: 14, 2: 6}
    assert sum(await amounts(session)) == 90
    assert isinstance(await claim(session, there.me), Waiting)
    assert await broken(session) == {}


async def test_money_is_kept_for_an_answer_that_may_still_come(session: AsyncSession) -> None:
    there = await scene(session, people=2, tasks=9)
    await rate(session, there, an_answer=10)
    await limit(session, there, budget=20)
    late = await claimed(session, there.me)
    await let_leases_run_out(session)
    await sweep_all(session)
    await release_slots(session, there.project.id)
    assert (await states(session))[0] == 1  # of the two that there is money for, one may still be asked for
    await answer(session, there, nth=1)
    said = await submit(session, there.project.id, there.me.person.id, late.task, late.key, prefers(late))
    assert said.state.value in ("live", "surplus")
    assert sum(await amounts(session)) == 20
    assert await broken(session) == {}


async def test_rates_adjustments_and_statements_over_rest(client: httpx.AsyncClient, session: AsyncSession) -> None:
    there = await scene(session, people=2, tasks=6)
    await engineer(client, session, there.project, Role.manager)
    base = f"/api/v1/projects/{there.project.public_id}"
    made = await client.post(f"{base}/rates", json={"an_answer": 15})
    assert made.status_code == 201
    await session.execute(text("UPDATE rates SET starts_at = now()"))  # the test's clock stands still
    for refused, named in (
        ({"an_answer": 1, "a_minute": 1, "most": 3}, "an_answer"),
        ({"a_minute": 3}, "most"),
        ({"an_answer": 1, "starts_at": "2001-01-01T00:00:00Z"}, "starts_at"),
        ({"an_answer": 1, "rater": "nobody-here"}, "rater"),
    ):
        sent = await client.post(f"{base}/rates", json=refused)
        assert (sent.status_code, named in sent.text) == (422, True), refused
    for nth in (0, 1, 0):
        await answer(session, there, nth)
    known = await session.execute(select(Membership.user_id, Membership.pseudonym))
    names = {row.user_id: row.pseudonym for row in known}
    mine, other = (names[there.people[nth].person.id] for nth in range(2))
    added = await client.post(f"{base}/ledger", json={"rater": mine, "amount": -7, "remark": "=SUM(A1) paid twice"})
    assert (added.status_code, added.json()["amount"]) == (201, -7)
    told = (await client.get(f"{base}/earned")).json()
    assert told["people"] == [
        {"rater": mine, "answers": 2, "active_seconds": 0.0, "amount": 23},
        {"rater": other, "answers": 1, "active_seconds": 0.0, "amount": 15},
    ]
    assert (told["amount"], told["currency"]) == (38, "EUR")
    lines = (await client.get(f"{base}/ledger", params={"rater": mine})).json()["rows"]
    assert [line["amount"] for line in lines] == [-7, 15, 15]
    nothing = (await client.get(f"{base}/earned", params={"last": "2001-01-01"})).json()
    assert nothing["people"] == []


@pytest.mark.committed
async def test_a_statement_adds_up_to_the_ledger(committed: str) -> None:
    async with database.transaction() as session:
        there = await scene(session, people=2, tasks=4)
        await rate(session, there, an_answer=1205)
        for nth in (0, 1, 0):
            await answer(session, there, nth)
        project = await session.get_one(Project, there.project.id)
        person = there.me.person.id
        session.add(LedgerLine(project_id=project.id, annotator_id=person, amount=-5, remark="=1+1"))
    parts = [part async for part in statement(project, Period())]
    rows = list(csv.DictReader(StringIO(b"".join(parts).decode())))
    assert [row["amount"] for row in rows] == ["12.05", "12.05", "12.05", "-0.05"]
    assert rows[3]["remark"] == "'=1+1"  # no formula for a spreadsheet
    assert {row["currency"] for row in rows} == {"EUR"}
    async with database.transaction() as session:
        sums = await earned(session, project, Period())
    assert sum(one.amount for one in sums) == round(100 * sum(float(row["amount"]) for row in rows)) == 3610


@pytest.mark.parametrize(
    ("amount", "told"), [(0, "0.00"), (5, "0.05"), (-5, "-0.05"), (-1205, "-12.05"), (100, "1.00")]
)
def test_hundredths_in_the_currency(amount: int, told: str) -> None:
    assert in_currency(amount) == told


async def test_the_page_sets_rates_and_adds_lines(client: httpx.AsyncClient, session: AsyncSession) -> None:
    there = await scene(session, tasks=2)
    await engineer(client, session, there.project, Role.manager)
    base = f"/projects/{there.project.public_id}/pay"
    assert "No rates yet" in (await client.get(base)).text
    fields = {"an_answer": "0.15", "a_minute": "", "most": "", "rater": "", "cohort": "", "kind": ""}
    assert (await client.post(f"{base}/rates", data=fields)).status_code == 303
    await session.execute(text("UPDATE rates SET starts_at = now()"))  # the test's clock stands still
    await answer(session, there)
    page = (await client.get(base)).text
    assert "0.15" in page
    both = await client.post(f"{base}/rates", data=fields | {"a_minute": "1"})
    assert (both.status_code, "either what an answer" in both.text) == (422, True)
    part = await client.post(f"{base}/rates", data=fields | {"a_minute": "1"}, headers={"HX-Request": "true"})
    assert (part.status_code, part.headers.get("HX-Retarget")) == (422, "#notices")  # the form stays as it was
    assert (await client.get(base, headers={"HX-Request": "true"})).status_code == 200
    nobody = await client.post(f"{base}/ledger", data={"rater": "x", "amount": "1", "remark": "Bonus"})
    assert (nobody.status_code, "nobody" in nobody.text) == (422, True)
    name = await session.scalar(select(Membership.pseudonym).where(Membership.user_id == there.me.person.id))
    added = await client.post(f"{base}/ledger", data={"rater": name, "amount": "2.5", "remark": "Bonus"})
    assert added.status_code == 303
    assert sorted(await amounts(session)) == [15, 250]
    assert (await client.get(f"{base}?first=nonsense")).status_code == 422
    assert "2.65" in (await client.get(base)).text
    await sign_in(client, session, await session.get_one(User, there.me.person.id))
    mine = (await client.get(f"/projects/{there.project.public_id}/me")).text
    assert ("2.65 EUR" in mine, "2.65 in all" in mine) == (True, True)
    assert (await client.get(base)).status_code == 403


async def test_what_one_has_in_hand_again_is_paid_under_whichever_key(session: AsyncSession) -> None:
    """Given back, handed out again, and sent from the first of two tabs: a place and money were kept for it."""
    there = await scene(session)
    await rate(session, there, an_answer=9)
    first = await claimed(session, there.me)
    await release(session, there.project.id, there.me.person.id, first.task, first.key)
    second = await claimed(session, there.me)
    assert (second.task, second.key != first.key) == (first.task, True)
    await submit(session, there.project.id, there.me.person.id, first.task, first.key, prefers(first))
    assert await amounts(session) == [9]
    assert await broken(session) == {}


async def test_work_that_was_taken_off_somebodys_hands_is_paid_when_it_comes(session: AsyncSession) -> None:
    there = await scene(session, people=2)
    await rate(session, there, an_answer=9)
    late = await claimed(session, there.me)
    slot = (await session.scalars(select(Slot))).one()
    assert await drop(session, slot.id, slot.task_id, there.me.person.id, late.key)
    await submit(session, there.project.id, there.me.person.id, late.task, late.key, prefers(late))
    assert await amounts(session) == [9]


async def test_those_who_earned_stand_on_pages_of_twenty_five(client: httpx.AsyncClient, session: AsyncSession) -> None:
    there = await scene(session, tasks=1)
    for nth in range(26):
        person = await make.user(session)
        await make.member(session, there.project, person, Role.annotator, pseudonym=f"earner-{nth:02}")
        line = {"project_id": there.project.id, "annotator_id": person.id, "amount": 100 - nth, "remark": "Welcome."}
        session.add(LedgerLine(**line))
    await engineer(client, session, there.project, Role.manager)
    base = f"/projects/{there.project.public_id}/pay"
    first = (await client.get(base)).text
    assert re.findall(r"rater=(earner-\d+)", first) == [f"earner-{nth:02}" for nth in range(25)]
    (further,) = {unescape(at) for at in re.findall(rf'href="({base}\?[^"]*cursor=[^"]*)"', first)}
    second = (await client.get(further)).text
    assert re.findall(r"rater=(earner-\d+)", second) == ["earner-25"]
    for page in (first, second):
        assert "26 people in all" in page
