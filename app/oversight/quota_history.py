"""What an event says about limits: whose, what stood there and what stands there now."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.translation import _

COLUMNS = {
    "daily_limit": _("a day"),
    "a_day": _("a day"),
    "answers_a_day": _("a day"),
    "total_limit": _("in all"),
    "in_all": _("in all"),
    "answers_in_all": _("in all"),
    "budget": _("budget"),
}


@dataclass(frozen=True)
class Change:
    """row: project, tag or person; name: of the tag, or a pseudonym. Events of before they told it have no `was`."""

    row: str
    name: str
    column: str
    was: int | None
    now: int | None
    knows_was: bool = True

    @property
    def words(self) -> str:
        return _(COLUMNS[self.column])

    @property
    def is_money(self) -> bool:
        return self.column == "budget"


def told_in(kind: str, body: Mapping[str, Any], *, money: bool) -> list[Change]:
    """The changes that an event tells of. money: whether a budget may be told."""
    if kind == "quota.changed":
        return [
            Change("person", one["who"], column, one["was"][column], now)
            for one in body["people"]
            for column, now in one["is"].items()
        ]
    was, wanted = body.get("was", {}), body["wanted"]
    found = [
        Change("project", "", column, was.get(column), wanted.get(column), bool(was))
        for column in ("answers_a_day", "answers_in_all", *(("budget",) if money else ()))
    ]
    before = {one["tag"]: one for one in was.get("tags", ())}
    after = {one["tag"]: one for one in wanted.get("tags", ())}
    for tag in sorted(before | after):
        for column in ("a_day", "in_all"):
            old, new = before.get(tag, {}).get(column), after.get(tag, {}).get(column)
            found.append(Change("tag", tag, column, old, new, bool(was)))
    return [one for one in found if one.was != one.now]
