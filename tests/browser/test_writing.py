"""Rewriting and writing by keys alone, in a real browser: nothing typed is ever lost, and undo is the browser's own."""

import os
import re
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.async_api import Browser, Page, expect
from sqlalchemy import select

from app import database
from app.annotations.actions import settle_prompt
from app.annotations.tables import EditDraft
from app.completions.tables import Completion
from app.projects.protocols import protocol_of
from app.prompts.actions import import_prompts
from app.prompts.rules import of_user
from app.prompts.tables import Prompt
from app.tasks.actions import ask_about_prompts
from tests import make
from tests.app.annotations.test_writing import head_of, say, take
from tests.browser import fitting
from tests.browser.site import Site, a_site, armed, stored

pytestmark = [pytest.mark.browser, pytest.mark.committed]
PICTURES = os.environ.get("HONE_PICTURES")  # a folder to look at what the pages look like
LONG = (
    "Take a square sheet and lay it flat, the coloured side down. Fold it corner to corner and press the crease with "
    "your nail; a sharp crease is what makes the next step easy.\n\nOpen it again and turn the sheet by a quarter. "
    "Fold the other two corners together, so that the creases cross in the middle of the paper.\n\n"
    "- press each crease twice\n- keep the corners together\n- do not hurry"
)
PROTOCOLS: dict[str, tuple[int, dict[str, Any]]] = {
    "rewrite": (2, {"kind": "rewrite"}),
    "rewrite_of_one": (1, {"kind": "rewrite", "completions": 1}),
    "judged_first": (2, {"kind": "combined", "completions": 2, "parts": [{"kind": "comparison"}, {"kind": "rewrite"}]}),
}


TALK = [
    {"role": "system", "parts": [{"type": "text", "text": "Be brief and friendly."}]},
    *of_user("Hello! I have never folded anything."),
    {"role": "assistant", "parts": [{"type": "text", "text": "Then a **boat** is a good first thing."}]},
    *of_user("How do I fold one that floats?"),
]
NEAR = "Please explain in a few short sentences how one folds a large paper boat that does not sink at once"
FROM_NOTHING: dict[str, dict[str, Any]] = {
    "demonstration": {"kind": "demonstration"},
    "prompt": {
        "kind": "prompt",
        "cards": [{"topic": "Folding paper", "intent": "learn a craft", "difficulty": "easy: one short question"}],
        "wanted": 3,
    },
}


async def ready(site: Site) -> None:
    """Tasks of prompts alone."""
    async with database.transaction() as session:
        project = site.there.project
        for number in range(2):
            turns = TALK if number == 0 else of_user("What is a valley fold?")
            texts = [turn["parts"][0]["text"] for turn in turns]
            await make.prompt(session, project, messages=turns, rendered=[f"<p>{text}</p>" for text in texts])
        line = b'{"prompt": "%s", "use": "label"}' % NEAR.encode()
        await import_prompts(session, project.id, "near.jsonl", BytesIO(line), None)
        await ask_about_prompts(session, project.id)


def from_nothing(name: str) -> dict[str, Any]:
    return {"protocol": protocol_of(FROM_NOTHING[name]).as_json(), "tasks": 0}


def asking(name: str) -> dict[str, Any]:
    shows, protocol = PROTOCOLS[name]
    return {"shows": shows, "protocol": protocol_of(protocol).as_json(), "tasks": 3}


async def press(page: Page, *keys: str) -> None:
    for key in keys:
        await page.keyboard.press(key)


async def key_of(page: Page) -> str:
    return await page.locator("#task").get_attribute("data-key") or ""


async def answered(page: Page, old: str) -> None:
    await expect(page.locator("#task")).not_to_have_attribute("data-key", old)
    await armed(page)


async def with_long_texts() -> None:
    async with database.transaction() as session:
        for number, one in enumerate(await session.scalars(select(Completion).order_by(Completion.id))):
            text = LONG if number % 2 else LONG.replace("square", "large")
            one.parts = [{"type": "text", "text": text}]
            one.html = "".join(f"<p>{part}</p>" for part in text.split("\n\n"))


