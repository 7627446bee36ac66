"""The annotate page in a real browser against a real server on a database that commits."""

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from playwright.async_api import Browser, Page, Route, expect
from sqlalchemy import func, select, text

from app import database
from app.accounts.passwords import hash_password
from app.accounts.tables import User
from app.annotations.tables import AnnotationVersion
from app.markup import render_markdown
from app.projects.protocols import protocol_of
from app.tasks.tables import Skip
from tests import make
from tests.app.test_markup import ATTACKS
from tests.browser.site import Site, a_site, armed, stored

pytestmark = [pytest.mark.browser, pytest.mark.committed]


@pytest.fixture
async def site(committed: str, browser: Browser) -> AsyncIterator[Site]:
    async with a_site(browser) as site:
        yield site


async def choices_now(page: Page) -> str:
    """What tells the task on the screen from another one."""
    return await page.locator("#task").get_attribute("data-key") or ""


async def wait_for_another(page: Page, old: str) -> None:
    await expect(page.locator("#task")).not_to_have_attribute("data-key", old)
    await armed(page)


async def test_the_mouse_alone_answers_and_the_next_task_stands_there(site: Site) -> None:
    page = await site.open()
    old = await choices_now(page)
    await page.get_by_role("button", name="A much better").click()
    await wait_for_another(page, old)
    await expect(page.locator("[data-state]")).to_contain_text(re.compile(r"Saved \d\d:\d\d:\d\d"))
    said = await stored()
    assert [(one.body["outcome"], one.body["strength"]) for one in said] == [("preferred", 3)]
    assert said[0].body["preferred"] == said[0].sides[0]


async def test_keys_alone_go_through_a_whole_round(site: Site) -> None:
    page = await site.open()
    for key in ("7", "0", "x"):
        old = await choices_now(page)
        await page.keyboard.press(key)
        await wait_for_another(page, old)
    old = await choices_now(page)
    await page.keyboard.press("s")
    await wait_for_another(page, old)
    said = await stored()
    assert [one.body["outcome"] for one in said] == ["preferred", "tie", "both_bad"]
    assert said[0].body["preferred"] == said[0].sides[1]
    async with database.transaction() as session:
        assert await session.scalar(select(func.count()).select_from(Skip)) == 1
    await page.keyboard.press("Shift+?")
    await expect(page.locator("#keys")).to_be_visible()
    await page.keyboard.press("1")  # a key that belongs to the page behind does nothing now
    await page.keyboard.press("Escape")
    await page.keyboard.press("g")
    await expect(page.locator("#guidelines")).to_contain_text("Be fair.")
    assert len(await stored()) == 3


async def test_a_reason_is_typed_with_digits_in_it_and_goes_along(site: Site) -> None:
    page = await site.open()
    old = await choices_now(page)
    await page.keyboard.press("r")
    await page.keyboard.type("1 of 3 facts in B is wrong; x and s too")
    await expect(page.locator("[data-state]")).to_contain_text(re.compile(r"Draft saved \d\d:\d\d:\d\d"))
    assert await stored() == []
    await page.reload()  # nothing that was typed is lost
    await expect(page.locator("[data-draft]")).to_have_value("1 of 3 facts in B is wrong; x and s too")
    await armed(page)
    await page.keyboard.press("2")
    await wait_for_another(page, old)
    assert (await stored())[0].body["justification"] == "1 of 3 facts in B is wrong; x and s too"
    await expect(page.locator("[data-draft]")).to_have_value("")


async def test_a_double_click_answers_one_task_and_not_the_next_one_as_well(site: Site) -> None:
    page = await site.open()
    old = await choices_now(page)
    box = await page.get_by_role("button", name="B better").bounding_box()
    assert box
    x, y = box["x"] + 5, box["y"] + 5
    await page.mouse.dblclick(x, y, delay=30)
    await expect(page.locator("#task")).not_to_have_attribute("data-key", old)
    await page.mouse.dblclick(x, y)  # a nervous hand, before the next task can have been read
    await armed(page)
    assert len(await stored()) == 1


