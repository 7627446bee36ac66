"""What was said while the network was cut, in two tabs of one browser; and what was typed on two devices."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from playwright.async_api import Browser, Page, Response, Route, expect
from sqlalchemy import select, text

from app import database
from app.accounts.permissions import Role
from app.accounts.tables import User
from app.annotations.actions import submit
from app.annotations.tables import Annotation
from app.tasks.tables import Slot
from tests import make
from tests.app.scene import claimed, let_leases_run_out, prefers, sweep_all
from tests.browser.site import Site, a_site, armed, stored

pytestmark = [pytest.mark.browser, pytest.mark.committed]
UNSENT = (
    "Object.keys(localStorage).filter((key) => key.startsWith('hone.outbox')).map((key) => localStorage.getItem(key))"
)


@pytest.fixture
async def site(committed: str, browser: Browser) -> AsyncIterator[Site]:
    async with a_site(browser) as site:
        yield site


async def key_of(page: Page) -> str:
    return await page.locator("#task").get_attribute("data-key") or ""


async def press(page: Page, key: str) -> None:
    await page.bring_to_front()
    await armed(page)
    await page.keyboard.press(key)


async def type_reason(page: Page, words: str) -> None:
    """At the end of what stands there; the page takes half a second until it sends it."""
    await page.bring_to_front()
    if not await page.locator("[data-draft]").is_visible():
        await page.keyboard.press("r")
    await page.locator("[data-draft]").press("End")
    await page.keyboard.type(words)


async def all_stored(page: Page, count: int) -> list[Annotation]:
    for _ in range(100):
        said = await stored()
        if len(said) >= count and not await page.evaluate(UNSENT):
            return said
        await page.wait_for_timeout(50)
    raise AssertionError((len(await stored()), await page.evaluate(UNSENT)))


async def draft() -> str:
    async with database.transaction() as session:
        found: Any = await session.scalar(text("SELECT body->>'justification' FROM drafts"))
        return str(found)


async def cookie_of(site: Site, *, is_me: bool) -> None:
    """Another tab of this browser signs somebody in: me, or somebody else who answers here as well."""
    async with database.transaction() as session:
        person = await session.get_one(User, site.there.me.person.id) if is_me else await make.user(session)
        if not is_me:
            await make.member(session, site.there.project, person, Role.annotator)
        cookie = await make.sign_in(session, person)
    await site.context.add_cookies([{"name": "hone_session", "value": cookie, "url": site.address}])


async def test_words_never_go_as_somebody_elses_who_signed_in_meanwhile(site: Site) -> None:
    """They wait on this computer until their writer is back; and who came instead is shown no task of theirs."""
    page = await site.open()
    await type_reason(page, "my own reason")
    await page.keyboard.press("Escape")
    await cookie_of(site, is_me=False)
    old = await key_of(page)
    await press(page, "1")
    await expect(page.locator("#signed-out")).to_be_visible()
    await page.locator("#signed-out [data-try-now]").click()
    await expect(page.locator("#signed-out")).to_be_visible()
    assert await stored() == []
    assert "my+own+reason" in "".join(await page.evaluate(UNSENT))
    assert await key_of(page) == old
    async with database.transaction() as session:
        assert (await session.scalars(select(Slot.annotator_id).where(Slot.state == 1))).all() == [
            site.there.me.person.id
        ]
    await cookie_of(site, is_me=True)
    await page.locator("#signed-out [data-try-now]").click()
    said = await all_stored(page, 1)
    assert [(one.annotator_id, one.body["justification"]) for one in said] == [
        (site.there.me.person.id, "my own reason")
    ]


async def test_the_word_of_a_proxy_is_not_the_servers(site: Site) -> None:
    """A 404 of whatever stands before the server while it starts anew, or a portal's page, takes no words away."""
    page = await site.open()
    old = await key_of(page)
    words = iter([(404, "no such backend"), (200, "<h1>Welcome to our network</h1>")])

    async def portal(route: Route) -> None:
        told = next(words, None)
        await (route.fulfill(status=told[0], body=told[1]) if told else route.continue_())

    await page.route("**/annotate/*", portal)
    await press(page, "1")
    await expect(page.locator("#task")).not_to_have_attribute("data-key", old)
    assert len(await all_stored(page, 1)) == 1
    assert next(words, None) is None


