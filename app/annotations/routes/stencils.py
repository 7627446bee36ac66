"""A task as it is sent after an answer, drawn once and filled in for each.

All tasks of a protocol ask the same: what a page shows of them differs in texts, ids and figures alone. Drawing one
takes a fifth of the time that an answer takes, so what is drawn is kept, cut where those stood. A task that shows more
than most (a draft, a conversation, a cover) is drawn by itself.
"""

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from markupsafe import escape

from app.accounts.access import Access
from app.annotations.asking import Screen, asking
from app.annotations.kinds import OnScreen
from app.pages import draw, env
from app.shortcuts import own_keys, pressing
from app.translation import reader

PAGE = "annotations/annotate.html"
MOST = 100  # stencils of one protocol: languages, people's own keys, roles of the prompt's turns
IN_TASK = ("address", "source", "key", "rev", "given", "most", "today")
# What only some screens say, and a stencil must not learn from one of them.
MORE = ("guidelines", "refusal", "offer", "no_way_back", "remark", "reading", "talk", "care", "used_up", "entrance")
STAND_IN = f"stand-in-{secrets.token_hex(8)}-{{}}-"  # nobody can write one into a guideline or a label
CUT = re.compile(STAND_IN.format(r"(\d+)"))


@dataclass(frozen=True, slots=True)
class Stencil:
    """pieces: of HTML, with the numbers of the values between them."""

    pieces: list[str]
    values: list[int]

    def filled(self, values: Sequence[str]) -> str:
        """values: HTML, as `values_of` lists them."""
        out = [self.pieces[0]]
        for number, piece in zip(self.values, self.pieces[1:], strict=True):
            out += (values[number], piece)
        return "".join(out)


@dataclass(frozen=True, slots=True)
class StandIn(OnScreen):
    """An answer of which also the end is filled in: whether it was cut off differs from one to the next."""

    ending: str = ""


@cache
def ending_of(_locale: str, letter: str, cut_off: bool) -> str:
    """How an answer ends, in the reader's language."""
    frame: Any = env.get_template("annotations/_frame.html").module
    return str(frame.end(OnScreen(letter, "", "", cut_off=cut_off)))


def is_like_most(screen: Screen) -> bool:
    """Whether a stencil may be made of this screen, or filled in for it."""
    return "asked" in screen and not any(screen[name] for name in MORE)


def filled_task(access: Access, screen: Screen) -> str:
    """The HTML of a task that `is_like_most`. screen: `blank`, and of a task about which nothing was said yet, with
    `asked` and not the question itself; the protocol needs no texts and no turns."""
    asked, answers, saved = screen["asked"], screen["answers"], screen["saved"]
    keys = own_keys(access.person.preferences)
    sort = (
        reader.get().locale,
        bool(access.person.preferences.get("confirms")),
        screen["has_news"],
        saved and (saved["surplus"], saved["version"] > 1),
        *(role for role, _html in screen["turns"]),
        len(answers),
        *sorted(keys.items()),
    )
    stencil: Stencil | None = asked.drawn.get(sort)
    if stencil is None:
        if len(asked.drawn) >= MOST:
            asked.drawn.pop(next(iter(asked.drawn)))
        stencil = asked.drawn[sort] = stencil_of(access, screen)
    return stencil.filled(values_of(screen))


def values_of(screen: Screen) -> list[str]:
    """What differs from task to task, as HTML in the page's order: texts were made safe when they came in."""
    values = [str(escape(screen[name])) for name in IN_TASK]
    values.append(screen["saved"]["at"] if screen["saved"] else "")
    values += (html for _role, html in screen["turns"])
    for answer in screen["answers"]:
        values += (answer.handle, answer.html, ending_of(reader.get().locale, answer.letter, answer.cut_off))
    return values


def stencil_of(access: Access, screen: Screen) -> Stencil:
    """The task drawn with stand-ins where `values_of` has its values."""
    numbers = iter(range(1000))

    def stand_in() -> str:
        return STAND_IN.format(next(numbers))

    like: Screen = {name: stand_in() for name in IN_TASK}
    at = stand_in()
    like["saved"] = screen["saved"] and screen["saved"] | {"at": at}
    like["turns"] = [(role, stand_in()) for role, _html in screen["turns"]]
    answers = [StandIn(one.letter, stand_in(), stand_in(), ending=stand_in()) for one in screen["answers"]]
    html = drawn_task(access, screen | like | {"answers": answers})
    cut = CUT.split(html)
    return Stencil(cut[::2], [int(number) for number in cut[1::2]])


def drawn_task(access: Access, screen: Screen) -> str:
    """The same without a stencil."""
    preferences = access.person.preferences
    question = asking(screen["asked"].protocol, screen["answers"], {}, preferences)
    with pressing(preferences):
        return draw(PAGE, "task", screen | question | {"project": None, "guidelines": None})