async def test_a_key_that_is_held_down_answers_one_task(site: Site) -> None:
    page = await site.open()
    for _ in range(12):
        await page.keyboard.down("1")  # the second and later ones are repeats
        await page.wait_for_timeout(100)  # longer in all than the next task needs to be armed
    await page.keyboard.up("1")
    assert len(await stored()) == 1


EAGER = """() => {
  const press = () => document.body.dispatchEvent(new KeyboardEvent("keydown", { key: "2", bubbles: true }));
  const first = document.getElementById("task").dataset.key;
  new MutationObserver((_changes, watch) => {
    if (document.getElementById("task").dataset.key === first) return;
    watch.disconnect();
    window.pressed = [0, 100, 250].map((wait) => setTimeout(press, wait)).length;
  }).observe(document.body, { childList: true, subtree: true });
}"""


async def test_a_fresh_key_does_nothing_before_the_next_task_can_have_been_read(site: Site) -> None:
    page = await site.open()
    old = await choices_now(page)
    await page.evaluate(EAGER)
    await page.keyboard.press("1")
    await wait_for_another(page, old)
    assert await page.evaluate("window.pressed") == 3
    await page.wait_for_timeout(200)
    assert len(await stored()) == 1
    left = await choices_now(page)
    await page.keyboard.press("2")  # and now it does
    await wait_for_another(page, left)


async def test_going_back_changes_the_last_answer_and_returns_to_the_task(site: Site) -> None:
    page = await site.open()
    old = await choices_now(page)
    await page.keyboard.press("1")
    await wait_for_another(page, old)
    left = await choices_now(page)
    await page.keyboard.press("z")
    await expect(page.locator("h1")).to_have_text("Change your answer")
    await expect(page.locator(".point.chosen b")).to_have_text("1")
    await armed(page)
    await page.keyboard.press("6")
    await expect(page.locator("#task")).to_have_attribute("data-key", left)
    said = await stored()
    assert [(one.version, one.body["strength"]) for one in said] == [(2, 2)]
    async with database.transaction() as session:
        assert (await session.scalars(select(AnnotationVersion.version))).all() == [1]


async def test_the_browsers_back_opens_the_last_answer_and_its_history_shows_both(site: Site) -> None:
    page = await site.open()
    old = await choices_now(page)
    await page.keyboard.press("1")
    await wait_for_another(page, old)
    left = await choices_now(page)
    await page.go_back()
    await expect(page.locator("h1")).to_have_text("Change your answer")
    await page.go_forward()
    await expect(page.locator("#task")).to_have_attribute("data-key", left)
    await page.go_back()
    await expect(page.locator(".point.chosen b")).to_have_text("1")
    await armed(page)
    await page.keyboard.press("6")
    await expect(page.locator("#task")).to_have_attribute("data-key", left)
    (said,) = await stored()
    assert (said.version, said.body["strength"]) == (2, 2)
    await page.goto(f"{site.address}/projects/{site.there.project.public_id}/answers/{said.public_id}")
    await expect(page.locator("main")).to_contain_text("A much better")
    await expect(page.locator("main")).to_contain_text("B better")


async def test_the_browsers_own_back_button_never_answers_twice(site: Site) -> None:
    page = await site.open()
    old = await choices_now(page)
    await page.keyboard.press("1")
    await wait_for_another(page, old)
    await page.goto(site.address + "/static/none")
    await page.go_back()
    await expect(page.locator("#task")).to_be_visible()
    assert await choices_now(page) != old
    assert len(await stored()) == 1


