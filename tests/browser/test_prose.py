"""What is judged, in a real browser: it stays in its box, reads in its direction, and does nothing."""

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace

import pytest
import uvicorn
from fastapi import FastAPI, Request, Response
from jinja2 import ChoiceLoader, DictLoader
from playwright.async_api import Browser, Page, expect

from app import errors, middleware, pages
from app.assets import StaticAssets
from app.markup import render_markdown, render_source
from app.settings import Settings
from tests.browser.test_parts import WATCH

pytestmark = pytest.mark.browser
PAGE = """{% extends "layout.html" %}{% block content %}
<p>{{ ui.source_switch("texts", key="M") }}</p>
<div class="pair" id="texts">
{% for text in texts %}<article class="answer">{{ ui.judged(text[0], text[1]) }}</article>{% endfor %}
</div>{% endblock %}"""
CODE = """```python
@cached
def repot(fern: str = "old", times=3) -> None:
    # water it the day before
    for _ in range(times):
        print(f"{fern} again", None)
```

```diff
- was
+ is
```"""
WIDE = "|" + "|".join(f"heading number {n}" for n in range(12)) + "|\n" + "|-" * 12 + "|\n" + "|some words" * 12 + "|"
MATHS = r"""Let $x_1$ be \(\frac{a}{b}\), it costs $5 or $6.

$$
\int_0^\infty e^{-x^2}\,dx = \frac{\sqrt\pi}{2}
$$

A wrong one: $\frac{a}$, a hostile one: $\href{javascript:alert(1)}{x}\includegraphics{http://probe.test/x.png}$,
an endless one: $\def\a{\a\a}\a$, a huge one: $\rule{9000em}{9000em}$."""
TEXTS = {
    "code": CODE,
    "wide": WIDE,
    "maths": MATHS,
    "long": "A **long** text of many words. " * 3_000,
    "word": "x" * 5_000 + "\n\n`" + "y" * 5_000 + "`\n\n" + "https://a.test/" + "z" * 2_000,
    "hebrew": "# שלום עולם\n\nזה *טקסט* עם `code()` ו-$x^2$.\n\n- אחת\n- שתיים\n\nand English.\n\n> ציטוט",
    "signs": "user\u202etxt.exe and \u2067more\u200bthings\x07\n\n`if a\u202e: pass`",
    "marks": "Z" + "\u0301\u0302\u0308" * 3_000 + " was here\n\nand went on",
}


def build() -> FastAPI:
    built = FastAPI()
    errors.install(built)
    middleware.install(built, Settings())
    built.mount("/static", StaticAssets())

    @built.get("/texts/{names}")
    async def show(request: Request, names: str) -> Response:
        request.state.person = SimpleNamespace(name="Ada", is_admin=True, zone="UTC", locale="en")
        texts = [(render_markdown(TEXTS[name]), render_source(TEXTS[name])) for name in names.split("+")]
        return pages.respond(request, "prose.html", "content", texts=texts)

    return built


@pytest.fixture
async def address() -> AsyncIterator[str]:
    loader = pages.env.loader
    assert loader is not None
    pages.env.loader = ChoiceLoader([loader, DictLoader({"prose.html": PAGE})])
    server = uvicorn.Server(uvicorn.Config(build(), port=0, log_level="error", lifespan="off"))
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110  (uvicorn offers no event)
        await asyncio.sleep(0.02)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    await serving
    pages.env.loader = loader


class Seen:
    """A page and all that it said and asked for."""

    def __init__(self, page: Page) -> None:
        self.page, self.said, self.asked = page, list[str](), list[str]()
        page.on("console", lambda message: self.said.append(message.text))
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.on("dialog", lambda dialog: self.said.append(dialog.message))
        page.on("request", lambda request: self.asked.append(request.url))


async def look(browser: Browser, address: str, names: str, width: int = 1280, **options: object) -> Seen:
    page = await browser.new_page(viewport={"width": width, "height": 900}, **options)  # type: ignore[arg-type]
    seen = Seen(page)
    await page.add_init_script(WATCH)
    await page.goto(f"{address}/texts/{names}")
    await page.wait_for_load_state("networkidle")
    return seen


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_nothing_leaves_its_box_or_breaks_the_policy(
    browser: Browser, address: str, width: int, scheme: str
) -> None:
    seen = await look(browser, address, "+".join(TEXTS), width, color_scheme=scheme)
    page = seen.page
    assert seen.said == await page.evaluate("window.broken") == []
    assert all(url.startswith(address) for url in seen.asked)
    assert await page.evaluate("document.documentElement.scrollWidth") <= width
    wider = await page.evaluate(
        """[...document.querySelectorAll('.answer')].filter((box) => box.scrollWidth > box.clientWidth + 1)
        .map((box) => box.textContent.slice(0, 80))"""
    )
    assert wider == []


@pytest.mark.parametrize("width", [1280, 390])
async def test_a_wide_table_scrolls_in_its_own_box_by_keys_too(browser: Browser, address: str, width: int) -> None:
    page = (await look(browser, address, "wide+code", width)).page
    box = page.locator(".prose .wide").first
    assert await box.evaluate("box => box.scrollWidth > box.clientWidth")
    await expect(box).to_have_attribute("tabindex", "0")  # sizes are told after a frame was laid out
    await box.focus()
    await page.keyboard.press("ArrowRight")
    await page.wait_for_function("() => document.querySelector('.wide').scrollLeft > 0")
    assert await page.evaluate("scrollX") == 0


