"""Cells of the quotas' grid are changed together, all or none; what it would do is worked out before."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.access import Access
from app.accounts.actions.lanes import hold_hand_out
from app.accounts.actions.members import Bounds, note_quotas, quota_of
from app.accounts.forms import Line, Strict
from app.accounts.tables import Membership
from app.errors import Invalid
from app.oversight.people import Row
from app.oversight.quota_effects import Limits, Outlook, outlook
from app.oversight.quotas import ALL, BUDGET, DAY, PERSON, PROJECT, Grid, done_lately, limits_now, stand_of
from app.projects.actions import EditedMeanwhile, locked
from app.projects.batching import LimitsEdit
from app.projects.queries import limits_of
from app.projects.tables import Project
from app.tasks.actions import edit_limits
from app.translation import _

MOST = {PERSON + DAY: 100_000, PERSON + ALL: 10_000_000, PROJECT + BUDGET: 1_000_000_000_000}
AT_MOST = 1_000_000_000
OWN = {DAY: "daily_limit", ALL: "total_limit"}  # of a member
OF_PROJECT = {DAY: "answers_a_day", ALL: "answers_in_all", BUDGET: "budget"}
OF_TAG = {DAY: "a_day", ALL: "in_all"}


class CellEdit(Strict):
    """One limit. name: a pseudonym or a tag; empty for the project. was: what the editor saw there, becomes: what is to
    stand there; empty: no limit of its own. A budget is in hundredths of the currency."""

    row: Literal["project", "tag", "person"]
    name: Annotated[Line | Literal[""], Field(default="")]
    column: Literal["day", "all", "budget"]
    was: int | None = None
    becomes: int | None = None

    @model_validator(mode="after")
    def is_a_limit(self) -> Self:
        least = 1 if (self.row, self.column) == (PERSON, DAY) else 0
        most = MOST.get(self.row + self.column, AT_MOST)
        if self.becomes is not None and not least <= self.becomes <= most:
            raise ValueError(
                _("{becomes} is no limit: it must be from {least} to {most}").format(
                    becomes=self.becomes, least=least, most=most
                )
            )
        if self.column == BUDGET and self.row != PROJECT:
            raise ValueError(_("only a project has a budget"))
        return self


class QuotaEdit(Strict):
    """Cells that change; the others stay."""

    cells: Annotated[list[CellEdit], Field(min_length=1, max_length=2500)]

    @property
    def people(self) -> list[CellEdit]:
        return [cell for cell in self.cells if cell.row == PERSON]

    @property
    def others(self) -> list[CellEdit]:
        return [cell for cell in self.cells if cell.row != PERSON]


async def save_quotas(session: AsyncSession, access: Access, form: QuotaEdit) -> None:
    """Change all of them. It holds when this returns.

    :raises EditedMeanwhile: somebody changed one of the cells since the editor saw it.
    :raises Invalid: nobody has this pseudonym here, or no rule is for this tag.
    """
    await hold_hand_out(session, access.of_project())
    project = await locked(session, access.of_project())
    limits = await limits_of(session, project)
    people = await _people(session, project.id, form)
    moved = [*_moved_in(limits, form.others), *_moved(people, form.people)]
    if moved:
        raise EditedMeanwhile(moved)
    if form.others:
        wanted = with_cells(limits, form.others)
        await edit_limits(session, project.id, LimitsEdit.model_validate(wanted), access.person.id)
    changed: dict[str, tuple[Bounds, Bounds]] = {name: (quota_of(one), {}) for name, one in people.items()}
    for cell in form.people:
        setattr(people[cell.name], OWN[cell.column], cell.becomes)
    await session.flush()
    told = {name: (was, quota_of(people[name])) for name, (was, _now) in changed.items()}
    await note_quotas(session, access, told)


async def _people(session: AsyncSession, project_id: int, form: QuotaEdit) -> dict[str, Membership]:
    who = {cell.name for cell in form.people}
    asked = select(Membership).where(Membership.project_id == project_id, Membership.pseudonym.in_(who))
    asked = asked.order_by(Membership.id).with_for_update().execution_options(populate_existing=True)
    found = {one.pseudonym: one for one in await session.scalars(asked)}
    if who - set(found):
        name = min(who - set(found))
        raise Invalid(field="name", reason=_("“{name}” is nobody's pseudonym here").format(name=name))
    return found


Moved = list[tuple[str, Any, Any]]


def _moved(people: dict[str, Membership], cells: list[CellEdit]) -> Moved:
    there = [(cell, getattr(people[cell.name], OWN[cell.column])) for cell in cells]
    return [(cell.name, now, cell.becomes) for cell, now in there if now != cell.was]


def _moved_in(limits: dict[str, Any], cells: list[CellEdit]) -> Moved:
    there = [(cell, _place(limits, cell)) for cell in cells]
    return [(cell.name or name, place[name], cell.becomes) for cell, (place, name) in there if place[name] != cell.was]


def _place(limits: dict[str, Any], cell: CellEdit) -> tuple[dict[str, Any], str]:
    """Where a limit of the project or of a tag stands in `limits_of`."""
    if cell.row == PROJECT:
        return limits, OF_PROJECT[cell.column]
    rule = next((one for one in limits["tags"] if one["tag"] == cell.name), None)
    if rule is None:
        raise Invalid(field="name", reason=_("no rule is for the tag “{name}”").format(name=cell.name))
    return rule, OF_TAG[cell.column]


def with_cells(limits: dict[str, Any], cells: list[CellEdit]) -> dict[str, Any]:
    """`limits_of` with these changes, as its form wants it."""
    wanted = limits | {"tags": [dict(one) for one in limits["tags"]]}
    for cell in cells:
        place, name = _place(wanted, cell)
        place[name] = cell.becomes
    return wanted


def limits_under(limits: Limits, project: Project, form: QuotaEdit) -> Limits:
    """What holds once these cells are changed; of people, those who are asked. Limits of tags are not in it."""
    a_day, in_all = dict(limits.a_day), dict(limits.in_all)
    for cell in form.people:
        if cell.name in limits.a_day and cell.column == DAY:
            a_day[cell.name] = project.daily_limit if cell.becomes is None else cell.becomes
        elif cell.name in limits.a_day:
            in_all.pop(cell.name, None)
            in_all |= {} if cell.becomes is None else {cell.name: cell.becomes}
    found = replace(limits, a_day=a_day, in_all=in_all)
    for cell in form.others:
        if cell.row == PROJECT:
            match cell.column:
                case "day":
                    found = replace(found, project_a_day=cell.becomes)
                case "all":
                    found = replace(found, project_in_all=cell.becomes)
                case "budget":
                    found = replace(found, budget=cell.becomes)
    return found


async def effect_of(
    session: AsyncSession, project: Project, grid: Grid, people: Sequence[Row], form: QuotaEdit | None
) -> tuple[Outlook, Outlook]:
    """The outlook as it is, and once these cells are changed."""
    done = await done_lately(session, project.id, grid.today)
    stand, limits = stand_of(grid, people), limits_now(grid, people)
    now = outlook(done, limits, stand)
    return now, now if form is None else outlook(done, limits_under(limits, project, form), stand)
