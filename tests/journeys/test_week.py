"""A week of a project, on a clock that the test turns: forty people in three cohorts, one of them careless, one a bot,
from the pilot on Monday to the statement and the dataset on Saturday. A manager does what is to be done by pages that
are at most three clicks away from Today."""

import csv
import io
import json
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx
import pytest
from sqlalchemy import func, select, text

from app import database
from app.accounts.access import Access, admit
from app.accounts.credentials import Credential, Entry, hashed, look_up
from app.accounts.permissions import Role
from app.accounts.tables import Membership
from app.annotations.actions import submit
from app.annotations.tables import Annotation, AnnotationState, LedgerLine
from app.datasets.queries import folder_of
from app.datasets.tables import Dataset
from app.jobs.queue import Queue
from app.main import app
from app.projects.actions import read_guidelines
from app.projects.queries import newest_guidelines
from app.projects.tables import Batch, Project
from app.settings import get_settings
from app.tasks.actions import Showing, Waiting, claim
from app.tasks.actions.claiming import Reason
from tests import make
from tests.app.clock import night
from tests.app.desk import Desk
from tests.app.scene import broken, prefers
from workers.handlers.registry import TICKS, Context
from workers.running import build_queue

pytestmark = [pytest.mark.committed, pytest.mark.timeout(300)]
COHORTS = ("north", "south", "west")
CARELESS, BOT = 38, 39  # of forty
PROMPTS, PILOT = 1300, 30
READS = "40 seconds"  # how long whoever reads looks at a task
TEXT = """
    river stone kettle winter garden copper letter violin harbour candle meadow thunder ribbon walnut lantern marble
    orchard pepper saddle velvet willow anchor barrel cellar dragon ember falcon glacier hammer island jacket
"""
WORDS = TEXT.split()


@dataclass
class Week:
    """cookies: of the people, by their number. chance: of everything that people do."""

    project: Project
    cookies: list[str]
    desk: Desk
    chance: random.Random = field(default_factory=lambda: random.Random(7))

    @property
    def base(self) -> str:
        return f"/projects/{self.project.public_id}"


@asynccontextmanager
async def a_week() -> AsyncIterator[Week]:
    async with database.transaction() as session:
        project = await make.project(session, k=1, low_water=0)
        manager = await make.user(session)
        await make.member(session, project, manager, Role.manager)
        cookie = await make.sign_in(session, manager)
        cookies = []
        for number in range(40):
            person = await make.user(session)
            await make.member(session, project, person, cohort=COHORTS[number % 3])
            cookies.append(await make.sign_in(session, person))
    headers = {"Sec-Fetch-Site": "same-origin"}
    made = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://testserver", headers=headers)
    async with made as client:
        client.cookies.set("hone_session", cookie)
        yield Week(project, cookies, Desk(client, f"/projects/{project.public_id}/today"))


async def workers(*, ticks: bool = False) -> None:
    """The light worker does what waits; with ticks also what it does from time to time."""
    context = Context(get_settings())
    for tick in [one for one in TICKS if ticks and "seal" not in one.__name__]:
        await tick(context)
    queue = build_queue()
    async with queue.open_async():
        await queue.run_worker_async(
            queues=[Queue.light], wait=False, install_signal_handlers=False, listen_notify=False
        )


# ---- people ---------------------------------------------------------------------------------------------------------


async def here(week: Week, number: int) -> Access:
    """What the door finds for that person this morning."""
    async with database.transaction() as session:
        credential = Credential(hashed(week.cookies[number]), Entry.sign_in)
        row = await look_up(session, credential, ("project", week.project.public_id))
        return admit(row, Entry.sign_in, in_project=True)


def careful(week: Week, shown: Showing) -> int:
    """Whose answer names the amber is better; whoever reads is wrong in one of ten."""
    better = next(side for side, one in enumerate(shown.completions) if "amber" in one.parts[0]["text"])
    return better if week.chance.random() < 0.9 else 1 - better


def careless(week: Week, shown: Showing) -> int:
    return week.chance.randrange(2)


