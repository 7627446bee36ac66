"""Screens of those who run a project, in a real browser: long lists, a phone, the keyboard, an expired sign-in."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from playwright.async_api import Browser, Page, expect
from sqlalchemy import select, text

from app import database
from app.accounts.permissions import Role
from app.accounts.tables import User
from app.tasks.tables import Task
from tests import make
from tests.browser.site import WATCH, Site, a_site

pytestmark = [pytest.mark.browser, pytest.mark.committed]


@dataclass
class Screens:
    site: Site
    page: Page
    base: str

    async def open(self, path: str) -> Page:
        await self.page.goto(self.base + path)
        return self.page


@asynccontextmanager
async def screens(browser: Browser, *, people: int = 3, width: int = 1280) -> AsyncIterator[Screens]:
    """A manager's browser, and so many others who answer."""
    async with a_site(browser, width=width, made_up=True) as site:
        async with database.transaction() as session:
            await session.execute(text("UPDATE memberships SET role = 'manager'"))
            for _number in range(people):
                await make.member(session, site.there.project, await make.user(session), Role.annotator)
        page = await site.context.new_page()
        await page.add_init_script(WATCH)
        yield Screens(site, page, f"{site.address}/projects/{site.there.project.public_id}")


async def expire(*, back: bool = False) -> None:
    """Every sign-in is over, or, back, they hold again."""
    when = "NULL" if back else "now()"
    async with database.transaction() as session:
        await session.execute(text(f"UPDATE sign_ins SET revoked_at = {when}"))


async def test_limits_that_were_typed_outlive_an_expired_sign_in(committed: str, browser: Browser) -> None:
    async with screens(browser) as there:
        page = await there.open("/annotators/quotas")
        await page.get_by_label("Limit a day of").first.fill("7")
        await expire()
        await page.get_by_role("button", name="Show what it does").click()
        await expect(page.locator("#notices")).to_contain_text("sign in")
        await expect(page.get_by_label("Limit a day of").first).to_have_value("7")
        await expire(back=True)
        await page.get_by_role("button", name="Show what it does").press("Enter")
        await expect(page.locator("#effect")).to_be_focused()  # what a keyboard or a screen reader goes on from
        await expect(page.locator("#notices")).to_be_empty()
        await expire()
        await page.get_by_role("button", name="Save").click()
        await expect(page.locator("#notices")).to_contain_text("sign in")
        await expire(back=True)
        await page.get_by_role("button", name="Save").click()
        await expect(page.locator("#notices")).to_contain_text("1 limit changed")
        await expect(page.get_by_label("Limit a day of").first).to_have_value("7")


async def test_a_message_that_was_typed_outlives_an_expired_sign_in(committed: str, browser: Browser) -> None:
    async with screens(browser) as there:
        page = await there.open("/annotators")
        await page.get_by_role("checkbox", name="Mark Person").first.check()
        await page.get_by_role("button", name="Go on").click()
        await page.get_by_label("Message").fill("Please read rule 3 again.")
        await expire()
        await page.get_by_role("button", name="Write to them").click()
        await expect(page.locator("#notices")).to_contain_text("sign in")
        await expect(page.get_by_label("Message")).to_have_value("Please read rule 3 again.")
        await expire(back=True)
        await page.get_by_role("button", name="Write to them").click()
        await expect(page.locator("#notices")).to_contain_text("Done for 1 person")


async def test_what_a_reviewer_argues_outlives_an_expired_sign_in(committed: str, browser: Browser) -> None:
    async with screens(browser) as there:
        async with database.transaction() as session:
            task = await session.scalar(select(Task.public_id).order_by(Task.id).limit(1))
        page = await there.open(f"/tasks/{task}")
        await page.get_by_role("radio", name="A better", exact=True).check()
        await page.get_by_role("button", name="Argue it").click()
        await expect(page.get_by_role("alert").first).to_contain_text("say why")  # refused, and what was chosen stays
        await expect(page.get_by_role("radio", name="A better", exact=True)).to_be_checked()
        await page.get_by_label("Why this is the answer").fill("It names the **first** fold.")
        await expire()
        await page.get_by_role("button", name="Argue it").click()
        await expect(page.locator("#notices")).to_contain_text("sign in")
        await expect(page.get_by_label("Why this is the answer")).to_have_value("It names the **first** fold.")
        await expire(back=True)
        await page.get_by_role("button", name="Argue it").click()
        await expect(page.locator("#notices")).to_contain_text("Accepted.")
        assert await page.evaluate("window.broken") == []


async def test_a_refused_form_leaves_the_page_around_it(committed: str, browser: Browser) -> None:
    """It is drawn anew in its own place: heading, tabs and the place for notices stay."""
    async with screens(browser) as there:
        page = await there.open("/settings/hand-out")
        await page.get_by_label("Where they disagree, up to").fill("1")
        await page.get_by_label("Answers per task").first.fill("2")
        await page.get_by_role("button", name="Save").first.click()
        await expect(page.get_by_role("alert")).to_contain_text("must not be less")
        await expect(page.get_by_role("heading", level=1)).to_have_text("Settings")
        assert await page.locator("main #notices").count() == 1
        page = await there.open("/pay")
        await page.get_by_label("For one person").fill("nobody of that name")
        await page.get_by_label("An answer is worth").fill("1")
        await page.get_by_role("button", name="Set the rate").click()
        await expect(page.locator("#notices")).to_contain_text("pseudonym here")
        await expect(page.get_by_label("For one person")).to_have_value("nobody of that name")
        await expect(page.get_by_role("heading", level=1)).to_have_text("Pay")
        assert await page.locator("main #notices").count() == 1


