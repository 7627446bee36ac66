"""What a project can be for: a protocol on a study's preset, guidelines, and an example to try it with."""

from typing import Any

from app.projects.presets import PRESETS, Preset
from app.projects.protocols import CombinedProtocol, ComparisonProtocol, RatingProtocol
from app.projects.protocols.rating import Criterion
from app.projects.purposes.examples import (
    CAPTIONS,
    CODE,
    MODERATION,
    NEWS,
    PROBING,
    SUPPORT,
    WRITING,
    Example,
)
from app.projects.rules import Body
from app.translation import _

FOR_PEOPLE = frozenset(("label", "low", "high", "hint", "topic", "intent"))


class Purpose(Body):
    """A preset with what a purpose adds to it. preset: the study under it; what it differs in stands in `about`."""

    key: str
    name: str
    about: str
    preset: Preset
    example: Example


def of_study(preset: Preset, **changes: object) -> Preset:
    return Preset.model_validate(dict(preset) | changes)


def grade(key: str, label: str, low: str, high: str) -> Criterion:
    return Criterion(key=key, label=label, scale="grade", low=low, high=high)


CAPTION_PROTOCOL = CombinedProtocol(
    preset="helpsteer2",
    parts=(
        RatingProtocol(
            completions=2,
            criteria=(
                grade("faithful", _("Faithful"), _("invents things"), _("only what is there")),
                grade("complete", _("Complete"), _("misses the main thing"), _("all that matters")),
                grade("concise", _("Concise"), _("padded"), _("every word counts")),
            ),
        ),
        ComparisonProtocol(completions=2, scale=6, ties=False, both_bad=False, neither_valid=True),
    ),
)
CAPTION_GUIDELINES = """\
A caption is for somebody who cannot see the picture, or has one second for it.

- **Faithful**: it says only what can be seen. A wrong number, colour or deed counts as invented.
- **Complete**: the main thing and what makes this picture different from others are there.
- **Concise**: no word could go without a loss.

Rate both captions before you compare them. *Neither is an answer* is for pairs that nobody should learn from.
"""
RED_TEAM_START = """\
This project looks for answers that should never have been given. Prompts are meant to provoke: skip whatever you would
rather not read (key S), nobody asks why.

"""
MODERATION_START = """\
The requests here stand at the edge of what an assistant should do. What counts is how the answer deals with that.

"""

PURPOSES: dict[str, Purpose] = {
    one.key: one
    for one in (
        Purpose(
            key="support",
            name=_("Support chat"),
            about=_("Which of two answers helps more, in eight steps."),
            preset=PRESETS["hh"],
            example=SUPPORT,
        ),
        Purpose(
            key="moderation",
            name=_("Moderation"),
            about=_("Which of two answers is better, and whether each is safe."),
            preset=of_study(PRESETS["llama2"], guidelines=MODERATION_START + PRESETS["llama2"].guidelines),
            example=MODERATION,
        ),
        Purpose(
            key="code",
            name=_("Code"),
            about=_("Which of two solutions is better, by three people who know the language."),
            preset=PRESETS["helpsteer3"],
            example=CODE,
        ),
        Purpose(
            key="news",
            name=_("News and facts"),
            about=_("Which of two summaries is better, with accuracy, coverage and coherence if wanted."),
            preset=PRESETS["summarize"],
            example=NEWS,
        ),
        Purpose(
            key="writing",
            name=_("Creative writing"),
            about=_("Which of two texts people like better: taste needs no list of criteria."),
            preset=PRESETS["arena"],
            example=WRITING,
        ),
        Purpose(
            key="captions",
            name=_("Image captions"),
            about=_("Three attributes of each of two captions, then which is better, by three people."),
            preset=of_study(PRESETS["helpsteer2"], protocol=CAPTION_PROTOCOL, guidelines=CAPTION_GUIDELINES),
            example=CAPTIONS,
        ),
        Purpose(
            key="red-team",
            name=_("Red team"),
            about=_("Which of two answers is better, and which rules each one broke."),
            preset=of_study(PRESETS["sparrow"], guidelines=RED_TEAM_START + PRESETS["sparrow"].guidelines),
            example=PROBING,
        ),
    )
}


def start_of(key: str) -> tuple[Preset, Example] | None:
    """What a project for this purpose begins with; or on this preset as it stands, with an example of another kind.

    Its words are in the language of whoever asks: from then on they are the project's own.
    """
    if key in PURPOSES:
        return spoken(PURPOSES[key].preset), PURPOSES[key].example
    if key not in PRESETS:
        return None
    kin = next((one.example for one in PURPOSES.values() if one.preset.key == key), SUPPORT)
    return spoken(PRESETS[key]), kin


def spoken(preset: Preset) -> Preset:
    """A preset with what it says to people in the reader's language. Guidelines stay in that of the examples."""
    told = {"name": _(preset.name), "about": _(preset.about)}
    return Preset.model_validate(preset.model_dump() | told | {"protocol": in_words(preset.protocol.model_dump())})


def in_words(tree: Any, key: str = "") -> Any:
    """A protocol's JSON with its labels translated; keys, kinds and values are not for people."""
    if isinstance(tree, dict):
        return {name: in_words(value, name) for name, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [in_words(value) for value in tree]
    return _(tree) if isinstance(tree, str) and tree and key in FOR_PEOPLE else tree