def bot(_week: Week, _shown: Showing) -> int:
    return 0


LOOKED_AT = text(f"UPDATE slots SET shown_at = shown_at - interval '{READS}' WHERE id = :slot")


async def give(week: Week, number: int, most: int, choose: Callable[[Week, Showing], int] = careful) -> int:
    """One person at work until they have given so many answers or nothing is handed to them. Returns how many."""
    me = await here(week, number)
    given = 0
    async with database.transaction() as session:
        while given < most and not isinstance(shown := await claim(session, me, with_texts=True), Waiting):
            if choose is not bot:
                await session.execute(LOOKED_AT, {"slot": shown.slot_id})
            body = prefers(shown, side=choose(week, shown))
            await submit(session, me.of_project(), me.person.id, shown.task, shown.key, body, 20.0)
            await database.next_transaction(session)
            given += 1
    return given


async def everybody(week: Week, most: int) -> int:
    return sum([await give(week, number, most) for number in range(40) if number not in (CARELESS, BOT)])


async def read_the_rules(week: Week) -> None:
    """Each is refused the next task until they have read them."""
    for number in range(40):
        me = await here(week, number)
        async with database.transaction() as session:
            refused = await claim(session, me)
            assert isinstance(refused, Waiting)
            assert refused.reason is Reason.reading
            newest = await newest_guidelines(session, me.of_project())
            await read_guidelines(session, me, newest.version)


async def evening(week: Week) -> None:
    await workers(ticks=True)
    async with database.transaction() as session:
        assert await broken(session) == {}
        await night(session)
    await workers(ticks=True)


async def pseudonym(week: Week, number: int) -> str:
    me = await here(week, number)
    async with database.transaction() as session:
        return str(await session.scalar(select(Membership.pseudonym).where(Membership.id == me.membership_id)))


# ---- the manager ----------------------------------------------------------------------------------------------------


async def bring_in(week: Week) -> None:
    """Prompts and two answers to each, as files over REST."""
    client, chance, base = week.desk.client, random.Random(1), f"/api/v1{week.base}"
    prompts = [
        {"id": f"p{n}", "group": f"g{n}", "prompt": " ".join(chance.choices(WORDS, k=9))} for n in range(PROMPTS)
    ]
    answers = [
        {"prompt_id": f"p{n}", "model": model, "text": " ".join([*chance.choices(WORDS, k=12), name])}
        for n in range(PROMPTS)
        for model, name in (("one", "amber"), ("other", "basalt"))
    ]
    for what, lines in (("prompts", prompts), ("completions", answers)):
        file = "\n".join(json.dumps(line) for line in lines)
        sent = await client.post(f"{base}/{what}", content=file, headers={"Content-Type": "application/jsonl"})
        assert sent.status_code in (200, 201), sent.text[:500]
        assert sent.json()["new"] == len(lines)


async def step(week: Week, *ways: str) -> Desk:
    """From Today to the page where something is done, by links that are there; at most three."""
    assert len(ways) <= 3
    await week.desk.begin()
    for way in ways:
        await week.desk.follow(way)
    return week.desk


async def round_named(week: Week, name: str) -> str:
    async with database.transaction() as session:
        return f"/rounds/{await session.scalar(select(Batch.public_id).where(Batch.name == name))}$"


async def count(state: AnnotationState) -> int:
    async with database.transaction() as session:
        return await session.scalar(select(func.count()).where(Annotation.state == state)) or 0


async def test_a_week(committed: str) -> None:
    async with a_week() as week:
        await sunday(week)
        await monday(week)
        await tuesday(week)
        await wednesday(week)
        await thursday(week)
        await friday(week)
        await saturday(week)


async def sunday(week: Week) -> None:
    """A rate, and a round instead of the one that every project has."""
    desk = await step(week, "/pay$")
    await desk.send("/pay/rates$", an_answer="0.07")
    desk = await step(week, "/settings$", "/settings/hand-out$", "/rounds/new$")
    await desk.send("/rounds$", name="Autumn", k="2", pilot=str(PILOT), due="2999-01-01")
    desk = await step(week, "/rounds$", await round_named(week, "Default"))
    await desk.send("/state$", state="closed")
    await bring_in(week)
    await evening(week)


