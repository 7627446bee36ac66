"""The hidden taste of the demo: how much a person would like an answer, from its text alone.

Only the simulated annotators and the last judge may look in here. It weighs whether the answer is about what was
asked, whether all of it is there, and its tone, and takes off for rambling. It reads sentence by sentence and counts
something as said only when most of its words stand in their order, so slightly garbled text still counts while lists
of keywords do not, and saying a thing twice costs instead of paying.
"""

import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import cache, lru_cache

from workers.demo.lore import INTENTS, Subject, subjects

RELEVANCE, COMPLETENESS, TONE = 1.4, 1.8, 2.4  # utility of the best over the worst, apart from rudeness
SAID = 0.6  # share of a line's words, in order, from which it counts as said
WORDS = 75  # beyond this an answer drags
SENTENCE_WORDS = 30  # no sentence says more than two things
TIE = 0.05  # two answers that differ by less are equally good


def listed(words: str) -> frozenset[str]:
    return frozenset(words.split())


WARM = listed(
    "adore adored cheer cheering congratulations dear delighted enjoy friend friends glad happy hope joy kind kindly"
    " lovely luck nice pleasure proud thank thanks welcome wish wonderful great best fun love"
)
WARM_PHRASES = ("any time", "take care", "good to hear", "right place", "you can do it", "love it", "all the best")
RUDE = listed(
    "annoying boring bother bored cares crying doubt dull dumb fail fool foolish idiot lazy nobody pain ruin silly slow"
    " stupid tired ugh useless waste wasting whatever worthless"
)
RUDE_PHRASES = (
    "go away",
    "leave me",
    "even you",
    "even a child",
    "but you knows",
    "should know",
    "if you must",
    "better things to do",
    "only once",
    "do i have to",
    "figure out",
    "shut the",
    "you again",
    "not again",
    "oh please",
    "welcome to fail",
)
FILLER_PHRASES = (
    "a lot one could",
    "it depends",
    "some say",
    "it is what it is",
    "many things are",
    "as i said",
    "how these things go",
    "leads to another",
)
STOP = listed(
    "a about after all also an and any are as at be been before but by can do does every first for from had has have he"
    " her his i if in into is it its just last like me more most my no not of off on one only or other our out over s"
    " she so some than that the their them then there these they this to too two until up was we what when which while"
    " who will with you your now next"
)
TALK = re.compile(r"\b(like|think|thinking|chat|talk|feel|fond|thoughts|my day|enjoy|mind|bored)\b")


@dataclass(frozen=True)
class Marks:
    """relevance and completeness in 0…1; tone -1.4 (rude throughout) … 1 (warm); rambling ≥ 0 is taken off."""

    relevance: float
    completeness: float
    tone: float
    rambling: float

    @property
    def utility(self) -> float:
        worth = RELEVANCE * self.relevance + COMPLETENESS * self.completeness + TONE * self.tone
        return worth - self.rambling


@dataclass(frozen=True)
class Line:
    subject: str
    intent: str
    place: int  # among the subject's lines of this intent
    words: tuple[str, ...]


@dataclass(frozen=True)
class Sentence:
    words: tuple[str, ...]
    said: tuple[Line, ...]
    topics: tuple[str, ...]  # where no line is said: subjects that alone use two of its words


def utility(prompt: str, answer: str) -> float:
    """How good the answer is to this prompt; only differences mean something, about 1 is one clear fault."""
    return mark(prompt, answer).utility


def better(prompt: str, a: str, b: str) -> float:
    """1 when a is better, 0 when b is, 0.5 when a person could not say."""
    difference = utility(prompt, a) - utility(prompt, b)
    return 0.5 if abs(difference) < TIE else float(difference > 0)


@lru_cache(maxsize=65536)
def mark(prompt: str, answer: str) -> Marks:
    subject, intent = asked(prompt)
    sentences = [read_sentence(text) for text in split_sentences(answer)]
    finished = answer.rstrip().endswith((".", "!", "?"))
    return Marks(
        relevance(sentences, subject, intent),
        completeness(sentences, subject, intent) - (0.0 if finished else 0.35),
        tone(sentences),
        rambling(sentences),
    )


def asked(prompt: str) -> tuple[Subject | None, str]:
    """The subject a prompt is about, None when it is none of ours, and what is wanted to know of it."""
    text = f" {' '.join(words_of(prompt))} "
    for subject in subjects():
        if f" {' '.join(words_of(subject.activity))} " in text:
            return subject, "how"
    named = [subject for subject in subjects() if f" {' '.join(words_of(subject.name))} " in text]
    intent = "talk" if TALK.search(text) else "what"
    return max(named, key=lambda subject: len(subject.name), default=None), intent


def relevance(sentences: list[Sentence], subject: Subject | None, intent: str) -> float:
    """Mean over the sentences that say something: about what was asked, the same subject otherwise, or neither."""
    name = subject.name if subject else ""
    worths = [_worth(sentence, name, intent) for sentence in sentences if sentence.said or sentence.topics]
    return sum(worths) / len(worths) if worths else 0.0


