"""The corpus and the prompts are the same bytes everywhere, and the split holds."""

import random
import subprocess
import sys
from collections import Counter, defaultdict
from hashlib import sha256
from itertools import chain

from app.prompts.forms import as_prompt
from workers.demo import corpus, lore, phrases
from workers.demo.prompts import demo_prompts

# of 500 conversations and of all prompts; a change here means another checkpoint and other figures
CONVERSATIONS = "3b30b6f5c8abfe9f"
PROMPTS = "2a006ab81c07561e"


def digest(lines):
    return sha256("\n".join(lines).encode()).hexdigest()[:16]


def spoken(count=500, seed="test"):
    return [f"{turn.role}: {turn.text}" for turns in corpus.conversations(count, seed) for turn in turns]


def test_the_corpus_is_byte_equal_on_every_machine():
    assert digest(spoken()) == CONVERSATIONS


def test_the_prompts_are_byte_equal_on_every_machine():
    assert digest(f"{p.id} {p.use} {p.group} {p.text}" for p in demo_prompts()) == PROMPTS


def test_another_seed_writes_another_corpus():
    assert spoken(20, "one") != spoken(20, "two")


def test_each_use_has_the_prompts_it_needs():
    uses = Counter(prompt.use for prompt in demo_prompts())
    assert uses["label"] >= 200
    assert uses["train"] >= 150
    assert uses["heldout"] >= 130


def test_no_group_stands_on_two_sides():
    uses = defaultdict(set)
    for prompt in demo_prompts():
        uses[prompt.group].add(prompt.use)
    assert all(len(sides) == 1 for sides in uses.values())
    assert len(uses) == 3 * len(lore.subjects())


def test_no_prompt_comes_twice():
    prompts = demo_prompts()
    assert len({prompt.text for prompt in prompts}) == len({prompt.id for prompt in prompts}) == len(prompts)


def test_a_line_brings_its_tags_along():
    prompt = demo_prompts()[0]
    read = as_prompt(prompt.line())
    assert (read.tags, read.metadata) == (prompt.tags, {})
    assert len(prompt.tags) == 2


def test_prompts_are_listed_without_loading_torch():
    code = (
        "import sys, workers.demo.prompts as p; p.demo_prompts(); assert not {'torch', 'transformers'} & {*sys.modules}"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_subject_has_steps_facts_opinions_and_questions():
    for subject in lore.subjects():
        found = [len(part) for part in (subject.steps, subject.facts, subject.opinions, subject.questions)]
        assert found == [5, 5, 4, 2], subject.name


def test_no_sentence_is_told_of_two_subjects():
    told = Counter(chain.from_iterable(subject.lines(intent) for subject in lore.subjects() for intent in lore.INTENTS))
    assert max(told.values()) == 1


def test_answers_are_short():
    longest = max(len(line.split()) for line in spoken(3000))
    assert longest < 110


def test_every_manner_has_its_reaction():
    manner = corpus.Manner("off", "missing", "rude", True)
    assert set(manner.remarks()) == {"off", "missing", "rude", "rambling"}
    assert corpus.Manner("intent", "unfinished", "warm", False).remarks() == ["intent", "unfinished", "kind"]
    assert corpus.Manner("drift", "full", "plain", False).remarks() == ["off"]
    assert corpus.Manner("on", "full", "warm", False).remarks() == ["warm"]
    assert {*manner.remarks(), "intent", "unfinished", "kind", "warm", "plain"} == phrases.REACTIONS.keys()


def test_each_kind_of_reaction_begins_in_words_of_its_own():
    begins = [{reaction.split()[0] for reaction in reactions} for reactions in phrases.REACTIONS.values()]
    assert sum(map(len, begins)) == len(set().union(*begins))


def test_who_answers_something_else_says_so_and_is_told_what_he_spoke_about():
    subject, other = lore.subjects()[:2]
    for relevance, forms in phrases.DODGES.items():
        answer = corpus.write_answer(
            subject, "what", corpus.Manner(relevance, "full", "plain", False), other, random.Random(1)
        )
        assert any(form.format(name=subject.name, other=other.name) in answer for form in forms)
    assert all("{other}" in reaction for reaction in phrases.REACTIONS["off"])