async def test_while_the_server_is_away_three_changes_are_kept_and_sent_when_it_is_back(site: Site) -> None:
    page = await site.open()
    old = await choices_now(page)
    failed: list[str] = []

    async def fail(route: Route) -> None:
        failed.append(route.request.url)
        await route.abort()

    await page.route("**/annotate/**", fail)
    await page.keyboard.press("r")
    await page.keyboard.type("first thought")
    await expect(page.locator("#unsaved")).to_contain_text("Not saved yet. 1 change is kept on this computer")
    await page.keyboard.type(", second thought")
    await expect(page.locator("#unsaved")).to_contain_text("2 changes are kept")
    await page.keyboard.press("Escape")
    await armed(page)
    await page.keyboard.press("3")
    await expect(page.locator("#unsaved")).to_contain_text("3 changes are kept on this computer")
    await page.wait_for_timeout(300)
    assert len(failed) >= 3
    assert await choices_now(page) == old  # no navigation
    await expect(page.locator("[data-draft]")).to_have_value("first thought, second thought")
    assert await stored() == []
    await page.unroute("**/annotate/**")
    await expect(page.locator("#task")).not_to_have_attribute("data-key", old, timeout=20_000)  # by itself
    await expect(page.locator("#unsaved")).to_be_hidden()
    said = await stored()
    assert [one.body["justification"] for one in said] == ["first thought, second thought"]


async def test_an_answer_whose_response_was_cut_off_is_sent_again_and_kept_once(site: Site) -> None:
    page = await site.open()
    old = await choices_now(page)
    cut = []

    async def cut_once(route: Route) -> None:
        if route.request.method == "POST" and not cut:
            cut.append(await route.fetch())  # the server has committed
            await route.abort()
        else:
            await route.continue_()

    await page.route("**/annotate/**", cut_once)
    await page.keyboard.press("5")
    await wait_for_another(page, old)
    assert len(cut) == 1
    assert len(await stored()) == 1


async def test_an_answer_that_the_server_always_fails_at_is_told_of_and_does_not_hold_up_the_others(site: Site) -> None:
    page = await site.open()
    old = await choices_now(page)
    failed: list[str] = []

    async def fail(route: Route) -> None:
        failed.append(route.request.url)
        await route.fulfill(status=500, body="no")

    bad = await page.locator("[data-choices]").get_attribute("action")
    await page.route(f"**{bad}", lambda route: route.abort())
    await page.keyboard.press("3")
    await tried_again(page, 8)
    await expect(page.locator("#unsaved")).to_contain_text("1 change is kept on this computer")
    await expect(page.locator("#unsaved")).not_to_contain_text("One answer")  # no network is nobody's fault
    await page.unroute(f"**{bad}")
    await page.route(f"**{bad}", fail)
    await tried_again(page, 4)
    assert len(failed) == 4
    await page.keyboard.press("s")  # waits behind the answer, which may yet be taken
    await expect(page.locator("#unsaved")).to_contain_text("One answer has not been saved yet")
    await wait_for_another(page, old)
    assert len(failed) >= 5
    for _ in range(2):
        left = await choices_now(page)
        await page.keyboard.press("1")
        await wait_for_another(page, left)
    assert [one.body["strength"] for one in await stored()] == [3, 3]
    await page.reload()  # it is still kept, and still told of
    await expect(page.locator("#unsaved")).to_contain_text("One answer has not been saved yet")
    await page.unroute(f"**{bad}")
    await page.locator("#unsaved").get_by_role("button", name="Try now").click()
    await expect(page.locator("#unsaved")).to_be_hidden()
    assert sorted(one.body["strength"] for one in await stored()) == [1, 3, 3]


async def tried_again(page: Page, times: int) -> None:
    """Let the page send what it holds, instead of waiting until it does."""
    for _ in range(times):
        await page.wait_for_timeout(150)
        await page.evaluate("dispatchEvent(new Event('online'))")
    await page.wait_for_timeout(150)


