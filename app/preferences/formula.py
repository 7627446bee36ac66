"""Reward formulas: `0.6*accuracy + 0.3*relevance - 1*harmful` over what one rater said about one answer. Pure.

    sum     = product { ("+" | "-") product }
    product = factor { ("*" | "/") factor }
    factor  = { "+" | "-" } ( number | name | ("min" | "max") "(" sum { "," sum } ")" | "(" sum ")" )

A name is a criterion (its value), a flag (1 where it holds, else 0), or a count of error spans: `errors`,
`errors_<severity>`, `errors_<category>`. `min` and `max` are names like any other where no parenthesis follows. Nothing
is ever handed to Python's own evaluation.
"""

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from app.translation import _

LONGEST = 500  # characters
DEEPEST = 40  # parentheses inside parentheses
TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)|(?P<name>[A-Za-z_]\w*)|(?P<sign>[-+*/(),]))", re.A
)


class FormulaWrong(ValueError):
    """at: number of the character that is wrong, from 1; one more than there are where something is missing."""

    def __init__(self, at: int, reason: str) -> None:
        self.at = at
        self.reason = reason
        super().__init__(_("character {at}: {reason}").format(at=at, reason=reason))


class NoScore(Exception):
    """A formula has no value here. why: `division_by_zero`, `too_large`, or `missing:<name>`."""

    def __init__(self, why: str) -> None:
        self.why = why
        super().__init__(why)


@dataclass(frozen=True, slots=True)
class Number:
    value: float


@dataclass(frozen=True, slots=True)
class Name:
    """at: number of its first character."""

    name: str
    at: int


@dataclass(frozen=True, slots=True)
class Negative:
    of: "Node"


@dataclass(frozen=True, slots=True)
class Chain:
    """first, then each of the rest by its sign, from left to right."""

    first: "Node"
    rest: "tuple[tuple[str, Node], ...]"


@dataclass(frozen=True, slots=True)
class Choice:
    """The least (`min`) or the most (`max`) of some values."""

    name: str
    of: "tuple[Node, ...]"


Node = Number | Name | Negative | Chain | Choice


@dataclass(frozen=True, slots=True)
class Token:
    """sort: number, name, sign, or end."""

    sort: str
    text: str
    at: int


def parsed(text: str) -> Node:
    """:raises FormulaWrong: pointing at the character that is wrong."""
    if len(text) > LONGEST:
        raise FormulaWrong(LONGEST + 1, _("a formula holds {most} characters").format(most=LONGEST))
    parser = Parser(tokens_of(text))
    node = parser.sum(0)
    if parser.now.sort != "end":
        raise parser.wrong(_("here an operator (+ - * /) should stand, not “{found}”"))
    return node


def tokens_of(text: str) -> list[Token]:
    """:raises FormulaWrong: a character that means nothing here."""
    found: list[Token] = []
    place = 0
    while text[place:].strip():
        match = TOKEN.match(text, place)
        if match is None:
            wrong = place + len(text[place:]) - len(text[place:].lstrip())
            raise FormulaWrong(wrong + 1, _("“{sign}” means nothing in a formula").format(sign=text[wrong]))
        sort = match.lastgroup or ""
        found.append(Token(sort, match[sort], match.start(sort) + 1))
        place = match.end()
    return [*found, Token("end", "", len(text) + 1)]


