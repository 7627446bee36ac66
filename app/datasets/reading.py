"""From lines of a dataset back to tasks and what people said about them. Pure.

What a line says is put to the same forms and rules as a submission over REST, under a protocol that is made from the
line: whatever comes in here could have been answered here.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import chain
from typing import Any, get_args

import orjson
from pydantic import TypeAdapter, ValidationError

from app.annotations.kinds import Body, KeptCombined, to_keep
from app.datasets.recalling import RECALLS, Recalled, as_said
from app.datasets.records import SCHEMA_VERSION, DatasetRecord
from app.datasets.rules import Line, text_of
from app.errors import Invalid
from app.preferences.groups import order_of_scores
from app.preferences.votes import Outcome as Verdict
from app.projects.protocols import protocol_of
from app.prompts.forms import NewPrompt, Outcome, as_prompt, parts_of, short_text
from app.translation import _
from app.unions import steps_to

RECORDS: dict[str, Any] = {one.model_fields["kind"].default: one for one in get_args(DatasetRecord)}
FORM: TypeAdapter[Any] = TypeAdapter(Body)
TASK = re.compile(r"^([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?:\.|$)")  # a task's id begins its lines' ids
TURN = re.compile(r"\.[0-9]+(?:\.scores)?$")  # ends the ids of what a turn of a conversation yields
SCORES = ".scores"  # ends the id of a turn's scores, beside which stands the order that they say
PAIR = ".pair"  # ends the id of the pair that a rewrite yields beside its demonstration
SIMPLE = {"id", "prompt", "messages", "a", "b", "chosen", "strength", "levels", "rater", "at", "comment"}
OF_PROMPT = {"group", "split", "use", "tags", "metadata"}
NOBODY = "unnamed"
MOST_RATERS = 50  # of one task
LONGEST_NAME = 100


class Differs(ValueError):
    """Two lines of one file say different things about one task; the first is kept."""


@dataclass(frozen=True)
class Read:
    """A line that is a record. value: as it was written. prompt: with its tags and the side it stands on."""

    number: int
    value: Line
    record: Any
    prompt: NewPrompt

    @property
    def id(self) -> str:
        return str(self.record.id)

    @property
    def task(self) -> str:
        """What all lines about one task have in common."""
        if self.record.kind != "demonstration" and TURN.search(self.id):
            return self.id.removesuffix(
                SCORES
            )  # each turn is a task of its own: its prompt is all that was said before
        found = TASK.match(self.id)
        return found[1] if found else self.id.removesuffix(PAIR)

    @property
    def answers(self) -> list[Line]:
        """What the task showed, as far as this line tells."""
        if self.record.kind == "comparison":
            return [self.value["a"], self.value["b"]]
        return list(self.value.get("answers", ()))


@dataclass(frozen=True)
class Judged:
    """What one rater said about a task: a body as it is stored. protocol: as JSON. lines: that said it."""

    rater: str
    body: Line
    protocol: Line
    sides: list[int]
    at: datetime | None
    lines: tuple[int, ...]


@dataclass(frozen=True)
class Part:
    """What one rater said in one line. kept: the body of its kind as it is stored."""

    said: Recalled
    kept: Line
    lines: tuple[int, ...] = ()


Told = dict[str, dict[str, Part]]  # by rater and kind


@dataclass(frozen=True)
class Noted:
    """What became of a line that brings nothing."""

    line: int
    outcome: Outcome
    reason: str | None = None


@dataclass
class TaskRead:
    """A task of a file. answers: in its order, {id, checkpoint, author, parts}. noted: lines that bring nothing.
    is_turn: it is a turn of a conversation, and the order that its scores say is a line of the file as well."""

    key: str
    prompt: NewPrompt
    answers: list[Line]
    is_turn: bool = False
    judged: list[Judged] = field(default_factory=list)
    noted: list[Noted] = field(default_factory=list)

    @property
    def lines(self) -> list[int]:
        """Numbers of those that bring something."""
        return sorted({number for one in self.judged for number in one.lines})

    def refuse(self, reason: str) -> None:
        """None of it can come in."""
        self.noted += [Noted(number, Outcome.refused, reason) for number in self.lines]
        self.judged = []

    @property
    def kind(self) -> str:
        """Of its protocol: the widest that somebody was asked."""
        kinds = {one.body["kind"] for one in self.judged}
        return "combined" if len(kinds) > 1 else kinds.pop()


def read_line(number: int, value: Line) -> Read:
    """:raises ValueError: a sentence: it is no record, or a newer one than this Hone reads."""
    value = value if "kind" in value else simple(value)
    kind, version = value["kind"], value.get("schema_version", SCHEMA_VERSION)
    if not isinstance(kind, str) or kind not in RECORDS:
        raise ValueError(_("kind: “{kind}” is none of {kinds}").format(kind=kind, kinds=", ".join(RECORDS)))
    if isinstance(version, int) and version > SCHEMA_VERSION:
        reason = _("schema_version: {version} is of a later Hone; this one reads up to {known}")
        raise ValueError(reason.format(version=version, known=SCHEMA_VERSION))
    beside = {name: value[name] for name in OF_PROMPT if name in value}
    if value.get("split") == "train":  # what taught a reward model was judged
        beside["split"] = "label"
    prompt = as_prompt({"messages": value.get("prompt")} | beside)
    told = {name: found for name, found in value.items() if name not in ("use", "metadata")}
    try:
        record = RECORDS[kind].model_validate({"group": "", "split": "train"} | told)
    except ValidationError as wrong:
        raise ValueError(complaint(wrong)) from None
    record = as_said(record)
    if {record.weight, *(vote.weight for vote in getattr(record, "votes", ()))} != {1.0}:
        raise ValueError(_("weight: every vote weighs 1 here; another weight cannot be kept"))
    return Read(number, value, record, prompt)


def simple(value: Line) -> Line:
    """A line as one writes it by hand, {prompt, a, b, chosen}, as a comparison.

    :raises ValueError: a sentence that names the field.
    """
    if missing := [name for name in ("a", "b", "chosen") if name not in value]:
        reason = _("{field}: it is missing; a line is a record with its “kind”, or has “prompt”, “a”, “b” and “chosen”")
        raise ValueError(reason.format(field=missing[0]))
    if unknown := sorted(value.keys() - SIMPLE - OF_PROMPT):
        raise ValueError(_("{field}: there is no such field").format(field=unknown[0]))
    if value["chosen"] not in list(Verdict):
        reason = _("chosen: “{said}” is none of {all}")
        raise ValueError(reason.format(said=value["chosen"], all=", ".join(Verdict)))
    prompt = as_prompt({name: value[name] for name in ("prompt", "messages") if name in value}).messages
    parts = {name: parts_of(value[name], name) for name in ("a", "b")}
    content = orjson.dumps([prompt, parts], option=orjson.OPT_SORT_KEYS)
    key = short_text(value.get("id"), "id") or "by-hand-" + hashlib.sha256(content).hexdigest()[:32]
    vote = {"rater": value.get("rater", NOBODY), "outcome": value["chosen"], "shown_first": "a"}
    vote |= {"strength": value.get("strength", 1)} if value["chosen"] in ("a", "b") else {}
    vote |= {name: value[name] for name in ("levels", "at", "comment") if name in value}
    answers = {name: {"id": f"{key}.{name}", "parts": found} for name, found in parts.items()}
    made = {"kind": "comparison", "id": key, "prompt": prompt, "conclusion": "tie", "votes": [vote]}
    return made | answers | {name: value[name] for name in OF_PROMPT if name in value}


def complaint(wrong: ValidationError) -> str:
    found = wrong.errors()[0]
    return f"{'.'.join(map(str, steps_to(found)))}: {found['msg'].removeprefix('Value error, ')}"


def task_of(lines: Sequence[Read]) -> TaskRead:
    """One task from all its lines, in the order of their numbers."""
    demonstrations = {line.id for line in lines if line.record.kind == "demonstration" and line.record.rewritten_from}
    pairs = {line.id: line for line in lines if line.id.removesuffix(PAIR) in demonstrations - {line.id}}
    orders = orders_in(lines)
    beside = {line.number for found in orders.values() for line in found}
    mains = [line for line in lines if line.id not in pairs and line.number not in beside]
    task = TaskRead(lines[0].task, lines[0].prompt, answers_of(mains, pairs.values()), is_turn=bool(orders))
    told: Told = {}
    for line in mains:
        pair = [pairs[line.id + PAIR]] if line.id + PAIR in pairs else []
        numbers = tuple(one.number for one in (line, *pair, *orders.pop(line.id, ())))
        try:
            is_new = add(told, list(said_in(line, task)), numbers)
        except Differs as reason:
            task.noted += [Noted(number, Outcome.conflicting, str(reason)) for number in numbers]
        except (ValueError, Invalid) as reason:
            task.noted += [Noted(number, Outcome.refused, str(reason)) for number in numbers]
        else:
            task.noted += [] if is_new else [Noted(number, Outcome.identical) for number in numbers]
    task.judged = [judged(rater, list(parts.values()), len(task.answers)) for rater, parts in told.items()]
    return task


def orders_in(lines: Sequence[Read]) -> dict[str, list[Read]]:
    """Lines that say no more than what follows from scores beside them, by the id of the scores. They are made anew
    when the scores are frozen again, and could not be said by themselves: nobody is asked for 99 strengths."""
    scores = {line.id.removesuffix(SCORES): line for line in lines if line.id.endswith(SCORES)}
    found: dict[str, list[Read]] = {}
    for line in lines:
        if line.id in scores and follows(line, scores[line.id]):
            found.setdefault(line.id + SCORES, []).append(line)
    return found


def follows(line: Read, scores: Read) -> bool:
    """Whether a line says the order that scores in another say, and nothing else."""
    if scores.record.kind != "rating" or line.record.kind not in ("comparison", "ranking"):
        return False
    if line.answers != scores.answers or line.prompt != scores.prompt:
        return False
    beside = ("at", "comment", "overall")
    said = [vote.model_dump() for vote in line.record.votes]
    orders = [(order_of_scores(vote), vote.model_dump(include={*beside})) for vote in scores.record.votes]
    return said == [order.model_dump() | told for order, told in orders if order is not None]


def answers_of(mains: Sequence[Read], pairs: Iterable[Read]) -> list[Line]:
    """What the task showed: the first line that tells all of it, else what was rewritten."""
    shown = next((line.answers for line in mains if line.answers), None)
    return list({pair.record.b.id: pair.value["b"] for pair in pairs}.values()) if shown is None else shown


def said_in(line: Read, task: TaskRead) -> Iterator[Part]:
    """:raises Differs: it is about another prompt or shows other answers. :raises ValueError: :raises Invalid: nobody
    could have said this."""
    if line.prompt.messages != task.prompt.messages or line.prompt.use != task.prompt.use:
        raise Differs(_("an earlier line about the same task has another prompt, or stands on another side"))
    if line.answers and line.answers != task.answers:
        raise Differs(_("an earlier line about the same task shows other answers"))
    ids = [str(answer["id"]) for answer in task.answers]
    if len(set(ids)) < len(ids):
        raise ValueError(_("answers: two of them have one id"))
    texts = [text_of(answer["parts"]) for answer in task.answers]
    try:
        for one in RECALLS[line.record.kind](line.record, ids):
            if not 1 <= len(one.rater.strip()) <= len(one.rater) <= LONGEST_NAME:
                raise ValueError(_("rater: a name has 1 to {most} characters").format(most=LONGEST_NAME))
            numbers = {str(number): number for number in range(len(ids))}
            yield Part(one, to_keep(FORM.validate_python(one.body), protocol_of(one.protocol), numbers, texts))
    except ValidationError as wrong:
        raise ValueError(complaint(wrong)) from None


def add(told: Told, said: Sequence[Part], numbers: tuple[int, ...]) -> bool:
    """Put what one line says to the rest; whether anything of it is new.

    :raises Differs: one of its raters says something else in an earlier line; then nothing of it is taken.
    """
    known = [(one, told.get(one.said.rater, {}).get(one.kept["kind"])) for one in said]
    if any(before is not None and before.kept != one.kept for one, before in known):
        raise Differs(_("a rater says something else about the same task in an earlier line"))
    new = [one for one, before in known if before is None]
    for one in new:
        if len(told) == MOST_RATERS and one.said.rater not in told:
            raise ValueError(_("votes: a task has at most {most} raters").format(most=MOST_RATERS))
        told.setdefault(one.said.rater, {})[one.kept["kind"]] = replace(one, lines=numbers)
    return bool(new)


def judged(rater: str, parts: Sequence[Part], answers: int) -> Judged:
    """All that one person said about a task as the one body that they sent."""
    first = parts[0]
    sides = next((one.said.sides for one in parts if one.said.sides is not None), list(range(answers)))
    at = first.said.at
    body, asked = first.kept, first.said.protocol
    if len(parts) > 1:
        whole = KeptCombined(parts=tuple(one.kept for one in parts), justification=first.said.overall)
        body = whole.model_dump(mode="json")
        asked = {"kind": "combined", "parts": [one.said.protocol for one in parts]}
    lines = tuple(sorted(set(chain.from_iterable(one.lines for one in parts))))
    at = at.replace(tzinfo=UTC) if at is not None and at.tzinfo is None else at
    return Judged(rater, body, protocol_of(asked).as_json(), sides, at, lines)
