"""Pages: one project at a glance."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from app.accounts.access import Access, may
from app.accounts.permissions import Permission
from app.annotations.queries import arriving
from app.checkpoints.queries import serving
from app.database import Session
from app.oversight.overview import overview_of, waiting_for, weekly
from app.oversight.rounds import newest_rounds
from app.pages import respond
from app.projects.queries import get_project, newest_guidelines
from app.projects.tables import Project
from app.tasks.queries import open_reports, skips_by_prompt

router = APIRouter()
Reader = Annotated[Access, may(Permission.project_read)]


@router.get("/projects/{project}")
async def show(
    request: Request, project: UUID, access: Reader, session: Session, days: Annotated[int, Query(ge=7, le=30)] = 14
) -> Response:
    """Numbers and next steps for its team, guidelines for everybody. days: of the chart."""
    found = await get_project(session, access.of_project())
    more = await _numbers(session, found) if access.may(Permission.progress_read) else None
    return respond(
        request,
        "oversight/overview.html",
        "overview",
        project=found,
        waiting=await waiting_for(session, found.id, access.person.id),
        guidelines=await newest_guidelines(session, found.id),
        skipped=await skips_by_prompt(session, found.id) if access.may(Permission.annotation_read) else [],
        reports=await open_reports(session, found.id) if access.may(Permission.annotation_review) else 0,
        numbers=more,
        days=days,
    )


async def _numbers(session: Session, project: Project) -> dict[str, Any]:
    """What the overview counts, and which step of the loop comes next."""
    told = await overview_of(session, project)
    return {
        "told": told,
        "counts": told.counts,
        "weekly": weekly(told.given),
        "uses": told.found.prompts if told.found else {},
        "prompts": sum(told.found.prompts.values()) if told.found else None,
        "completions": told.found.completions if told.found else None,
        "serving": await serving(session, project.id),
        "arriving": await arriving(session, project.id),
        "rounds": await newest_rounds(session, project, told) if project.has_rounds else [],
    }
