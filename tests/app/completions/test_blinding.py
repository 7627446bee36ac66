"""What an answer says about who wrote it is covered where it is shown, and nowhere else."""

import time

import pytest

from app.completions.blinding import blinded, blinded_parts

X = "█████"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("I am ChatGPT, a model trained by OpenAI. Ask me!", f"I am {X}, a model trained by {X}. Ask me!"),
        ("Hello! I'm Claude, made by Anthropic.", f"Hello! I'm {X}, made by {X}."),
        ("As an AI developed by Google DeepMind I cannot.", f"As an AI developed by {X} {X} I cannot."),
        ("Ich bin Qwen2.5-7B und helfe gern.", f"Ich bin {X}-7B und helfe gern."),
        ("我是通义千问，由阿里云开发。", f"我是{X}，由{X}开发。"),
        ("You are talking to GPT-4o.", f"You are talking to {X}"),
        ("ChatGPT is a product of OpenAI.", "ChatGPT is a product of OpenAI."),  # about it, and not about itself
        ("I am sure. Claude Monet painted it.", "I am sure. Claude Monet painted it."),  # another sentence
        ("I am a barding gptish word.", "I am a barding gptish word."),
        ("I was born in Meta.", "I was born in Meta."),
    ],
)
def test_a_self_introduction_loses_its_names(text: str, shown: str) -> None:
    assert blinded(text) == shown


def test_the_name_of_its_own_model_is_covered_wherever_it_says_what_it_is() -> None:
    names = ["hone-tiny-7b", "demo", None]
    assert blinded("Served by Hone-Tiny-7B today.", names) == f"Served by {X} today."
    assert blinded("I am Hone Tiny, a demo.", names) == f"I am {X} Tiny, a demo."
    assert blinded("This is a demo of honey.", names) == "This is a demo of honey."
    assert blinded("Served by MODEL-A, not model-b.", ["model-a"]) == f"Served by {X}, not model-b."


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Claude here. Ask me!", f"{X} here. Ask me!"),
        ("As Claude, I cannot know.", f"As {X}, I cannot know."),
        ("This is Claude.", f"This is {X}."),
        ("Ask CLAUDE’s makers.", f"Ask {X}’s makers."),
        ("The claude was patched, and Claudette too.", "The claude was patched, and Claudette too."),  # other words
        ("North Star says so; the north star shines.", f"{X} says so; the north star shines."),
        ("Helpful Assistant at work.", "Helpful Assistant at work."),  # says nothing of whose it is
    ],
)
def test_a_name_that_could_be_a_word_is_covered_where_it_begins_with_a_capital(text: str, shown: str) -> None:
    assert blinded(text, ["Claude", "North Star", "helpful assistant"]) == shown


def test_parts_are_covered_as_one_text_and_stay_as_long_as_they_were() -> None:
    parts = [
        {"type": "text", "text": "Hello! I am"},
        {"type": "image", "sha256": "0" * 64},
        {"type": "text", "text": "Claude."},
        {"type": "text", "text": ""},
    ]
    shown = blinded_parts(parts, ["Claude"])
    assert shown == [parts[0], parts[1], {"type": "text", "text": "██████."}, parts[3]]
    assert parts[2]["text"] == "Claude."


def test_places_stay_where_they_are_counted() -> None:
    text = "I am ChatGPT. 🙂 Well."
    covered = blinded(text, keep_places=True)
    assert covered == "I am ███████. 🙂 Well."
    assert len(covered) == len(text)


def test_long_texts_are_no_trap() -> None:
    begun = time.process_time()
    blinded("I am " * 40_000 + "gpt-" * 20_000, ["a-1b" * 50])
    assert time.process_time() - begun < 2  # quadratic would take minutes
