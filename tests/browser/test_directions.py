"""Pages in a language of long words and in one that runs from right to left: nothing sticks out and nothing is cut off.

HONE_SHOTS=folder keeps a picture of each page.
"""

import os
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from app import database
from tests import make
from tests.app.mirrored import TAG, speaking_mirrored
from tests.browser.fitting import OUTSIDE, fits, speaks
from tests.browser.site import a_site

pytestmark = [pytest.mark.browser, pytest.mark.committed]

PAGES = [
    "/projects",
    "/projects/new",
    "/people",
    "/account",
    "/account/tokens",
    *(
        f"/projects/{{project}}{place}"
        for place in (
            "",
            "/prompts",
            "/prompts/import",
            "/media",
            "/completions",
            "/completions/new",
            "/annotations",
            "/answers",
            "/datasets",
            "/formulas",
            "/runs",
            "/runs/new?method=reward",
            "/checkpoints",
            "/checkpoints/new",
            "/evaluations",
            "/schedules",
            "/members",
            "/settings",
            "/settings/guidelines",
            "/settings/protocol",
            "/try",
            "/annotate",
        )
    ),
]


async def keep(page: Page, name: str) -> None:
    folder = os.environ.get("HONE_SHOTS")
    if folder:
        await page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


@pytest.mark.parametrize("language", ["de", TAG])
async def test_nothing_sticks_out_or_is_cut_off(browser: Browser, committed: str, language: str) -> None:
    with speaking_mirrored():
        async with a_site(browser) as site:
            await speaks(site, language)
            async with database.transaction() as session:
                await make.checkpoint(session, project_id=site.there.project.id)
            page = await site.context.new_page()
            found = {}
            for place in PAGES:
                await page.goto(site.address + place.format(project=site.there.project.public_id))
                assert await page.locator("html").get_attribute("lang") == language, place
                for width in (1280, 390):
                    await page.set_viewport_size({"width": width, "height": 800})
                    name = place.removeprefix("/projects/{project}").strip("/").partition("?")[0].replace("/", "-")
                    await keep(page, f"{language}-{width}-{name or 'project'}")
                    if outside := await page.evaluate(OUTSIDE):
                        found[f"{place} at {width} px"] = outside
            assert found == {}


async def test_an_answer_stands_over_its_key_where_pages_run_from_right_to_left(
    browser: Browser, committed: str
) -> None:
    """Keyboards run from left to right everywhere: 1 is A's end of the scale, so A and 1 stay on the left."""
    with speaking_mirrored():
        async with a_site(browser) as site:
            await speaks(site, TAG)
            page = await site.open()
            lefts = await page.evaluate(
                """() => Object.fromEntries(["[data-answer] >> 0", "[data-answer] >> 1", ".point >> 0", ".point >> 6"]
                .map((one) => [one, document.querySelectorAll(one.split(" >> ")[0])[Number(one.split(" >> ")[1])]
                .getBoundingClientRect().left]))"""
            )
            assert lefts["[data-answer] >> 0"] < lefts["[data-answer] >> 1"]
            assert lefts[".point >> 0"] < lefts[".point >> 6"]
            top = page.locator(".brand")
            assert (await top.bounding_box() or {"x": 0})["x"] > 640  # the page around it is mirrored
            await page.keyboard.press("1")
            await expect(page.locator("[data-state] b")).to_be_visible()
            await fits(site, page)