async def monday(week: Week) -> None:
    """The pilot."""
    desk = await step(week, "/rounds$", await round_named(week, "Autumn"))
    await desk.send("/state$", state="pilot")
    await workers()
    assert await everybody(week, 2) == 2 * PILOT
    await evening(week)


async def tuesday(week: Week) -> None:
    """The pilot's report is read, and the round opens for everybody."""
    desk = await step(week, "/rounds$", await round_named(week, "Autumn"))
    await desk.send("/state$", state="open", read="true")
    await workers()
    assert await everybody(week, 12) == 38 * 12
    assert await give(week, CARELESS, 300, careless) == 300
    assert await give(week, BOT, 100, bot) == 100
    await evening(week)


async def wednesday(week: Week) -> None:
    """A rule changes: it is read before the next task."""
    desk = await step(week, "/settings$", "/settings/guidelines$")
    await desk.send("/settings/guidelines$", markdown="Prefer what names the amber.", change="rule")
    await read_the_rules(week)
    assert await everybody(week, 12) == 38 * 12
    assert await give(week, CARELESS, 300, careless) == 300
    assert await give(week, BOT, 100, bot) == 100
    await evening(week)


async def thursday(week: Week) -> None:
    """The careless person is found and their answers are asked anew; the bot is seen, looked at and paused."""
    name, machine = await pseudonym(week, CARELESS), await pseudonym(week, BOT)
    told = await week.desk.client.get(f"/api/v1{week.base}/annotators")
    people = [one for one in told.json()["rows"] if one["role"] == "annotator"]
    surely_low = {one["rater"] for one in people if one["reliability"] and float(one["reliability"]["high"]) < 0.7}
    assert {name} <= surely_low <= {name, machine}
    assert {one["rater"] for one in people if one["signs"]["fast"]["raised"]} == {machine}
    desk = await step(week, "/annotators$", f"/annotators/{name}$", "/rework")
    assert "600" in desk.html
    await desk.send("/rework$", does="reopen", reason="Given without reading.")
    await workers()
    assert await count(AnnotationState.set_aside) == 600
    desk = await step(week, "/annotators$", "/signs$", f"/annotators/change.*who={machine}.*does=pause")
    await desk.send("/annotators/change$")
    assert await give(week, BOT, 1, bot) == 0
    assert await everybody(week, 12) == 38 * 12
    await evening(week)


async def friday(week: Week) -> None:
    """The quota is cut."""
    desk = await step(week, "/settings$", "/settings/hand-out$")
    await desk.send("/settings/hand-out/limits$", answers_a_day="150")
    await workers(ticks=True)
    assert await everybody(week, 12) == 150
    await evening(week)


async def saturday(week: Week) -> None:
    """The statement is closed and the dataset frozen."""
    desk = await step(week, "/pay$")
    statement = await desk.client.get(f"{week.base}/pay/statement.csv")
    rows = list(csv.DictReader(io.StringIO(statement.text)))
    async with database.transaction() as session:
        lines, owed = (await session.execute(select(func.count(), func.sum(LedgerLine.amount)))).one()
        answers = await session.scalar(select(func.count(Annotation.id)))
    assert lines == answers == len(rows)
    assert sum(round(100 * float(row["amount"])) for row in rows) == owed == 7 * answers
    desk = await step(week, "/datasets$")
    await desk.send("/datasets$", name="Autumn")
    await workers()
    async with database.transaction() as session:
        dataset = (await session.scalars(select(Dataset))).one()
        assert await broken(session) == {}
    assert dataset.sha256
    file = folder_of(get_settings().home, dataset.sha256) / "records.jsonl"
    votes = [vote for line in file.read_text().splitlines() for vote in json.loads(line)["votes"]]
    assert await pseudonym(week, CARELESS) not in {vote["rater"] for vote in votes}
    assert len(votes) == await count(AnnotationState.live)
