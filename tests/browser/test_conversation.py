"""Conversations by keys alone, in a real browser: with a model that answers, is away, and comes back."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect
from sqlalchemy import select

from app import database
from app.annotations.jobs import TurnAsked
from app.annotations.tables import Turn
from app.checkpoints.tables import Place
from app.projects.protocols import protocol_of
from app.projects.tables import Project
from app.settings import get_settings
from app.tasks.actions import ask_about_prompts
from tests import make
from tests.browser.fitting import fits
from tests.browser.site import Site, a_site, armed, stored
from tests.browser.test_axe import AXE, findings
from tests.endpoint import Endpoint, endpoint
from tests.queue import waiting
from workers.handlers.conversations import answer_turn
from workers.handlers.registry import Context

pytestmark = [pytest.mark.browser, pytest.mark.committed]
PICTURES = os.environ.get("HONE_PICTURES")  # a folder to look at what the pages look like
TALK: dict[str, Any] = {
    "kind": "conversation",
    "least": 2,
    "most": 5,
    "cards": [{"topic": "Making tea", "aim": "learn something that you can use"}],
}
CLOSING = {
    "kind": "combined",
    "parts": [
        TALK | {"asks": "scores", "low": "terrible", "high": "perfect", "answers": [3, 2]},
        {"kind": "questions", "questions": [{"key": "again", "label": "Would you talk to it again?"}]},
    ],
}


async def sampler(done: set[int]) -> None:
    """Does the jobs of turns as a sampler would, tries and all."""
    tries: dict[int, int] = {}
    while True:
        async with database.transaction() as session:
            jobs = [job["turn_id"] for job in await waiting(session, "TurnAsked")]
        for one in range(len(jobs)):
            if one in done:
                continue
            tries[one] = tries.get(one, -1) + 1
            try:
                await answer_turn(TurnAsked(turn_id=jobs[one]), Context(get_settings(), attempt=tries[one]))
                done.add(one)
            except Exception:
                pass
        await asyncio.sleep(0.15)


@asynccontextmanager
async def talking(browser: Browser, protocol: dict[str, Any], **options: Any) -> AsyncIterator[tuple[Site, Endpoint]]:
    asked = protocol_of(protocol).as_json()
    async with endpoint("North") as served, a_site(browser, protocol=asked, tasks=0, **options) as site:
        async with database.transaction() as session:
            values = {"place": Place.endpoint, "location": served.address, "revision": "m"}
            made = await make.checkpoint(session, name="North", **values)
            (await session.get_one(Project, site.there.project.id)).checkpoint_id = made.id
            await ask_about_prompts(session, site.there.project.id)
        working = asyncio.create_task(sampler(set()))
        try:
            yield site, served
        finally:
            working.cancel()


async def picture(page: Page, name: str) -> None:
    if PICTURES:
        for scheme in ("light", "dark"):
            await page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            await page.wait_for_timeout(400)  # colours change slowly
            await page.screenshot(path=Path(PICTURES) / f"{name}-{scheme}.png")


async def said(page: Page, words: str) -> None:
    """Typed and sent by keys; its answers are there and the keys are armed."""
    await expect(page.locator("#words")).to_be_focused()
    await page.keyboard.type(words)
    await page.keyboard.press("Control+Enter")
    await expect(page.locator("#talk")).to_have_attribute("data-state", "choose")
    await armed(page, "#talk")


async def test_a_whole_conversation_by_keys_alone(committed: str, browser: Browser) -> None:
    async with talking(browser, TALK) as (site, _served):
        page = await site.open(is_late=True)
        await picture(page, "talk-first")
        await page.keyboard.press("e")
        await said(page, "How long do I steep black tea? 1 minute?")
        await expect(page.locator("#spoken")).to_contain_text("2 answers are ready")
        await picture(page, "talk-choose")
        await page.emulate_media(reduced_motion="reduce")
        await page.evaluate(AXE)
        assert await findings(page) == []
        await page.keyboard.press("Enter")
        await expect(page.locator("[data-missing]")).to_contain_text("which answer is best")
        await page.keyboard.press("6")  # a slip
        await expect(page.locator("#words")).to_be_focused()
        await page.keyboard.type("kept")
        await page.keyboard.press("Escape")
        await picture(page, "talk-anew")
        await page.keyboard.press("b")
        await expect(page.locator("#talk")).to_have_attribute("data-state", "choose")
        await armed(page, "#talk")
        await page.keyboard.press("1")
        await expect(page.locator("#words")).to_have_value("kept")
        await page.locator("#words").clear()
        await page.keyboard.press("Escape")
        await page.keyboard.press("Enter")
        await expect(page.locator("[data-missing]")).to_contain_text("Turns needed: 2, so far 1")
        await page.keyboard.press("e")
        await said(page, "And green tea?")
        await page.keyboard.press("x")  # none is good: the message counts as not sent
        await expect(page.locator("#words")).to_be_focused()
        await said(page, "And what of green tea, please?")
        await page.keyboard.press("7")
        await expect(page.locator("#words")).to_be_focused()
        await picture(page, "talk-later")
        assert await findings(page) == []
        await page.keyboard.type("one more")
        await page.keyboard.press("Escape")
        await page.keyboard.press("Control+Enter")  # what is typed is sent before anything ends
        await expect(page.locator("#talk")).to_have_attribute("data-state", "choose")
        await armed(page, "#talk")
        await page.keyboard.press("4")
        await expect(page.locator("#words")).to_be_focused()
        old = await page.locator("#task").get_attribute("data-key") or ""
        await page.keyboard.press("Escape")
        await page.keyboard.press("Enter")
        await expect(page.locator("#task")).not_to_have_attribute("data-key", old)
        kept = (await stored())[0].body
        assert [turn["words"] for turn in kept["turns"]][-1] == "one more"
        assert [turn["said"]["outcome"] for turn in kept["turns"]] == ["preferred", "both_bad", "preferred", "tie"]
        assert kept["turns"][0]["said"]["strength"] == 3
        await page.keyboard.press("z")
        await expect(page.locator("#talk")).to_contain_text("And what of green tea, please?")
        await picture(page, "talk-again")


async def test_scores_and_closing_questions_by_keys_and_by_a_thumb(committed: str, browser: Browser) -> None:
    async with talking(browser, CLOSING, width=390, height=780, options={"has_touch": True}) as (site, _served):
        page = await site.open()
        await picture(page, "talk-phone-first")
        for turn, answers in ((1, 3), (2, 2)):
            await page.locator("#words").tap()
            await page.keyboard.type(f"Message {turn}")
            await page.locator("[data-send]").tap()
            await expect(page.locator("#talk")).to_have_attribute("data-state", "choose")
            await armed(page, "#talk")
            await picture(page, f"talk-phone-choose-{turn}")
            for place in range(answers):
                await page.keyboard.type(str(90 - 10 * place))
                await page.keyboard.press("Enter")
            await expect(page.locator("#talk")).to_have_attribute("data-state", "write")
        await page.locator("[data-submit]").tap()
        await expect(page.locator("fieldset.own")).to_be_visible()
        await picture(page, "talk-phone-closing")
        await page.locator("fieldset.own label", has_text="yes").tap()
        await page.locator("[data-submit]").tap()
        await expect(page.locator("[data-saved]")).to_have_count(1)
        kept = (await stored())[0].body["parts"]
        scores = [[rated["criteria"]["score"] for rated in turn["said"]["ratings"]] for turn in kept[0]["turns"]]
        assert [sorted(one) for one in scores] == [[70, 80, 90], [80, 90]]
        assert kept[1]["task"] == {"again": True}


async def test_a_model_or_a_server_that_is_away_costs_no_word(committed: str, browser: Browser) -> None:
    async with talking(browser, TALK) as (site, served):
        page = await site.open()
        await served.stop()
        await page.keyboard.press("e")
        await page.keyboard.type("Is anybody there?")
        await page.keyboard.press("Control+Enter")
        await expect(page.locator(".coming.trouble")).to_contain_text("cannot be reached")
        await picture(page, "talk-trouble")
        await page.reload()
        await expect(page.locator("#talk")).to_contain_text("Is anybody there?")
        other = await site.open()  # a second tab of the same task
        await expect(other.locator(".coming.trouble")).to_be_visible()
        await served.start()
        await expect(page.locator("#talk")).to_have_attribute("data-state", "choose")
        await expect(other.locator("#talk")).to_have_attribute("data-state", "choose")
        await page.bring_to_front()
        await armed(page, "#talk")
        await page.keyboard.press("1")
        await expect(page.locator("#talk")).to_have_attribute("data-state", "write")
        await other.bring_to_front()
        await armed(other, "#talk")
        await other.keyboard.press("7")  # the other tab says something else about the same turn
        await expect(other.locator("#refusal")).to_contain_text("went on in another tab")
        await expect(other.locator("#talk")).to_have_attribute("data-state", "write")
        await other.close()
        await site.context.set_offline(True)
        await page.keyboard.type("Sent from a train")
        await page.keyboard.press("Control+Enter")
        await expect(page.locator("#unsaved")).to_be_visible()
        await expect(page.locator("#words")).to_have_value("Sent from a train")
        await site.context.set_offline(False)
        await expect(page.locator("#talk")).to_have_attribute("data-state", "choose")
        async with database.transaction() as session:
            words = list(await session.scalars(select(Turn.words).order_by(Turn.number)))
        assert words == ["Is anybody there?", "Sent from a train"]
        await fits(site, page)
