"""Datasets, runs, comparisons and schedules in a real browser: by keyboard alone, on a phone, and while they move."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import uvicorn
from playwright.async_api import Browser, Page, expect
from sqlalchemy import select

from app import database
from app.accounts.permissions import Role
from app.datasets.tables import Dataset
from app.loop.tables import Schedule
from app.main import app
from app.training import actions
from app.training.actions import take_run
from tests import make
from tests.app.training.test_runs import dataset_in

pytestmark = [pytest.mark.browser, pytest.mark.committed]
WATCH = """
window.broken = [];
document.addEventListener("securitypolicyviolation", (event) => window.broken.push(event.violatedDirective));
"""


@dataclass
class Site:
    """A server, a manager's browser, a project with a dataset and a run that moves."""

    page: Page
    address: str
    project: str
    run: str


@pytest.fixture
async def site(committed: str, browser: Browser) -> AsyncIterator[Site]:
    async with database.transaction() as session:
        project, person = await make.project(session), await make.user(session)
        await make.member(session, project, person, Role.manager)
        counts = {
            "votes": {"train": 3},
            "raters": {"r0": 3},
            "agreement": None,
            "outcomes": {"a": 3},
            "prompt_groups": 3,
        }
        manifest = {"counts": counts, "versions": {"protocol": [1], "guidelines": [1]}, "code_version": "1"}
        await dataset_in(session, project, manifest=manifest, question={"heldout_share": 0.1})
        run = await make.run(session, project, await make.checkpoint(session, name="One"))
        await make.checkpoint(session, name="Two")
        taken = await take_run(session, run.id)
        assert taken is not None
        assert taken.fence is not None
        lines = [{"step": n, "total": 9, "values": {"score": n / 2, "kl": n / 9}} for n in (1, 2, 3)]
        await actions.write_metrics(session, run.id, taken.fence, lines)
        await actions.beat(session, run.id, taken.fence, stage="training", log="step 3")
        cookie = await make.sign_in(session, person)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", lifespan="off"))
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110  (uvicorn offers no event)
        await asyncio.sleep(0.02)
    address = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    context = await browser.new_context()
    page = await context.new_page()
    said: list[str] = []
    page.on("pageerror", lambda error: said.append(str(error)))
    await context.add_cookies([{"name": "hone_session", "value": cookie, "url": address}])
    await page.add_init_script(WATCH)
    yield Site(page, address, f"{address}/projects/{project.public_id}", f"{address}/runs/{run.public_id}")
    said += await page.evaluate("window.broken || []")
    await context.close()
    server.should_exit = True
    await serving
    assert said == []


async def press(page: Page, name: str) -> None:
    """Reach a button by keyboard and press it."""
    button = page.get_by_role("button", name=name, exact=True).first
    await button.focus()
    await page.keyboard.press("Enter")


async def test_a_dataset_is_frozen_by_keyboard_alone(site: Site) -> None:
    await site.page.goto(f"{site.project}/datasets")
    await press(site.page, "Freeze a dataset")
    await site.page.get_by_label("Name").focus()
    await site.page.keyboard.type("Round one")
    await site.page.keyboard.press("Enter")
    await expect(site.page.get_by_role("heading", name="Round one")).to_be_visible()
    async with database.transaction() as session:
        assert "Round one" in (await session.scalars(select(Dataset.name))).all()


async def test_a_schedule_is_made_by_keyboard_alone(site: Site) -> None:
    await site.page.goto(f"{site.project}/schedules")
    await press(site.page, "New schedule")
    await site.page.get_by_label("Every week, on a day at a time").focus()
    await site.page.keyboard.press("ArrowDown")
    await press(site.page, "Add schedule")
    await expect(site.page.get_by_text("Whenever 500 new answers have come in")).to_be_visible()
    async with database.transaction() as session:
        assert (await session.scalars(select(Schedule.every))).all() == [500]


async def test_a_run_is_started_and_stopped_in_the_browser(site: Site) -> None:
    await site.page.goto(f"{site.project}/runs/new?method=reward")
    await press(site.page, "Start")
    await expect(site.page.get_by_text("Waiting for the trainer to take it.")).to_be_visible()
    await press(site.page, "Cancel")
    await expect(site.page.get_by_text("Cancelled before it began.")).to_be_visible()


async def test_a_page_that_looks_again_leaves_open_what_was_opened(site: Site) -> None:
    await site.page.goto(site.run)
    await site.page.locator("#settings-mark").focus()
    await site.page.keyboard.press("Enter")
    await site.page.evaluate("window.before = document.getElementById('run')")
    async with site.page.expect_response(lambda answer: answer.url == site.run):
        pass
    await site.page.wait_for_function("document.getElementById('run') !== window.before")
    now = "[document.getElementById('settings').open, document.getElementById('log').open, document.activeElement.id]"
    assert await site.page.evaluate(now) == [True, False, "settings-mark"]


@pytest.mark.parametrize("width", [390, 1280])
async def test_no_page_is_wider_than_its_screen(site: Site, width: int) -> None:
    await site.page.set_viewport_size({"width": width, "height": 800})
    inside = (
        "datasets",
        "runs",
        "runs/new?method=reward",
        "runs/new?method=ppo",
        "runs/new?method=dpo",
        "evaluations",
        "schedules",
    )
    for address in [*(f"{site.project}/{one}" for one in inside), site.run]:
        answer = await site.page.goto(address)
        assert answer is not None
        assert answer.status == 200, address
        assert await site.page.evaluate("document.documentElement.scrollWidth") <= width, address
