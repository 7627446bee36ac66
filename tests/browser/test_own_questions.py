"""A project's own questions and marked errors, answered by keys alone, by mouse and by touch, in a real browser."""

import json
import os
import random
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect
from sqlalchemy import text

from app import database
from app.projects.protocols import protocol_of
from app.projects.protocols.conditions import Condition, shown
from tests.browser.fitting import fits
from tests.browser.site import Site, a_site, armed, stored

pytestmark = [pytest.mark.browser, pytest.mark.committed]
PICTURES = os.environ.get("HONE_PICTURES")  # a folder to look at what the pages look like
KEYS = "abcdef"

FORMS = ["letter", "code", "list", *(f"form{number}" for number in range(8))]  # more than there are figures
QUESTIONS = {
    "kind": "questions",
    "completions": 2,
    "questions": [
        {"key": "poem", "label": "Is this about a poem?"},
        {"key": "size", "label": "How many lines does the person want?", "type": "number", "whole": True,
         "least": 1, "only_if": [{"question": "poem", "values": ["yes"]}]},
        {"key": "rhyme", "label": "How well does it rhyme?", "type": "scale", "about": "answer", "low": "not at all",
         "high": "fully", "only_if": [{"question": "poem", "values": ["yes"]}]},
        {"key": "tone", "label": "Tone", "type": "choices", "about": "answer", "required": False,
         "options": [{"key": key, "label": key.title()} for key in ("dry", "warm", "stiff")]},
        {"key": "kind", "label": "What is it then?", "type": "choice",
         "options": [{"key": key, "label": key.title()} for key in FORMS],
         "only_if": [{"question": "poem", "values": ["no"]}]},
        {"key": "why", "label": "Why?", "type": "text", "hint": "In one sentence."},
    ],
}  # fmt: skip
ERRORS = {
    "kind": "rating",
    "completions": 2,
    "criteria": [{"key": "quality", "label": "Quality", "points": 5}],
    "errors": {
        "categories": [
            {"key": "fact", "label": "Wrong fact"},
            {"key": "style", "label": "Clumsy style"},
            *({"key": f"kind{n}", "label": f"Kind {n}"} for n in range(9)),
        ],
    },
}
SOURCE = "**Fold** the paper 🗞️ twice.\n\n- then `press` it\n- שלום"


def asking(protocol: dict[str, Any]) -> dict[str, Any]:
    return {"shows": protocol["completions"], "protocol": protocol_of(protocol).as_json(), "tasks": 2}


async def press(page: Page, *keys: str) -> None:
    for key in keys:
        await page.keyboard.press(key)


async def arrows_to(page: Page, words: str) -> None:
    """To that question by ↓, out of a text or a number first."""
    for _ in range(8):
        if words in await page.locator(".step[aria-current=step]").inner_text():
            return
        if await page.evaluate("document.activeElement.matches('textarea, [type=number]')"):
            await press(page, "Escape")
        await press(page, "ArrowDown")
    raise AssertionError(f"no way to “{words}” by arrows")


async def answered(page: Page, old: str) -> None:
    await expect(page.locator("#task")).not_to_have_attribute("data-key", old)
    await armed(page)


async def key_of(page: Page) -> str:
    return await page.locator("#task").get_attribute("data-key") or ""


async def bodies() -> list[dict[str, Any]]:
    return [one.body for one in await stored()]


async def with_source() -> None:
    """Every answer's text is the one that is hard to map back from what is rendered."""
    async with database.transaction() as session:
        parts = '[{"type": "text", "text": %s}]'
        await session.execute(
            text("UPDATE completions SET parts = CAST(:parts AS jsonb)"), {"parts": parts % json.dumps(SOURCE)}
        )


async def picture(page: Page, name: str) -> None:
    if not PICTURES:
        return
    for width, height in ((1280, 800), (390, 844)):
        await page.set_viewport_size({"width": width, "height": height})
        for theme in ("light", "dark"):
            await page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
            await page.screenshot(path=Path(PICTURES) / f"{name}-{width}-{theme}.png", caret="initial")
    await page.set_viewport_size({"width": 1280, "height": 800})


async def test_questions_by_keys_alone_and_hidden_ones_are_neither_asked_nor_sent(
    committed: str, browser: Browser
) -> None:
    async with a_site(browser, **asking(QUESTIONS)) as site:
        page = await site.open()
        steps = page.locator(".step:visible")
        await expect(steps).to_have_count(4)  # poem, tone A, tone B, why
        await press(page, "y")
        await expect(steps).to_have_count(7)
        await press(page, "1", "2", "Enter", "4", "5")  # 12 lines, A 4, B 5
        await picture(page, "questions-text")
        await page.keyboard.type("It halts.")
        await expect(page.locator("[data-state]")).to_contain_text(re.compile("Draft saved"))
        await page.reload()
        await expect(steps).to_have_count(7)
        await armed(page)
        await arrows_to(page, "B Tone")
        await press(page, "3", "1")
        await picture(page, "questions-choices")
        old = await key_of(page)
        await press(page, "Enter")
        await answered(page, old)
        (body,) = await bodies()
        assert body["task"] == {"poem": True, "size": 12, "why": "It halts."}
        sides = (await stored())[0].sides
        said = {one["completion"]: one["said"] for one in body["answers"]}
        assert said == {sides[0]: {"rhyme": 4}, sides[1]: {"rhyme": 5, "tone": ["dry", "stiff"]}}
        await press(page, "z")
        await expect(page.locator("h1")).to_have_text("Change your answer")
        await armed(page)
        await arrows_to(page, "poem")
        await press(page, "n")
        await press(page, "a", "Enter")  # what is it then? the eleventh; the text is there already
        await expect(page.locator("h1")).to_have_text("Answer the questions")
        (body,) = await bodies()
        assert body["task"] == {"poem": False, "kind": "form7", "why": "It halts."}
        assert [one["said"] for one in body["answers"] if one["said"]] == [{"tone": ["dry", "stiff"]}]
        await fits(site, page)