async def test_tabs_are_one_row_on_a_phone_with_the_open_one_in_sight(committed: str, browser: Browser) -> None:
    async with screens(browser, width=390) as there:
        for path in ("/review/gold", "/settings/about-you"):
            page = await there.open(path)
            row = await page.locator(".tabs").bounding_box()
            here = await page.locator(".tabs [aria-current=page]").bounding_box()
            assert row is not None
            assert here is not None
            assert row["height"] < 60
            assert row["x"] <= here["x"]
            assert here["x"] + here["width"] <= row["x"] + row["width"] + 1
            assert await page.evaluate("document.documentElement.scrollWidth") <= 390


async def test_headings_of_a_long_table_stay_in_sight_and_a_wide_one_scrolls_in_itself(
    committed: str, browser: Browser
) -> None:
    async with screens(browser, people=30) as there:
        page = await there.open("/annotators")
        top = "document.querySelector('#people thead th:last-child').getBoundingClientRect().top"
        under = "document.querySelector('.top').getBoundingClientRect().bottom"
        assert await page.evaluate(top) > 150
        await expect(page.locator("#people .table.fits")).to_have_count(1)
        await page.evaluate("window.scrollTo(0, 1200)")
        assert await page.evaluate(top) == pytest.approx(await page.evaluate(under), abs=2)
        await page.evaluate("document.querySelector('#people tbody td').style.minWidth = '1400px'")
        await expect(page.locator("#people .table.fits")).to_have_count(0)
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert await page.evaluate("window.broken") == []


async def test_focus_that_goes_up_a_long_table_stands_below_its_headings(committed: str, browser: Browser) -> None:
    async with screens(browser, people=30) as there:
        page = await there.open("/annotators")
        await expect(page.locator("#people .table.fits")).to_have_count(1)
        await page.locator("#people tbody :is(a, input, button)").last.focus()
        gap = """() => document.activeElement.closest("tbody") && document.activeElement.getBoundingClientRect().top
            - document.querySelector("#people thead th:last-child").getBoundingClientRect().bottom"""
        gaps = []
        while (found := await page.evaluate(gap)) is not None:
            gaps.append(found)
            await page.keyboard.press("Shift+Tab")
        assert len(gaps) >= 30
        assert min(gaps) >= 0


async def test_what_was_scrolled_out_of_sight_on_a_phone_stays_so_while_a_part_comes_anew(
    committed: str, browser: Browser
) -> None:
    async with screens(browser, width=390) as there:
        page = await there.open("/settings/about-you")
        after = """(where) => {
            const row = document.querySelector(".tabs");
            row.scrollLeft = 0;
            document.querySelector(where).dispatchEvent(new CustomEvent("htmx:afterSettle", { bubbles: true }));
            return row.scrollLeft;
        }"""
        assert await page.evaluate(after, "main h1") == 0  # nothing of the row came
        assert await page.evaluate(after, "main") > 0


async def test_a_remark_on_an_answer_outlives_an_expired_sign_in(committed: str, browser: Browser) -> None:
    async with screens(browser) as there:
        async with database.transaction() as session:
            task, another = await session.scalars(select(Task).order_by(Task.id).limit(2))
            theirs = await make.annotation(session, task, await make.user(session))
            person = await session.get_one(User, there.site.there.me.person.id)
            mine = await make.annotation(session, another, person)
        for path, button in (
            (f"/annotations/{theirs.public_id}", "Only say it"),
            (f"/answers/{mine.public_id}", "Send"),
        ):
            page = await there.open(path)
            remark = page.locator("#remarks textarea")
            await remark.fill("Which of the two is meant?")
            await expire()
            await page.get_by_role("button", name=button).click()
            await expect(page.locator("#notices")).to_contain_text("sign in")
            await expect(remark).to_have_value("Which of the two is meant?")
            await expire(back=True)
            await page.get_by_role("button", name=button).click()
            await expect(page.locator("#notices")).to_contain_text("Said.")
            await expect(page.locator("#remarks")).to_contain_text("Which of the two is meant?")
        assert await page.evaluate("window.broken") == []


async def test_members_are_found_by_a_part_of_their_name(committed: str, browser: Browser) -> None:
    async with screens(browser, people=60) as there:
        async with database.transaction() as session:
            person = await make.user(session, "Zoë Findable")
            await make.member(session, there.site.there.project, person, Role.annotator, pseudonym="rater-z")
        page = await there.open("/members")
        assert await page.locator("#members tbody tr").count() == 50
        await page.get_by_label("Name or pseudonym").fill("findable")
        await page.keyboard.press("Enter")
        await expect(page.locator("#members tbody tr")).to_have_count(1)
        await expect(page.locator("#members tbody tr")).to_contain_text("rater-z")
        await page.get_by_label("Name or pseudonym").fill("nobody like that")
        await page.keyboard.press("Enter")
        await expect(page.locator("#members")).to_contain_text("Nothing found")
