"""A bar that was filled in says byte for byte what one that was drawn for this task would say."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from app.accounts.access import Access
from app.annotations.asking import asking
from app.annotations.kinds import LETTERS, OnScreen
from app.annotations.routes.stencils import BAR, MOST, plain_screen
from app.pages import draw, env
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


def shown(answers: int, slot: int = 1) -> list[OnScreen]:
    return [OnScreen(LETTERS[n], f"{slot}c{n}-handle", f"<p>text {n}</p>") for n in range(answers)]


def somebody(**preferences: Any) -> Access:
    return cast(Access, SimpleNamespace(person=SimpleNamespace(preferences=preferences)))


def drawn(protocol: Any, answers: list[OnScreen], key: str, **preferences: Any) -> str:
    screen = asking(protocol, answers, {}, preferences) | {"mode": "task", "address": ADDRESS, "key": key, "talk": None}
    with pressing(preferences):
        return draw(BAR, None, screen)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_what_is_filled_in_is_what_would_be_drawn(name: str) -> None:
    given, number = PROTOCOLS[name]
    asked = Narrowed(protocol_of(given))
    for slot in range(3):  # the first is drawn, the others are filled in
        answers, key = shown(number, slot), f"key-{slot}"
        screen = plain_screen(somebody(), asked, ADDRESS, key, answers)
        assert screen["bar"] == drawn(asked.protocol, answers, key)
        assert screen["answers"] is answers
    assert len(asked.drawn) == 1


def test_language_keys_and_habits_of_people_are_kept_apart() -> None:
    asked, answers = Narrowed(protocol_of({})), shown(2)
    wanted: list[tuple[str, dict[str, Any]]] = [
        ("en", {}), ("de", {}), ("en", {"keys": {"S": "Q"}}), ("en", {"confirms": True}), ("en", {}),
    ]  # fmt: skip
    for language, preferences in wanted:
        with reading(language):
            screen = plain_screen(somebody(**preferences), asked, ADDRESS, "k", answers)
            assert screen["bar"] == drawn(asked.protocol, answers, "k", **preferences)
            assert screen["title"] == asking(asked.protocol, answers, {})["title"]
    assert len(asked.drawn) == 4


def test_a_long_life_keeps_a_bounded_number() -> None:
    asked, answers = Narrowed(protocol_of({})), shown(2)
    for number in range(2 * MOST):
        plain_screen(somebody(keys={"S": chr(0x4E00 + number)}), asked, ADDRESS, "k", answers)
    assert len(asked.drawn) <= MOST


def test_a_template_that_was_compiled_for_one_person_names_the_keys_of_the_next() -> None:
    with pressing({"keys": {"S": "Q"}}):
        template = env.from_string('{{ "S"|pressed }}')
        assert template.render() == "Q"
    assert template.render() == "S"
