"""What the demo speaks about: subjects with steps, facts and opinions, read from the text files beside this one."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent / "lore"

INTENTS = ("how", "what", "talk")  # a short how-to, a description, small talk


@dataclass(frozen=True)
class Subject:
    """One thing to speak about. `name` fits after "about", `activity` after "how to"."""

    name: str
    activity: str
    steps: tuple[str, ...]  # imperative clauses in their order, no capital, no full stop
    facts: tuple[str, ...]  # whole sentences, any order
    opinions: tuple[str, ...]  # whole sentences in the first person
    questions: tuple[str, ...]  # what a friendly speaker asks back

    def lines(self, intent: str) -> tuple[str, ...]:
        """Everything that can be said about this subject under one intent."""
        return {"how": self.steps, "what": self.facts, "talk": self.opinions + self.questions}[intent]


@cache
def subjects() -> tuple[Subject, ...]:
    """All subjects, in the order of the files' names and of their lines."""
    return tuple(subject for path in sorted(FOLDER.glob("*.txt")) for subject in read_subjects(path.read_text("utf-8")))


def read_subjects(text: str) -> list[Subject]:
    """Parse one file: `@ name | activity`, then `>` steps, `-` facts, `*` opinions and `?` questions."""
    return [_read_subject(block) for block in text.split("@ ")[1:]]


def _read_subject(block: str) -> Subject:
    head, *rest = block.strip().splitlines()
    name, activity = (part.strip() for part in head.split("|"))
    marked: dict[str, list[str]] = {">": [], "-": [], "*": [], "?": []}
    for line in filter(None, rest):
        marked[line[0]].append(line[2:].strip())
    return Subject(name, activity, *(tuple(marked[mark]) for mark in ">-*?"))
