"""One full task of each kind by keys alone, by mouse and by touch, in a real browser."""

import os
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from app.projects.presets import PRESETS
from app.projects.protocols import protocol_of
from tests.browser.fitting import fits
from tests.browser.site import Site, a_site, armed, stored

pytestmark = [pytest.mark.browser, pytest.mark.committed]
PICTURES = os.environ.get("HONE_PICTURES")  # a folder to look at what the pages look like

GRADED = ("helpfulness", "correctness", "coherence")
HELPSTEER = {
    "kind": "rating",
    "completions": 2,
    "criteria": [
        {"key": key, "label": key.title(), "scale": "grade", "low": "not at all", "high": "fully"} for key in GRADED
    ],
}
MIXED = {
    "kind": "rating",
    "completions": 1,
    "criteria": [
        {"key": "quality", "label": "Overall quality", "low": "terrible", "high": "great", "hint": "As a whole."},
        {"key": "appeal", "label": "Appeal", "scale": "slider", "low": "dull", "high": "lovely"},
        {"key": "rule", "label": "Keeps to the house rules", "scale": "yes_no"},
        {"key": "style", "label": "Style", "points": 10, "required": False},
    ],
    "flags": [{"key": "harm", "label": "Gives harmful advice"}, {"key": "opinion", "label": "Expresses an opinion"}],
}
PROTOCOLS: dict[str, tuple[int, dict[str, Any]]] = {
    "best": (3, {"kind": "comparison", "completions": 3}),
    "best_and_worst": (4, {"kind": "comparison", "completions": 4, "choose": "best_and_worst"}),
    "ranking": (4, {"kind": "ranking"}),
    "ranking_of_nine": (9, {"kind": "ranking", "completions": 9}),
    "rating": (2, HELPSTEER),
    "rating_of_one": (1, MIXED),
    "combined": (3, {"kind": "combined", "completions": 3, "parts": [MIXED | {"completions": 3}, {"kind": "ranking"}]}),
}
PROTOCOLS["combined"][1]["parts"][1]["completions"] = 3


def asking(name: str) -> dict[str, Any]:
    shows, protocol = PROTOCOLS[name]
    return {"shows": shows, "protocol": protocol_of(protocol).as_json(), "tasks": 3}


async def bodies() -> list[dict[str, Any]]:
    return [one.body for one in await stored()]


async def press(page: Page, *keys: str) -> None:
    for key in keys:
        await page.keyboard.press(key)


async def answered(page: Page, old: str) -> None:
    await expect(page.locator("#task")).not_to_have_attribute("data-key", old)
    await armed(page)


async def key_of(page: Page) -> str:
    return await page.locator("#task").get_attribute("data-key") or ""


async def numbers_on_screen(nth: int = 0) -> list[int]:
    return (await stored())[nth].sides


async def test_the_best_of_three_is_one_key(committed: str, browser: Browser) -> None:
    async with a_site(browser, **asking("best")) as site:
        page = await site.open()
        old = await key_of(page)
        await press(page, "2")
        await answered(page, old)
        (body,) = await bodies()
        assert (body["outcome"], body["worst"], body["strength"]) == ("preferred", None, None)
        assert body["preferred"] == (await numbers_on_screen())[1]
        old = await key_of(page)
        await press(page, "x")
        await answered(page, old)
        assert (await bodies())[1]["outcome"] == "both_bad"


async def test_best_and_worst_are_three_keys_and_are_never_the_same(committed: str, browser: Browser) -> None:
    async with a_site(browser, **asking("best_and_worst")) as site:
        page = await site.open()
        old = await key_of(page)
        await press(page, "Enter")
        await expect(page.locator("[data-missing]")).to_contain_text("Still open: Best, Worst")
        await press(page, "3", "3")  # the worst cannot be the best: the newer word holds, the best is open again
        await expect(page.locator("[aria-current=step]")).to_contain_text("Best")
        await press(page, "1", "Enter")
        await answered(page, old)
        (body,) = await bodies()
        sides = await numbers_on_screen()
        assert (body["preferred"], body["worst"]) == (sides[0], sides[2])
        await press(page, "z")
        await expect(page.locator("h1")).to_have_text("Change your answer")
        await expect(page.locator(".step.said")).to_have_count(2)


async def test_a_ranking_takes_a_key_an_answer_and_enter(committed: str, browser: Browser) -> None:
    async with a_site(browser, **asking("ranking")) as site:
        page = await site.open()
        old = await key_of(page)
        await press(page, "2", "1", "4", "2", "Enter")
        await answered(page, old)
        sides = await numbers_on_screen()
        (body,) = await bodies()
        assert body["tiers"] == [[sides[1]], sorted([sides[0], sides[3]]), [sides[2]]]
        old = await key_of(page)
        await press(page, "n", "Enter")
        await answered(page, old)
        assert (await bodies())[1]["outcome"] == "not_rankable"
        await press(page, "z")
        await expect(page.locator("[data-no-order]")).to_be_checked()
        await press(page, "z")  # the one before the last
        await expect(page.locator(".tier[data-tier='2'] .chip")).to_have_text(["A", "D"])