async def test_what_is_open_is_named_and_a_text_is_reached_by_enter(committed: str, browser: Browser) -> None:
    async with a_site(browser, **asking(QUESTIONS)) as site:
        page = await site.open()
        await press(page, "n", "1")
        await page.keyboard.press("Escape")
        await press(page, "Enter", "Control+Enter")
        await expect(page.locator("[data-missing]")).to_have_text("Still open: Why?")
        await page.keyboard.type("Because.")
        old = await key_of(page)
        await press(page, "Control+Enter")
        await answered(page, old)
        assert (await bodies())[0]["task"]["why"] == "Because."


def random_condition(draw: random.Random, earlier: str) -> Condition:
    values = draw.sample(["yes", "no", "one", "two"], draw.randint(0, 2))
    bounds = {name: draw.choice([None, None, 0, 1.5, 3]) for name in ("least", "most")}
    return Condition(question=draw.choice(earlier), values=tuple(values), **bounds)  # type: ignore[arg-type]


class Asked:
    def __init__(self, draw: random.Random, key: str) -> None:
        self.key = key
        earlier = "xy" + KEYS[: KEYS.index(key)]
        self.only_if = tuple(random_condition(draw, earlier) for _ in range(draw.choice([0, 1, 1, 2])))


def random_answers(draw: random.Random, keys: str) -> dict[str, Any]:
    values = [True, False, 0, 1, 1.5, 4, "one", "yes", "else", ("one", "two"), ("two",)]
    return {key: draw.choice(values) for key in keys if draw.random() < 0.7}


async def test_the_page_asks_exactly_what_the_server_asks(committed: str, browser: Browser) -> None:
    draw = random.Random(7)
    cases, wanted = [], []
    for _ in range(500):
        questions = [Asked(draw, key) for key in KEYS]
        before, said = random_answers(draw, "xy"), random_answers(draw, KEYS)
        told = [{"key": one.key, "only_if": [rule.as_json() for rule in one.only_if]} for one in questions]
        cases.append([told, said, before])
        wanted.append([one.key for one in shown(questions, said, before)])
    async with a_site(browser, **asking(QUESTIONS)) as site:
        page = await site.open()
        found = await page.evaluate(
            """async (cases) => {
                const { shown } = await import("/static/now/kinds/conditions.js");
                return cases.map(([questions, said, before]) => shown(questions, said, before));
            }""",
            cases,
        )
    assert found == wanted
    assert len({str(one) for one in wanted}) > 20


async def test_errors_are_marked_by_keys_word_by_word_and_come_back_exactly(committed: str, browser: Browser) -> None:
    async with a_site(browser, **asking(ERRORS)) as site:
        await with_source()
        page = await site.open()
        await expect(page.locator(".source.marking:visible")).to_have_count(0)
        await press(page, "e")
        source = page.locator(".source.marking:visible")
        assert await source.evaluate("one => one.textContent") == SOURCE
        for _ in range(20):
            await press(page, "ArrowRight")
            if await page.locator(".picked").all_inner_texts() == ["paper"]:
                break
        await press(page, "Shift+ArrowRight", "1", "2")  # wrong fact, major
        await expect(page.locator(".error-list li")).to_have_count(1)
        await press(page, "ArrowRight", "Shift+ArrowLeft", "Shift+ArrowLeft", "a", "3")  # overlaps the first
        await expect(page.locator(".error-list li")).to_have_count(2)
        await picture(page, "errors")
        await press(page, "ArrowRight", "1", "1")
        await expect(page.locator(".error-list li")).to_have_count(3)
        await press(page, "Delete")
        await expect(page.locator(".error-list li")).to_have_count(2)
        await expect(page.locator("[data-state]")).to_contain_text(re.compile("Draft saved"))
        await page.reload()
        await expect(page.locator(".step b").first).to_have_text("–")
        await armed(page)
        old = await key_of(page)
        await press(page, "4", "4", "Enter")
        await answered(page, old)
        (body,) = await bodies()
        first = (await stored())[0].sides[0]
        spans = next(one["errors"] for one in body["ratings"] if one["completion"] == first)
        told = [(SOURCE[one["start"] : one["end"]], one["category"], one["severity"]) for one in spans]
        assert ("paper 🗞️", "fact", "major") in told
        assert [(category, severity) for _text, category, severity in told if category != "fact"] == [
            ("kind8", "critical")
        ]
        assert len(told) == 2
        assert spans[0]["start"] < spans[1]["start"] < spans[0]["end"] or spans[0]["start"] == spans[1]["start"]
        await press(page, "z")
        await expect(page.locator("h1")).to_have_text("Change your answer")
        await armed(page)
        await press(page, "e")
        await expect(page.locator(".error-list li")).to_have_count(2)
        assert await page.locator(".source.marking:visible").evaluate("one => one.textContent") == SOURCE
        annotation = (await stored())[0].public_id
        await page.goto(f"{site.address}/projects/{site.there.project.public_id}/answers/{annotation}")
        marked = page.locator(".source.marking")
        assert await marked.evaluate("one => one.textContent") == SOURCE
        await picture(page, "errors-history")