async def test_what_two_tabs_said_without_a_network_is_all_kept_and_sent_after_both_are_closed(site: Site) -> None:
    first = await site.open()
    old = await key_of(first)
    await press(first, "1")
    await expect(first.locator("#task")).not_to_have_attribute("data-key", old)
    second = await site.open()
    await press(second, "z")
    await expect(second.locator("h1")).to_have_text("Change your answer")
    await site.context.set_offline(True)
    await press(first, "7")
    await expect(first.locator("#unsaved")).to_contain_text("1 change is kept on this computer")
    await press(second, "6")
    await expect(second.locator("#unsaved")).to_contain_text("1 change is kept on this computer")
    assert len(await second.evaluate(UNSENT)) == 2
    await first.close()
    await second.close()
    await site.context.set_offline(False)
    said = await all_stored(await site.open(), 2)
    assert [(one.version, one.body["strength"]) for one in said] == [(2, 2), (1, 3)]


async def test_a_living_tab_sends_what_a_closed_one_left_and_each_entry_goes_once(site: Site) -> None:
    first, second = await site.open(), await site.open()
    old = await key_of(second)
    sent: list[str] = []

    def note(response: Response) -> None:
        if response.request.method == "POST":
            sent.append(response.url)

    await site.context.set_offline(True)
    await press(first, "1")
    await expect(first.locator("#unsaved")).to_be_visible()
    site.context.on("response", note)
    await first.route("**/annotate/**", lambda route: route.abort())
    await site.context.set_offline(False)
    await second.bring_to_front()
    await second.wait_for_timeout(300)
    assert not sent  # it belongs to a tab that lives
    await first.close()
    await expect(second.locator("#task")).not_to_have_attribute("data-key", old)
    assert len(await all_stored(second, 1)) == 1
    assert len(sent) == 1


async def test_two_answers_of_two_tabs_to_one_task_are_both_there_until_a_person_chooses(site: Site) -> None:
    first, second = await site.open(), await site.open()
    await site.context.set_offline(True)
    await press(first, "1")
    await press(second, "7")
    await expect(second.locator("#unsaved")).to_be_visible()
    assert len(await second.evaluate(UNSENT)) == 2
    await second.route("**/annotate/**", lambda route: route.abort())  # the first is the first
    await site.context.set_offline(False)
    await first.evaluate("dispatchEvent(new Event('online'))")
    await expect(first.locator("[data-state]")).to_contain_text("Saved")
    await second.unroute("**/annotate/**")
    await second.evaluate("dispatchEvent(new Event('online'))")
    await expect(second.locator("#refusal")).to_contain_text("already carries another answer")
    assert len(await all_stored(second, 1)) == 1


async def test_an_answer_whose_place_went_to_somebody_else_while_the_network_was_cut_is_kept_beside_theirs(
    committed: str, browser: Browser
) -> None:
    async with a_site(browser, people=2, tasks=2) as site:
        page = await site.open()
        old = await key_of(page)
        await site.context.set_offline(True)
        await press(page, "1")
        await expect(page.locator("#unsaved")).to_be_visible()
        async with database.transaction() as session:
            await let_leases_run_out(session)
            await sweep_all(session)
            theirs, there = site.there.people[1], site.there
            shown = await claimed(session, theirs)
            await submit(session, there.project.id, theirs.person.id, shown.task, shown.key, prefers(shown))
        await site.context.set_offline(False)
        await expect(page.locator("[data-state]")).to_contain_text("Saved (extra)")
        await expect(page.locator("#task")).not_to_have_attribute("data-key", old)
        assert [one.state.value for one in await stored()] == ["live", "surplus"]