async def test_the_better_answer_is_rewritten_by_keys_alone(committed: str, browser: Browser) -> None:
    async with a_site(browser, **asking("rewrite")) as site:
        await with_long_texts()
        page = await site.open()
        old = await key_of(page)
        await press(page, "Enter")
        await expect(page.locator("[data-missing]")).to_contain_text("Choose the better answer first")
        await press(page, "2")
        await expect(page.locator("textarea:focus")).to_have_count(1)
        await press(page, "Control+Enter")
        await expect(page.locator("[data-missing]")).to_contain_text("The text is as it was")
        await press(page, "Control+Home")
        await page.keyboard.type("First, wash your hands. Enter 1 and 2: ")  # no key of the page fires while typing
        await press(page, "Enter", "Control+End", "Enter")
        await page.keyboard.type("- enjoy")
        await expect(page.locator("[data-counted]:visible")).to_contain_text("9 words in, 0 out")
        await expect(page.locator("[data-changes]:visible ins").first).to_have_text(
            re.compile("^First, wash your hands")
        )
        await press(page, "Control+z", "Control+z")
        await press(page, "Control+Shift+z", "Control+Shift+z")
        await press(page, "Control+Enter")
        await answered(page, old)
        (said,) = await stored()
        assert said.body["completion"] == said.sides[1]
        assert said.body["text"].startswith("First, wash your hands. Enter 1 and 2: \nTake a")
        assert said.body["text"].endswith("- do not hurry\n- enjoy")
        await press(page, "z")
        await expect(page.locator("h1")).to_have_text("Change your answer")
        await expect(page.locator("textarea:visible").first).to_have_value(said.body["text"])


async def test_what_was_written_is_there_after_a_reload_for_each_answer(committed: str, browser: Browser) -> None:
    async with a_site(browser, **asking("rewrite")) as site:
        page = await site.open()
        row = await page.locator(".task-top").evaluate("row => row.offsetHeight")
        await press(page, "1")
        await page.keyboard.type("One. ")
        await press(page, "Escape", "2")
        await page.keyboard.type("Two. ")
        await expect(page.locator("[data-state]")).to_contain_text("Draft saved")
        assert (
            await page.locator(".task-top").evaluate("row => row.offsetHeight") == row
        )  # the word had its place before it came
        for cut in (False, True):
            if cut:  # the server is away: what is typed now stays in the browser's own store
                await page.route("**/draft", lambda route: route.abort())
                await page.keyboard.type("More. ")
                await page.wait_for_timeout(900)
            await page.reload()
            await armed(page)
            typed = page.locator("[data-editor]:not([hidden]) textarea")
            await expect(typed).to_have_value(re.compile(r"^Two\. More\. " if cut else r"^Two\. "))
            await press(page, "1")
            await expect(typed).to_have_value(re.compile(r"^One\. "))
            await press(page, "Escape", "2")
            await typed.evaluate("box => box.setSelectionRange(5, 5)")
        await page.unroute("**/draft")


async def test_a_rewrite_that_is_opened_again_outlives_a_reload_and_a_cut_network(
    committed: str, browser: Browser
) -> None:
    async with a_site(browser, **asking("rewrite_of_one")) as site:
        page = await site.open()
        old = await key_of(page)
        await press(page, "e", "Control+Home")
        await page.keyboard.type("One. ")
        await press(page, "Control+Enter")
        await answered(page, old)

        async def opened(words: str) -> None:
            await press(page, "z")
            await expect(page.locator("h1")).to_have_text("Change your answer")
            await expect(page.locator("textarea:visible").first).to_have_value(re.compile("^" + re.escape(words)))
            await armed(page)
            await press(page, "e", "Control+Home")

        await opened("One. ")
        await page.keyboard.type("Two. ")
        await expect(page.locator("[data-state]")).to_contain_text("Draft saved")
        await page.reload()
        await opened("Two. One. ")
        await site.context.set_offline(True)
        await page.keyboard.type("Three. ")
        await expect(page.locator("#unsaved")).to_contain_text("kept on this computer")
        await page.route("**/draft", lambda route: route.abort())  # and it is not sent before the page is gone
        await site.context.set_offline(False)
        await page.reload()
        await opened("Three. Two. One. ")
        await page.unroute("**/draft")
        await page.keyboard.type("Four. ")
        await press(page, "Control+Enter")
        await expect(page.locator("[data-state]")).to_contain_text("Changed")
        (said,) = await stored()
        assert (said.version, said.body["text"][:23]) == (2, "Four. Three. Two. One. ")
        async with database.transaction() as session:
            assert list(await session.scalars(select(EditDraft))) == []