async def test_formulas_are_set_and_prices_are_not(browser: Browser, address: str) -> None:
    page = (await look(browser, address, "maths")).page
    await page.wait_for_selector(".math.set .katex")
    assert await page.locator(".math").count() == await page.locator(".math.set").count() == 7
    assert await page.locator(".math.display math[display=block]").count() == 1
    assert "it costs $5 or $6." in await page.inner_text(".prose")
    assert await page.locator(".katex-error, .katex [style*='--bad']").count() >= 2
    assert await page.locator(".prose :is(a, img)").count() == 0
    assert await page.evaluate("Math.max(...[...document.querySelectorAll('.rule')].map((e) => e.offsetHeight))") < 250


async def test_formulas_that_come_later_are_set_before_they_are_painted(browser: Browser, address: str) -> None:
    page = (await look(browser, address, "maths")).page
    await page.wait_for_selector(".math.set .katex")
    was_set = await page.evaluate(
        """async () => {
        const box = document.createElement("div");
        box.className = "prose";
        box.innerHTML = '<p><span class="math" dir="ltr">$y^2$</span></p>';
        document.querySelector(".answer").append(box);
        await Promise.resolve();
        return box.querySelector(".katex") !== null;
        }"""
    )
    assert was_set


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_colours_of_code_can_be_read(browser: Browser, address: str, scheme: str) -> None:
    """WCAG 2.2: 4.5 to 1, each class against what it stands on."""
    page = (await look(browser, address, "code", color_scheme=scheme)).page
    low = await page.evaluate(
        """() => {
        const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
        const rgb = (colour) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
          return [...canvas.getImageData(0, 0, 1, 1).data]; };
        const light = (colour) => rgb(colour).slice(0, 3).map((c) => c / 255)
          .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
          .reduce((sum, c, n) => sum + c * [0.2126, 0.7152, 0.0722][n], 0);
        const ground = (e) => rgb(getComputedStyle(e).backgroundColor)[3] ? getComputedStyle(e).backgroundColor
          : ground(e.parentElement);
        const parts = [...document.querySelectorAll("[class^=code-]")];
        const found = new Map(parts.map((e) => [e.className, e]));
        const low = [...found].map(([name, e]) => {
          const [a, b] = [light(getComputedStyle(e).color), light(ground(e))].sort((x, y) => y - x);
          return [name, (a + 0.05) / (b + 0.05)]; });
        return { low: low.filter(([, ratio]) => ratio < 4.5), names: [...found.keys()].sort() };
        }"""
    )
    assert low["low"] == []
    wanted = "added comment keyword name number removed string type"
    assert low["names"] == [f"code-{name}" for name in wanted.split()]


async def test_code_is_copied_as_it_was_written(browser: Browser, address: str) -> None:
    page = (await look(browser, address, "code")).page
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await page.locator(".code").first.hover()
    await page.get_by_role("button", name="Copy").first.click()
    await page.get_by_role("button", name="Copied").wait_for()
    assert await page.evaluate("navigator.clipboard.readText()") == CODE.split("```")[1].removeprefix("python\n")


async def test_each_block_reads_in_its_own_direction(browser: Browser, address: str) -> None:
    page = (await look(browser, address, "hebrew", 390)).page
    ways = await page.evaluate(
        """Object.fromEntries(['h1', 'p', 'ul', 'blockquote', 'code', '.math', 'p:nth-of-type(2)']
        .map((name) => [name, getComputedStyle(document.querySelector('.prose ' + name)).direction]))"""
    )
    assert ways == {
        "h1": "rtl", "p": "rtl", "ul": "rtl", "blockquote": "rtl",
        "code": "ltr", ".math": "ltr", "p:nth-of-type(2)": "ltr",
    }  # fmt: skip


async def test_what_cannot_be_seen_is_told_of(browser: Browser, address: str) -> None:
    page = (await look(browser, address, "signs")).page
    told = await page.evaluate("[...document.querySelectorAll('.prose .sign')].map((e) => e.title)")
    assert told == ["U+202E", "U+2067", "U+0007", "U+202E"]
    before, after = await page.evaluate(
        """(() => { const text = document.querySelector('.prose p'), range = document.createRange();
        const at = (node, place) => { range.setStart(node, place); range.setEnd(node, place + 1);
          return range.getBoundingClientRect().left; };
        const rest = text.querySelector('.sign').nextSibling;
        return [at(rest, 0), at(rest, 5)]; })()"""
    )
    assert before < after  # what follows the override still runs from left to right


async def test_thousands_of_marks_on_a_letter_stay_in_their_box(browser: Browser, address: str) -> None:
    page = (await look(browser, address, "marks+wide")).page
    style = await page.evaluate("getComputedStyle(document.querySelector('.prose')).overflow")
    assert style == "clip"


async def test_as_written_shows_every_character(browser: Browser, address: str) -> None:
    page = (await look(browser, address, "code+signs+maths")).page
    switch = page.get_by_role("button", name="As written")
    assert await page.locator("[data-written]:visible").count() == 0
    await switch.click()
    assert await switch.get_attribute("aria-pressed") == "true"
    assert await page.locator("[data-drawn]:visible").count() == 0
    sources = await page.evaluate("[...document.querySelectorAll('[data-written]')].map((e) => e.textContent)")
    assert sources == [TEXTS["code"], TEXTS["signs"], TEXTS["maths"]]
    await switch.click()
    assert await page.locator("[data-drawn]:visible").count() == 3


async def test_a_text_of_twenty_thousand_words_is_there_to_its_end(browser: Browser, address: str) -> None:
    page = (await look(browser, address, "long", 390)).page
    assert (await page.inner_text(".prose")).count("long") == 3_000
    hidden = await page.evaluate(
        "(({scrollHeight, clientHeight}) => scrollHeight - clientHeight)(document.querySelector('.prose'))"
    )
    assert hidden <= 1
