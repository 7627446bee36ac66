"""More than 200 answers over lines that are cut: in the end each is kept, once, in the words of its screen."""

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from playwright.async_api import Browser, BrowserContext, Page, expect
from sqlalchemy import select, text

from app import database
from app.accounts.access import Access
from app.accounts.tables import User
from app.annotations.tables import AnnotationVersion
from tests import make
from tests.app.scene import Scene, broken, scene, sweep_all
from tests.browser.line import Line, Server
from tests.browser.site import stored

pytestmark = [pytest.mark.browser, pytest.mark.committed]
PEOPLE, AT_LEAST = 4, 200
SOON = 30_000  # milliseconds for whatever must happen in the end, on a busy machine too
PAINTED_AND_TYPED = """
async (words) => {
  await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done))));
  const box = document.querySelector("#task [data-draft]");
  box.value = words;
  box.dispatchEvent(new Event("input", { bubbles: true }));
  return document.getElementById("task").dataset.key ?? "";
}
"""
SENT_UNTIL_ANOTHER_IS_SHOWN = """
async ([old, patience]) => {
  const isThere = () => !["", old].includes(document.getElementById("task")?.dataset.key ?? "");
  for (const end = Date.now() + patience; !isThere() && Date.now() < end; ) {
    if (navigator.onLine) dispatchEvent(new Event("online"));
    for (let n = 0; n < 25 && !isThere(); n += 1) await new Promise((done) => setTimeout(done, 20));
  }
  return isThere();
}
"""
ANSWER_WAITS = """
Object.entries(localStorage).some(([key, kept]) => key.startsWith("hone.outbox") && JSON.parse(kept).kind === "answer")
"""
UNSENT = "Object.keys(localStorage).filter((key) => key.startsWith('hone.outbox'))"