async def test_the_preferred_answer_is_the_one_that_is_rewritten(committed: str, browser: Browser) -> None:
    async with a_site(browser, **asking("judged_first")) as site:
        page = await site.open()
        old = await key_of(page)
        await press(page, "6", "Enter")
        await expect(page.locator(".part-tabs [aria-current=step]")).to_have_text("Rewrite")
        await press(page, "e")
        await page.keyboard.type("Better: ")
        await press(page, "Control+Enter")
        await answered(page, old)
        (said,) = await stored()
        comparison, rewrite = said.body["parts"]
        assert comparison["preferred"] == rewrite["completion"] == said.sides[1]
        assert rewrite["text"].startswith("Better: ")


async def test_twenty_thousand_characters_are_typed_on_without_delay(committed: str, browser: Browser) -> None:
    async with a_site(browser, **asking("rewrite_of_one")) as site:
        page = await site.open()
        old = await key_of(page)
        await press(page, "e")
        await page.keyboard.insert_text("Words that stand in a long text. " * 606)
        before = await page.evaluate("performance.now()")
        await page.keyboard.type("and on")
        assert await page.evaluate("performance.now()") - before < 1500
        await press(page, "Control+Enter")
        await answered(page, old)
        (said,) = await stored()
        assert len(said.body["text"]) > 20_000
        assert "and on" in said.body["text"]


async def test_an_answer_is_written_previewed_and_sent_by_keys_alone(committed: str, browser: Browser) -> None:
    async with a_site(browser, **from_nothing("demonstration")) as site:
        await ready(site)
        page = await site.open()
        old = await key_of(page)
        await press(page, "Enter")
        await expect(page.locator("[data-missing]")).to_have_text("Nothing is written yet.")
        await press(page, "e")
        await page.keyboard.type("Take a sheet.")
        await press(page, "Enter", "Enter")
        await page.keyboard.type("- fold *it* <b>once</b>")
        where = await page.locator(".sheet").bounding_box()
        await press(page, "Alt+p")
        await expect(page.locator("[data-previewed] em")).to_have_text("it")
        await expect(page.locator("[data-previewed] b")).to_have_count(0)
        assert await page.locator(".sheet").bounding_box() == where  # nothing has moved
        await press(page, "Alt+p")
        await page.keyboard.type(", then again")
        await page.wait_for_timeout(700)  # a draft of before is told of already
        await expect(page.locator("[data-state]")).to_contain_text("Draft saved")
        await page.reload()
        await armed(page)
        await expect(page.locator("textarea[name=text]")).to_have_value(re.compile("then again$"))
        await press(page, "e", "Control+Enter")
        await answered(page, old)
        (said,) = await stored()
        assert said.body["text"] == "Take a sheet.\n\n- fold *it* <b>once</b>, then again"


async def test_a_prompt_is_written_from_a_card_beside_what_is_nearly_the_same(committed: str, browser: Browser) -> None:
    async with a_site(browser, **from_nothing("prompt")) as site:
        await ready(site)
        page = await site.open()
        await expect(page.locator(".question")).to_contain_text("Folding paper")
        old = await key_of(page)
        await press(page, "e")
        await page.keyboard.insert_text(NEAR)
        await expect(page.locator("[data-near] blockquote")).to_have_text(NEAR)
        await press(page, "Control+Enter")
        await expect(page.locator("#refusal")).to_contain_text("this very prompt already")
        await page.keyboard.type(", and why")
        await press(page, "Control+a")
        await page.keyboard.type("Which fold comes first?")
        await expect(page.locator("[data-near]")).to_contain_text("Nothing here is nearly the same")
        await armed(page)
        await press(page, "Control+Enter")
        await answered(page, old)
        assert [one.body["text"] for one in await stored()] == ["Which fold comes first?"]


