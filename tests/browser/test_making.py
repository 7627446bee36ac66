"""Making a project by keyboard alone, trying it, and changing what is asked, in a real browser."""

import os
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect
from sqlalchemy import func, select

from app import database
from app.accounts.tables import Link, User
from app.annotations.tables import Annotation, Draft
from app.projects.queries import newest_protocol
from app.projects.tables import Project
from app.prompts.tables import Prompt
from tests.browser.site import WATCH, Site, a_site, armed

expect.set_options(timeout=20_000)  # a project with files is more than a click, on a machine that does other things too
pytestmark = [pytest.mark.browser, pytest.mark.committed]
PICTURES = os.environ.get("HONE_PICTURES")  # a folder to look at what the pages look like


async def opened(site: Site, path: str) -> Page:
    """A page of this site, seen by an admin."""
    async with database.transaction() as session:
        person = (await session.scalars(select(User).where(User.id == site.there.me.person.id))).one()
        person.is_admin = True
    page = await site.context.new_page()
    page.on("pageerror", lambda error: site.said.append(str(error)))
    await page.add_init_script(WATCH)
    await page.goto(site.address + path)
    return page


async def picture(page: Page, name: str) -> None:
    if not PICTURES:
        return
    size = page.viewport_size
    for scheme in ("light", "dark"):
        await page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        for width in (1280, 390):
            await page.set_viewport_size({"width": width, "height": 800})
            await page.wait_for_timeout(150)
            await page.screenshot(path=Path(PICTURES) / f"{name}-{scheme}-{width}.png", full_page=True)
    await page.emulate_media(color_scheme="light")
    await page.evaluate("window.broken = []")  # taking a picture hides the caret by a style of its own
    if size:
        await page.set_viewport_size(size)


async def tab_to(page: Page, selector: str) -> None:
    """Press Tab until the hand is there; what cannot be reached by keys fails."""
    for _ in range(60):
        if await page.evaluate("wanted => document.activeElement?.matches(wanted)", selector):
            return
        await page.keyboard.press("Tab")
    raise AssertionError(f"no way to {selector} by keys")


async def newest_project() -> Project:
    async with database.transaction() as session:
        return (await session.scalars(select(Project).order_by(Project.id.desc()).limit(1))).one()


async def test_a_project_is_made_by_keys_alone(committed: str, browser: Browser) -> None:
    async with a_site(browser) as site:
        page = await opened(site, "/projects/new")
        await expect(page.locator("#field-purpose")).to_be_focused()
        await picture(page, "new")
        for purpose in ("captions", "red-team", "instructgpt", "prism") if PICTURES else ():
            await page.goto(f"{site.address}/projects/new?purpose={purpose}")
            await picture(page, f"new-{purpose}")
            await page.goto(f"{site.address}/projects/new/try?purpose={purpose}")
            await armed(page)
            await picture(page, f"try-{purpose}")
        await page.goto(f"{site.address}/projects/new")
        await tab_to(page, "[name=prompts]")
        await page.keyboard.type("Why is the sky blue?\nWhy is grass green?")
        await page.locator("#field-prompts_file").set_input_files(
            {"name": "more.jsonl", "mimeType": "application/jsonl", "buffer": b'{"prompt": "Why is snow white?"}'}
        )  # the browser's own window for files is out of a test's reach; the way to its button is not
        await page.locator("#field-purpose").focus()
        await page.keyboard.press("ArrowDown")
        await expect(page.locator("[name=began]")).to_have_value("moderation")
        await expect(page.locator("#field-purpose")).to_be_focused()
        await expect(page.locator(".sample")).to_contain_text("Safe")
        await expect(page.locator("#field-name")).to_have_value("Moderation")
        assert await page.locator("#field-prompts").input_value() == "Why is the sky blue?\nWhy is grass green?"
        await tab_to(page, "[name=name]")
        await page.keyboard.press("Control+a")
        await page.keyboard.type("Made by keys")
        for name in ("prompts_file", "checkpoint", "answers_file", "k", "guidelines"):
            await tab_to(page, f"[name={name}]")
        await tab_to(page, "[name=people]")
        await page.keyboard.type("nobody")
        await tab_to(page, "button.primary[type=submit]")
        await page.keyboard.press("Enter")
        await expect(page.locator(".field-error")).to_contain_text("is not an e-mail address")
        await picture(page, "new-refused")
        assert await page.locator("#field-name").input_value() == "Made by keys"
        assert await page.evaluate("document.getElementById('field-prompts_file').files.length") == 1
        await tab_to(page, "[name=people]")
        await page.keyboard.press("Control+a")
        await page.keyboard.type("one@example.org")
        await tab_to(page, "button.primary[type=submit]")
        await page.keyboard.press("Enter")
        await expect(page.locator("#start")).to_contain_text("The project is there.")
        await expect(page.locator("h1")).to_have_text("Made by keys")
        await expect(page.locator("[data-copy-source]")).to_have_count(1)
        await picture(page, "started")
        project = await newest_project()
        assert project.name == "Made by keys"
        async with database.transaction() as session:
            mine = Prompt.project_id == project.id
            assert await session.scalar(select(func.count()).select_from(Prompt).where(mine)) == 3
            of_it = select(func.count()).select_from(Link).where(Link.project_id == project.id)
            assert await session.scalar(of_it) == 1
            assert (await newest_protocol(session, project.id)).body["preset"] == "llama2"
        await tab_to(page, "a.button.primary")
        await page.keyboard.press("Enter")
        await expect(page.locator("h1")).to_contain_text("Made by keys")
        await picture(page, "overview")


