"""A reviewer goes through a queue by keys alone."""

import pytest
from playwright.async_api import Browser, expect
from sqlalchemy import select

from app import database
from app.accounts.tables import User
from app.projects.queries import default_batch
from app.projects.tables import Project
from app.quality.tables import Adjudication
from tests import make
from tests.browser.site import WATCH, a_site

pytestmark = [pytest.mark.browser, pytest.mark.committed]


async def test_a_queue_is_gone_through_by_keys_alone(committed: str, browser: Browser) -> None:
    async with a_site(browser, made_up=True) as site:
        async with database.transaction() as session:
            project = await session.get_one(Project, site.there.project.id)
            me = await session.get_one(User, site.there.me.person.id)
            me.is_admin = True
            people = [await make.user(session) for _n in range(2)]
            for _n in range(2):
                task = await make.task(session, project, await default_batch(session, project.id), k=2)
                said = [await make.annotation(session, task, person, side) for side, person in enumerate(people)]
        page = await site.context.new_page()
        await page.add_init_script(WATCH)
        base = f"{site.address}/projects/{site.there.project.public_id}"
        await page.goto(f"{base}/tasks/{task.public_id}?queue=disagreements")
        await page.keyboard.press("j")
        await expect(page.locator("[data-answer]").nth(0)).to_be_focused()
        await page.keyboard.press("j")
        await page.keyboard.press("r")
        await page.keyboard.type("a c n")  # what is typed is no key
        await page.keyboard.press("Escape")
        await expect(page.locator("[data-answer]").nth(1)).to_be_focused()
        await page.keyboard.press("a")
        await page.wait_for_url(lambda address: str(task.public_id) not in address)
        await page.keyboard.press("c")
        await expect(page.locator("#own input[type=radio]").first).to_be_focused()
        await page.keyboard.press("n")
        await page.wait_for_url("**/review?queue=disagreements")
        assert await page.evaluate("window.broken") == []
        async with database.transaction() as session:
            assert [one.annotation_id for one in await session.scalars(select(Adjudication))] == [said[1].id]
