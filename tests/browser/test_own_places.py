"""A person's own places in a real browser: a returned answer finds its author, is changed, and is answered."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect
from sqlalchemy import select

from app import database
from app.accounts.permissions import Role
from app.annotations.actions import return_answer
from app.annotations.tables import AnnotationVersion, Remark
from app.projects.actions import change_guidelines
from tests import make
from tests.browser.site import Site, a_site, armed, stored

pytestmark = [pytest.mark.browser, pytest.mark.committed]


@pytest.fixture
async def site(committed: str, browser: Browser) -> AsyncIterator[Site]:
    async with a_site(browser, tasks=3) as site:
        yield site


async def pictured(page: Page, name: str) -> None:
    """With HONE_SHOTS=folder: the page in light and dark, on a desk and on a phone."""
    folder = os.environ.get("HONE_SHOTS")
    if not folder:
        return
    size = page.viewport_size
    for width in (1280, 390):
        await page.set_viewport_size({"width": width, "height": 900})
        for theme in ("light", "dark"):
            await page.emulate_media(color_scheme=theme)
            await page.screenshot(path=Path(folder) / f"{name}-{width}-{theme}.png", full_page=True)
    await page.emulate_media(color_scheme="light")
    await page.set_viewport_size(size)


async def test_a_returned_answer_is_found_in_the_inbox_changed_by_a_key_and_answered(site: Site) -> None:
    page = await site.open()
    await page.keyboard.press("1")
    await expect(page.locator("[data-state]")).to_contain_text("Saved")
    said = (await stored())[0]
    async with database.transaction() as session:
        reviewer = await make.user(session)
        await make.member(session, site.there.project, reviewer, Role.reviewer)
        words = "A says nothing about the second question.\nPlease look again."
        await return_answer(session, site.there.project.id, said.public_id, reviewer_id=reviewer.id, text=words)
        await change_guidelines(session, site.there.project.id, "Be fair.\n\nRead both to the end.", None)
    await page.goto(f"{site.address}/projects")
    inbox = page.get_by_role("link", name="Inbox 2 unread")
    await inbox.focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Inbox")).to_be_visible()
    await pictured(page, "inbox")
    await page.get_by_role("link", name="An answer of yours was returned.").focus()
    await page.keyboard.press("Enter")
    await expect(page.locator(".remarks")).to_contain_text("Please look again.")
    await pictured(page, "returned")
    await page.get_by_role("link", name="Change", exact=True).focus()
    await page.keyboard.press("Enter")
    await expect(page.locator("#task")).to_contain_text("A says nothing about the second question.")
    await armed(page)
    await page.keyboard.press("7")
    await expect(page.locator("[data-state]")).to_contain_text("Changed")
    changed = (await stored())[0]
    assert (changed.version, changed.returned_at, changed.body["preferred"]) == (2, None, changed.sides[1])
    async with database.transaction() as session:
        assert [one.body for one in await session.scalars(select(AnnotationVersion))] == [said.body]
        kinds = [one.kind.value for one in await session.scalars(select(Remark).order_by(Remark.id))]
        assert kinds == ["returned", "changed"]
    await page.goto(f"{site.address}/projects/{site.there.project.public_id}/answers/{said.public_id}")
    await expect(page.locator(".remarks")).to_contain_text("changed the answer")
    await expect(page.get_by_role("link", name="Inbox 1 unread")).to_be_visible()


async def test_the_history_is_searched_while_words_are_typed(site: Site) -> None:
    page = await site.open()
    for key, word in (("1", "amber"), ("7", "beryl")):
        old = await page.locator("#task").get_attribute("data-key") or ""
        await page.keyboard.press("r")
        await page.keyboard.type(f"{word} says more")
        await page.keyboard.press("Escape")
        await page.keyboard.press(key)
        await expect(page.locator("#task")).not_to_have_attribute("data-key", old)
        await armed(page)
    await page.goto(f"{site.address}/projects/{site.there.project.public_id}/answers")
    await expect(page.locator("tbody tr")).to_have_count(2)
    await pictured(page, "history")
    await page.get_by_role("searchbox", name="Words").fill("beryl says")
    await expect(page.locator("tbody tr")).to_have_count(1)
    await page.get_by_role("searchbox", name="Words").fill("nowhere")
    await expect(page.locator("#answers")).to_contain_text("Nothing like that")
    assert "q=nowhere" in page.url
