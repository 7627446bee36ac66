"""How REST takes in a file: as the body itself, or as a form's file; the same for prompts and completions."""

from io import BytesIO
from typing import Any, BinaryIO

from fastapi import Request
from starlette.datastructures import UploadFile

from app.errors import Invalid
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
