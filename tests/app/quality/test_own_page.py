"""My page: my days, my quota, my talks, how I did where an answer is argued; and nothing about anybody else."""

import re
from datetime import datetime

import httpx
import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.permissions import Role
from app.accounts.tables import User
from app.annotations.actions import submit
from app.projects.queries import newest_protocol
from app.quality.actions import EnoughAccepted, NotArguable, argue, drop_argument
from app.quality.forms import Argument
from app.quality.queries import my_days, my_lessons, my_quotas
from app.quality.rules import decision, hits, is_arguable
from app.quality.tables import Use
from app.tasks.tables import Task
from tests.app.annotations.test_workspace import Page, open_page, person_at, press
from tests.app.scene import Scene, claimed, engineer, let_leases_run_out, prefers, scene, sweep_all

A, B = {"kind": "comparison", "outcome": "preferred", "preferred": 0}, {"kind": "comparison", "outcome": "tie"}

RANKED = {"kind": "ranking", "outcome": "ranked", "tiers": [[0], [1]]}


def rated(value: int) -> dict:
    return {"kind": "rating", "ratings": [{"completion": 0, "criteria": {"true": value}, "flags": []}]}


@pytest.mark.parametrize(
    ("said", "accepted", "is_hit"),
    [
        (A | {"strength": 1, "justification": "x"}, [A | {"strength": 3}], True),  # how strongly does not count
        (A | {"preferred": 1}, [A], False),
        (B, [A, B], True),
        (A | {"worst": 2}, [A | {"worst": 1}], False),
        (RANKED, [RANKED | {"justification": "y"}], True),
        (RANKED | {"tiers": [[0, 1]]}, [RANKED], False),
        (rated(3), [rated(4)], False),
        ({"kind": "combined", "parts": [A | {"strength": 1}]}, [{"kind": "combined", "parts": [A]}], True),
    ],
)
def test_a_hit_decides_what_was_accepted(said: dict, accepted: list[dict], is_hit: bool) -> None:
    assert hits(said, accepted) is is_hit


def test_texts_are_not_argued() -> None:
    assert is_arguable({"kind": "combined", "parts": [A]})
    assert not is_arguable({"kind": "combined", "parts": [A, {"kind": "rewrite", "text": "x"}]})
    assert decision(A)["preferred"] == 0


async def argued(session: AsyncSession, there: Scene, task: Task, side: int, use: Use, why: str) -> None:
    """Accept the completion with this number in the task."""
    body = A | {"preferred": side, "strength": 2, "schema": {"name": "hone.comparison", "version": 1}}
    protocol = await newest_protocol(session, there.project.id)
    await argue(session, task, protocol.id, body, Argument(use=use, argument=why), there.people[-1].person.id)


async def test_days_are_counted_in_the_zone_with_at_most_a_quarter_of_an_hour_an_answer(session: AsyncSession) -> None:
    there = await scene(session, people=2, tasks=4, k=2)
    me, project = there.me.person.id, there.project.id
    # Berlin, 25 October 2026 (25 hours long): from 24 October 22:00 UTC up to 25 October 23:00 UTC
    moments = (
        ("21:59:50", "22:00:20", 24, None),
        ("22:30:00", "22:31:00", 24, 40.5),
        ("21:50:00", "22:50:00", 25, None),
    )
    for begun, ended, day, active in moments:
        shown = await claimed(session, there.me)
        kept = await submit(session, project, me, shown.task, shown.key, prefers(shown))
        times = {name: datetime.fromisoformat(f"2026-10-{day} {at}+00") for name, at in (("a", begun), ("b", ended))}
        moved = "UPDATE annotations SET shown_at = :a, submitted_at = :b, active_seconds = :active WHERE id = :id"
        await session.execute(text(moved), times | {"id": kept.id, "active": active})
    shown = await claimed(session, there.people[1])
    await submit(session, project, there.people[1].person.id, shown.task, shown.key, prefers(shown))
    days = {one.day.isoformat(): one for one in await my_days(session, me, project, "Europe/Berlin", 400)}
    # 30 s that ended at 00:00:20, 40.5 s that the page measured, and an hour that counts as 15 minutes
    assert (days["2026-10-25"].answers, days["2026-10-25"].seconds) == (3, 30 + 40.5 + 900)
    assert (days["2026-10-24"].answers, days["2026-10-26"].answers) == (0, 0)
    utc = {one.day.isoformat(): one.answers for one in await my_days(session, me, None, "UTC", 400)}
    assert (utc["2026-10-24"], utc["2026-10-25"]) == (2, 1)


