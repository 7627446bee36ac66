"""How a file comes in, the same for prompts, answers and labelled data: over REST as the body itself or as a form's
file, on a page with its report first."""

from collections.abc import Awaitable, Callable
from io import BytesIO
from typing import Any, BinaryIO

from fastapi import Request, Response
from starlette.datastructures import UploadFile

from app.accounts.access import Access
from app.database import Session, between_transactions
from app.errors import Invalid
from app.pages import redirect, respond
from app.projects.queries import get_project
from app.prompts.forms import Report
from app.prompts.queries import imports_of
from app.translation import _


def file_of(line: dict[str, Any]) -> dict[str, Any]:
    """What OpenAPI says of a route that takes a file of such lines."""
    upload = {"type": "object", "properties": {"file": {"type": "string", "format": "binary"}}}
    content = {
        "application/x-ndjson": {"schema": line},
        "application/json": {"schema": {"type": "array", "items": line}},
        "multipart/form-data": {"schema": upload},
    }
    return {"requestBody": {"required": True, "content": content}}


async def uploaded(request: Request) -> tuple[str, BinaryIO]:
    """The name (`?name=`, or the file's) and the bytes of what was sent.

    :raises Invalid: a form without a file.
    """
    if not request.headers.get("Content-Type", "").startswith("multipart/"):
        name = request.query_params.get("name", "REST")
        return name.replace("\0", "")[:200], BytesIO(await request.body())
    sent = (await request.form()).get("file")
    if not isinstance(sent, UploadFile):
        raise Invalid(field="file", reason=_("no file was sent"))
    return (sent.filename or "REST").replace("\0", "")[:200], sent.file


async def import_page(
    request: Request,
    access: Access,
    session: Session,
    page: str,
    status: int = 200,
    report: Report | None = None,
    error: str | None = None,
) -> Response:
    """page: a template built from `prompts/_importing.html`."""
    shown = {"project": await get_project(session, access.of_project()), "report": report, "error": error}
    return respond(request, page, "report", status, past=await imports_of(session, access.of_project()), **shown)


async def take_chosen(
    request: Request,
    access: Access,
    session: Session,
    page: str,
    bring: Callable[..., Awaitable[Report]],
    file: UploadFile,
    confirm: str,
) -> Response:
    """First the report alone; the good lines come in when it is confirmed. bring: what imports the lines."""
    if not file.filename:
        return await import_page(request, access, session, page, 422, error=_("Choose a file first."))
    name, project_id = file.filename.replace("\0", "")[:200], access.of_project()
    await between_transactions(session)
    report = await bring(session, project_id, name, file.file, access.person.id, dry_run=not confirm)
    if confirm:
        return redirect(request, f"/projects/{access.project}/imports/{report.id}", report.sentence)
    return await import_page(request, access, session, page, report=report)