@pytest.mark.parametrize("locks", [True, False])
async def test_what_earlier_pages_kept_in_one_list_is_taken_over(site: Site, locks: bool) -> None:
    if not locks:  # as over plain http
        await site.context.add_init_script("Object.defineProperty(navigator, 'locks', { value: undefined })")
    page = await site.open()
    key = await key_of(page)
    await site.context.set_offline(True)
    await press(page, "4")
    await expect(page.locator("#unsaved")).to_be_visible()
    await page.evaluate(
        """() => {
        const [item] = Object.keys(localStorage).filter((key) => key.startsWith("hone.outbox"));
        const { page, ...entry } = JSON.parse(localStorage.getItem(item));
        localStorage.clear();
        localStorage.setItem(item.split("/")[0], JSON.stringify([entry]));
        }"""
    )
    await page.goto("about:blank")
    await site.context.set_offline(False)
    again = await site.open()
    assert [one.body["outcome"] for one in await all_stored(again, 1)] == ["tie"]
    assert await key_of(again) != key


async def test_without_locks_a_reload_still_sends_what_was_kept(site: Site) -> None:
    await site.context.add_init_script("Object.defineProperty(navigator, 'locks', { value: undefined })")
    page = await site.open()

    async def fail(route: Route) -> None:
        await (route.abort() if route.request.method == "POST" else route.continue_())

    await page.route("**/annotate/**", fail)
    await press(page, "4")
    await expect(page.locator("#unsaved")).to_be_visible()
    await page.reload()
    await page.unroute("**/annotate/**")
    await page.evaluate("dispatchEvent(new Event('online'))")
    assert [one.body["outcome"] for one in await all_stored(page, 1)] == ["tie"]


async def test_a_clock_that_is_ahead_never_keeps_the_words_of_another_device_out(site: Site) -> None:
    ahead = await site.context.new_page()
    await ahead.clock.set_fixed_time("2031-02-28T00:00:00Z")
    await ahead.goto(site.page_address)
    await type_reason(ahead, "from the fast one")
    await expect(ahead.locator("[data-state]")).to_contain_text("Draft saved")
    await ahead.close()
    page = await site.open()
    await expect(page.locator("[data-draft]")).to_have_value("from the fast one")
    await type_reason(page, ", and more")
    await expect(page.locator("[data-state]")).to_contain_text("Draft saved")
    assert await draft() == "from the fast one, and more"


async def drafted(page: Page, words: str) -> None:
    for _ in range(100):
        if await draft() == words:
            return
        await page.wait_for_timeout(50)
    assert await draft() == words


async def with_other_words(site: Site) -> tuple[Page, Page]:
    """Two pages with one task; the second has typed over words that it did not know of."""
    first, second = await site.open(), await site.open()
    await type_reason(first, "typed on the first")
    await expect(first.locator("[data-state]")).to_contain_text("Draft saved")
    await type_reason(second, "typed on the second")
    await expect(second.locator("#other-words")).to_contain_text("typed on the first")
    await expect(second.locator("[data-draft]")).to_have_value("typed on the second")
    await expect(second.locator("[data-state]")).not_to_contain_text("Draft saved")
    assert await draft() == "typed on the first"
    return first, second


@pytest.mark.parametrize(
    ("button", "left"), [("Keep what stands below", "typed on the second"), ("Take this instead", "typed on the first")]
)
async def test_words_of_two_devices_are_both_offered(site: Site, button: str, left: str) -> None:
    _, second = await with_other_words(site)
    await second.get_by_role("button", name=button).click()
    await expect(second.locator("#other-words")).to_be_hidden()
    await expect(second.locator("[data-draft]")).to_have_value(left)
    await expect(second.locator("[data-state]")).to_contain_text("Draft saved")
    assert await draft() == left
    await type_reason(second, ", and on")
    await drafted(second, f"{left}, and on")
    await press_and_leave(second, left + ", and on")


async def press_and_leave(page: Page, words: str) -> None:
    await page.keyboard.press("Escape")
    await press(page, "1")
    assert [one.body["justification"] for one in await all_stored(page, 1)] == [words]