async def test_the_trial_is_the_real_page_and_keeps_nothing(committed: str, browser: Browser) -> None:
    async with a_site(browser) as site:
        page = await opened(site, "/projects/new/try?purpose=support")
        await armed(page)
        await picture(page, "try")
        await page.keyboard.press("r")
        await page.keyboard.type("It says what to do.")
        await page.wait_for_timeout(800)  # a draft would be on its way by now
        await page.keyboard.press("Escape")
        await page.keyboard.press("3")
        await expect(page.locator(".trial")).to_contain_text("A slightly better")
        await picture(page, "tried")
        await page.goto(f"{site.address}/projects/new/try?purpose=captions")
        await armed(page)
        for _ in range(6):
            await page.keyboard.press("4")
        await expect(page.locator(".step.said")).to_have_count(6)
        await page.keyboard.press("Enter")
        await expect(page.locator(".part-tabs .step").last).to_have_attribute("aria-current", "step")
        await page.keyboard.press("6")
        await page.keyboard.press("Enter")
        await expect(page.locator(".trial")).to_contain_text("You said")
        assert (
            await page.evaluate("Object.keys(localStorage).flatMap(key => JSON.parse(localStorage[key]) ?? []).length")
            == 0
        )
        async with database.transaction() as session:
            for table in (Annotation, Draft):
                assert await session.scalar(select(func.count()).select_from(table)) == 0


async def test_what_is_asked_is_changed_by_keys_and_seen_at_once(committed: str, browser: Browser) -> None:
    async with a_site(browser) as site:
        base = f"/projects/{site.there.project.public_id}"
        page = await opened(site, f"{base}/settings/protocol")
        await tab_to(page, "[name=kind]")
        await picture(page, "protocol-comparison")
        await page.keyboard.type("rat")  # as one finds it in a list; the page waits until the hand rests
        await expect(page.locator("[name=was]")).to_have_value("rating")
        await tab_to(page, "[name='criteria.0.label']")
        await page.keyboard.press("Control+a")
        await page.keyboard.type("Kindness of heart")
        await expect(page.locator("#sample")).to_contain_text("Kindness of heart")
        await tab_to(page, "button[value='add:criteria']")
        await page.keyboard.press("Enter")
        await expect(page.locator("[name='criteria.1.key']")).to_be_focused()
        await tab_to(page, "button.primary")
        await page.keyboard.press("Enter")
        assert await page.evaluate("document.activeElement.name") == "criteria.1.key"  # the browser names what is open
        await page.keyboard.type("wit")
        await tab_to(page, "[name='criteria.1.label']")
        await page.keyboard.type("Wit")
        await expect(page.locator("#sample")).to_contain_text("Wit")
        await tab_to(page, "button.primary")
        await page.keyboard.press("Enter")
        await expect(page.locator(".notices")).to_contain_text("Saved as a new version.")
        await picture(page, "protocol-rating")
        async with database.transaction() as session:
            body = (await newest_protocol(session, site.there.project.id)).body
        assert [one["label"] for one in body["criteria"]] == ["Kindness of heart", "Wit"]
        await tab_to(page, "[name=kind]")
        await page.keyboard.type("several")
        await expect(page.locator("[name=was]")).to_have_value("combined")
        await picture(page, "protocol-combined")
