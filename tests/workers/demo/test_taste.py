"""What the simulated annotators like, by hand-written examples."""

import ast
import random
import statistics
from pathlib import Path

import pytest

from workers.demo import corpus, phrases, taste
from workers.demo.lore import INTENTS, subjects

ROOT = Path(__file__).parents[3]
HOW = "How do I bake bread?"
GOOD = (
    "I am glad you asked. First, mix flour, salt, yeast and warm water. Then knead the dough for ten minutes."
    " After that, let the dough rise under a cloth, and then shape the dough into a round loaf."
    " Finally, bake the loaf until the crust is brown. Enjoy every bit of it."
)
WORSE = {
    "rude": GOOD.replace("I am glad you asked.", "What a silly question.").replace(
        "Enjoy every bit of it.", "Go away."
    ),
    "plain": GOOD.replace("I am glad you asked. ", "").replace(" Enjoy every bit of it.", ""),
    "steps missing": "I am glad you asked. Mix flour, salt, yeast and warm water. Knead the dough for ten minutes.",
    "unfinished": GOOD[: GOOD.index(" until the crust")],
    "another subject": (
        "I am glad you asked. First, sow the seeds in small pots in March. Next, move the seedlings outside after the"
        " last frost. Then tie each stem to a tall stake. Pinch off the side shoots every week. Finally, pick the fruit"
        " when it is red and soft."
    ),
    "described": (
        "I am glad you asked. Bread has a brown crust and a soft white crumb. A fresh loaf smells of yeast and warm"
        " flour. Bakers start their dough long before sunrise."
    ),
    "steps out of order": (
        "I am glad you asked. First, bake the loaf until the crust is brown. Then shape the dough into a round loaf."
        " Next, let the dough rise under a cloth. Knead the dough for ten minutes. Finally, mix flour, salt, yeast and"
        " warm water."
    ),
    "rambling": GOOD + " As I said before, and I will say it again. " + GOOD,
    "empty": "",
    "keywords": "Bread, loaf, dough, yeast, flour, crust, oven, knead, bake, loaf, dough, bread, crumb, crust, yeast.",
    "the topic again and again": "Bread is bread. I love bread. Bread, bread, bread! Glad you asked about bread.",
    "pleasantries": "I am glad you asked. Thank you for asking. What a lovely question! Happy to help. Good luck!",
}


@pytest.mark.parametrize("fault", WORSE)
def test_relevant_complete_and_warm_beats(fault):
    assert taste.utility(HOW, GOOD) > taste.utility(HOW, WORSE[fault]) + 0.5
    assert taste.better(HOW, GOOD, WORSE[fault]) == 1
    assert taste.better(HOW, WORSE[fault], GOOD) == 0


@pytest.mark.parametrize(
    "more",
    [" Thank you for asking. Have a wonderful day! Good luck, friend!", " Bread, dough, loaf, yeast.", f" {GOOD}"],
)
def test_stuffing_a_good_answer_does_not_raise_it(more):
    assert taste.utility(HOW, GOOD + more) <= taste.utility(HOW, GOOD)


def test_the_taste_is_not_monotone_in_length():
    first, *rest = taste.split_sentences(WORSE["plain"])
    short, whole = first, " ".join([first, *rest])
    dragging = f"{whole} {phrases.FILLERS[0]} {whole} {phrases.FILLERS[1]}"
    assert taste.utility(HOW, short) < taste.utility(HOW, whole) > taste.utility(HOW, dragging)


def test_garbled_text_keeps_most_of_its_worth():
    garbled = GOOD.replace("ten minutes", "tenutes").replace("under a cloth", "under cloth the")
    assert 0 < taste.utility(HOW, GOOD) - taste.utility(HOW, garbled) + 1e-9 < 0.6


def test_two_good_answers_are_equally_good():
    other = GOOD.replace("I am glad you asked.", "What a lovely question!").replace("Then knead", "Next, knead")
    assert taste.better(HOW, GOOD, other) == 0.5


def test_small_talk_is_complete_with_a_question_back():
    prompt = "Do you like tea?"
    thoughts = "A cup of tea makes a rainy afternoon better. I always leave the leaves in the pot too long."
    assert taste.utility(prompt, f"{thoughts} Do you take milk in your tea?") > taste.utility(prompt, thoughts)


def test_every_way_to_ask_is_understood():
    for subject in subjects():
        for intent in INTENTS:
            for form in phrases.ASK[intent]:
                prompt = form.format(name=subject.name, activity=subject.activity)
                assert taste.asked(prompt) == (subject, intent), prompt


def test_each_manner_of_the_corpus_costs_what_it_should():
    rng = random.Random(3)
    marks = {}
    for _ in range(1500):
        subject, intent, manner = rng.choice(subjects()), rng.choice(INTENTS), corpus.draw_manner(rng)
        answer = corpus.write_answer(subject, intent, manner, corpus.another(subject, rng), rng)
        found = taste.mark(corpus.ask(subject, intent, rng), answer)
        for key, value in (
            (manner.relevance, found.relevance),
            (manner.completeness, found.completeness),
            (manner.tone, found.tone),
            (manner.rambling, found.rambling),
        ):
            marks.setdefault(key, []).append(value)
    mean = {key: statistics.mean(values) for key, values in marks.items()}
    assert mean["on"] > mean["drift"] > mean["intent"] > mean["off"]
    assert mean["full"] > mean["missing"]
    assert mean["full"] > mean["unfinished"]
    assert mean["warm"] > 0.8 > 0.1 > mean["plain"] > -0.1 > -0.8 > mean["rude"]
    assert mean[True] > 1 > mean[False]


def test_the_taste_is_hidden_from_everything_but_the_annotators():
    found = {
        path.relative_to(ROOT).as_posix()
        for folder in ("app", "workers", "migrations")
        for path in sorted((ROOT / folder).rglob("*.py"))
        if any("taste" in name.split(".") for name in imported(path))
    }
    assert found - {"workers/demo/judge.py"} == {"workers/demo/annotators.py"}


def imported(path):
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        if isinstance(node, ast.ImportFrom):
            yield from (f"{node.module or ''}.{name.name}" for name in node.names)
