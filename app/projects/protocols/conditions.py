"""When a question is asked: the one rule, on the server. static/kinds/conditions.js mirrors it in the page."""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol, TypeVar

from app.projects.rules import Body

Value = bool | int | float | str | tuple[str, ...]


class Condition(Body):
    """What an earlier question must have been answered with.

    values: keys of options, `yes` or `no`; one of them was chosen. least, most: bounds of a number or of a point on a
    scale. Neither: any answer will do.
    """

    question: str
    values: tuple[str, ...] = ()
    least: float | None = None
    most: float | None = None

    def holds(self, answer: Value | None) -> bool:
        if answer is None:
            return False
        if self.values:
            return not chosen(answer).isdisjoint(self.values)
        if isinstance(answer, bool) or not isinstance(answer, int | float):
            return True
        return (self.least is None or answer >= self.least) and (self.most is None or answer <= self.most)


class Conditional(Protocol):
    """Whatever may depend on what was said before."""

    @property
    def key(self) -> str: ...
    @property
    def only_if(self) -> Sequence[Condition]: ...


C = TypeVar("C", bound=Conditional)


def chosen(answer: Value) -> frozenset[str]:
    """An answer as keys of options."""
    if isinstance(answer, bool):
        return frozenset(["yes" if answer else "no"])
    return frozenset(answer) if isinstance(answer, tuple) else frozenset([str(answer)])


def shown(questions: Sequence[C], said: Mapping[str, Value], before: Mapping[str, Value] | None = None) -> list[C]:
    """Those of the questions that are asked after all that was said, in their order.

    A question is asked when all its conditions hold; an answer to one that is not asked was never given, so what
    depends on it is not asked either. before: answers to questions that come before all of these.
    """
    counted, asked = dict(before or {}), []
    for question in questions:
        if all(condition.holds(counted.get(condition.question)) for condition in question.only_if):
            asked.append(question)
            if question.key in said:
                counted[question.key] = said[question.key]
    return asked


def meant_for(tags: Collection[str], wanted: Collection[str]) -> bool:
    """Whether something that is limited to `wanted` tags holds for a prompt with `tags`; no limit: for all."""
    return not wanted or not set(wanted).isdisjoint(tags)
