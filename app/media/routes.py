"""Pages: the media of a project, and the files themselves."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Request, Response, UploadFile

from app.accounts.access import Access, may
from app.accounts.permissions import Permission
from app.cursors import Cursor, page_of
from app.database import Session
from app.errors import Invalid
from app.media.actions import look_again, take_upload
from app.media.queries import kept_file, media_of, medium_of
from app.media.serving import file_answer
from app.media.tables import Medium
from app.pages import redirect, respond
from app.projects.queries import get_project
from app.translation import _

router = APIRouter()
Reader = Annotated[Access, may(Permission.prompt_read)]
Editor = Annotated[Access, may(Permission.prompt_edit)]
Viewer = Annotated[Access, may(Permission.media_read)]
MOST_FILES = 100  # of one form


@router.get("/projects/{project}/media")
async def index(request: Request, project: UUID, access: Reader, session: Session, cursor: Cursor = None) -> Response:
    found = await page_of(session, media_of(access.of_project()), Medium.id, cursor=cursor)
    shown = await get_project(session, access.of_project())
    return respond(request, "media/index.html", "media", project=shown, found=found, cursor=cursor)


@router.post("/projects/{project}/media")
async def take_files(
    request: Request, project: UUID, access: Editor, session: Session, files: list[UploadFile]
) -> Response:
    named = [file for file in files if file.filename]
    if not 1 <= len(named) <= MOST_FILES:
        raise Invalid(field="files", reason=_("choose 1 to {most} files").format(most=MOST_FILES))
    for file in named:
        name = (file.filename or "").replace("\0", "")[:200]
        await take_upload(session, access.of_project(), name, file.file, access.person.id)
    return redirect(request, f"/projects/{project}/media", _("They are being looked at."))


@router.get("/projects/{project}/media/{sha256}")
async def show_file(
    project: UUID, sha256: Annotated[str, Path(pattern="^[0-9a-f]{64}$")], access: Viewer, session: Session
) -> Response:
    return file_answer(await kept_file(session, access.of_project(), sha256))


@router.post("/media/{medium}/again")
async def fetch_again(request: Request, medium: UUID, access: Editor, session: Session) -> Response:
    found = await medium_of(session, access.of_project(), medium)
    await look_again(session, found)
    return redirect(request, f"/projects/{access.project}/media", _("It is fetched once more."))
