"""What signs are called and what each says, for pages. Thresholds stand with the figures, as they were used."""

from collections.abc import Mapping
from typing import Any

from app import wording
from app.translation import _

NAMES = {
    "fast": _("Faster than can be read"),
    "clockwork": _("Like clockwork"),
    "side": _("One side always"),
    "key": _("One answer always"),
    "copied": _("Copied texts"),
    "gold": _("Known answers by chance"),
    "attention": _("Attention checks missed"),
    "clock": _("Around the clock"),
}
MEANINGS = {
    "fast": _("Answers that came faster than their texts can be read: a share of {limit} or more, for certain."),
    "clockwork": _(
        "The times between two answers hardly differ: the slowest tenth takes at most {limit} times as long as the "
        "fastest. People’s take three to four times as long."
    ),
    "side": _(
        "What stands on one side is chosen in {limit} of all cases or more, for certain, although sides are drawn by "
        "lot."
    ),
    "key": _(
        "The same answer, as it stands on the screen, in {limit} of all cases or more, for certain, where others "
        "give it less often."
    ),
    "copied": _("Texts that somebody else had handed in before: three or more, and a share of {limit} or more."),
    "gold": _(
        "Tasks whose answer is known are answered nearer to chance than to knowledge, for certain: below {limit}."
    ),
    "attention": _(
        "Checks whose prompt itself says what to answer are missed: three or more, a share of {limit} or more for "
        "certain, and twice as often as others miss the same ones."
    ),
    "clock": _("For {limit} hours or more there was no pause of three hours."),
}
SHARES = {"fast", "side", "key", "copied", "gold", "attention"}


def name_of(sign: str) -> str:
    return _(NAMES[sign])


def measured(sign: str, value: float | None) -> str:
    """A sign's value as its reader writes it."""
    if value is None:
        return "–"
    if sign in SHARES:
        return wording.percent(value)
    shown = wording.number(value, 1)
    return _("{hours} h").format(hours=shown) if sign == "clock" else _("× {times}").format(times=shown)


def meaning_of(sign: str, found: Mapping[str, Any]) -> str:
    """Where the sign is raised, in a sentence."""
    limit = wording.percent(found["limit"]) if sign in SHARES else wording.number(found["limit"], 1)
    return _(MEANINGS[sign]).format(limit=limit)