async def test_a_training_task_is_told_at_once_and_gold_only_on_my_page(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    there = await scene(session, people=2, tasks=3)
    await person_at(client, session, there)
    tasks = (await session.scalars(select(Task).order_by(Task.id))).all()
    for task, use in zip(tasks, (Use.training, Use.gold, Use.training), strict=True):
        await argued(session, there, task, 0, use, f"Because of **{use}**.")
    seen = []
    page = await open_page(client, there)
    for _n in range(3):
        task = next(one for one in tasks if str(one.public_id) in page.address)
        sides = await session.scalar(text("SELECT sides FROM slots WHERE task_id = :t"), {"t": task.id})
        choice = page.choices[0] if sides[0] == 0 or task is tasks[2] else page.choices[6]
        said = (await press(client, page, choice)).text
        after = Page(said)
        is_hit = sides[0] == 0 or task is not tasks[2]
        if task is tasks[1]:
            assert after.mode in ("task", "waiting")
            assert "gold" not in said
        else:
            assert after.mode == "lesson"
            assert "Because of <strong>training</strong>." in said
            assert ("You chose the argued answer" in said) is is_hit
            after = await open_page(client, there)
        seen.append((task.id, is_hit))
        page = after
    lessons = await my_lessons(session, there.me.person.id, None)
    assert [one.is_hit for one in lessons] == [is_hit for _task, is_hit in reversed(seen)]
    mine = (await client.get(f"/projects/{there.project.public_id}/me")).text
    assert "Because of <strong>gold</strong>." in mine
    await drop_argument(session, tasks[1], there.people[1].person.id)
    assert "gold" not in (await client.get("/me")).text


async def test_a_late_answer_to_a_training_task_and_one_that_is_sent_again_are_told_at_once_as_well(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    there = await scene(session, people=2)
    await person_at(client, session, there)
    await argued(session, there, (await session.scalars(select(Task))).one(), 0, Use.training, "Because.")
    page = await open_page(client, there)
    await let_leases_run_out(session)
    assert await sweep_all(session) == 1
    for _ in range(2):
        assert Page((await press(client, page, page.choices[0])).text).mode == "lesson"


async def test_what_cannot_be_argued(session: AsyncSession) -> None:
    there = await scene(session, people=2)
    task = (await session.scalars(select(Task))).one()
    protocol = await newest_protocol(session, there.project.id)
    form = Argument(argument="x")
    with pytest.raises(NotArguable):
        await argue(session, task, protocol.id, {"kind": "rewrite"}, form, there.me.person.id)
    for outcome in range(9):
        await argue(session, task, protocol.id, A | {"preferred": outcome}, form, there.me.person.id)
    await argue(session, task, protocol.id, A | {"preferred": 3}, form, there.me.person.id)  # is there already
    with pytest.raises(EnoughAccepted):
        await argue(session, task, protocol.id, B, form, there.me.person.id)


async def test_a_reviewer_argues_on_the_tasks_page(client: httpx.AsyncClient, session: AsyncSession) -> None:
    there = await scene(session)
    task = (await session.scalars(select(Task))).one()
    address = f"/projects/{there.project.public_id}/tasks/{task.public_id}"
    await engineer(client, session, there.project, Role.reviewer)
    page = (await client.get(address)).text
    choices = re.findall(r'name="choice" value="([^"]+)"', page)
    assert len(choices) == 8
    missing = await client.post(f"{address}/argued", data={"kind": "comparison", "choice": choices[0], "argument": ""})
    assert missing.status_code == 422
    nothing = await client.post(f"{address}/argued", data={"kind": "comparison", "argument": "x"})
    assert nothing.status_code == 422
    for choice in (choices[0], choices[3]):
        sent = {"kind": "comparison", "choice": choice, "argument": "A is *right*.", "use": "gold"}
        assert (await client.post(f"{address}/argued", data=sent)).status_code == 303
    page = (await client.get(address)).text
    assert "A is <em>right</em>." in page
    assert "A much better" in page
    await engineer(client, session, there.project, Role.engineer)
    assert (await client.get(address)).status_code == 200
    assert (await client.post(f"{address}/argued", data=sent)).status_code == 403


async def test_my_page_says_nothing_about_anybody_else(client: httpx.AsyncClient, session: AsyncSession) -> None:
    there = await scene(session, people=3, tasks=2, k=3)
    for access in there.people[1:]:  # others answered the same tasks, quickly, and all alike
        for _n in range(2):
            shown = await claimed(session, access)
            await submit(session, there.project.id, access.person.id, shown.task, shown.key, prefers(shown))
    person = await person_at(client, session, there)
    page = await open_page(client, there)
    await press(client, page, page.choices[6])
    tokens = [one.name for one in await session.scalars(select(User).where(User.id != person.id))]
    names = await session.scalars(text("SELECT pseudonym FROM memberships WHERE user_id != :me"), {"me": person.id})
    for address in ("/me", f"/projects/{there.project.public_id}/me"):
        shown = await client.get(address)
        assert shown.status_code == 200
        html = shown.text
        main = html.split("<main")[1].split("</main>")[0]
        assert not [name for name in [*tokens, *names] if name in main]
        words = re.sub(r"<[^>]*>", " ", main).lower()
        # agreement, rank, speed against others: neither the figures nor words that would come with them
        for word in ("agree", "rank", "majority", "consensus", "average", "median", "percentile", "faster", "slower",
                     "per hour", "compared", "place ", "others", "%"):  # fmt: skip
            assert word not in words, (address, word)
    quotas = await my_quotas(session, person.id, there.project.id)
    assert [(one.used, one.most) for one in quotas] == [(2, 2000)]  # one given, the next one held