def _worth(sentence: Sentence, name: str, intent: str) -> float:
    if not sentence.said:
        return 0.4 if name in sentence.topics else 0.0
    return max((1.0 if line.intent == intent else 0.35) * (line.subject == name) for line in sentence.said)


def completeness(sentences: list[Sentence], subject: Subject | None, intent: str) -> float:
    """The share of what should be said that is: steps in their order, three facts, or two thoughts and a question."""
    if subject is None:
        return 0.0
    places = [
        line.place
        for sentence in sentences
        for line in sorted(sentence.said, key=lambda line: line.place)
        if line.subject == subject.name and line.intent == intent
    ]
    if intent == "how":
        return longest_rise(places) / len(subject.steps)
    if intent == "what":
        return min(len(set(places)), 3) / 3
    thoughts = {place for place in places if place < len(subject.opinions)}
    return (min(len(thoughts), 2) + bool(set(places) - thoughts)) / 3


def tone(sentences: list[Sentence]) -> float:
    warm = [sentence.words for sentence in sentences if not sentence.said and _is(sentence, WARM, WARM_PHRASES)]
    rude = [sentence.words for sentence in sentences if not sentence.said and _is(sentence, RUDE, RUDE_PHRASES)]
    if rude:
        return -1.0 - 0.2 * min(len(rude) - 1, 2)
    return (1.0 if warm else 0.0) - 0.6 * max(0, len(warm) - 2)  # gushing wears off


def rambling(sentences: list[Sentence]) -> float:
    """What is said again, padded, drawn out or not told in sentences."""
    again = sum(
        any(_alike(sentence.words, earlier.words) for earlier in sentences[:place])
        for place, sentence in enumerate(sentences)
    )
    padding = sum(any(phrase in " ".join(s.words) for phrase in FILLER_PHRASES) for s in sentences if not s.said)
    stretched = sum(len(sentence.words) > SENTENCE_WORDS for sentence in sentences)
    length = sum(len(sentence.words) for sentence in sentences)
    return 0.7 * again + 0.5 * padding + 1.0 * stretched + 0.03 * max(0, length - WORDS)


def _is(sentence: Sentence, cues: frozenset[str], phrases: tuple[str, ...]) -> bool:
    text = " ".join(sentence.words)
    return bool(cues.intersection(sentence.words)) or any(phrase in text for phrase in phrases)


def _alike(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    first, second = set(one) - STOP, set(other) - STOP
    return bool(first) and len(first & second) / len(first | second) >= 0.6


def split_sentences(text: str) -> list[str]:
    return [part for part in re.split(r"(?<=[.!?])\s+", text.strip()) if words_of(part)]


@lru_cache(maxsize=65536)
def read_sentence(text: str) -> Sentence:
    """What a sentence says. At most two lines count, those that are said most fully."""
    words = words_of(text)
    nearby: defaultdict[Line, int] = defaultdict(int)
    for word in set(words) - STOP:
        for line in lines_with().get(word, ()):
            nearby[line] += 1
    told = [
        (in_order(line.words, words) / len(line.words), line)
        for line, shared in nearby.items()
        if shared >= min(2, len(set(line.words) - STOP))
    ]
    told = sorted((entry for entry in told if entry[0] >= SAID), key=lambda entry: -entry[0])[:2]
    owned = Counter(owners()[word] for word in set(words) if word in owners())
    topics = () if told else tuple(sorted(name for name, count in owned.items() if count >= 2))
    return Sentence(words, tuple(line for _, line in told), topics)


def words_of(text: str) -> tuple[str, ...]:
    return tuple(re.findall(r"[a-z']+", text.lower().replace("’", "'")))


def in_order(wanted: tuple[str, ...], words: tuple[str, ...]) -> int:
    """Length of the longest common subsequence."""
    row = [0] * (len(words) + 1)
    for word in wanted:
        diagonal = 0
        for place, other in enumerate(words, 1):
            diagonal, row[place] = row[place], diagonal + 1 if word == other else max(row[place], row[place - 1])
    return row[-1]


def longest_rise(places: list[int]) -> int:
    """Length of the longest strictly rising subsequence: steps told in their order, none counted twice."""
    best: list[int] = []
    for index, place in enumerate(places):
        best.append(1 + max((best[before] for before in range(index) if places[before] < place), default=0))
    return max(best, default=0)


@cache
def lines() -> tuple[Line, ...]:
    return tuple(
        Line(subject.name, intent, place, words_of(text))
        for subject in subjects()
        for intent in INTENTS
        for place, text in enumerate(subject.lines(intent))
    )


@cache
def lines_with() -> dict[str, list[Line]]:
    """Lines by the words in them that carry meaning."""
    found: dict[str, list[Line]] = defaultdict(list)
    for line in lines():
        for word in dict.fromkeys(line.words):
            if word not in STOP:
                found[word].append(line)
    return dict(found)


@cache
def owners() -> dict[str, str]:
    """Words that one subject alone uses, and its name."""
    users: dict[str, set[str]] = defaultdict(set)
    for line in lines():
        for word in set(line.words) - STOP:
            users[word].add(line.subject)
    return {word: next(iter(names)) for word, names in users.items() if len(names) == 1}
