"""Pages: the versions of the guidelines, with agreement before and after each."""

from typing import Annotated, Any

from fastapi import APIRouter, Request, Response

from app.accounts.access import Access, may
from app.accounts.permissions import Permission
from app.cursors import Cursor, page_of
from app.database import Session
from app.oversight.versions import versions_in, versions_told
from app.pages import respond
from app.projects.queries import get_project
from app.projects.tables import Change, Guidelines
from app.translation import _

router = APIRouter(prefix="/projects/{project}/guidelines")
Counter = Annotated[Access, may(Permission.progress_read)]
ROWS = 25
KINDS = {
    Change.wording: _("Wording"),
    Change.clarification: _("Clarification"),
    Change.rule: _("Rule change"),
}


@router.get("/versions")
async def versions(request: Request, access: Counter, session: Session, cursor: Cursor = None) -> Response:
    project = await get_project(session, access.of_project())
    page = await page_of(session, versions_in(project.id), Guidelines.id, cursor=cursor, limit=ROWS)
    rows, people = await versions_told(session, project.id, page.rows)
    kinds = {one: _(words) for one, words in KINDS.items()}
    told: dict[str, Any] = {"project": project, "rows": rows, "people": people, "kinds": kinds, "next": page.next}
    return respond(request, "oversight/versions.html", "versions", **told)