async def test_an_untouched_order_is_asked_about_once(committed: str, browser: Browser) -> None:
    async with a_site(browser, **asking("ranking")) as site:
        page = await site.open()
        old = await key_of(page)
        await press(page, "Enter")
        await expect(page.locator("[data-missing]")).to_contain_text("Press Enter again if A › B › C › D")
        assert await bodies() == []
        await press(page, "Enter")
        await answered(page, old)
        (body,) = await bodies()
        assert body["tiers"] == [[number] for number in await numbers_on_screen()]


async def test_half_an_order_is_kept_as_a_draft_and_what_is_missing_is_named(committed: str, browser: Browser) -> None:
    async with a_site(browser, **asking("ranking")) as site:
        page = await site.open()
        await press(page, "1", "1", "Enter")
        await expect(page.locator("[data-missing]")).to_contain_text("Still without a place: C, D")
        await expect(page.locator("[data-state]")).to_contain_text(re.compile(r"Draft saved"))
        await page.reload()
        await expect(page.locator(".tier[data-tier='1'] .chip")).to_have_text(["A", "B"])
        await armed(page)
        old = await key_of(page)
        await press(page, "ArrowDown", "ArrowDown", "ArrowRight", "4", "Enter")  # C: first, then second; D: fourth
        await answered(page, old)
        sides = await numbers_on_screen()
        assert (await bodies())[0]["tiers"] == [sorted(sides[:2]), [sides[2]], [sides[3]]]


async def test_a_ranking_is_dragged_by_mouse(committed: str, browser: Browser) -> None:
    async with a_site(browser, **asking("ranking")) as site:
        page = await site.open()
        for letter, tier in (("A", 3), ("B", 1), ("C", 1), ("D", 2)):
            chip = await page.locator(".chip", has_text=letter).bounding_box()
            place = await page.locator(f".tier[data-tier='{tier}']").bounding_box()
            assert chip
            assert place
            await page.mouse.move(chip["x"] + 10, chip["y"] + 10)
            await page.mouse.down()
            await page.mouse.move(place["x"] + 20, place["y"] + 20, steps=4)
            await page.mouse.up()
        old = await key_of(page)
        await page.locator("[data-submit]").click()
        await answered(page, old)
        a, b, c, d = await numbers_on_screen()
        assert (await bodies())[0]["tiers"] == [sorted([b, c]), [d], [a]]


async def test_a_ranking_is_tapped_and_dragged_by_touch(committed: str, browser: Browser) -> None:
    touch = {"has_touch": True, "is_mobile": True}
    async with a_site(browser, width=390, height=844, options=touch, **asking("ranking")) as site:
        page = await site.open()
        row = (await page.locator(".task-top").bounding_box() or {}).get("height")
        for letter, tier in (("A", 1), ("B", 2), ("C", 3)):
            await page.locator(".chip", has_text=letter).tap()
            await page.locator(f".tier[data-tier='{tier}']").tap(position={"x": 8, "y": 8})
        finger = await site.context.new_cdp_session(page)
        chip = await page.locator(".chip", has_text="D").bounding_box()
        place = await page.locator(".tier[data-tier='3']").bounding_box()
        assert chip
        assert place
        start = {"x": chip["x"] + 12, "y": chip["y"] + 12}
        end = {"x": place["x"] + 12, "y": place["y"] + 12}
        await finger.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [start]})
        for share in (0.3, 0.7, 1.0):
            point = {axis: start[axis] + share * (end[axis] - start[axis]) for axis in ("x", "y")}
            await finger.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [point]})
        await finger.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        old = await key_of(page)
        await expect(page.locator("[data-state]")).to_contain_text("Draft saved")
        assert (await page.locator(".task-top").bounding_box() or {}).get("height") == row
        await page.locator("[data-submit]").tap()
        await answered(page, old)
        a, b, c, d = await numbers_on_screen()
        assert (await bodies())[0]["tiers"] == [[a], [b], sorted([c, d])]


@pytest.mark.parametrize("name", ["comparison", "rating"])
async def test_a_task_is_answered_by_taps_alone_on_a_phone(committed: str, browser: Browser, name: str) -> None:
    touch = {"has_touch": True, "is_mobile": True}
    asked = {"tasks": 2} if name == "comparison" else asking(name)
    async with a_site(browser, width=390, height=844, options=touch, **asked) as site:
        page = await site.open()
        old = await key_of(page)
        if name == "comparison":
            await page.locator(".point").nth(1).tap()
        else:
            for point in (4, 3, 0, 2, 1, 1):
                await page.locator(".marked .point").nth(point).tap()
            await page.locator("[data-submit]").tap()
        await answered(page, old)
        first, second = await numbers_on_screen()
        (body,) = await bodies()
        if name == "comparison":
            assert (body["preferred"], body["strength"]) == (first, 2)
            return
        said = {one["completion"]: [one["criteria"][asked] for asked in GRADED] for one in body["ratings"]}
        assert said == {first: [4, 3, 0], second: [2, 1, 1]}


