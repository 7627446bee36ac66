"""REST: quotas as one grid, what a change of them would do, and the change."""

from datetime import date
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel

from app.accounts.access import Access, may
from app.accounts.permissions import Permission
from app.cursors import Cursor
from app.database import Session
from app.oversight.changing_quotas import QuotaEdit, effect_of, save_quotas
from app.oversight.people import Only, page_of_people, people_of
from app.oversight.quota_effects import Outlook
from app.oversight.quotas import BUDGET, Cell, cells_of, grid_of
from app.projects.queries import get_project

router = APIRouter(tags=["oversight"])
Reader = Annotated[Access, may(Permission.member_list)]
Editor = Annotated[Access, may(Permission.project_edit)]


class CellView(BaseModel):
    """row: project, tag or person; name: the tag, or the pseudonym. column: day, all or budget (hundredths of the
    currency). most: the limit that stands there; left: what the limit that holds leaves, null where none holds."""

    row: str
    name: str
    column: str
    used: int
    most: int | None
    left: int | None


class QuotaPage(BaseModel):
    """project and tags: on every page the same; people: fifty a page."""

    project: list[CellView]
    tags: list[CellView]
    people: list[CellView]
    next: str | None


class OutlookView(BaseModel):
    """at_most_a_day: answers that people's limits and the project's allow on a day. reachable: of those wanted, as many
    as limits in all and the budget leave room for. costs: in hundredths, at most, with what is spent; null where
    nothing is paid. earliest, likely, latest: of the last answer; silence: why no date is named."""

    at_most_a_day: int
    reachable: int
    costs: int | None
    earliest: date | None
    likely: date | None
    latest: date | None
    silence: str | None


class EffectView(BaseModel):
    now: OutlookView
    then: OutlookView


def cell_view(cell: Cell) -> CellView:
    plain = {name: getattr(cell, name) for name in ("row", "name", "column", "used", "most", "left")}
    return CellView(**plain)


def outlook_view(found: Outlook, *, money: bool) -> OutlookView:
    told = found.forecast
    return OutlookView(
        at_most_a_day=found.at_most_a_day,
        reachable=found.reachable,
        costs=found.costs if money else None,
        earliest=told.earliest,
        likely=told.likely,
        latest=told.latest,
        silence=None if told.silence is None else told.silence.value,
    )


@router.get("/projects/{project}/quotas")
async def show_quotas(
    project: UUID, access: Reader, session: Session, only: Annotated[Only, Query()], cursor: Cursor = None
) -> QuotaPage:
    """Used, limit and left, by day and in all. The budget only for those who may see pay."""
    found = await get_project(session, access.of_project())
    grid = await grid_of(session, found)
    page = page_of_people((await people_of(session, access, found)).rows, only, cursor)
    money = access.may(Permission.pay_read)
    return QuotaPage(
        project=[cell_view(cell) for cell in grid.project if money or cell.column != BUDGET],
        tags=[cell_view(cell) for _tag, cells in grid.tags for cell in cells],
        people=[cell_view(cell) for row in page.rows for cell in cells_of(row)],
        next=page.next,
    )


@router.post("/projects/{project}/quotas/effect")
async def show_effect(project: UUID, form: QuotaEdit, access: Editor, session: Session) -> EffectView:
    """What these changes would do; nothing is saved."""
    found = await get_project(session, access.of_project())
    people = (await people_of(session, access, found)).rows
    now, then = await effect_of(session, found, await grid_of(session, found), people, form)
    money = access.may(Permission.pay_read)
    return EffectView(now=outlook_view(now, money=money), then=outlook_view(then, money=money))


@router.put("/projects/{project}/quotas", status_code=204)
async def put_quotas(project: UUID, form: QuotaEdit, access: Editor, session: Session) -> None:
    """Change cells, all or none: 409 where somebody changed one since it was `was`. It holds when this returns."""
    await save_quotas(session, access, form)
