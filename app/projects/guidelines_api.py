"""REST: a project's guidelines: what is new in them, that it was read, and a new version."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel

from app.accounts.access import Access, may
from app.accounts.permissions import Permission
from app.database import Session
from app.errors import NotFound
from app.projects.actions import change_guidelines, read_guidelines
from app.projects.forms import GuidelinesEdit, VersionRead
from app.projects.queries import get_project, guidelines_of, newest_guidelines
from app.projects.tables import Change, Guidelines

router = APIRouter(tags=["projects"])
Reader = Annotated[Access, may(Permission.project_read)]
Editor = Annotated[Access, may(Permission.project_edit)]
Annotator = Annotated[Access, may(Permission.annotate)]


class GuidelinesKept(BaseModel):
    version: int
    markdown: str


class GuidelinesRead(GuidelinesKept):
    """change: what this version is beside the one before it. read: version that you said you have read. to_read:
    version that has to be read before your next task; null: none has."""

    change: Change
    read: int | None
    to_read: int | None


@router.get("/projects/{project}/guidelines")
async def get_guidelines(
    project: UUID, access: Reader, session: Session, version: Annotated[int | None, Query(ge=1, le=1_000_000)] = None
) -> GuidelinesRead:
    """The newest guidelines, or those of a version."""
    project_id = access.of_project()
    if version is None:
        found: Guidelines | None = await newest_guidelines(session, project_id)
    else:
        found = await guidelines_of(session, project_id, version)
    if found is None:
        raise NotFound
    wanted = (await get_project(session, project_id)).rules_version
    to_read = wanted if wanted is not None and (access.guidelines_read or 0) < wanted else None
    told = {"version": found.version, "markdown": found.markdown, "change": found.change}
    return GuidelinesRead(**told, read=access.guidelines_read, to_read=to_read)


@router.post("/projects/{project}/guidelines/read", status_code=204)
async def confirm_guidelines(project: UUID, form: VersionRead, access: Annotator, session: Session) -> None:
    """You have read the guidelines up to this version."""
    await read_guidelines(session, access, form.version)


@router.put("/projects/{project}/guidelines")
async def put_guidelines(project: UUID, form: GuidelinesEdit, access: Editor, session: Session) -> GuidelinesKept:
    """A new version of the guidelines, in Markdown. change: `wording` tells nobody, `clarification` sends everybody a
    letter, and a `rule` is to be read by everybody before their next task."""
    told = (form.markdown, access.person.id, form.version, form.change)
    changed = await change_guidelines(session, access.of_project(), *told)
    return GuidelinesKept(version=changed.version, markdown=changed.markdown)
