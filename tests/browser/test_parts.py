"""Every part of a page in a real browser: nothing breaks the content policy, and what strangers wrote does nothing."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest
import uvicorn
from fastapi import FastAPI, Request, Response
from playwright.async_api import Browser, Page

from app import errors, middleware, pages
from app.assets import StaticAssets
from app.errors import Conflict
from app.markup import render_markdown
from app.settings import Settings
from tests.app import guide
from tests.app.test_markup import ATTACKS

pytestmark = pytest.mark.browser
WATCH = """
window.broken = [];
document.addEventListener("securitypolicyviolation", (event) => window.broken.push(event.violatedDirective));
"""


def build() -> FastAPI:
    built = FastAPI()
    errors.install(built)
    middleware.install(built, Settings())
    built.mount("/static", StaticAssets())

    def who(request: Request) -> None:
        request.state.person = SimpleNamespace(name="Ada", is_admin=True, zone="UTC", locale="en", unread=0)
        request.state.may = lambda permission: True

    @built.get("/guide")
    async def show(request: Request) -> Response:
        who(request)
        attacks = "".join(map(render_markdown, ATTACKS))
        return pages.respond(request, "guide.html", "round", **guide.context(attacks))

    @built.post("/runs")
    async def refuse() -> None:
        raise Conflict

    @built.post("/runs/1/cancel")
    async def cancel(request: Request) -> Response:
        return pages.redirect(request, "/guide", "The run was cancelled.")

    return built


@pytest.fixture
def with_guide() -> Iterator[None]:
    loader = pages.env.loader
    guide.add_to(pages.env)
    yield
    pages.env.loader = loader


@pytest.fixture
async def address(with_guide: None) -> AsyncIterator[str]:
    server = uvicorn.Server(uvicorn.Config(build(), port=0, log_level="error", lifespan="off"))
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110  (uvicorn offers no event)
        await asyncio.sleep(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    await serving


@dataclass
class Watched:
    """What a page did while we looked."""

    page: Page
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)


async def watch(browser: Browser, address: str, width: int = 1280, **options: object) -> Watched:
    page = await browser.new_page(viewport={"width": width, "height": 900}, **options)  # type: ignore[arg-type]
    seen = Watched(page)
    page.on("console", lambda message: seen.said.append(message.text))
    page.on("pageerror", lambda error: seen.said.append(str(error)))
    page.on("request", lambda request: seen.asked.append(request.url))
    page.on("dialog", lambda dialog: seen.dialogs.append(dialog.message))
    await page.add_init_script(WATCH)
    await page.goto(f"{address}/guide")
    await page.wait_for_load_state("networkidle")
    return seen


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_the_guide_breaks_no_policy_and_fits_the_screen(
    browser: Browser, address: str, width: int, scheme: str
) -> None:
    seen = await watch(browser, address, width, color_scheme=scheme)
    assert seen.said == seen.dialogs == await seen.page.evaluate("window.broken") == []
    assert all(url.startswith((f"{address}/guide", f"{address}/static/")) for url in seen.asked)
    assert await seen.page.evaluate("document.documentElement.scrollWidth") <= width
    ground = await seen.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == {"light": "rgb(245, 247, 246)", "dark": "rgb(15, 21, 20)"}[scheme]


@pytest.mark.parametrize("width", [1280, 390])
async def test_what_is_clicked_is_large_enough(browser: Browser, address: str, width: int) -> None:
    """WCAG 2.2 target size asks for 24 px; buttons and sections get 36 by mouse and 44 by thumb."""
    seen = await watch(browser, address, width)
    small = await seen.page.evaluate(
        """(least) => [...document.querySelectorAll('.button, .side a, .tabs a, .scale label, .top button, select')]
        .filter((e) => e.checkVisibility() && e.getBoundingClientRect().height < least).map((e) => e.outerHTML)""",
        36 if width > 640 else 43.5,
    )
    assert small == []


async def test_the_theme_is_chosen_and_kept(browser: Browser, address: str) -> None:
    page = (await watch(browser, address, color_scheme="light")).page
    plain = await page.evaluate(SURFACE)
    await chosen(page, "Dark")
    await page.reload()
    assert await page.evaluate("document.documentElement.dataset.theme") == "dark"
    dark = await page.evaluate(SURFACE)
    await chosen(page, "High contrast")
    await page.reload()
    assert await page.evaluate(SURFACE) == "rgb(0, 0, 0)" != dark
    await chosen(page, "High contrast")
    await chosen(page, "As the system")  # nothing is kept
    await page.reload()
    assert await page.evaluate("document.documentElement.dataset.theme") == "auto"
    assert await page.evaluate(SURFACE) == plain
    await page.emulate_media(contrast="more", color_scheme="dark")
    assert await page.evaluate(SURFACE) == "rgb(0, 0, 0)"


SURFACE = "getComputedStyle(document.querySelector('.top')).backgroundColor"


async def chosen(page: Page, name: str) -> None:
    await page.get_by_label("Light or dark").click()
    await page.get_by_role("button", name=name, exact=True).click()
    await page.keyboard.press("Escape")


async def test_a_refusal_is_said_beside_and_the_form_keeps_its_words(browser: Browser, address: str) -> None:
    seen = await watch(browser, address)
    await seen.page.get_by_label("Name").fill("round 5")
    await seen.page.get_by_label("Prompts", exact=True).evaluate("input => input.required = false")
    await seen.page.get_by_role("button", name="Start the run").click()
    await seen.page.wait_for_selector("#notices .notice.error")
    assert "changed by somebody else" in await seen.page.inner_text("#notices")
    assert await seen.page.get_by_label("Name").input_value() == "round 5"


async def test_a_server_out_of_reach_is_said_and_the_form_keeps_its_words(browser: Browser, address: str) -> None:
    seen = await watch(browser, address)
    await seen.page.get_by_label("Name").fill("round 5")
    await seen.page.get_by_label("Prompts", exact=True).evaluate("input => input.required = false")
    await seen.page.context.set_offline(True)
    await seen.page.get_by_role("button", name="Start the run").click()
    await seen.page.wait_for_selector("#notices .notice.error")
    assert "cannot be reached" in await seen.page.inner_text("#notices")
    assert await seen.page.get_by_label("Name").input_value() == "round 5"


async def test_a_dangerous_step_asks_first(browser: Browser, address: str) -> None:
    page = (await watch(browser, address)).page
    await page.get_by_role("button", name="Cancel the run").first.click()
    dialog = page.locator("#cancel-run")
    assert await dialog.is_visible()
    assert await page.evaluate("document.activeElement.textContent") == "Keep things as they are"
    for _ in range(4):  # round and round, and never behind it
        await page.keyboard.press("Tab")
        assert await page.evaluate(
            "document.activeElement === document.body || !!document.activeElement.closest('dialog')"
        )
    await page.keyboard.press("Escape")
    assert not await dialog.is_visible()
    assert await page.evaluate("document.activeElement.textContent") == "Cancel the run"
    await page.get_by_role("button", name="Cancel the run").first.click()
    await dialog.get_by_role("button", name="Cancel the run").click()
    await page.wait_for_load_state()
    assert "The run was cancelled." in await page.inner_text("#notices")


async def test_a_secret_is_copied(browser: Browser, address: str) -> None:
    page = (await watch(browser, address)).page
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await page.get_by_role("button", name="Copy").click()
    await page.get_by_role("button", name="Copied").wait_for()
    assert await page.evaluate("navigator.clipboard.readText()") == "hone_k2P9sR3v8yB1qTz7nXc5"


async def test_the_keyboard_comes_to_the_content_first_and_sees_where_it_is(browser: Browser, address: str) -> None:
    page = (await watch(browser, address)).page
    await page.keyboard.press("Tab")
    assert await page.evaluate("document.activeElement.className") == "skip"
    await page.keyboard.press("Enter")
    assert await page.evaluate("document.activeElement.id") == "main"
    await page.keyboard.press("Tab")
    assert await page.evaluate("getComputedStyle(document.activeElement).outlineWidth") == "2px"
