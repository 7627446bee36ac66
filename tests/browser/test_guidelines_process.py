"""A changed rule and a question, by the keyboard alone: the task on the screen and its draft stay."""

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, expect
from sqlalchemy import select, text

from app import database
from app.projects.actions import change_guidelines
from app.projects.tables import Change, Guidelines
from app.quality.tables import Inquiry
from tests.browser.site import Site, a_site, armed, stored
from tests.browser.test_own_places import pictured

pytestmark = [pytest.mark.browser, pytest.mark.committed]


@pytest.fixture
async def site(committed: str, browser: Browser) -> AsyncIterator[Site]:
    async with a_site(browser, tasks=3) as site:
        yield site


async def publish(site: Site, words: str, change: Change) -> None:
    async with database.transaction() as session:
        await session.execute(text("UPDATE memberships SET guidelines_read = 1"))
        await change_guidelines(session, site.there.project.id, words, None, change=change)


async def test_the_difference_is_read_before_the_next_task_and_the_draft_goes_as_it_was_begun(site: Site) -> None:
    page = await site.open()
    await page.keyboard.press("r")
    await page.keyboard.type("because it is short")
    await page.keyboard.press("Escape")
    await expect(page.locator("[data-state]")).to_contain_text("Draft saved")
    await publish(site, "Be strictly fair.\n\nNever reward length.", Change.rule)
    await page.reload()
    await armed(page)
    await expect(page.locator("[data-draft]")).to_have_value("because it is short")
    await page.keyboard.press("1")
    await expect(page.locator("#task-title")).to_have_text("The rules have changed")
    await expect(page.locator("#reading ins[data-only]").first).to_have_text("strictly")
    await pictured(page, "reading")
    (said,) = await stored()
    assert said.body["justification"] == "because it is short"
    async with database.transaction() as session:
        shown = await session.scalar(select(Guidelines.version).where(Guidelines.id == said.guidelines_id))
        assert shown == 1
    await page.get_by_role("button", name="I have read it").focus()
    await page.keyboard.press("Enter")
    await armed(page)
    await expect(page.locator("#task-title")).not_to_have_text("The rules have changed")


async def test_one_key_asks_about_the_task_on_the_screen_which_stays_with_what_was_typed(site: Site) -> None:
    page = await site.open()
    task = await page.locator("#task").get_attribute("data-key")
    await page.keyboard.press("r")
    await page.keyboard.type("half a reason")
    await page.keyboard.press("Escape")
    await page.keyboard.press("q")
    await expect(page.get_by_label("Your question")).to_be_focused()
    await page.keyboard.type("Is 1 always better?")
    await pictured(page, "question")
    await page.keyboard.press("Control+Enter")
    await expect(page.locator("#ask [data-asked] button")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.locator("#ask")).to_be_hidden()
    await expect(page.locator("[data-draft]")).to_have_value("half a reason")
    assert await page.locator("#task").get_attribute("data-key") == task
    assert await stored() == []
    async with database.transaction() as session:
        assert (await session.scalars(select(Inquiry.words))).all() == ["Is 1 always better?"]
    await page.keyboard.press("s")
    await expect(page.locator("#task")).not_to_have_attribute("data-key", task or "")
