"""The frame of the annotate page in a real browser: nothing jumps, the prompt folds, answers differ by words."""

import pytest
from playwright.async_api import Browser, Page, expect
from sqlalchemy import text

from app import database
from app.markup import render_markdown
from app.projects.protocols import protocol_of
from tests.browser.site import SHIFTS, a_site, armed, moved

pytestmark = [pytest.mark.browser, pytest.mark.committed]
WORDS = ("the", "river", "bends", "slowly", "past", "a", "mill", "and", "stones", "keep", "warmth", "of", "day")
MATHS = "Then $x^2 + y^2$ holds.\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n```python\nprint(1)\n```\n\n"
PLACE = "document.querySelector('.choices').getBoundingClientRect().toJSON()"


def prose(words: int, step: int) -> str:
    said = [WORDS[(n * step + n // 7) % len(WORDS)] for n in range(words)]
    return "\n\n".join(" ".join(said[start : start + 80]) + "." for start in range(0, words, 80))


async def texts_are(answers: list[str], prompt: str = "What is it like there?") -> None:
    """Completions in turn get these texts, prompts this one."""
    async with database.transaction() as session:
        for number, one in enumerate(answers):
            changed = "UPDATE completions SET html = :html WHERE id % :many = :number"
            values = {"html": render_markdown(one), "many": len(answers), "number": number}
            await session.execute(text(changed), values)
        await session.execute(text("UPDATE prompts SET rendered = ARRAY[:html]"), {"html": render_markdown(prompt)})


async def answer(page: Page, *keys: str) -> None:
    old = await page.locator("#task").get_attribute("data-key") or ""
    for key in keys:
        await page.keyboard.press(key)
    await expect(page.locator("#task")).not_to_have_attribute("data-key", old)
    await armed(page)


async def height(page: Page, selector: str) -> float:
    return float(await page.evaluate("(one) => document.querySelector(one).getBoundingClientRect().height", selector))


@pytest.mark.parametrize(("width", "tall"), [(1280, 800), (390, 844)])
async def test_ten_tasks_come_and_nothing_jumps(committed: str, browser: Browser, width: int, tall: int) -> None:
    async with a_site(browser, width=width, height=tall, tasks=11) as site:
        await texts_are([prose(30, 3), MATHS + prose(700, 5), "Yes.", prose(2000, 2)], prose(200, 4))
        await site.context.add_init_script(SHIFTS)
        page = await site.open()
        await page.wait_for_timeout(500)  # the page itself has come: KaTeX and its letters too
        await page.evaluate("window.shifts.length = 0")
        places = [await page.evaluate(PLACE)]
        for n in range(10):
            await page.mouse.wheel(0, 500 * (n % 3))
            await page.wait_for_timeout(600)  # shifts within 500 ms of a hand do not count for browsers, and do here
            await answer(page, "1")
            places.append(await page.evaluate(PLACE))
        assert await moved(page) == []
        assert all(place == places[0] for place in places)
        assert places[0]["bottom"] == tall  # within the thumb's reach


async def test_the_prompt_folds_with_the_first_scroll_and_never_takes_more_than_its_share(
    committed: str, browser: Browser
) -> None:
    async with a_site(browser) as site:
        await texts_are([prose(900, 3), prose(800, 5)], prose(600, 4))
        page = await site.open()
        top = "document.querySelector('.answer').getBoundingClientRect().top + scrollY"
        assert await height(page, "[data-prompt]") <= 0.3 * 800
        before = await page.evaluate(top)
        await page.mouse.wheel(0, 300)
        await expect(page.locator("[data-prompt]")).to_have_class("question folded")
        assert await height(page, "[data-prompt]") < 60
        assert await page.evaluate(top) == before
        await page.keyboard.press("u")
        await expect(page.locator("[data-fold]")).to_have_attribute("aria-expanded", "true")
        assert 100 < await height(page, "[data-prompt]") <= 0.3 * 800
        await page.mouse.wheel(0, 200)
        await page.wait_for_timeout(100)
        assert await height(page, "[data-prompt]") > 100  # unfolded by hand, it stays so
        await page.locator("[data-fold]").click()
        assert await height(page, "[data-prompt]") < 60
        assert await page.evaluate(top) == before
        await page.set_viewport_size({"width": 390, "height": 844})  # a phone
        await page.keyboard.press("u")
        await expect(page.locator("[data-fold]")).to_have_attribute("aria-expanded", "true")
        assert 100 < await height(page, "[data-prompt]") <= 0.3 * 844


async def test_columns_are_equal_from_900_px_and_lines_have_60_to_80_characters(
    committed: str, browser: Browser
) -> None:
    async with a_site(browser, height=900) as site:
        await texts_are([prose(400, 3), "Short."])
        page = await site.open()
        for width in (900, 1280, 1920):
            await page.set_viewport_size({"width": width, "height": 900})
            first, second = [await one.bounding_box() for one in await page.locator(".answer").all()]
            assert first
            assert second
            assert (first["y"], first["width"]) == (second["y"], second["width"])
            if width >= 1280:
                letters = await page.evaluate(LINE)
                assert 55 <= letters <= 80, (width, letters)
        await page.set_viewport_size({"width": 899, "height": 900})
        first, second = [await one.bounding_box() for one in await page.locator(".answer").all()]
        assert first
        assert second
        assert first["x"] == second["x"]


LINE = """
() => {
  const words = [...document.querySelectorAll(".answer .prose p")].find((one) => one.textContent.length > 300);
  const range = document.createRange();
  range.selectNodeContents(words);
  const lines = new Set([...range.getClientRects()].map((one) => Math.round(one.top))).size;
  return words.textContent.length / (lines - 0.5);
}
"""


async def test_on_a_phone_a_switch_leads_from_answer_to_answer_and_back_to_its_place(
    committed: str, browser: Browser
) -> None:
    options = {"has_touch": True, "is_mobile": True}
    protocol = protocol_of({"completions": 3}).as_json()
    async with a_site(browser, width=390, height=844, options=options, shows=3, protocol=protocol) as site:
        await texts_are([prose(600, 3), prose(500, 5), prose(400, 2)])
        page = await site.open()
        turns = page.locator("[data-turn]")
        await expect(turns).to_have_count(3)
        for button in await turns.all():
            box = await button.bounding_box()
            assert box
            assert box["height"] >= 44
            assert box["y"] > 844 / 2
        await page.evaluate("scrollBy(0, 500)")
        await page.wait_for_timeout(100)
        there = await page.evaluate("scrollY")
        await turns.nth(1).tap()
        await expect(turns.nth(1)).to_have_attribute("aria-pressed", "true")
        assert await page.evaluate("document.querySelectorAll('.answer')[1].getBoundingClientRect().top") < 200
        await page.keyboard.press("t")
        await expect(turns.nth(2)).to_have_attribute("aria-pressed", "true")
        await turns.nth(0).tap()
        assert abs(await page.evaluate("scrollY") - there) < 10


async def test_differences_are_marked_on_a_key_and_gone_on_the_next(committed: str, browser: Browser) -> None:
    async with a_site(browser) as site:
        await texts_are(["It was a **fine** day: the mill stood.", "It was a *poor* day: the old mill stood."])
        page = await site.open()
        whole = await page.locator(".judged").inner_html()
        await page.keyboard.press("d")
        marked = await page.locator(".judged [data-only]").all_inner_texts()
        assert sorted(marked) == ["fine", "old", "poor"]
        assert await page.locator(".answer >> nth=0 >> css=ins").count() == 0
        assert await page.locator(".answer >> nth=1 >> css=del").count() == 0
        line = "(one) => getComputedStyle(one).textDecorationLine"
        assert await page.locator("[data-only]").first.evaluate(line) == "underline"
        await expect(page.locator("#spoken")).to_contain_text("In both: 7.")
        await page.keyboard.press("d")
        assert await page.locator(".judged").inner_html() == whole
        await page.keyboard.press("d")
        await answer(page, "1")
        assert await page.locator("[data-only]").count() == 0  # off by default


QUICK = """
async ([a, b]) => {
  const entry = document.querySelector("script[src*='annotate.js']").src;
  const { sharedWords } = await import(entry.replace("annotate.js", "shared-words.js"));
  const [first, second] = [a.split(" "), b.split(" ")];
  const begun = performance.now();
  const shared = sharedWords(first, second);
  const time = performance.now() - begun;
  const follows = ([n, m], [before, other] = [-1, -1]) => first[n] === second[m] && n > before && m > other;
  return [time, shared.length, shared.every((pair, place) => follows(pair, shared[place - 1]))];
}
"""


async def test_differences_of_2000_words_take_no_frame(committed: str, browser: Browser) -> None:
    async with a_site(browser) as site:
        long = [prose(2000, 3), prose(2000, 5)]
        await texts_are(long)
        page = await site.open()
        edited = " ".join(word for n, word in enumerate(f"w{n}" for n in range(2000)) if n % 50)
        cases = {
            "of few words": long,
            "edited": [" ".join(f"w{n}" for n in range(2000)), edited],
            "nothing shared": [" ".join(f"a{n}" for n in range(2000)), " ".join(f"b{n}" for n in range(2000))],
            "the same": [long[0], long[0]],
        }
        for name, texts in cases.items():
            times = [await page.evaluate(QUICK, texts) for _ in range(5)]
            assert all(rises for _time, _shared, rises in times), name
            assert min(time for time, _shared, _rises in times) < 16, (name, times)
            if name == "edited":
                assert times[0][1] == 1960
        await page.keyboard.press("d")
        await expect(page.locator("[data-only]").first).to_be_visible()


async def test_texts_as_written_stand_behind_a_switch(committed: str, browser: Browser) -> None:
    async with a_site(browser) as site:
        page = await site.open()
        await page.keyboard.press("m")
        await expect(page.locator(".answer [data-written]").first).to_contain_text("Like this, number")
        await expect(page.locator(".answer [data-drawn]").first).to_be_hidden()
        await page.keyboard.press("m")
        await expect(page.locator(".answer [data-drawn]").first).to_be_visible()


async def test_answers_scroll_together_until_their_reader_parts_them(committed: str, browser: Browser) -> None:
    async with a_site(browser) as site:
        await texts_are([prose(900, 3), prose(800, 5)])
        page = await site.open()
        await page.keyboard.press("l")
        await page.reload()
        await armed(page)
        await expect(page.locator("[data-together]")).to_have_attribute("aria-pressed", "false")
        first, second = page.locator("[data-text]").nth(0), page.locator("[data-text]").nth(1)
        await first.evaluate("(one) => one.scrollBy(0, 200)")
        assert await first.evaluate("(one) => one.scrollTop") == 200
        assert await second.evaluate("(one) => one.scrollTop") == 0
        await page.keyboard.press("l")
        assert await first.evaluate("(one) => one.scrollHeight === one.clientHeight")
