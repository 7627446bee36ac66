"""What a person sees of a text while they write it."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from pydantic import BaseModel, ConfigDict

from app.accounts.access import Access, may
from app.accounts.permissions import Permission
from app.annotations.kinds.writing import Written
from app.markup import render_markdown
from app.pages import respond

router = APIRouter()
MayAnnotate = Annotated[Access, may(Permission.annotate)]
PAGE = "annotations/written.html"


class TextForm(BaseModel):
    model_config = ConfigDict(extra="forbid")
    text: Written = ""


@router.post("/projects/{project}/annotate/texts/preview")
async def preview(request: Request, form: Annotated[TextForm, Form()], access: MayAnnotate) -> Response:
    """The text as everybody will be shown it; nothing is kept."""
    return respond(request, PAGE, "preview", html=await asyncio.to_thread(render_markdown, form.text))