@dataclass
class Annotator:
    access: Access
    context: BrowserContext
    line: Line
    address: str
    page: Page = field(init=False)
    given: list[str] = field(default_factory=list)  # the words of each answer, in order; those of a change as well
    count: "itertools.count[int]" = field(default_factory=itertools.count)

    async def open(self) -> Page:
        page = await self.context.new_page()
        await page.goto(self.address)
        return page

    async def choose(self, page: Page | None = None) -> str:
        """Press a key on the task that is on the screen, with words of this answer alone. Returns the task's key."""
        page = page or self.page
        n = next(self.count)
        words = f"{self.access.person.id}: {n}"
        old: str = await page.evaluate(PAINTED_AND_TYPED, words)
        await self.press(page, n)
        self.given.append(words)
        return old

    async def press(self, page: Page, n: int) -> None:
        await page.mouse.move(300 + 20 * (n % 7), 300, steps=2)  # a hand that moves arms the keys
        await page.keyboard.press(str(1 + n % 7))

    async def goes_on(self, old: str) -> None:
        """The page sends what it holds as often as it must, and shows another task."""
        is_there = await self.page.evaluate(SENT_UNTIL_ANOTHER_IS_SHOWN, [old, SOON])
        assert is_there, await self.page.locator("body").inner_text()

    async def has_sent_all(self) -> None:
        for _ in range(SOON // 100):
            await self.page.evaluate("dispatchEvent(new Event('online'))")
            if not await self.page.evaluate(UNSENT):
                return
            await self.page.wait_for_timeout(100)
        raise AssertionError(await self.page.evaluate(UNSENT))

    async def is_kept_here(self, page: Page | None = None) -> None:
        await (page or self.page).wait_for_selector("#unsaved:not([hidden])", timeout=SOON)


async def key_of(page: Page) -> str:
    return str(await page.evaluate("document.getElementById('task')?.dataset.key ?? ''"))


# ---- what happens on the way ----------------------------------------------------------------------------------------


async def cut(one: Annotator, how: str) -> None:
    one.line.becomes(how)
    old = await one.choose()
    await one.is_kept_here()
    one.line.becomes("whole")
    await one.goes_on(old)


async def cut_before(one: Annotator) -> None:
    await cut(one, "before")


async def cut_after(one: Annotator) -> None:
    await cut(one, "after")


async def cut_in_the_headers(one: Annotator) -> None:
    await cut(one, "in its headers")


async def cut_in_the_words(one: Annotator) -> None:
    await cut(one, "in its words")


async def offline(one: Annotator) -> None:
    await one.context.set_offline(True)
    old = await one.choose()
    await one.is_kept_here()
    await one.context.set_offline(False)
    await one.goes_on(old)


async def signed_out(one: Annotator) -> None:
    async with database.transaction() as session:
        ended = text("UPDATE sign_ins SET revoked_at = now() WHERE user_id = :me")
        await session.execute(ended, {"me": one.access.person.id})
    old = await one.choose()
    dialog = one.page.locator("#signed-out")
    await expect(dialog).to_be_visible(timeout=SOON)
    has_chosen = await one.page.evaluate(ANSWER_WAITS)
    await sign_in(one)
    await one.page.get_by_role("button", name="I have signed in").click()
    if not has_chosen:  # on a busy machine the words went as a draft before the key, which the dialog then kept off
        await expect(dialog).not_to_be_visible(timeout=SOON)
        await one.press(one.page, next(one.count))
    await one.goes_on(old)


async def lease_over(one: Annotator) -> None:
    async with database.transaction() as session:
        over = text("UPDATE slots SET lease_until = now() - interval '1 s' WHERE state = 1 AND annotator_id = :me")
        await session.execute(over, {"me": one.access.person.id})
        await sweep_all(session)
    await cut_after(one)


async def gone_and_back(one: Annotator) -> None:
    """Away to another page while the answer is on its way, and back by the browser's button."""
    one.line.becomes("before")
    old = await one.choose()
    await one.page.goto("about:blank")
    one.line.becomes("whole")
    await one.page.go_back()
    await one.goes_on(old)


async def changed(one: Annotator) -> None:
    """Z, and the change is cut off after it was kept."""
    left = await key_of(one.page)
    await one.page.locator("[data-back]").click()
    await expect(one.page.locator("#task")).to_have_attribute("data-mode", "edit", timeout=SOON)
    one.line.becomes("after")
    await one.choose()
    await one.is_kept_here()
    one.line.becomes("whole")
    await one.goes_on("")
    assert await key_of(one.page) == left


async def two_tabs(one: Annotator) -> None:
    """Two answers to one task: the first is kept, and the second becomes a change of it when its person says so."""
    second = await one.open()
    await one.page.bring_to_front()
    await cut_before(one)
    await second.bring_to_front()
    one.line.becomes("before")
    old = await one.choose(second)
    await one.is_kept_here(second)
    one.line.becomes("whole")
    await second.evaluate("dispatchEvent(new Event('online'))")
    refusal = second.locator("#refusal")
    await expect(refusal).to_contain_text("already carries another answer", timeout=SOON)
    await refusal.get_by_role("button", name="Change it to what I say now").click()
    await expect(second.locator("#task")).not_to_have_attribute("data-key", old, timeout=SOON)
    await second.close()
    await one.page.bring_to_front()


async def whole(one: Annotator) -> None:
    await one.goes_on(await one.choose())


CUTS: dict[Callable[[Annotator], Awaitable[None]], int] = {  # how often for each person
    cut_before: 14,
    cut_after: 14,
    cut_in_the_headers: 3,
    cut_in_the_words: 3,
    offline: 4,
    signed_out: 2,
    lease_over: 2,
    changed: 2,
    gone_and_back: 2,
    two_tabs: 1,
}
KILLED = 6  # answers of each person around each of the kills
KILLS = 1


# ---- the test --------------------------------------------------------------------------------------------------------


async def sign_in(one: Annotator) -> None:
    async with database.transaction() as session:
        person = (await session.scalars(select(User).where(User.id == one.access.person.id))).one()
        cookie = await make.sign_in(session, person)
    await one.context.add_cookies([{"name": "hone_session", "value": cookie, "url": one.address}])


@asynccontextmanager
async def at_work(browser: Browser, there: Scene, access: Access, server: Server) -> AsyncIterator[Annotator]:
    line = Line(server.port)
    async with await asyncio.start_server(line.carry, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        address = f"http://127.0.0.1:{port}/projects/{there.project.public_id}/annotate"
        context = await browser.new_context(viewport={"width": 1280, "height": 800})
        one = Annotator(access, context, line, address)
        await sign_in(one)
        one.page = await one.open()
        try:
            yield one
        finally:
            await context.close()
            line.becomes("whole")


async def all_cuts(one: Annotator) -> None:
    for happens, times in CUTS.items():
        for _ in range(times):
            await happens(one)


async def around_a_kill(people: list[Annotator], server: Server) -> None:
    async def some(one: Annotator) -> None:
        for _ in range(KILLED):
            await whole(one)

    working = [asyncio.create_task(some(one)) for one in people[1:]]
    await whole(people[0])  # in the middle of what the others do
    server.kill()
    await asyncio.to_thread(server.start)
    await asyncio.gather(*working)


async def test_of_200_answers_none_is_lost_or_doubled(committed: str, browser: Browser) -> None:
    tasks = sum(CUTS.values()) + KILLS * KILLED + 5
    async with database.transaction() as session:
        there = await scene(session, people=PEOPLE, tasks=tasks, k=PEOPLE, daily_limit=10_000)
    server = Server()
    await asyncio.to_thread(server.start)
    try:
        async with (
            at_work(browser, there, there.people[0], server) as a,
            at_work(browser, there, there.people[1], server) as b,
            at_work(browser, there, there.people[2], server) as c,
            at_work(browser, there, there.people[3], server) as d,
        ):
            people = [a, b, c, d]
            await asyncio.gather(*(all_cuts(one) for one in people))
            for _ in range(KILLS):
                await around_a_kill(people, server)
            await asyncio.gather(*(one.has_sent_all() for one in people))
            cuts = sum(one.line.cuts for one in people)
    finally:
        server.kill()
    given = Counter(words for one in people for words in one.given)
    async with database.transaction() as session:
        earlier = list(await session.scalars(select(AnnotationVersion.body)))
        assert await broken(session) == {}
    kept = Counter(body["justification"] for body in (*earlier, *(one.body for one in await stored())))
    lost, doubled = given - kept, kept - given
    print(f"{given.total()} answers, {cuts} connections cut: {lost.total()} lost, {doubled.total()} doubled")
    assert (lost, doubled) == ({}, {})
    assert given.total() >= AT_LEAST