async def test_an_answer_survives_a_reload_while_the_server_is_away(site: Site) -> None:
    page = await site.open()

    async def fail(route: Route) -> None:
        await (route.abort() if route.request.method == "POST" else route.continue_())

    await page.route("**/annotate/**", fail)
    await page.keyboard.press("4")
    await expect(page.locator("#unsaved")).to_be_visible()
    await page.reload()
    await page.unroute("**/annotate/**")
    await page.evaluate("dispatchEvent(new Event('online'))")
    for _ in range(100):
        if await stored():
            break
        await page.wait_for_timeout(50)
    assert [one.body["outcome"] for one in await stored()] == ["tie"]


async def test_two_tabs_show_one_task_and_the_second_answer_is_offered_as_a_change(site: Site) -> None:
    first, second = await site.open(), await site.open()
    assert await choices_now(first) == await choices_now(second)
    old = await choices_now(first)
    await first.bring_to_front()
    await first.keyboard.press("1")
    await wait_for_another(first, old)
    await second.bring_to_front()
    await second.keyboard.press("r")
    await second.keyboard.type("my second view")
    await second.keyboard.press("Escape")
    await second.keyboard.press("7")
    await expect(second.locator("#refusal")).to_contain_text("already carries another answer")
    await expect(second.locator("#refusal")).to_contain_text("A much better")
    await expect(second.locator("[data-draft]")).to_have_value("my second view")
    await expect(second.get_by_role("button", name="Change it to what I say now")).to_be_focused()
    await second.keyboard.press("Enter")
    await wait_for_another(second, old)
    said = await stored()
    assert [(one.version, one.body["justification"]) for one in said] == [(2, "my second view")]
    assert said[0].body["preferred"] == said[0].sides[1]


async def typed_and_signed_out(site: Site) -> tuple[Page, str]:
    """A page whose session ended while its person typed, and the key of its task."""
    page = await site.open()
    old = await choices_now(page)
    async with database.transaction() as session:
        await session.execute(text("UPDATE sign_ins SET revoked_at = now()"))
    await page.keyboard.press("r")
    await page.keyboard.type("typed before I was signed out")
    await page.keyboard.press("Escape")
    await page.keyboard.press("6")
    await expect(page.locator("#signed-out")).to_be_visible()
    assert await stored() == []
    return page, old


async def test_a_session_that_ends_in_the_middle_begins_anew_in_the_dialog_and_the_words_are_saved(site: Site) -> None:
    page, old = await typed_and_signed_out(site)
    async with database.transaction() as session:
        person = (await session.scalars(select(User).where(User.id == site.there.me.person.id))).one()
        person.password_hash = await hash_password("a long password of mine")
        address = person.email
    dialog = page.locator("#signed-out")
    await expect(dialog.get_by_label("E-mail")).to_have_value(address)
    await expect(dialog.get_by_label("Password")).to_be_focused()
    await page.keyboard.type("not this one")
    await page.keyboard.press("Enter")
    await expect(dialog.get_by_role("alert")).not_to_be_empty()
    assert await dialog.evaluate("one => one.scrollWidth <= one.clientWidth")
    await expect(page.locator("[data-draft]")).to_have_value("typed before I was signed out")
    await page.keyboard.type("a long password of mine")
    await page.keyboard.press("Enter")
    await wait_for_another(page, old)
    await expect(dialog).to_be_hidden()
    assert [one.body["justification"] for one in await stored()] == ["typed before I was signed out"]


async def test_whoever_signs_in_elsewhere_has_the_words_saved_without_a_click(site: Site) -> None:
    page, old = await typed_and_signed_out(site)
    async with database.transaction() as session:  # signing in, in another tab
        person = (await session.scalars(select(User).where(User.id == site.there.me.person.id))).one()
        cookie = await make.sign_in(session, person)
    await site.context.add_cookies([{"name": "hone_session", "value": cookie, "url": site.address}])
    await wait_for_another(page, old)
    await expect(page.locator("#signed-out")).to_be_hidden()
    assert [one.body["justification"] for one in await stored()] == ["typed before I was signed out"]


