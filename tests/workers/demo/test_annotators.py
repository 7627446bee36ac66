"""Eight simulated annotators who share a taste and differ in how surely they follow it."""

import random
from collections import Counter

import pytest

from app.preferences.votes import Outcome
from workers.demo import corpus
from workers.demo.annotators import ANNOTATORS, Annotator, Choice, best_accuracy, ceiling, chance, choose, strength
from workers.demo.judge import Heard, true_win_rate
from workers.demo.lore import INTENTS, subjects

SURE = Annotator("sure", beta=50.0, lean=0.0, tie=1.0)
PROMPT = "Describe cats."
KIND = "I am glad you asked. They purr when they feel safe. Cats are soft hunters with whiskers and claws."
CURT = "How dull. They purr when they feel safe."
ELSEWHERE = "How dull. Stars are distant suns that shine at night. Whatever."


def pairs(count):
    """Prompts with two answers as the corpus, which the base imitates, has them."""
    rng = random.Random("pairs")
    for _ in range(count):
        subject, intent = rng.choice(subjects()), rng.choice(INTENTS)
        other = corpus.another(subject, rng)
        a, b = (corpus.write_answer(subject, intent, corpus.draw_manner(rng), other, rng) for _ in "ab")
        yield corpus.ask(subject, intent, rng), a, b


def test_there_are_eight_and_one_is_careless():
    assert len({annotator.name for annotator in ANNOTATORS}) == len(ANNOTATORS) >= 8
    assert [annotator.name for annotator in ANNOTATORS if abs(chance(annotator, 3.0) - 0.5) < 0.2] == ["annotator-8"]


def test_the_ceiling_lies_between_78_and_90_percent():
    votes = [
        (annotator.name, prompt, a, b)
        for prompt, a, b in pairs(400)
        for annotator in ANNOTATORS
        if choose(annotator, prompt, a, b).strength is not None
    ]
    assert 0.80 < ceiling(votes) < 0.88


def test_knowing_the_taste_reaches_the_ceiling_and_no_more():
    chosen = expected = count = 0.0
    for prompt, a, b in pairs(500):
        for annotator in ANNOTATORS:
            choice = choose(annotator, prompt, a, b)
            if choice.strength is not None:
                likely = chance(annotator, _difference(prompt, a, b))
                chosen += (choice.outcome is Outcome.a) == (likely > 0.5)
                expected += best_accuracy(annotator, prompt, a, b)
                count += 1
    assert chosen / count == pytest.approx(expected / count, abs=0.02)


def _difference(prompt, a, b):
    from workers.demo.taste import utility

    return utility(prompt, a) - utility(prompt, b)


def test_the_same_question_gets_the_same_answer():
    answers = {choose(ANNOTATORS[0], PROMPT, KIND, CURT, seed=7) for _ in range(3)}
    assert len(answers) == 1


def test_another_seed_may_get_another_answer():
    assert len({choose(ANNOTATORS[7], PROMPT, KIND, CURT, seed=seed).outcome for seed in range(30)}) == 2


def test_a_sure_annotator_takes_the_better_one_strongly():
    assert choose(SURE, PROMPT, KIND, CURT, levels=3) == Choice(Outcome.a, 3)
    assert choose(SURE, PROMPT, CURT, KIND, levels=7) == Choice(Outcome.b, 7)


def test_equal_answers_tie_and_two_useless_ones_are_both_bad():
    assert choose(SURE, PROMPT, KIND, KIND) == Choice(Outcome.tie)
    outcomes = Counter(choose(SURE, PROMPT, ELSEWHERE, ELSEWHERE, seed=seed).outcome for seed in range(200))
    assert outcomes[Outcome.both_bad] == pytest.approx(80, abs=25)


def test_all_outcomes_are_met():
    outcomes = Counter(
        choose(annotator, prompt, a, b).outcome for prompt, a, b in pairs(150) for annotator in ANNOTATORS
    )
    assert set(outcomes) == {Outcome.a, Outcome.b, Outcome.tie, Outcome.both_bad}
    assert outcomes[Outcome.a] + outcomes[Outcome.b] > 0.75 * outcomes.total()


@pytest.mark.parametrize(("margin", "expected"), [(-1.0, 1), (0.0, 1), (1.4, 2), (2.7, 3), (99.0, 3)])
def test_strength_grows_with_the_margin(margin, expected):
    assert strength(margin, levels=3) == expected


def test_the_last_judge_counts_wins_and_half_the_ties():
    heard = [Heard(PROMPT, KIND, CURT), Heard(PROMPT, KIND, KIND), Heard(PROMPT, CURT, KIND), Heard(PROMPT, KIND, CURT)]
    assert true_win_rate(heard) == (1 + 0.5 + 0 + 1) / 4
