"""What an answer says about who wrote it is covered where it is shown, and nowhere else."""

import time

import pytest

from app.completions.blinding import blinded

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


def test_places_stay_where_they_are_counted() -> None:
    text = "I am ChatGPT. 🙂 Well."
    covered = blinded(text, keep_places=True)
    assert covered == "I am ███████. 🙂 Well."
    assert len(covered) == len(text)


def test_long_texts_are_no_trap() -> None:
    begun = time.perf_counter()
    blinded("I am " * 40_000 + "gpt-" * 20_000, ["a-1b" * 50])
    assert time.perf_counter() - begun < 2  # quadratic would take minutes
