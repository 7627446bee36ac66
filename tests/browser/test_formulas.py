"""Writing a reward formula in a real browser: what it comes to is shown while it is typed."""

import os
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect
from sqlalchemy import text

from app import database
from app.projects.protocols import protocol_of
from tests.browser.site import a_site

pytestmark = [pytest.mark.browser, pytest.mark.committed]
PICTURES = os.environ.get("HONE_PICTURES")
RATING = {
    "kind": "rating",
    "criteria": [{"key": key, "label": key.title(), "scale": "grade"} for key in ("accuracy", "relevance")],
    "flags": [{"key": "harmful", "label": "Gives harmful advice"}],
    "errors": {"categories": [{"key": "fact", "label": "Wrong fact"}]},
}


async def test_a_formula_is_tried_while_it_is_typed_and_kept_with_its_versions(
    committed: str, browser: Browser
) -> None:
    async with a_site(browser, shows=1, tasks=1, protocol=protocol_of(RATING).as_json()) as site:
        async with database.transaction() as session:
            await session.execute(text("UPDATE memberships SET role = 'manager'"))
        page = await site.open()
        await page.goto(f"{site.address}/projects/{site.there.project.public_id}/formulas")
        await page.get_by_label("Name", exact=True).fill("reward")
        written = page.get_by_label("Formula", exact=True)
        await written.fill("0.6*accuracy + 0.3*relevance - 1*harmful")
        await expect(page.locator("#tried .stat-value")).to_have_text("1.8")  # 1.2 + 0.6 - 0
        await page.locator("[name='value.harmful']").fill("1")
        await expect(page.locator("#tried .stat-value")).to_have_text("0.8")
        await written.fill("accuracy / errors +* 2")
        await expect(page.locator("#tried")).to_contain_text("character 20")
        await expect(page.locator("#tried mark")).to_have_text("*")
        if PICTURES:
            await page.screenshot(path=Path(PICTURES) / "formula-wrong.png")
        await written.fill("accuracy / errors")
        await expect(page.locator("#tried")).to_contain_text("it divides by zero here")
        await page.get_by_role("button", name="Save as a new version").click()
        await expect(page.locator("td code").last).to_have_text("accuracy / errors")
        if PICTURES:
            for width, height in ((1280, 900), (390, 844)):
                await page.set_viewport_size({"width": width, "height": height})
                await page.screenshot(path=Path(PICTURES) / f"formulas-{width}.png")
        assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
