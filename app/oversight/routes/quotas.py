"""Pages: quotas as one grid, what a change of them would do before it is saved, and every change there was."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from pydantic import ValidationError

from app.accounts.access import Access, may
from app.accounts.permissions import Permission
from app.cursors import Cursor, page_of
from app.database import Session
from app.errors import DomainError
from app.events import Event
from app.findings import reason_of
from app.oversight.changing_quotas import QuotaEdit, effect_of, save_quotas
from app.oversight.people import Only, page_of_people, people_of
from app.oversight.quota_history import told_in
from app.oversight.quotas import Cell, cells_of, grid_of, history_of
from app.pages import redirect, respond
from app.projects.queries import get_project
from app.translation import _, ngettext

router = APIRouter(prefix="/projects/{project}/annotators/quotas")
Reader = Annotated[Access, may(Permission.member_list)]
Editor = Annotated[Access, may(Permission.project_edit)]
FIELDS = ("row", "name", "column", "was", "becomes")
HUNDREDTHS = {"budget"}


@router.get("")
async def index(
    request: Request, access: Reader, session: Session, only: Annotated[Only, Query()], cursor: Cursor = None
) -> Response:
    return await _page(request, access, session, only, cursor)


@router.post("")
async def change(
    request: Request,
    project: UUID,
    access: Editor,
    session: Session,
    only: Annotated[Only, Query()],
    cursor: Cursor = None,
) -> Response:
    """First the effect of what was typed; with `step=save` it is done."""
    sent = await request.form()
    form, typed, told = _edit(sent)
    if form is None:
        nothing = _("Nothing was changed.") if told is None else told
        return await _page(request, access, session, only, cursor, told=nothing, typed=typed, status=422)
    if sent.get("step") != "save":
        return await _page(request, access, session, only, cursor, form=form, typed=typed)
    try:
        await save_quotas(session, access, form)
    except DomainError as refusal:  # of a conflict too: sent again from the fresh grid, it holds
        status = refusal.status
        return await _page(request, access, session, only, cursor, told=str(refusal), typed=typed, status=status)
    count = len(form.cells)
    said = ngettext("{count} limit changed. It holds already.", "{count} limits changed. They hold already.", count)
    return redirect(request, f"/projects/{project}/annotators/quotas", said.format(count=count))


Typed = dict[tuple[str, str, str], str]


def _edit(sent: Any) -> tuple[QuotaEdit | None, Typed, str | None]:
    """The cells of a form that differ from what stood there, and for those marked what was set for them all; what was
    typed, by cell; and what is wrong with it."""
    columns = [[str(value) for value in sent.getlist(field)] for field in FIELDS]
    cells = [dict(zip(FIELDS, values, strict=True)) for values in zip(*columns, strict=False)]
    marked = set(sent.getlist("who"))
    for cell in cells:
        for_all = str(sent.get(f"set_{cell['column']}", "")).strip()
        if cell["row"] == "person" and cell["name"] in marked and for_all:
            cell["becomes"] = for_all
    typed = {(cell["row"], cell["name"], cell["column"]): cell["becomes"].strip() for cell in cells}
    changed = [cell for cell in cells if cell["becomes"].strip() != cell["was"]]
    if not changed:
        return None, typed, None
    try:
        return QuotaEdit.model_validate({"cells": [_plain(cell) for cell in changed]}), typed, None
    except ValidationError as error:
        return None, typed, " ".join(reason_of(found) for found in error.errors())


def _plain(cell: dict[str, str]) -> dict[str, str | int | None]:
    """Numbers as the form wants them; what is no number is left for it to name."""
    found: dict[str, str | int | None] = dict(cell)
    for name in ("was", "becomes"):
        value = cell[name].strip()
        found[name] = value or None
        if value and cell["column"] in HUNDREDTHS:
            try:
                found[name] = round(float(value) * 100)
            except (ValueError, OverflowError):
                found[name] = value
    return found


async def _page(
    request: Request,
    access: Access,
    session: Session,
    only: Only,
    cursor: str | None = None,
    *,
    form: QuotaEdit | None = None,
    typed: Typed | None = None,
    told: str | None = None,
    status: int = 200,
) -> Response:
    """form: whose effect is shown. typed: what stands in the fields instead of what is there."""
    found = await get_project(session, access.of_project())
    grid, people = await grid_of(session, found), await people_of(session, access, found)
    rows, edits = page_of_people(people.rows, only, cursor), access.may(Permission.project_edit)
    page: dict[str, Any] = {
        "project": found,
        "grid": grid,
        "found": rows,
        "cells_of": cells_of,
        "only": only,
        "told": told,
        "typed": typed or {},
        "form": form,
        "asked": only.asked | ({"cursor": cursor} if cursor else {}),
        "effect": await effect_of(session, found, grid, people.rows, form) if edits else None,
        "shown": _shown,
        "money": access.may(Permission.pay_read),
        "edits": edits,
        "names": {row.pseudonym: row.name or row.pseudonym for row in people.rows},
    }
    return respond(request, "oversight/quotas.html", "quotas", status, **page)


def _shown(cell: Cell) -> str:
    """A limit as its field has it; a budget in the currency."""
    if cell.most is None:
        return ""
    return f"{cell.most / 100:.2f}" if cell.column in HUNDREDTHS else str(cell.most)


@router.get("/history")
async def history(request: Request, access: Reader, session: Session, cursor: Cursor = None) -> Response:
    """Every change of a limit, the newest first, from the log."""
    found = await get_project(session, access.of_project())
    page = await page_of(session, history_of(found.id), Event.id, cursor=cursor, limit=25)
    money, named = access.may(Permission.pay_read), access.may(Permission.member_read)
    changes = [
        (event, name if named else None, told_in(event.kind, event.body, money=money)) for event, name in page.rows
    ]
    return respond(request, "oversight/quota_history.html", "history", project=found, changes=changes, next=page.next)