async def select_by_mouse(page: Page, start: int, end: int) -> None:
    """Drag over code points start … end of the text that is shown."""
    points = await page.evaluate(
        """([start, end]) => {
            const box = document.querySelector(".source.marking:not([hidden])");
            const walk = document.createTreeWalker(box, NodeFilter.SHOW_TEXT);
            const at = [];
            while (walk.nextNode()) {
                const text = walk.currentNode.data;
                const step = (n) => (text.codePointAt(n) > 0xffff ? 2 : 1);
                for (let n = 0; n < text.length; n += step(n)) at.push([walk.currentNode, n]);
            }
            return [start, end - 1].map((n, which) => {
                const range = document.createRange();
                const [node, place] = at[n];
                range.setStart(node, place);
                range.setEnd(node, Math.min(node.data.length, place + 1));
                const rect = range.getBoundingClientRect();
                return [which ? rect.right - 1 : rect.left + 1, rect.top + rect.height / 2];
            });
        }""",
        [start, end],
    )
    (left, top), (right, bottom) = points
    await page.mouse.move(left, top)
    await page.mouse.down()
    await page.mouse.move((left + right) / 2, bottom, steps=3)
    await page.mouse.move(right, bottom, steps=3)
    await page.mouse.up()


async def test_errors_are_marked_by_mouse_across_markup_and_noted(committed: str, browser: Browser) -> None:
    async with a_site(browser, **asking(ERRORS)) as site:
        await with_source()
        page = await site.open()
        await page.locator(".step", has_text="B Errors").click()
        start = SOURCE.index("Fold")
        end = SOURCE.index("the paper") + len("the paper")
        await select_by_mouse(page, start, end)
        await page.locator("[data-category=style]:visible").click()
        await page.locator("[data-severity=minor]:visible").click()
        await expect(page.locator(".error-list:visible q")).to_have_text(SOURCE[start:end])
        await page.locator(".error-list:visible input").fill("A note, with  spaces")
        await page.locator(".error-list:visible input").press("Tab")
        field = await page.locator("[data-lines]").nth(1).input_value()
        assert field == f"{start} {end} style minor A note, with spaces"
        await page.locator(".error-list:visible button", has_text="Remove").click()
        await expect(page.locator(".error-list:visible li")).to_have_count(0)
        assert await page.locator("[data-lines]").nth(1).input_value() == ""
        await press(page, "Escape")
        await fits(site, page)


async def test_errors_are_marked_by_touch(committed: str, browser: Browser) -> None:
    touch = {"has_touch": True, "is_mobile": True}
    async with a_site(browser, width=390, height=844, options=touch, **asking(ERRORS)) as site:
        await with_source()
        page = await site.open()
        await page.locator(".step", has_text="A Errors").tap()
        await tap_word(page, site, "Fold")
        await expect(page.locator(".picked").first).to_have_text("Fold")
        await tap_word(page, site, "paper")
        await page.locator("[data-category=fact]:visible").tap()
        await page.locator("[data-severity=critical]:visible").tap()
        start, end = SOURCE.index("Fold"), SOURCE.index("paper") + len("paper")
        assert await page.locator("[data-lines]").first.input_value() == f"{start} {end} fact critical"
        if PICTURES:
            await page.screenshot(path=Path(PICTURES) / "errors-touch.png")
        assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


async def tap_word(page: Page, site: Site, word: str) -> None:
    point = await page.evaluate(
        """(word) => {
            const box = document.querySelector(".source.marking:not([hidden])");
            const walk = document.createTreeWalker(box, NodeFilter.SHOW_TEXT);
            while (walk.nextNode()) {
                const place = walk.currentNode.data.indexOf(word);
                if (place < 0) continue;
                const range = document.createRange();
                range.setStart(walk.currentNode, place);
                range.setEnd(walk.currentNode, place + word.length);
                range.startContainer.parentElement.scrollIntoView({ block: "center" });
                const rect = range.getBoundingClientRect();
                return [rect.left + rect.width / 2, rect.top + rect.height / 2];
            }
        }""",
        word,
    )
    await page.touchscreen.tap(*point)
