"""REST: media in and out."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path, Request, Response
from pydantic import BaseModel

from app.accounts.access import Access, may
from app.accounts.permissions import Permission
from app.cursors import Cursor, Limit, page_of
from app.database import Session
from app.media.actions import look_again, take_upload
from app.media.queries import kept_file, media_of, medium_of
from app.media.serving import file_answer
from app.media.tables import Medium, MediumKind, MediumState
from app.prompts.uploads import uploaded

router = APIRouter(tags=["media"])
Reader = Annotated[Access, may(Permission.prompt_read)]
Editor = Annotated[Access, may(Permission.prompt_edit)]
Viewer = Annotated[Access, may(Permission.media_read)]
Sha256 = Annotated[str, Path(pattern="^[0-9a-f]{64}$")]
UPLOAD: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
            "multipart/form-data": {
                "schema": {"type": "object", "properties": {"file": {"type": "string", "format": "binary"}}}
            },
        },
    }
}


class MediumView(BaseModel):
    """A picture, sound or film. sha256: of what is kept, and where it is fetched; source_sha256: of what came. Lines
    may name either, or the address."""

    id: UUID
    name: str
    state: MediumState
    reason: str | None
    kind: MediumKind | None
    media_type: str | None
    source_url: str | None
    source_sha256: str | None
    sha256: str | None
    size: int | None
    width: int | None
    height: int | None
    created_at: datetime


class MediaPage(BaseModel):
    """next: cursor of the following page; empty on the last."""

    rows: list[MediumView]
    next: str | None


def view(medium: Medium) -> MediumView:
    names = set(MediumView.model_fields) - {"id"}
    return MediumView(id=medium.public_id, **{name: getattr(medium, name) for name in names})


@router.get("/projects/{project}/media")
async def list_media(
    project: UUID,
    access: Reader,
    session: Session,
    state: MediumState | None = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> MediaPage:
    """The project's media, newest first."""
    page = await page_of(session, media_of(access.of_project(), state), Medium.id, cursor=cursor, limit=limit)
    return MediaPage(rows=[view(medium) for medium in page.rows], next=page.next)


@router.post("/projects/{project}/media", status_code=202, openapi_extra=UPLOAD)
async def bring_medium(request: Request, project: UUID, access: Editor, session: Session) -> MediumView:
    """Upload a picture, sound or film: as the body, or as a form's file. A worker looks at it; ask for its state. The
    same file sent again is the medium that it was. `?name=` names it."""
    name, stream = await uploaded(request)
    return view(await take_upload(session, access.of_project(), name, stream, access.person.id))


@router.get("/projects/{project}/media/{sha256}", response_class=Response)
async def fetch_medium(project: UUID, sha256: Sha256, access: Viewer, session: Session) -> Response:
    """The file that parts of prompts, completions and records name. Ranges are answered."""
    return file_answer(await kept_file(session, access.of_project(), sha256))


@router.get("/media/{medium}")
async def show_medium(medium: UUID, access: Reader, session: Session) -> MediumView:
    return view(await medium_of(session, access.of_project(), medium))


@router.post("/media/{medium}/again", status_code=202)
async def fetch_again(medium: UUID, access: Editor, session: Session) -> MediumView:
    """Fetch an address anew that could not be fetched before."""
    found = await medium_of(session, access.of_project(), medium)
    await look_again(session, found)
    await session.refresh(found)
    return view(found)
