"""Deciding on the annotate page in a real browser: a person's own keys, Enter as a setting, criteria, active time."""

import json
from typing import Any
from urllib.parse import parse_qs

import pytest
from playwright.async_api import Browser, expect
from sqlalchemy import text

from app import database
from app.projects.protocols import protocol_of
from tests.browser.fitting import fits
from tests.browser.site import Site, a_site, armed, stored
from tests.browser.test_frame import answer

pytestmark = [pytest.mark.browser, pytest.mark.committed]


async def prefers(site: Site, **chosen: Any) -> None:
    async with database.transaction() as session:
        values = {"id": site.there.me.person.id, "chosen": json.dumps(chosen)}
        await session.execute(text("UPDATE users SET preferences = CAST(:chosen AS jsonb) WHERE id = :id"), values)


async def test_a_persons_own_keys_decide_and_stand_on_the_buttons(committed: str, browser: Browser) -> None:
    async with a_site(browser) as site:
        page = await site.open()
        await page.goto(site.address + "/account/keys")
        await page.get_by_label("choice 1 of").focus()
        await page.keyboard.press("s")  # which skips
        await expect(page.locator("[data-conflict]")).to_contain_text("“S” would do two things: “choice 1")
        await page.keyboard.press("j")
        await expect(page.locator("[data-conflict]")).to_be_hidden()
        await page.get_by_role("button", name="Save").click()
        await expect(page.get_by_text("Saved.")).to_be_visible()
        await page.goto(site.page_address)
        await armed(page)
        await expect(page.locator(".point b").first).to_have_text("J")
        old = await page.locator("#task").get_attribute("data-key") or ""
        await page.keyboard.press("1")  # is nobody's key now
        await page.wait_for_timeout(300)
        await expect(page.locator("#task")).to_have_attribute("data-key", old)
        await answer(page, "j")
        assert [one.body["strength"] for one in await stored()] == [3]


async def test_choose_first_and_send_with_enter_is_a_setting(committed: str, browser: Browser) -> None:
    async with a_site(browser) as site:
        await prefers(site, confirms=True)
        page = await site.open()
        await page.keyboard.press("1")
        await page.keyboard.press("6")
        await page.wait_for_timeout(300)
        assert await stored() == []
        await answer(page, "Enter")
        assert [one.body["strength"] for one in await stored()] == [2]


async def test_sides_by_criterion_cost_a_key_each_and_one_decides(committed: str, browser: Browser) -> None:
    criteria = [
        {"key": key, "label": key.title(), "required": key != "honest"} for key in ("helpful", "honest", "harmless")
    ]
    async with a_site(browser, protocol=protocol_of({"criteria": criteria, "neither_valid": True}).as_json()) as site:
        page = await site.open()
        assert await page.locator("input:checked").count() == 0
        await answer(page, "1", "2", "b", "7")
        await page.keyboard.press("1")
        await page.keyboard.press("ArrowDown")
        await page.keyboard.press("ArrowDown")
        await page.keyboard.press("5")  # while the third is open
        await page.wait_for_timeout(200)
        assert len(await stored()) == 1
        await expect(page.locator(".marked legend")).to_contain_text("Harmless")
        await answer(page, "0", "Enter")
        await answer(page, "n")  # neither is an answer: nothing to compare
        said = [(one.body.get("criteria", {}), one.body["outcome"], one.sides) for one in await stored()]
        (first, _outcome, sides), (second, _same, other), (third, outcome, _sides) = said
        assert first == {"helpful": sides[0], "honest": "equal", "harmless": sides[1]}
        assert second == {"helpful": other[0], "harmless": "equal"}
        assert (third, outcome) == ({}, "neither_valid")
        await fits(site, page)


async def test_time_counts_while_the_page_is_seen_and_somebody_is_there(committed: str, browser: Browser) -> None:
    async with a_site(browser) as site:
        page = await site.open()
        await page.mouse.move(5, 5)
        await page.wait_for_timeout(600)
        hidden = "Object.defineProperty(document, 'visibilityState', { value: '%s', configurable: true })"
        await page.evaluate(hidden % "hidden" + "; document.dispatchEvent(new Event('visibilitychange'))")
        await page.wait_for_timeout(1500)
        await page.evaluate(hidden % "visible" + "; document.dispatchEvent(new Event('visibilitychange'))")
        await page.wait_for_timeout(100)
        await answer(page, "1")
        (said,) = await stored()
        assert said.shown_at
        assert said.active_seconds
        wall = (said.submitted_at - said.shown_at).total_seconds()
        assert 1.0 < said.active_seconds <= wall - 1.4
        await page.close()
        await somebody_is_away(site)


async def somebody_is_away(site: Site) -> None:
    """Two hours without a sign of a hand count as the half minute that reading may take without one."""
    page = await site.context.new_page()
    await page.clock.install()
    await page.goto(site.page_address)
    await armed(page)
    sent: list[str] = []
    page.on("request", lambda one: sent.append(one.post_data or "") if one.method == "POST" else None)
    await page.keyboard.press("Shift")
    await page.clock.fast_forward("02:00:00")
    await answer(page, "1")
    (active,) = [float(one) for body in sent for one in parse_qs(body).get("active", [])]
    assert 30 <= active < 45


async def test_whoever_wants_less_motion_has_none(committed: str, browser: Browser) -> None:
    names = "() => getComputedStyle(document.querySelector('.judged')).animationName"
    lasts = "() => getComputedStyle(document.querySelector('#task .button')).transitionDuration"
    async with a_site(browser) as site:
        page = await site.open()
        assert await page.evaluate(names) != "none"
        assert await page.evaluate(lasts) != "0s"
        await page.emulate_media(reduced_motion="reduce")
        await page.keyboard.press("1")
        await page.locator("[data-saved]").wait_for()
        assert await page.evaluate("document.getAnimations().length") == 0
        assert await page.evaluate(names) == "none"
        assert await page.evaluate(lasts) == "0s"


async def test_what_is_chosen_shows_without_colours(committed: str, browser: Browser) -> None:
    async with a_site(browser, options={"forced_colors": "active"}) as site:
        await prefers(site, confirms=True)
        page = await site.open()
        await page.keyboard.press("1")
        drawn = "(all) => all.map((one) => getComputedStyle(one).outlineStyle)"
        styles = await page.locator(".point").evaluate_all(drawn)
        assert [style == "solid" for style in styles] == [True, *[False] * (len(styles) - 1)]
