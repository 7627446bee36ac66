"""The keys of the annotate page: what each does, and which ones a person has put in their places.

Templates and scripts name an action by the page's own key. What a person presses instead is kept in their preferences
(`keys`: own key → theirs, only those that differ) and turned back into the page's own by static/annotate-keys.js.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any
from unicodedata import category

from app.translation import _

Keys = dict[str, str]

NUMBERED = _("choice {number} of what is asked: the point of a scale, the place, the value")
ACTIONS: dict[str, str] = {
    **dict.fromkeys("123456789", NUMBERED),
    "0": _("comparing: about the same; otherwise the value 0 or 10, or the tenth choice"),
    "X": _("comparing: all are bad"),
    "N": _("comparing: none is an answer; ranking: not rankable; a question: no"),
    "Y": _("a question: yes"),
    "F": _("rating: the answer's flags"),
    "E": _("rating: errors in the text; rewriting, writing and talking: into the text"),
    ",": _("rating: the marked error before this one"),
    ".": _("rating: the marked error after this one"),
    "C": _("rating: a note on the marked error"),
    "P": _("writing: preview"),
    "S": _("skip: somebody else answers this one"),
    "I": _("I know too little about this: skip it and say so"),
    "W": _("report harmful content"),
    "V": _("sensitive: uncover it, and cover it again"),
    "O": _("sensitive: not this one, without a reason"),
    "H": _("where to find help"),
    "Z": _("back to my last answer; again: the one before it"),
    "R": _("add a reason"),
    "Q": _("ask a question about this task"),
    "T": _("to the next answer, where they stand below each other; talking: ask for the answers again"),
    "B": _("talking: choose again among the last answers"),
    "U": _("fold and unfold the prompt"),
    "D": _("differences between two answers, word by word"),
    "M": _("answers as they were written, or as they are drawn"),
    "L": _("answers scroll together, or each by itself"),
    "K": _("a picture as large as the screen; again: the next one"),
    "G": _("guidelines"),
    "?": _("these keys"),
}
# they mean the same everywhere, so they stay
FIXED: tuple[tuple[tuple[str, ...], str], ...] = (
    (("←", "→"), _("ranking: another answer; errors: another word, with Shift more of them")),
    (("↑", "↓"), _("another question; ranking: one place up or down")),
    ((_("Enter"),), _("on to the next open question; with nothing open, submit")),
    ((_("Ctrl"), _("Enter")), _("submit from inside a text; talking: send the message")),
    ((_("Esc"),), _("out of a text; from an earlier answer back to the task")),
    ((_("Del"),), _("rating: take the marked error away")),
)

# What the choices of one question are pressed by, in their order, as many as there can be: figures, letters that mean
# nothing else on the page, letters that mean something only where another question is asked, signs.
CHOICES = "1234567890AJXNYPC-+;:/=*,.FBE"
SPARE = "!%&()_"  # in place of those that somebody has put to other use

_chosen: ContextVar[Mapping[str, str] | None] = ContextVar("chosen_keys", default=None)


@contextmanager
def pressing(preferences: Mapping[str, Any] | None) -> Iterator[None]:
    """While this holds, `pressed` names this person's keys."""
    token = _chosen.set(own_keys(preferences))
    try:
        yield
    finally:
        _chosen.reset(token)


def own_keys(preferences: Mapping[str, Any] | None) -> Keys:
    """What a person presses in place of the page's own keys; only those that differ and that the page knows."""
    kept = (preferences or {}).get("keys")
    if not kept:
        return {}
    return {key: str(kept[key]) for key in ACTIONS if kept.get(key, key) != key}


def pressed(key: str) -> str:
    """The key that the person on whose page this stands presses for an action."""
    return (_chosen.get() or {}).get(key, key)


def choice_key(number: int) -> str:
    """The page's own key of a choice of a question, the first is 1. Empty beyond the last key.

    A key that is nothing else here but that this person presses for something else is left out for them.
    """
    used = set((_chosen.get() or {}).values())
    free = [key for key in CHOICES + SPARE if key in ACTIONS or key not in used]
    return free[number - 1] if number <= len(free) else ""


def actions() -> Keys:
    """What each of the page's own keys does, in the reader's words."""
    return {key: _(words).format(number=key) for key, words in ACTIONS.items()}


def fixed() -> list[tuple[Sequence[str], str]]:
    """Keys that nobody can change, and what they do."""
    return [([_(key) for key in keys], _(words)) for keys, words in FIXED]


def helped() -> list[tuple[Sequence[str], str]]:
    """The list behind `?`: keys and what they do, as this person presses them."""
    numbers = ((pressed("1"), "…", pressed("9")), _("a choice: the point of a scale, the place, the value"))
    more = [pressed(choice_key(number)) for number in (10, 11, 12)]
    beyond = ((*more, "…"), _("a question with more than nine choices: those after the ninth, as they show"))
    others = [((pressed(key),), words) for key, words in actions().items() if not ("1" <= key <= "9")]
    return [numbers, beyond, *others, *fixed()]


def checked(wanted: Mapping[str, str]) -> Keys:
    """Keys that a person wants, by action; those that differ from the page's own. Empty: the page's own.

    :raises ValueError: with a sentence: one key would do two things, or it cannot be a key.
    """
    keys = {key: (wanted.get(key) or key).strip().upper() or key for key in ACTIONS}
    for key in keys.values():
        if len(key) != 1 or category(key)[0] in "CZ":
            raise ValueError(_("“{key}” is not one key: press a letter, digit or sign.").format(key=key))
    told = actions()
    for key, words in told.items():
        other = next((one for one in ACTIONS if one != key and keys[one] == keys[key]), None)
        if other is not None:
            reason = _("“{key}” would do two things: “{one}” and “{other}”.")
            raise ValueError(reason.format(key=keys[key], one=words, other=told[other]))
    return {key: mine for key, mine in keys.items() if mine != key}
