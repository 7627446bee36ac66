"""Questions of the project's own: typed answers about the task and about each completion."""

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, StrictBool, StrictFloat, StrictInt, StringConstraints, model_validator

from app.annotations.kinds.base import (
    BodyForm,
    Fields,
    Form,
    Handle,
    Kept,
    OnScreen,
    Schema,
    Words,
    number_of,
    one,
    refuse,
)
from app.projects.protocols import QuestionsProtocol
from app.projects.protocols.conditions import Value, shown
from app.projects.protocols.questions import LARGEST, Question
from app.translation import _

SAY, TASK = "say.", "task"  # say.task.<key> and say.<handle>.<key> in the browser's form
Key = Annotated[str, StringConstraints(min_length=1, max_length=40)]
Real = Annotated[StrictFloat, Field(allow_inf_nan=False)]
Said = StrictBool | StrictInt | Real | Words | Annotated[tuple[Words, ...], Field(max_length=40)]
Answers = Annotated[dict[Key, Said], Field(max_length=40)]
KeptValue = StrictBool | StrictInt | StrictFloat | str | tuple[str, ...]


class QuestionsSchema(Schema):
    name: Literal["hone.questions"] = "hone.questions"
    version: Literal[1] = 1


class KeptAnswered(Form):
    """What was said about one completion (its number)."""

    completion: int
    said: dict[str, KeptValue]


class KeptQuestions(Kept):
    """task: what was said about the task as a whole. A value has its question's type: true and false, a number (whole
    where the question says so), the key of an option, a list of keys, a text. What was not asked is not there."""

    schema_: QuestionsSchema = Field(default=QuestionsSchema(), alias="schema")
    kind: Literal["questions"] = "questions"
    task: dict[str, KeptValue] = Field(default={})
    answers: tuple[KeptAnswered, ...] = ()

    def words(self, letters: Sequence[str], protocol: QuestionsProtocol) -> str:
        questions = {one.key: one for one in protocol.questions}
        told = [about_one("", self.task, questions)]
        in_order = sorted(self.answers, key=lambda about: letters[about.completion])
        told += [about_one(letters[about.completion], about.said, questions) for about in in_order]
        return "; ".join(filter(None, told)) or _("nothing")

    def fields(self, handles: Sequence[str]) -> dict[str, list[str]]:
        places = [(TASK, self.task), *((handles[about.completion], about.said) for about in self.answers)]
        return {f"{SAY}{place}.{key}": as_field(value) for place, said in places for key, value in said.items()}

    def told(self, ids: Sequence[str]) -> dict[str, Any]:
        body = self.model_dump(mode="json")
        answers = [about | {"completion": ids[about["completion"]]} for about in body["answers"]]
        return body | {"answers": answers}


class About(Form):
    """What is said about one completion: a value by the question's key."""

    completion: Handle
    said: Answers = Field(default={})


class QuestionsForm(BodyForm):
    """task: a value by the key of each question about the task. answers: the same for each completion.

    Values: yes_no: true or false; scale: its point; number; choice: an option's key; choices: a list of keys; text. A
    question that is not asked, because of the prompt's tags or of an earlier answer, is never required, and a value
    for it is dropped.
    """

    keeps: ClassVar[type[Kept]] = KeptQuestions
    kind: Literal["questions"]
    task: Answers = Field(default={})
    answers: tuple[About, ...] = Field(default=(), max_length=9)

    @model_validator(mode="after")
    def each_once(self) -> Self:
        handles = [about.completion for about in self.answers]
        if len(handles) != len(set(handles)):
            raise ValueError(_("an answer is spoken about twice"))
        return self

    @classmethod
    def posted(cls, fields: Fields) -> dict[str, Any]:
        """Texts only, each value a list: the rule reads them by their question's type."""
        said: dict[str, dict[str, list[str]]] = {TASK: {}}
        for name, values in fields.items():
            place, _dot, key = name.removeprefix(SAY).partition(".")
            if name.startswith(SAY) and any(values):
                said.setdefault(place, {})[key] = [value for value in values if value]
        task = said.pop(TASK)
        answers = [{"completion": handle, "said": about} for handle, about in said.items()]
        return {"kind": "questions", "task": task, "answers": answers, "justification": one(fields, "justification")}

    def kept(self, protocol: QuestionsProtocol, numbers: Mapping[str, int]) -> KeptQuestions:
        by_number: dict[int, Mapping[str, Said]] = {
            number_of(about.completion, numbers): about.said for about in self.answers
        }
        task = asked_and_said("task", protocol.about_task, protocol, self.task, {})
        questions = protocol.about_answers
        answers = tuple(
            KeptAnswered(
                completion=number,
                said=asked_and_said("answers.said", questions, protocol, by_number.get(number, {}), task),
            )
            for number in sorted(set(numbers.values()))
            if questions or by_number.get(number)
        )
        return KeptQuestions(task=task, answers=answers, justification=self.justification)

    @classmethod
    def screen(cls, protocol: QuestionsProtocol, shown: Sequence[OnScreen], *, is_alone: bool) -> dict[str, Any]:
        """rows: each question as it stands on the screen, with the answer it is about (None: the task)."""
        rows: list[tuple[Question, OnScreen | None]] = []
        for about, group in groupby(protocol.questions, key=lambda question: question.about):
            questions = list(group)
            places = shown if about == "answer" else [None]
            rows += [(question, place) for place in places for question in questions]
        return {"title": _("Answer the questions"), "rows": rows}


