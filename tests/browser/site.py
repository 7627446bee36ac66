"""A running server, a project with tasks on it, and one person's browser: what the tests of the annotate page share."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from playwright.async_api import Browser, BrowserContext, Page, Route, async_playwright, expect
from sqlalchemy import select

from app import database
from app.accounts.tables import User
from app.annotations.tables import Annotation
from app.main import app
from tests import make
from tests.app.scene import Scene, broken, scene

WATCH = """
window.broken = [];
document.addEventListener("securitypolicyviolation", (event) => window.broken.push(event.violatedDirective));
"""
ARMED = 450  # milliseconds: longer than a task waits before it takes a key; `armed` waits for no longer than that
LATE = 0.3  # seconds: long enough that a page that does not wait for its scripts is painted without them
SHIFTS = """
window.shifts = [];
const movements = new PerformanceObserver((list) => note(list.getEntries()));
const note = (entries) => window.shifts.push(...entries.map((one) => one.value));
movements.observe({ type: "layout-shift", buffered: true });
window.moved = async () => {
  await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 50))));
  note(movements.takeRecords());
  return window.shifts;
};
"""


@dataclass
class Site:
    """A running server, a project on it, and one person's browser."""

    address: str
    there: Scene
    context: BrowserContext
    said: list[str] = field(default_factory=list)

    @property
    def page_address(self) -> str:
        return f"{self.address}/projects/{self.there.project.public_id}/annotate"

    async def open(self, *, is_late: bool = False) -> Page:
        """is_late: its scripts are, and nothing may have moved when they are there."""
        page = await self.context.new_page()
        if is_late:
            await with_late_scripts(page)
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.on("dialog", lambda dialog: self.said.append(f"dialog: {dialog.message}"))
        await page.add_init_script(WATCH)
        await page.goto(self.page_address)
        await expect(page.locator("#task")).to_be_visible()
        await armed(page)
        if is_late:
            assert await moved(page) == []
        return page


async def with_late_scripts(page: Page) -> None:
    """The scripts of the annotate page arrive when its words have long been there."""

    async def wait(route: Route) -> None:
        await asyncio.sleep(LATE)
        await route.continue_()

    await page.add_init_script(SHIFTS)
    await page.route("**/kinds/index.js", wait)


async def moved(page: Page) -> list[float]:
    """Each layout shift since the page's first paint, also those that a hand asked for."""
    await page.wait_for_load_state()
    return list(await page.evaluate("window.moved()"))


async def armed(page: Page, part: str = "#task") -> None:
    """That part of the page has been painted, and has waited the moment before it takes a key or a click."""
    await page.locator(f"{part}[data-armed]").wait_for(state="attached")


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        yield browser
        await browser.close()


@asynccontextmanager
async def a_site(
    browser: Browser,
    *,
    width: int = 1280,
    height: int = 800,
    options: dict[str, Any] | None = None,
    made_up: bool = False,
    **values: Any,
) -> AsyncIterator[Site]:
    """values: of the scene. options: of the browser's context. Nothing may break the content policy, and the database
    is whole afterwards, unless the test makes up rows that nothing led to."""
    async with database.transaction() as session:
        there = await scene(session, **({"people": 1, "tasks": 6, "k": 1} | values))
        person = (await session.scalars(select(User).where(User.id == there.me.person.id))).one()
        cookie = await make.sign_in(session, person)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", lifespan="off"))
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110  (uvicorn offers no event)
        await asyncio.sleep(0.02)
    address = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    context = await browser.new_context(viewport={"width": width, "height": height}, **(options or {}))
    await context.add_cookies([{"name": "hone_session", "value": cookie, "url": address}])
    site = Site(address, there, context)
    try:
        yield site
        for page in context.pages:
            if page.url.startswith(address):
                site.said += await page.evaluate("window.broken || []")
    finally:
        await context.close()
        server.should_exit = True
        await serving
    assert site.said == [], site.said
    async with database.transaction() as session:
        assert made_up or await broken(session) == {}


async def stored() -> list[Annotation]:
    async with database.transaction() as session:
        return list(await session.scalars(select(Annotation).order_by(Annotation.id)))
