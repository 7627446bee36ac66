"""Pages: what a project's prompts may be sensitive for, and which of it a person wants to be shown."""

from collections.abc import Sequence
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Form, Request, Response

from app.accounts.access import Access, may
from app.accounts.permissions import Permission
from app.database import Session
from app.pages import redirect, respond
from app.projects.actions import CategoryInUse, EditedMeanwhile, edit_care
from app.projects.care import MOST, CareEdit, categories_of, first_ones, mask_of, members_of, offered
from app.projects.forms import filled
from app.projects.queries import get_project
from app.projects.tables import Project
from app.tasks.actions import opt, opted
from app.tasks.queries import shown_today
from app.translation import _

router = APIRouter()
Editor = Annotated[Access, may(Permission.project_edit)]
Annotator = Annotated[Access, may(Permission.annotate)]
FIELDS = ("key", "name", "about", "tags", "daily_cap")


@router.get("/projects/{project}/settings/care")
async def settings(request: Request, project: UUID, access: Editor, session: Session, first: bool = False) -> Response:
    """first: with the usual categories filled in."""
    found = await get_project(session, access.of_project())
    there = offered(categories_of(found.care))
    rows = [row_of(one) for one in there or (first_ones() if first else ())]
    return _settings(request, found, rows, {"help": found.help, "version": found.version})


@router.post("/projects/{project}/settings/care")
async def save_settings(request: Request, project: UUID, access: Editor, session: Session) -> Response:
    found = await get_project(session, access.of_project())
    sent = await request.form()
    columns = [[str(value) for value in sent.getlist(field)] for field in FIELDS]
    rows = [row for values in zip(*columns, strict=False) if (row := dict(zip(FIELDS, values, strict=True)))["name"]]
    beside = {name: str(sent.get(name, "")) for name in ("help", "version")}
    form, errors = filled(CareEdit, beside | {"categories": [_as_edit(row) for row in rows]}, ("help",))
    if form is None:
        return _settings(request, found, rows, beside, error=" ".join(errors.values()), status=422)
    try:
        await edit_care(session, found.id, form, access.person.id)
    except (EditedMeanwhile, CategoryInUse) as refusal:
        return _settings(request, found, rows, beside, error=str(refusal), status=refusal.status)
    return redirect(request, f"/projects/{project}/settings/care", _("Saved."))


def row_of(one: Any) -> dict[str, str]:
    cap = "" if one.daily_cap is None else str(one.daily_cap)
    return {"key": one.key, "name": one.name, "about": one.about, "tags": ", ".join(one.tags), "daily_cap": cap}


def _as_edit(row: dict[str, str]) -> dict[str, Any]:
    tags = [tag.strip() for tag in row["tags"].split(",") if tag.strip()]
    return row | {"tags": tags, "daily_cap": row["daily_cap"] or None, "key": row["key"] or None}


def _settings(
    request: Request,
    project: Project,
    rows: Sequence[dict[str, str]],
    beside: dict[str, Any],
    error: str | None = None,
    status: int = 200,
) -> Response:
    blank = [dict.fromkeys(FIELDS, "")] * min(2, MOST - len(rows))
    page = {"project": project, "rows": [*rows, *blank], "is_new": not rows, "error": error, **beside}
    return respond(request, "projects/care_settings.html", "care", status, **page)


@router.get("/projects/{project}/care")
async def mine(request: Request, project: UUID, access: Annotator, session: Session) -> Response:
    """What this person is shown of what is sensitive, and where to find help."""
    found = await get_project(session, access.of_project())
    categories = categories_of(found.care)
    shown = await shown_today(session, found.id, access.person.id)
    chosen = members_of(await opted(session, access), categories)
    rows = [
        {"category": one, "is_mine": one in chosen, "today": shown[bit] if bit < len(shown) else 0}
        for bit, one in enumerate(categories)
        if not one.retired
    ]
    return respond(request, "projects/care.html", "care", project=found, rows=rows)


@router.post("/projects/{project}/care")
async def choose(
    request: Request,
    project: UUID,
    access: Annotator,
    session: Session,
    category: Annotated[list[str] | None, Form()] = None,
) -> Response:
    """From here on exactly these categories; those that are none any more are left out."""
    found = await get_project(session, access.of_project())
    categories = categories_of(found.care)
    known = {one.key for one in offered(categories)}
    await opt(session, access, mask_of([key for key in category or () if key in known], categories))
    return redirect(request, f"/projects/{project}/care", _("Saved. It holds from the next task on."))
