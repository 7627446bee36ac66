"""The bar under a task, drawn once and filled in for each.

All tasks of a protocol ask the same: their bars differ in the task's address, its key and the answers' handles alone.
Drawing one takes longer than all the rest of the page, so what is drawn is kept, cut where those stood.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from app.accounts.access import Access
from app.annotations.asking import Screen, asking
from app.annotations.kinds import LETTERS, OnScreen
from app.pages import draw
from app.shortcuts import own_keys, pressing
from app.tasks.queries import Narrowed
from app.translation import reader

BAR = "annotations/_bar.html"
MOST = 50  # stencils of one protocol: languages, people's own keys, numbers of answers
STAND_IN = "stand-in-{}-for-a-stencil"
CUT = re.compile(STAND_IN.format(r"(\d+)"))


@dataclass(frozen=True, slots=True)
class Stencil:
    """pieces: of HTML, with the numbers of the values between them. screen: what else the page is told."""

    pieces: list[str]
    values: list[int]
    screen: Screen

    def filled(self, values: Sequence[str]) -> Markup:
        """values: as `stencil_of` numbers them; letters, digits, `/` and `-` alone, so that none has to be escaped."""
        out = [self.pieces[0]]
        for number, piece in zip(self.values, self.pieces[1:], strict=True):
            out += (values[number], piece)
        return Markup("".join(out))  # noqa: S704  (our own template, with ids and handles that we made)


def plain_screen(access: Access, asked: Narrowed, address: str, key: str, answers: list[OnScreen]) -> Screen:
    """What a task's screen needs of the question (see `asking`), its bar drawn: for a task about which nothing was said
    yet, under a protocol whose bar holds no texts."""
    keys = own_keys(access.person.preferences)
    sort = (len(answers), reader.get().locale, bool(access.person.preferences.get("confirms")), *sorted(keys.items()))
    stencil = asked.drawn.get(sort)
    if stencil is None:
        if len(asked.drawn) >= MOST:
            asked.drawn.clear()
        stencil = asked.drawn[sort] = stencil_of(asked.protocol, len(answers), access.person.preferences)
    bar = stencil.filled([address, key, *(one.handle for one in answers)])
    return stencil.screen | {"answers": answers, "bar": bar}


def stencil_of(protocol: Any, answers: int, preferences: dict[str, Any]) -> Stencil:
    """The bar with stand-ins: value 0 is the task's address, 1 its key, then the handle of each answer."""
    stand_ins = [STAND_IN.format(number) for number in range(2 + answers)]
    shown = [OnScreen(letter, handle, "") for letter, handle in zip(LETTERS, stand_ins[2:], strict=False)]
    screen = asking(protocol, shown, {}, preferences)
    with pressing(preferences):
        html = draw(BAR, None, screen | {"mode": "task", "address": stand_ins[0], "key": stand_ins[1], "talk": None})
    cut = CUT.split(html)
    return Stencil(cut[::2], [int(number) for number in cut[1::2]], screen)