async def test_a_failed_draft_is_never_shown_as_saved_and_the_answer_still_goes(site: Site) -> None:
    page = await site.open()
    old = await choices_now(page)
    statuses = [503, 500, 422, 422]
    sent: list[int] = []

    async def refuse(route: Route) -> None:
        sent.append(statuses[len(sent)])
        await route.fulfill(status=sent[-1], body="no", headers={"X-Request-Id": "1"})

    await page.route("**/draft", refuse)
    await page.keyboard.press("r")
    await page.keyboard.type("some words")
    await expect(page.locator("#unsaved")).to_contain_text("Not saved yet")
    while len(sent) < 3:
        await page.evaluate("dispatchEvent(new Event('online'))")
        await page.wait_for_timeout(50)
    assert "saved" not in (await page.locator("[data-state]").inner_text()).lower()
    await page.keyboard.press("Escape")
    await page.keyboard.press("2")
    await wait_for_another(page, old)
    assert [one.body["justification"] for one in await stored()] == ["some words"]


async def test_what_a_completion_says_is_inert_and_stays_in_its_box(site: Site) -> None:
    async with database.transaction() as session:
        strange = "\u202e" * 3 + "w" * 5000 + "\u0301" * 3000
        html = "".join(map(render_markdown, ATTACKS)) + f"<p>{strange}</p>"
        await session.execute(text("UPDATE completions SET html = :html"), {"html": html})
    page = await site.open()
    await page.wait_for_timeout(300)
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    width = await page.locator(".answer").first.bounding_box()
    assert width
    assert width["width"] < 620
    await page.keyboard.press("1")
    await expect(page.locator("[data-state]")).to_contain_text("Saved")


async def test_the_clock_of_the_browser_does_not_matter(site: Site) -> None:
    page = await site.context.new_page()
    await page.clock.set_fixed_time("2031-02-29T00:00:00Z")
    await page.goto(site.page_address)
    await armed(page)
    await page.keyboard.press("1")
    await expect(page.locator("[data-state]")).to_contain_text("Saved")
    async with database.transaction() as session:
        assert await session.scalar(text("SELECT max(day) = CAST(now() AS date) FROM quota_days"))


async def test_on_a_phone_the_answers_are_stacked_and_every_choice_can_be_hit(committed: str, browser: Browser) -> None:
    nine = protocol_of({"scale": 9, "neither_valid": True}).as_json()
    async with a_site(browser, width=390, height=844, protocol=nine) as site:
        await can_be_hit(site)


async def can_be_hit(site: Site) -> None:
    page = await site.open()
    assert await page.locator(".point").count() == 9
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    first, second = [await one.bounding_box() for one in await page.locator(".answer").all()]
    assert first
    assert second
    assert first["y"] + first["height"] <= second["y"]
    for button in await page.locator("#task :is([data-press], [data-skip]):visible").all():
        box: Any = await button.bounding_box()
        assert box["height"] >= 40
        assert box["width"] >= 40
    old = await choices_now(page)
    await page.locator("[data-press='1']").click()
    await expect(page.locator("#task")).not_to_have_attribute("data-key", old)


async def test_a_page_that_waits_shows_the_next_task_by_itself(site: Site) -> None:
    async with database.transaction() as session:
        await session.execute(text("UPDATE slots SET state = 3"))
        checkpoint = await make.checkpoint(session)
        await session.execute(
            text("INSERT INTO generations (project_id, checkpoint_id, n, sampling, seed, wanted) "
                 "VALUES (:project, :checkpoint, 2, '{}', 1, 8)"),
            {"project": site.there.project.id, "checkpoint": checkpoint.id},
        )  # fmt: skip
    page = await site.open()
    await expect(page.locator("#task")).to_contain_text("being written")
    async with database.transaction() as session:
        await session.execute(text("UPDATE slots SET state = 0"))
    await expect(page.locator("#task")).to_have_attribute("data-mode", "task", timeout=8000)
    await armed(page)
    await page.keyboard.press("1")
    await expect(page.locator("[data-state]")).to_contain_text("Saved")
