"""The log of what happened: looked through page by page, and taken away whole, as the seals hold it."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse

from app.accounts.access import Access, may
from app.accounts.forms import LogSearch
from app.accounts.permissions import Permission
from app.accounts.queries import logged, named_project, streamed_log
from app.cursors import page_of
from app.database import Session, snapshot
from app.events import Event
from app.pages import respond

router = APIRouter()
Reader = Annotated[Access, may(Permission.log_read)]
Admin = Annotated[Access, may(Permission.installation_manage)]
Asked = Annotated[LogSearch, Query()]


@router.get("/log")
async def show_all(request: Request, session: Session, _admin: Admin, search: Asked) -> Response:
    """Of all projects, and of people and invitations."""
    return await log_page(request, session, None, search)


@router.get("/log.jsonl", response_class=StreamingResponse)
async def export_all(_admin: Admin) -> StreamingResponse:
    """Every event as a line; SHA-256 over the lines of a segment and the digest before it is the segment's digest."""
    return StreamingResponse(lines(None), media_type="application/x-ndjson")


@router.get("/projects/{project}/log")
async def show_log(request: Request, session: Session, reader: Reader, search: Asked) -> Response:
    return await log_page(request, session, reader.of_project(), search)


@router.get("/projects/{project}/log.jsonl", response_class=StreamingResponse)
async def export_log(reader: Reader) -> StreamingResponse:
    return StreamingResponse(lines(reader.of_project()), media_type="application/x-ndjson")


async def lines(project_id: int | None) -> AsyncIterator[bytes]:
    async with snapshot() as connection:
        async for line in streamed_log(connection, project_id):
            yield line


async def log_page(request: Request, session: Session, project_id: int | None, search: LogSearch) -> Response:
    """Newest first."""
    page = await page_of(session, logged(project_id, search), Event.id, cursor=search.cursor, limit=50)
    told: dict[str, Any] = {"rows": page.rows, "next": page.next, "search": search, "base": request.url.path}
    if project_id is not None:
        told["project"] = await named_project(session, project_id)
    return respond(request, "accounts/log.html", "log", **told)