async def test_words_that_are_not_chosen_yet_outlive_a_reload(site: Site) -> None:
    _, second = await with_other_words(site)
    assert [json.loads(json.loads(one)["body"])["body"] for one in await second.evaluate(UNSENT)] == [
        {"justification": "typed on the second"}
    ]
    for _again in range(2):
        await second.reload()
        await expect(second.locator("[data-draft]")).to_have_value("typed on the first")
        await expect(second.locator("#other-words")).to_contain_text("typed on the second")
        await second.wait_for_load_state("networkidle")  # what was left is sent once more, and is not taken
    await second.get_by_role("button", name="Take this instead").click()
    await expect(second.locator("[data-state]")).to_contain_text("Draft saved")
    assert await draft() == "typed on the second"
    assert await second.evaluate(UNSENT) == []


async def test_words_of_a_closed_tab_are_offered_in_the_one_that_is_left(site: Site) -> None:
    first, second = await with_other_words(site)
    await second.close()
    await expect(first.locator("#other-words")).to_contain_text("typed on the second")
    await first.bring_to_front()
    await type_reason(first, ", and on")  # whatever is typed before a person has chosen, both stay
    await first.reload()
    await expect(first.locator("[data-draft]")).to_have_value("typed on the first, and on")
    await expect(first.locator("#other-words")).to_contain_text("typed on the second")
    await first.get_by_role("button", name="Take this instead").click()
    await drafted(first, "typed on the second")
    await expect(first.locator("[data-state]")).to_contain_text("Draft saved")
    assert await first.evaluate(UNSENT) == []


async def test_a_page_on_which_nothing_was_typed_takes_what_was_typed_elsewhere(site: Site) -> None:
    first, second = await site.open(), await site.open()
    await type_reason(first, "typed on the first")
    await expect(first.locator("[data-state]")).to_contain_text("Draft saved")
    await second.locator("[data-draft]").dispatch_event("input")
    await expect(second.locator("[data-draft]")).to_have_value("typed on the first")
    await expect(second.locator("#other-words")).to_be_hidden()


async def test_what_is_typed_just_before_a_click_on_back_is_there_again(site: Site) -> None:
    page = await site.open()
    await press(page, "1")
    await expect(page.locator("[data-state]")).to_contain_text("Saved")
    await armed(page)
    await type_reason(page, "in a hurry")
    await page.locator("[data-back]").click()
    await expect(page.locator("h1")).to_have_text("Change your answer")
    await page.locator("[data-forward]").click()
    await expect(page.locator("[data-draft]")).to_have_value("in a hurry")
    assert await draft() == "in a hurry"


async def test_after_an_hour_asleep_the_words_are_there_and_are_sent(site: Site) -> None:
    """The computer was closed: nothing in the page ran, its lease is over, and its place is free for others again."""
    page = await site.open()
    old = await key_of(page)
    await type_reason(page, "Typed before noon")
    sleep = await site.context.new_cdp_session(page)
    await sleep.send("Page.setWebLifecycleState", {"state": "frozen"})
    async with database.transaction() as session:
        await let_leases_run_out(session)
        assert await sweep_all(session) == 1
    await sleep.send("Page.setWebLifecycleState", {"state": "active"})
    await expect(page.locator("[data-draft]")).to_have_value("Typed before noon")
    await type_reason(page, ", and after")
    await page.keyboard.press("Escape")
    await press(page, "1")
    await expect(page.locator("#task")).not_to_have_attribute("data-key", old)
    (said,) = await all_stored(page, 1)
    assert (said.state.value, said.body["justification"]) == ("live", "Typed before noon, and after")


async def test_a_task_is_skipped_by_key_with_a_reason(site: Site) -> None:
    page = await site.open()
    old = await key_of(page)
    await type_reason(page, "Both are about another town")
    await page.keyboard.press("Escape")
    await press(page, "s")
    await expect(page.locator("#task")).not_to_have_attribute("data-key", old)
    async with database.transaction() as session:
        told = list(await session.scalars(text("SELECT reason FROM skips")))
    assert told == ["Both are about another town"]