async def test_a_rating_takes_a_key_a_question_and_enter(committed: str, browser: Browser) -> None:
    async with a_site(browser, **asking("rating")) as site:
        page = await site.open()
        old = await key_of(page)
        await press(page, "4", "3", "0", "2", "1", "Enter")
        await expect(page.locator("[data-missing]")).to_have_text("Still open: B Coherence")
        await press(page, "0", "Enter")
        await answered(page, old)
        first, second = await numbers_on_screen()
        said = {one["completion"]: one["criteria"] for one in (await bodies())[0]["ratings"]}
        assert said == {
            first: {"helpfulness": 4, "correctness": 3, "coherence": 0},
            second: {"helpfulness": 2, "correctness": 1, "coherence": 0},
        }
        await press(page, "z")
        await expect(page.locator(".step.said b")).to_have_text(["4", "3", "0", "2", "1", "0"])
        await armed(page)
        await press(page, "1", "Enter")
        await expect(page.locator("h1")).to_have_text("Rate each answer")
        assert (await stored())[0].version == 2


async def test_sliders_rules_and_flags_go_by_keys_and_come_back_after_a_reload(
    committed: str, browser: Browser
) -> None:
    async with a_site(browser, **asking("rating_of_one")) as site:
        page = await site.open()
        await press(page, "6", "8", "5", "Enter", "y", "f", "2")
        await expect(page.locator("[data-state]")).to_contain_text(re.compile(r"Draft saved"))
        await page.reload()
        await expect(page.locator(".step b")).to_have_text(["6", "85", "yes", "–", "2"])
        await armed(page)
        old = await key_of(page)
        await press(page, "Enter")
        await answered(page, old)
        (body,) = await bodies()
        assert body["ratings"] == [
            {"completion": 0, "criteria": {"quality": 6, "appeal": 85, "rule": 1}, "flags": ["opinion"]}
        ]


async def test_a_preset_with_more_flags_than_figures_is_answered_by_keys_alone(
    committed: str, browser: Browser
) -> None:
    asked = PRESETS["instructgpt"].protocol.as_json()
    async with a_site(browser, shows=4, protocol=asked, tasks=2) as site:
        page = await site.open()
        old = await key_of(page)
        shown = await page.locator("fieldset.flags").first.locator(".point b").all_inner_texts()
        assert shown == [*"1234567890A"]
        await press(page, "f", "1", "0", "a", "ArrowUp", "7")  # of A: its flags, then how good it is
        await press(page, "f", "j", "a", "2", "2", "ArrowUp", "6", "5", "4", "Enter")  # J is the key of no flag
        await expect(page.locator(".part-tabs [aria-current=step]")).to_have_text("Order")
        await press(page, "1", "2", "3", "3", "Enter")
        await answered(page, old)
        rating, ranking = (await bodies())[0]["parts"]
        a, b, c, d = await numbers_on_screen()
        said = {one["completion"]: (one["criteria"]["quality"], one["flags"]) for one in rating["ratings"]}
        first = ["fails_instruction", "opinion", "moral_judgment"]
        assert said == {a: (7, first), b: (6, ["moral_judgment"]), c: (5, []), d: (4, [])}
        assert ranking["tiers"] == [[a], [b], sorted([c, d])]
        await fits(site, page)


async def test_a_rating_and_then_a_ranking_in_one_task(committed: str, browser: Browser) -> None:
    async with a_site(browser, **asking("combined")) as site:
        page = await site.open()
        old = await key_of(page)
        for _answer in range(3):
            await press(page, "5", "7", "0", "Enter", "1")
        await press(page, "Enter")
        await expect(page.locator(".part-tabs [aria-current=step]")).to_have_text("Order")
        await press(page, "3", "2", "1", "Enter")
        await answered(page, old)
        rating, ranking = (await bodies())[0]["parts"]
        assert [one["criteria"] for one in rating["ratings"]] == [{"quality": 5, "appeal": 70, "rule": 1}] * 3
        assert ranking["tiers"] == [[number] for number in reversed(await numbers_on_screen())]


@pytest.mark.parametrize("name", PROTOCOLS)
async def test_nothing_is_cut_off_and_the_page_is_no_wider_than_its_window(
    committed: str, browser: Browser, name: str
) -> None:
    async with a_site(browser, width=390, height=844, **asking(name)) as site:
        page = await site.open(is_late=True)
        for width, height in ((390, 844), (1280, 800)):
            await page.set_viewport_size({"width": width, "height": height})
            for theme in ("light", "dark"):
                await page.emulate_media(color_scheme=theme)
                await picture(page, site, f"{name}-{width}-{theme}")
            assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        await fits(site, page)


async def picture(page: Page, site: Site, name: str) -> None:
    if PICTURES:
        await page.screenshot(path=Path(PICTURES) / f"{name}.png")
