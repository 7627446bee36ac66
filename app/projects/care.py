"""Sensitive prompts: a project's categories of them, sets of these as the bits of one number, and lanes made from both.

A category's place in the project's list is its bit, so a place is never given to another category while a prompt
carries it. The hand-out takes bits apart in its own words (`tasks.actions.hot`).
"""

import re
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from app.projects.forms import Form, Line, Markdown, without_nul
from app.translation import _

MOST = 9  # categories of a project: with CLASSES of people this is what a lane has room for
CLASSES = 64  # lanes 0 … 63 are classes of people; a set of categories stands above them
GOLD = 32  # of a class of people, above it: tasks with an argued answer that are mixed in among theirs
Tag = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(without_nul)]


class Category(BaseModel):
    """What a prompt may be sensitive for. key: in files and REST. about: for people who wonder whether to opt in.

    tags: an imported prompt that carries one of them is of this category. daily_cap: tasks of it that one person is
    shown on one day. retired: its place is free for another one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: Annotated[str, Field(pattern="^[a-z0-9][a-z0-9-]{0,39}$")]
    name: Line
    about: Annotated[str, Field(max_length=500), AfterValidator(without_nul)] = ""
    tags: tuple[Tag, ...] = Field(default=(), max_length=50)
    daily_cap: int | None = Field(default=None, ge=0, le=100_000)
    retired: bool = False


class CategoryEdit(Form):
    """A category as an editor has it. key: of one that is there; empty: a new one."""

    key: str | None = None
    name: Line
    about: Annotated[str, Field(max_length=500), AfterValidator(without_nul)] = ""
    tags: tuple[Tag, ...] = Field(default=(), max_length=50)
    daily_cap: int | None = Field(default=None, ge=0, le=100_000)


class CareEdit(Form):
    """All categories of a project and its help text. version: of the project that the editor saw."""

    version: int
    categories: Annotated[tuple[CategoryEdit, ...], Field(max_length=MOST)] = ()
    help: Markdown = ""


FIRST = (
    Category(key="violence", name=_("Violence"), about=_("Wounds, killing, torture, cruelty to people or animals.")),
    Category(key="self-harm", name=_("Self-harm"), about=_("Suicide, self-injury, eating disorders.")),
    Category(key="sexual", name=_("Sexual content"), about=_("Explicit or abusive sexual content.")),
    Category(key="hate", name=_("Hate"), about=_("Slurs, contempt and threats against groups of people.")),
)


def first_ones() -> list[Category]:
    """Categories to begin with, in the words of whoever begins."""
    return [one.model_copy(update={"name": _(one.name), "about": _(one.about)}) for one in FIRST]


def categories_of(stored: Iterable[dict[str, Any]]) -> list[Category]:
    """A project's categories as they are stored, in the order of their bits, retired ones among them."""
    return [Category.model_validate(one) for one in stored]


def offered(categories: Iterable[Category]) -> list[Category]:
    return [one for one in categories if not one.retired]


def mask_of(keys: Iterable[str], categories: Sequence[Category]) -> int:
    """The set of these categories.

    :raises ValueError: a sentence that names the key that is none.
    """
    bits = {one.key: 1 << place for place, one in enumerate(categories) if not one.retired}
    mask = 0
    for key in keys:
        if key not in bits:
            known = ", ".join(bits) or "–"
            sentence = _("care: “{key}” is none of this project's categories ({known})")
            raise ValueError(sentence.format(key=key, known=known))
        mask |= bits[key]
    return mask


def mask_of_tags(tags: Iterable[str], categories: Sequence[Category]) -> int:
    """The categories that these tags stand for."""
    carried = set(tags)
    return sum(1 << place for place, one in enumerate(categories) if not one.retired and carried & set(one.tags))


def members_of(mask: int, categories: Sequence[Category]) -> list[Category]:
    """The categories of a set."""
    return [one for place, one in enumerate(categories) if mask >> place & 1]


def used_up(categories: Iterable[dict[str, Any]], shown: Sequence[int]) -> int:
    """The categories of which no more is shown today. categories: as stored. shown: today's tasks by category."""
    return sum(
        1 << place
        for place, one in enumerate(categories)
        if one["daily_cap"] is not None and (shown[place] if place < len(shown) else 0) >= one["daily_cap"]
    )


def lanes_of(classes: Iterable[int], sets: Sequence[int], barred: int) -> list[int]:
    """Lanes in which the next task may be. sets: those that prompts of the project carry. barred: categories of which
    nothing is wanted now; what a person opted into is asked where their task is taken."""
    open_sets = [0, *(one for one in sets if not one & barred)]
    return [one + CLASSES * mask for one in classes for mask in open_sets]


def key_of(name: str, taken: Iterable[str]) -> str:
    """A short name in Latin letters that is not taken yet."""
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:32] or "category"
    used = set(taken)
    return next(key for n in range(1, len(used) + 2) if (key := plain if n == 1 else f"{plain}-{n}") not in used)


def merged(before: Sequence[Category], wanted: Sequence[CategoryEdit]) -> list[Category]:
    """The categories in the order of their bits after an edit: those that stay in their places, new ones in free ones.

    What is left out stays as retired. A key that is not there makes a new category under that key.
    """
    by_key = {one.key: one for one in wanted if one.key}
    after = [
        Category(**by_key.pop(one.key).model_dump()) if one.key in by_key else one.model_copy(update={"retired": True})
        for one in before
    ]
    keys = {one.key for one in after}
    for one in wanted:
        if one.key and by_key.pop(one.key, None) is None:
            continue  # it is in its place
        made = Category(**(one.model_dump() | {"key": one.key or key_of(one.name, keys)}))
        keys.add(made.key)
        free = next((place for place, old in enumerate(after) if old.retired), len(after))
        after[free : free + 1] = [made]
    return after
