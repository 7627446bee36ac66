"""A task that was filled in says byte for byte what one that was drawn for this task would say."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import pytest

from app.accounts.access import Access
from app.annotations.asking import Screen
from app.annotations.kinds import LETTERS, OnScreen
from app.annotations.routes.screens import NOTHING_SAID, blank, of_today
from app.annotations.routes.stencils import MORE, MOST, drawn_task, filled_task, is_like_most
from app.pages import env
from app.projects.protocols import protocol_of
from app.shortcuts import pressing
from app.tasks.queries import Narrowed
from app.translation import reading

CRITERIA = [{"key": "tone", "label": "Tone & <i>manner</i>"}, {"key": "whole", "label": "Whole", "tags": ["code"]}]
RATING = {"kind": "rating", "criteria": CRITERIA, "flags": [{"key": "rude", "label": "Rude"}]}
QUESTIONS = {
    "kind": "questions",
    "questions": [
        {"key": "true", "label": "True?", "type": "yes_no", "about": "answer"},
        {"key": "why", "label": "Why?", "type": "text", "required": False},
    ],
}
PROTOCOLS: dict[str, tuple[dict[str, Any], int]] = {
    "scale": ({}, 2),
    "best and worst": ({"completions": 4, "choose": "best_and_worst", "neither_valid": True}, 4),
    "sides": ({"criteria": CRITERIA}, 2),
    "ranking": ({"kind": "ranking", "completions": 9}, 9),
    "rating": (RATING | {"completions": 3}, 3),
    "questions": (QUESTIONS | {"completions": 2}, 2),
    "combined": ({"kind": "combined", "completions": 2, "parts": [RATING, {"kind": "ranking"}, QUESTIONS]}, 2),
    "demonstration": ({"kind": "demonstration"}, 0),
    "prompt": ({"kind": "prompt"}, 0),
}
ADDRESS = "/projects/0f/annotate/77"


def somebody(**preferences: Any) -> Access:
    person = SimpleNamespace(preferences=preferences, public_id="p1")
    return cast(Access, SimpleNamespace(person=person, project="0f"))


def task_screen(asked: Narrowed, answers: int, nth: int = 1) -> Screen:
    """The screen of the nth task, everything that may differ from task to task differing."""
    shown = [OnScreen(LETTERS[n], f"{nth}c{n}", f"<p>text {n} of {nth} &amp; {{}}</p>") for n in range(answers)]
    return {
        **blank(somebody()),
        "asked": asked,
        "answers": shown,
        "mode": "task",
        "address": f"{ADDRESS}{nth}",
        "source": f"{ADDRESS}{nth}/source",
        "key": uuid4(),
        "rev": nth,
        "turns": [("user", f"<p>question {nth}</p>")],
        "guidelines": None,
        "has_news": False,
        "saved": {"at": f"12:00:0{nth}", "surplus": False, "version": 1},
        **of_today(1200 + nth, 2000),
    }


def is_as_drawn(access: Access, screen: Screen) -> bool:
    return filled_task(access, screen) == drawn_task(access, screen)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_what_is_filled_in_is_what_would_be_drawn(name: str) -> None:
    given, number = PROTOCOLS[name]
    asked = Narrowed(protocol_of(given))
    for nth in range(3):  # the first is drawn, the others are filled in
        screen = task_screen(asked, number, nth)
        assert is_as_drawn(somebody(), screen)
        assert all(answer.html in filled_task(somebody(), screen) for answer in screen["answers"])
    assert len(asked.drawn) == 1


def test_what_pages_show_in_different_ways_is_kept_apart() -> None:
    asked = Narrowed(protocol_of({}))
    saved = {"at": "12:00:00", "surplus": False, "version": 1}
    cut, whole = OnScreen("A", "a", "x", cut_off=True), OnScreen("B", "b", "y")
    ways: list[dict[str, Any]] = [
        {},
        {"saved": None},
        {"saved": saved | {"surplus": True}},
        {"saved": saved | {"version": 2}},
        {"has_news": True},
        {"answers": [cut, whole]},
        {"answers": [replace(whole, letter="A"), replace(cut, letter="B")]},
        {"turns": [("system", "<p>Be kind</p>"), ("user", "<p>hello</p>")]},
        {"turns": [("assistant", "<p>hello</p>")]},
    ]
    for way in [*ways, *ways]:
        assert is_as_drawn(somebody(), task_screen(asked, 2) | way), way
    assert len(asked.drawn) == len(ways) - 2  # what was cut off is filled in


def test_language_keys_and_habits_of_people_are_kept_apart() -> None:
    asked = Narrowed(protocol_of({}))
    wanted: list[tuple[str, dict[str, Any]]] = [
        ("en", {}), ("de", {}), ("en", {"keys": {"S": "Q"}}), ("en", {"confirms": True}), ("en", {}),
    ]  # fmt: skip
    for language, preferences in wanted:
        with reading(language):
            assert is_as_drawn(somebody(**preferences), task_screen(asked, 2))
    assert len(asked.drawn) == 4


def test_whatever_only_some_screens_say_keeps_a_screen_from_the_stencils() -> None:
    """A name that comes into NOTHING_SAID belongs among MORE, among the values, or into what stencils are sorted by."""
    assert set(NOTHING_SAID) == {*MORE, "saved", "has_news", "source", "today"}
    plain = task_screen(Narrowed(protocol_of({})), 2)
    assert is_like_most(plain)
    assert not any(is_like_most(plain | {name: "something"}) for name in MORE)


def test_a_long_life_keeps_a_bounded_number() -> None:
    asked = Narrowed(protocol_of({}))
    for number in range(2 * MOST):
        filled_task(somebody(keys={"S": chr(0x4E00 + number)}), task_screen(asked, 2))
    assert len(asked.drawn) <= MOST


def test_words_in_any_language_are_escaped_where_they_are_filled_in() -> None:
    asked = Narrowed(protocol_of({}))
    html = filled_task(somebody(), task_screen(asked, 2) | {"today": "1 <b> & 2"})
    assert "1 &lt;b&gt; &amp; 2" in html


def test_a_template_that_was_compiled_for_one_person_names_the_keys_of_the_next() -> None:
    with pressing({"keys": {"S": "Q"}}):
        template = env.from_string('{{ "S"|pressed }}')
        assert template.render() == "Q"
    assert template.render() == "S"