def asked_and_said(
    place: str,
    questions: Sequence[Question],
    protocol: QuestionsProtocol,
    said: Mapping[str, Said],
    before: Mapping[str, Value],
) -> dict[str, Value]:
    """Values of the questions that are asked after all, each of its question's type, in their order.

    :raises AgainstTheProtocol: one is unknown, or one that is asked is still open or cannot be.
    """
    keys = {question.key for question in questions}
    for key in said.keys() - keys - protocol.elsewhere:
        raise refuse(f"{place}.{key}", _("this project has no such question here"))
    read: dict[str, Value] = {}
    asked: list[Question] = []
    for question in questions:  # one after the other: what is not asked is not even read
        if question not in shown([*asked, question], read, before):
            continue
        asked.append(question)
        value = value_of(place, question, said.get(question.key))
        if value is not None:
            read[question.key] = value
        elif question.required:
            raise refuse(f"{place}.{question.key}", _("“{label}” is still open").format(label=question.label))
    return read


def value_of(place: str, question: Question, said: Said | None) -> Value | None:
    """What was said as a value of the question's type; None where it says nothing.

    :raises AgainstTheProtocol: it is of another type, or beyond what is offered.
    """
    if isinstance(said, tuple) and question.type != "choices":
        said = typed(question, said[-1]) if said else None
    if said is None:
        return None
    try:
        return READERS[question.type](question, said)
    except ValueError as wrong:
        raise refuse(f"{place}.{question.key}", str(wrong)) from None


def typed(question: Question, text: str) -> Said:
    """A browser's field as its question's type; what cannot be read stays a text, for the reader to refuse."""
    if question.type == "yes_no":
        return {"yes": True, "no": False}.get(text, text)
    if question.type not in ("number", "scale"):
        return text
    try:
        value = float(text)
    except ValueError:
        return text
    return int(value) if value.is_integer() and abs(value) <= LARGEST else value


def read_yes_no(question: Question, said: Said) -> Value:
    if not isinstance(said, bool):
        raise ValueError(_("“{label}” is answered with true or false").format(label=question.label))
    return said


def read_scale(question: Question, said: Said) -> Value:
    if isinstance(said, bool) or not isinstance(said, int) or not 1 <= said <= question.points:
        reason = _("“{label}” goes from 1 to {points}")
        raise ValueError(reason.format(label=question.label, points=question.points))
    return said


def read_number(question: Question, said: Said) -> Value:
    """A whole number stays whole where the question wants one; any other becomes a float, so that a column has one
    type."""
    if isinstance(said, bool) or not isinstance(said, int | float) or not math.isfinite(said) or abs(said) > LARGEST:
        raise ValueError(_("“{label}” is answered with a number").format(label=question.label))
    if question.whole and said != int(said):
        raise ValueError(_("“{label}” is answered with a whole number").format(label=question.label))
    least, most = question.least, question.most
    if (least is not None and said < least) or (most is not None and said > most):
        if least is None:
            reason = _("“{label}” is at most {most:g}")
        else:
            reason = _("“{label}” is at least {least:g}") if most is None else _("“{label}” is {least:g} to {most:g}")
        raise ValueError(reason.format(label=question.label, least=least, most=most))
    return int(said) if question.whole else float(said)


def read_choice(question: Question, said: Said) -> Value:
    if said not in question.keys:
        raise ValueError(_("“{label}” does not offer “{key}”").format(label=question.label, key=said))
    return str(said)


def read_choices(question: Question, said: Said) -> Value | None:
    """In the options' order, each once; none of them says nothing."""
    if not isinstance(said, tuple):
        raise ValueError(_("“{label}” is answered with a list").format(label=question.label))
    for key in said:
        read_choice(question, key)
    return tuple(option.key for option in question.options if option.key in said) or None


def read_text(question: Question, said: Said) -> Value | None:
    if not isinstance(said, str):
        raise ValueError(_("“{label}” is answered with a text").format(label=question.label))
    if len(said) > question.longest:
        reason = _("“{label}” holds {longest} characters, not {length}")
        raise ValueError(reason.format(label=question.label, longest=question.longest, length=len(said)))
    return said if said.strip() else None


READERS: dict[str, Callable[[Question, Said], Value | None]] = {
    "yes_no": read_yes_no,
    "scale": read_scale,
    "number": read_number,
    "choice": read_choice,
    "choices": read_choices,
    "text": read_text,
}


def as_field(value: Value) -> list[str]:
    if isinstance(value, bool):
        return ["yes" if value else "no"]
    return list(value) if isinstance(value, tuple) else [str(value)]


def about_one(letter: str, said: Mapping[str, Value], questions: Mapping[str, Question]) -> str:
    told = ", ".join(f"{questions[key].label}: {in_words(questions[key], value)}" for key, value in said.items())
    return f"{letter}: {told}" if letter and told else told


def in_words(question: Question, value: Value) -> str:
    """A value as it is read."""
    labels = {option.key: option.label for option in question.options}
    if isinstance(value, bool):
        return (question.high or _("yes")) if value else (question.low or _("no"))
    if isinstance(value, tuple):
        return ", ".join(labels[key] for key in value)
    if isinstance(value, float):
        return str(value).removesuffix(".0")
    return labels.get(str(value), str(value)) if question.type == "choice" else str(value)