class Parser:
    """Walks along the tokens once; a method for each line of the grammar."""

    def __init__(self, tokens: list[Token]) -> None:
        self.tokens = tokens
        self.place = 0

    @property
    def now(self) -> Token:
        return self.tokens[self.place]

    def take(self, *texts: str) -> Token | None:
        """The present token, passed by, if it is one of these signs."""
        token = self.now
        if token.sort != "sign" or token.text not in texts:
            return None
        self.place += 1
        return token

    def wrong(self, reason: str) -> FormulaWrong:
        return FormulaWrong(self.now.at, reason.format(found=self.now.text))

    def sum(self, depth: int) -> Node:
        return self.chain(("+", "-"), depth)

    def chain(self, signs: tuple[str, str], depth: int) -> Node:
        further = self.factor if signs[0] == "*" else self.product
        first, rest = further(depth), []
        while sign := self.take(*signs):
            rest.append((sign.text, further(depth)))
        return Chain(first, tuple(rest)) if rest else first

    def product(self, depth: int) -> Node:
        return self.chain(("*", "/"), depth)

    def factor(self, depth: int) -> Node:
        is_negative = False
        while sign := self.take("+", "-"):
            is_negative ^= sign.text == "-"
        node = self.atom(depth)
        return Negative(node) if is_negative else node

    def atom(self, depth: int) -> Node:
        token = self.now
        if depth > DEEPEST:
            raise self.wrong(_("parentheses stand more than {most} deep").replace("{most}", str(DEEPEST)))
        if self.take("("):
            node = self.sum(depth + 1)
            self.close(token)
            return node
        if token.sort not in ("number", "name"):
            missing = _("here a number, a name or “(” is missing")
            raise self.wrong(
                missing if token.sort == "end" else _("here a number, a name or “(” should stand, not “{found}”")
            )
        self.place += 1
        if token.sort == "number":
            return number_of(token)
        opened = self.now
        if token.text not in ("min", "max") or not self.take("("):
            return Name(token.text, token.at)
        values = [self.sum(depth + 1)]
        while self.take(","):
            values.append(self.sum(depth + 1))
        self.close(opened)
        return Choice(token.text, tuple(values))

    def close(self, opened: Token) -> None:
        if not self.take(")"):
            if self.now.sort == "end":
                raise self.wrong(_("“)” is missing for the “(” at character {at}").replace("{at}", str(opened.at)))
            raise self.wrong(_("here “)” or an operator should stand, not “{found}”"))


def number_of(token: Token) -> Number:
    value = float(token.text)
    if not math.isfinite(value):
        raise FormulaWrong(token.at, _("this number is too large"))
    return Number(value)


def names_in(node: Node) -> list[Name]:
    """Every name of a formula, from left to right."""
    match node:
        case Name():
            return [node]
        case Negative(of):
            return names_in(of)
        case Chain(first, rest):
            return [name for one in (first, *(one for _sign, one in rest)) for name in names_in(one)]
        case Choice(_, of):
            return [name for one in of for name in names_in(one)]
        case _:
            return []


def checked(text: str, names: Collection[str]) -> Node:
    """A formula all of whose names are offered; :raises FormulaWrong: pointing at the first that is not."""
    node = parsed(text)
    for name in names_in(node):
        if name.name not in names:
            raise FormulaWrong(name.at, _("there is no criterion, flag or error count “{name}”").format(name=name.name))
    return node


def value_of(node: Node, values: Mapping[str, float]) -> float:
    """What a formula comes to.

    :raises NoScore: it divides by zero, grows beyond what a number holds, or a name has no value.
    """
    value = evaluated(node, values)
    if not math.isfinite(value):
        raise NoScore("too_large")
    return value


def evaluated(node: Node, values: Mapping[str, float]) -> float:
    match node:
        case Number(value):
            return value
        case Name(name):
            if name not in values:
                raise NoScore(f"missing:{name}")
            return float(values[name])
        case Negative(of):
            return -evaluated(of, values)
        case Choice(name, of):
            return (min if name == "min" else max)(evaluated(one, values) for one in of)
        case Chain(first, rest):
            total = evaluated(first, values)
            for sign, one in rest:
                total = joined(total, sign, evaluated(one, values))
            return total


def joined(left: float, sign: str, right: float) -> float:
    """Beyond what a number holds, the operators give an infinity: no score, whatever would become of it further on."""
    if sign == "/" and right == 0:
        raise NoScore("division_by_zero")
    value = {"+": left.__add__, "-": left.__sub__, "*": left.__mul__, "/": left.__truediv__}[sign](right)
    if not math.isfinite(value):
        raise NoScore("too_large")
    return value