async def test_prompts_of_others_are_checked_by_keys_alone(committed: str, browser: Browser) -> None:
    asked = protocol_of(FROM_NOTHING["prompt"] | {"peer_check": True}).as_json()
    async with a_site(browser, people=2, protocol=asked, tasks=0) as site:
        await written_by_another(site, "How do I fold a boat?", "Boats!")
        page = await site.context.new_page()
        await page.goto(site.page_address.replace("/annotate", "/checks"))
        await expect(page.locator("main")).to_contain_text("How do I fold a boat?")
        await tab_to(page, "Leave it to others")
        await press(page, "Enter")
        await expect(page.locator("main")).to_contain_text("Boats!")
        await tab_to(page, "What you say to its author")
        await page.keyboard.type("Ask a whole question, please.")
        await tab_to(page, "Return it")
        await press(page, "Enter")
        await expect(page.locator("main")).to_contain_text("How do I fold a boat?")
        await tab_to(page, "Use it")
        await press(page, "Enter")
        await expect(page.locator("main")).to_contain_text("No prompt waits for you.")
        assert await page.evaluate(fitting.OUTSIDE) == []
    async with database.transaction() as session:
        found = await session.scalars(select(Prompt).where(Prompt.author_id.is_not(None)).order_by(Prompt.id))
        assert [(one.retired_at is None, one.awaits_check) for one in found] == [(True, False), (False, True)]


async def written_by_another(site: Site, *texts: str) -> None:
    """By the second person of the project, over REST."""
    async with database.transaction() as session:
        await ask_about_prompts(session, site.there.project.id)
        head = await head_of(session, site.there, 1)
    async with httpx.AsyncClient(base_url=site.address) as client:
        for text in texts:
            saved = await say(client, await take(client, site.there, head), head, kind="prompt", text=text)
            assert saved.status_code == 200, saved.text
    for one in await stored():
        async with database.transaction() as session:
            await settle_prompt(session, one.id)


async def tab_to(page: Page, name: str) -> None:
    """The button, link or box with that name is reached by Tab."""
    for _ in range(60):
        await press(page, "Tab")
        here = "one => one.labels?.[0]?.textContent || one.textContent"
        if (await page.locator(":focus").evaluate(here)).strip().startswith(name):
            return
    raise AssertionError(f"no way to “{name}” by Tab")


@pytest.mark.parametrize("name", FROM_NOTHING)
async def test_writing_fits_every_window(committed: str, browser: Browser, name: str) -> None:
    async with a_site(browser, **from_nothing(name)) as site:
        await ready(site)
        page = await site.open(is_late=True)
        await picture(page, f"{name}-0")
        await press(page, "e")
        await page.keyboard.insert_text(NEAR if name == "prompt" else LONG)
        await page.wait_for_timeout(900)
        await fits(page, name)
        await press(page, "Alt+p")
        await expect(page.locator("[data-previewed] p").first).to_be_visible()
        await fits(page, f"{name}-preview")
        await fitting.fits(site, page)


@pytest.mark.parametrize("name", PROTOCOLS)
async def test_nothing_is_cut_off_and_the_last_row_stays_in_reach(committed: str, browser: Browser, name: str) -> None:
    async with a_site(browser, **asking(name)) as site:
        await with_long_texts()
        page = await site.open()
        await picture(page, f"{name}-0")
        await written_on(page, name)
        await fits(page, name)
        await fitting.fits(site, page)


async def fits(page: Page, name: str) -> None:
    """Nothing is wider than its window, the last row is in reach, and no text scrolls inside the page."""
    for width, height in ((1280, 800), (390, 844)):
        await page.set_viewport_size({"width": width, "height": height})
        for theme in ("light", "dark"):
            await page.emulate_media(color_scheme=theme)
            await page.wait_for_timeout(250 if PICTURES else 0)
            await picture(page, f"{name}-{width}-{theme}")
        assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        row = await page.locator(".choices > .beside").bounding_box()
        assert row
        assert row["y"] + row["height"] <= height + 1
        assert row["height"] <= height * 0.25
        for box in await page.locator("textarea:visible").all():
            assert await box.evaluate("box => box.scrollHeight <= box.clientHeight + 2"), "a text scrolls inside"


async def written_on(page: Page, name: str) -> None:
    """Something to look at."""
    if name == "judged_first":
        await press(page, "6", "Enter")
    await press(page, "1" if name == "rewrite" else "e")
    await press(page, "Control+Home")
    await page.keyboard.type("First of all: ")
    await press(page, "Control+End", "Control+Shift+ArrowLeft", "Control+Shift+ArrowLeft")
    await page.keyboard.type("stay calm")
    await page.wait_for_timeout(300)


async def picture(page: Page, name: str) -> None:
    if PICTURES:
        await page.screenshot(path=Path(PICTURES) / f"writing-{name}.png")
