"""Pages: what people reported as harmful, and what becomes of it; prompts made sensitive many at a time."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Form, Query, Request, Response

from app.accounts.access import Access, may
from app.accounts.permissions import Permission
from app.cursors import Cursor, page_of
from app.database import Session
from app.pages import redirect, respond
from app.projects.care import categories_of, members_of, offered
from app.projects.queries import get_project
from app.prompts.queries import Filter, ids_like
from app.prompts.tables import Use
from app.tasks.actions import categorise, chosen_of, close_report
from app.tasks.queries import answers_of, open_reports, report_of, reports
from app.tasks.tables import Report, Verdict
from app.translation import _, ngettext

router = APIRouter()
Reviewer = Annotated[Access, may(Permission.annotation_review)]
Editor = Annotated[Access, may(Permission.prompt_edit)]


@router.get("/projects/{project}/reports")
async def index(
    request: Request,
    project: UUID,
    access: Reviewer,
    session: Session,
    state: Annotated[str, Query(pattern="^(open|closed)$")] = "open",
    cursor: Cursor = None,
) -> Response:
    found = await get_project(session, access.of_project())
    asked = reports(found.id, is_open=state == "open")
    page = await page_of(session, asked, Report.id, cursor=cursor)
    names = {one.key: one.name for one in categories_of(found.care)}
    waiting = await open_reports(session, found.id)
    told: dict[str, Any] = {"state": state, "names": names, "waiting": waiting, "found": page, "cursor": cursor}
    return respond(request, "tasks/reports.html", "reports", project=found, **told)


@router.get("/reports/{report}")
async def show(request: Request, report: UUID, access: Reviewer, session: Session) -> Response:
    """One report; the prompt and its answers stay covered until they are asked for."""
    found = await get_project(session, access.of_project())
    row = await report_of(session, found.id, report)
    categories = categories_of(found.care)
    return respond(
        request,
        "tasks/report.html",
        "report",
        project=found,
        row=row,
        said=row.Report,
        answers=await answers_of(session, row.Report.task_id),
        names={one.key: one.name for one in categories},
        carried=members_of(row.Prompt.care, categories),
        categories=offered(categories),
    )


@router.post("/reports/{report}")
async def close(
    request: Request,
    report: UUID,
    access: Reviewer,
    session: Session,
    verdict: Annotated[Verdict, Form()],
    category: Annotated[list[str] | None, Form()] = None,
) -> Response:
    """Decide: it is harmless, the prompt is sensitive for something, or it is asked about no more."""
    me = access.person.id
    await close_report(session, access.of_project(), report, verdict, me, categories=category or ())
    return redirect(request, f"/projects/{access.project}/reports", _("The report is closed."))


@router.post("/projects/{project}/prompts/care")
async def categorise_many(
    request: Request,
    project: UUID,
    access: Editor,
    session: Session,
    category: Annotated[str, Form(max_length=40)],
    does: Annotated[str, Form(pattern="^(add|remove)$")] = "add",
    words: Annotated[str, Form(max_length=500)] = "",
    use: Annotated[str, Form(pattern="^(label|train|heldout|retired)?$")] = "",
    tag: Annotated[str, Form(max_length=100)] = "",
    root: Annotated[UUID | None, Form()] = None,
) -> Response:
    """Every prompt that the filter lets through is of a category from now on, or is not any more."""
    retired = use == "retired"
    wanted = Filter(
        words.replace("\0", ""),
        None if retired or not use else Use(use),
        tag.replace("\0", ""),
        retired,
        root,
    )
    found = await get_project(session, access.of_project())
    masks = {does: chosen_of(found, [category])}
    ids = ids_like(found.id, wanted)
    changed = await categorise(session, found.id, ids, actor_id=access.person.id, **masks)
    told = ngettext("{count} prompt changed.", "{count} prompts changed.", changed).format(count=changed)
    return redirect(request, f"/projects/{project}/prompts", told)
