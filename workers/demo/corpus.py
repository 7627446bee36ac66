"""Write conversations for the demo checkpoint: prompts, answers of very different worth, and what people say to them.

An answer is put together from what is known about a subject. How relevant, how complete and in which tone is drawn
first, each by itself, so that two answers to one prompt differ in ways a person notices. The user's reaction that
often follows is what teaches the checkpoint, like any reader of conversations, what people object to.

Everything is drawn from `random.Random` seeded with strings, so the same seed gives the same bytes on any machine.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from workers.demo import phrases
from workers.demo.lore import INTENTS, Subject, subjects

# Shares of each way to answer. A base that is good only now and then leaves PPO something to learn.
RELEVANCE = {"on": 0.66, "intent": 0.08, "drift": 0.12, "off": 0.14}
COMPLETENESS = {"full": 0.50, "missing": 0.32, "unfinished": 0.18}
TONE = {"warm": 0.32, "plain": 0.36, "rude": 0.32}
RAMBLING = 0.12
GREETING = 0.02  # share of conversations that are only a greeting
SYSTEM = 0.05  # share of conversations with a system line
EVERYTHING = 0.05  # share in which all that is known of a subject is asked for, and told
REACTION = 0.9  # how often people react to an answer


@dataclass(frozen=True)
class Manner:
    """How an answer is written; the fields are keys of the tables above."""

    relevance: str
    completeness: str
    tone: str
    rambling: bool

    def faults(self) -> list[str]:
        found = {"on": [], "intent": ["intent"], "drift": ["off"], "off": ["off"]}[self.relevance]
        found = found + ([self.completeness] if self.completeness != "full" else [])
        found = found + (["rude"] if self.tone == "rude" else [])
        return found + (["rambling"] if self.rambling else [])

    def remarks(self) -> list[str]:
        """What there is to say to it, as keys of the reactions."""
        faults = self.faults()
        return faults + (["kind"] if self.tone == "warm" else []) if faults else [self.tone]


@dataclass(frozen=True)
class Turn:
    role: str
    text: str


def conversations(count: int, seed: str = "hone-demo") -> Iterator[tuple[Turn, ...]]:
    """`count` conversations of two to four turns, the same for the same seed on every machine."""
    rng = random.Random(f"{seed}/conversations")
    kinds = {_greeting: GREETING, _everything: EVERYTHING, _exchange: 1 - GREETING - EVERYTHING}
    for _ in range(count):
        yield rng.choices(list(kinds), weights=list(kinds.values()))[0](rng)


def ask(subject: Subject, intent: str, rng: random.Random) -> str:
    return rng.choice(phrases.ASK[intent]).format(name=subject.name, activity=subject.activity)


def draw_manner(rng: random.Random) -> Manner:
    return Manner(_draw(RELEVANCE, rng), _draw(COMPLETENESS, rng), _draw(TONE, rng), rng.random() < RAMBLING)


def write_answer(subject: Subject, intent: str, manner: Manner, other: Subject, rng: random.Random) -> str:
    """An answer about `subject` in the given manner; `other` is what it is about when off, or drifts to."""
    told, told_intent = subject, intent
    if manner.relevance == "off":
        told = other
    if manner.relevance == "intent":
        told_intent = rng.choice([other for other in INTENTS if other != intent])
    body = _body(told, told_intent, manner.completeness != "missing", rng)
    if manner.relevance == "drift":
        body = [
            body[0],
            _spoken(phrases.DRIFTS, subject, other, rng),
            *_body(other, rng.choice(("what", intent)), False, rng),
        ]
    if manner.rambling:
        body = _ramble(body, rng)
    if manner.relevance in phrases.DODGES:
        body = [_spoken(phrases.DODGES[manner.relevance], subject, other, rng), *body]
    opener, closer = _frame(subject.name, manner.tone, rng)
    if manner.completeness == "unfinished":
        return " ".join(filter(None, [opener, _cut(" ".join(body), rng)]))
    return " ".join(filter(None, [opener, *body, closer]))


def _spoken(forms: Sequence[str], subject: Subject, other: Subject, rng: random.Random) -> str:
    return _capital(rng.choice(forms).format(name=subject.name, other=other.name))


def _exchange(rng: random.Random) -> tuple[Turn, ...]:
    subject, intent = rng.choice(subjects()), rng.choice(INTENTS)
    manner, other = draw_manner(rng), another(subject, rng)
    turns = [Turn("system", rng.choice(phrases.SYSTEM))] if rng.random() < SYSTEM else []
    turns.append(Turn("user", ask(subject, intent, rng)))
    turns.append(Turn("assistant", write_answer(subject, intent, manner, other, rng)))
    if rng.random() < REACTION:
        turns.append(Turn("user", _reaction(subject, manner, other, rng)))
    return tuple(turns)


def _reaction(subject: Subject, manner: Manner, other: Subject, rng: random.Random) -> str:
    """One or two remarks, in any order: whatever comes to mind first. Who is off is told what he spoke about."""
    remarks = manner.remarks()
    rng.shuffle(remarks)
    return " ".join(_spoken(phrases.REACTIONS[kind], subject, other, rng) for kind in remarks[:2])


def _everything(rng: random.Random) -> tuple[Turn, ...]:
    """A long answer without faults, from which a reader learns what belongs to a subject."""
    subject = rng.choice(subjects())
    known = [*subject.facts, *subject.opinions]
    rng.shuffle(known)
    question = rng.choice(phrases.EVERYTHING).format(name=subject.name)
    return Turn("user", question), Turn("assistant", " ".join(known))


def _greeting(rng: random.Random) -> tuple[Turn, ...]:
    back = rng.choice(phrases.GREETINGS_BACK[_draw(TONE, rng)])
    return Turn("user", rng.choice(phrases.GREETINGS)), Turn("assistant", back)


def _body(subject: Subject, intent: str, whole: bool, rng: random.Random) -> list[str]:
    if intent == "how":
        return _steps(subject, whole, rng)
    if intent == "what":
        told = rng.sample(subject.facts, 3 if whole else 1)
        return [_lead(rng.choice(phrases.FACT_LEADS), fact) for fact in told]
    told = rng.sample(subject.opinions, 2 if whole else 1)
    sentences = [_lead(rng.choice(phrases.TALK_LEADS), opinion) for opinion in told]
    question = rng.choice(phrases.ASK_LEADS) + rng.choice(subject.questions)
    return [*sentences, question] if whole else sentences


def _steps(subject: Subject, whole: bool, rng: random.Random) -> list[str]:
    """All steps in order, or two or three of them with a gap that shows."""
    steps = list(subject.steps)
    if not whole:
        keep = sorted(rng.sample(range(len(steps)), rng.choice((2, 3))))
        return [_step(rng.choice(phrases.MIDDLE[:4]), steps[place]) for place in keep]
    middle = steps[1:-1]
    if rng.random() < 0.5:  # join two steps into one sentence
        place = rng.randrange(len(middle) - 1)
        middle[place : place + 2] = [rng.choice(phrases.PAIRED).format(*middle[place : place + 2])]
    return [
        _step(rng.choice(phrases.FIRST), steps[0]),
        *(_step(rng.choice(phrases.MIDDLE), step) for step in middle),
        _step(rng.choice(phrases.LAST), steps[-1]),
    ]


def _step(pattern: str, step: str) -> str:
    return _capital(pattern.format(step))


def _ramble(body: list[str], rng: random.Random) -> list[str]:
    """Say it again and pad it, past the point where anybody listens."""
    longer = [*body, rng.choice(phrases.FILLERS), rng.choice(body), rng.choice(phrases.FILLERS)]
    return (
        longer if len(body) < 4 else [*body[:2], rng.choice(phrases.FILLERS), *body[1:3], rng.choice(phrases.FILLERS)]
    )


def _frame(name: str, tone: str, rng: random.Random) -> tuple[str, str]:
    openers, closers = {
        "warm": (phrases.WARM_OPENERS, phrases.WARM_CLOSERS),
        "plain": (phrases.PLAIN_OPENERS, phrases.PLAIN_CLOSERS),
        "rude": (phrases.RUDE_OPENERS, phrases.RUDE_CLOSERS),
    }[tone]
    opener, closer = rng.choice(openers).format(name=name), rng.choice(closers).format(name=name)
    form = rng.choice(("both", "opener", "opener", "closer"))
    opener = "" if form == "closer" else opener
    return _capital(opener), _capital("" if form == "opener" else closer)


def _cut(text: str, rng: random.Random) -> str:
    """Stop in the middle of a sentence, as a speaker does who was called away."""
    words = text.split()
    kept = words[: max(4, int(len(words) * rng.uniform(0.35, 0.9)))]
    return " ".join(kept).rstrip(".,:;!?")


def another(subject: Subject, rng: random.Random) -> Subject:
    return rng.choice([other for other in subjects() if other is not subject])


def _lead(lead: str, sentence: str) -> str:
    first = sentence.split()[0]
    return lead + (sentence if not lead or first in ("I",) else sentence[0].lower() + sentence[1:])


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _draw(shares: dict[str, float], rng: random.Random) -> str:
    return rng.choices(list(shares), weights=list(shares.values()))[0]
