"""What is sensitive is covered until a key; it is given back or reported without the hand leaving the keyboard."""

import pytest
from playwright.async_api import Browser, Page, expect
from sqlalchemy import select, update

from app import database
from app.accounts.tables import Membership
from app.completions.tables import Completion
from app.projects.tables import Project
from app.tasks.actions import categorise
from app.tasks.tables import Report, Skip, Task
from tests.app.tasks.test_care import CATEGORIES, VIOLENCE
from tests.browser.site import Site, a_site, armed, stored

pytestmark = [pytest.mark.browser, pytest.mark.committed]
HELP = "<p>Call us at any hour.</p>"


async def make_sensitive(site: Site, *places: int) -> None:
    """Tasks of these places are of the first category, which the one person has opted into."""
    async with database.transaction() as session:
        project = await session.get_one(Project, site.there.project.id)
        project.care, project.help_html = [one.model_dump(mode="json") for one in CATEGORIES], HELP
        await session.flush()
        tasks = [site.there.tasks[place] for place in places]
        prompts = list(await session.scalars(select(Task.prompt_id).where(Task.id.in_(tasks))))
        await categorise(session, project.id, prompts, add=VIOLENCE)
        for member in await session.scalars(select(Membership).where(Membership.project_id == project.id)):
            member.care = VIOLENCE


async def press(page: Page, key: str) -> None:
    await page.keyboard.press(key)
    await page.wait_for_timeout(60)


async def arrives(page: Page, before: str | None) -> None:
    await expect(page.locator("#task")).not_to_have_attribute("data-key", before or "")
    await armed(page)


async def test_a_sensitive_task_waits_covered_and_is_left_by_one_key(committed: str, browser: Browser) -> None:
    async with a_site(browser, tasks=4) as site:
        await make_sensitive(site, 0, 1)
        async with database.transaction() as session:
            picture = '<p><img src="/static/mark.svg" alt="" width="40" height="40"></p>'
            await session.execute(update(Completion).values(html=Completion.html + picture))
        page = await site.open()
        blur = "() => getComputedStyle(document.querySelector('.answer img')).filter"
        assert "blur(28px)" in await page.evaluate(blur)
        await expect(page.locator(".answer img").first).to_be_visible()  # its shape may be seen
        text, cover = page.locator(".answer .prose").first, page.locator(".cover-sheet")
        await expect(cover).to_contain_text("Covered: Violence")
        await expect(text).to_be_hidden()
        await expect(page.locator(".points")).to_be_hidden()
        for key in ("2", "0", "Enter", "Control+Enter"):  # nobody judges what they have not seen
            await press(page, key)
        assert await stored() == []
        await press(page, "h")
        await expect(page.locator("#help")).to_contain_text("Call us at any hour.")
        await press(page, "Escape")
        await press(page, "v")
        await expect(text).to_be_visible()
        await expect(cover).to_be_hidden()
        assert await page.evaluate(blur) == "none"
        await expect(page.locator("#spoken")).to_have_text("Uncovered")
        await press(page, "v")
        await expect(text).to_be_hidden()
        await press(page, "v")
        first = await page.get_attribute("#task", "data-key")
        await press(page, "2")
        await arrives(page, first)
        await expect(cover).to_be_visible()  # each task by itself
        second = await page.get_attribute("#task", "data-key")
        await press(page, "o")
        await arrives(page, second)
        await expect(cover).to_have_count(0)
        third = await page.get_attribute("#task", "data-key")
        await press(page, "i")
        await arrives(page, third)
        await press(page, "w")
        await expect(page.locator("#report")).to_be_visible()
        await page.keyboard.type("h")  # the list's entry by its first letter
        await press(page, "Tab")
        await page.keyboard.type("It is about 2 people.")
        await press(page, "Control+Enter")  # is no answer to the task
        await press(page, "Tab")
        await press(page, "Tab")
        await press(page, "Enter")
        await expect(page.locator("#task")).to_have_attribute("data-mode", "waiting")
        assert len(await stored()) == 1
        async with database.transaction() as session:
            kinds = dict((await session.execute(select(Skip.task_id, Skip.kind))).all())
            assert [kinds.get(one) for one in site.there.tasks] == [None, "not_this_one", "not_known", "reported"]
            said = (await session.execute(select(Report.category, Report.words))).one()
            assert (said.category, said.words.strip()) == ("hate", "It is about 2 people.")
