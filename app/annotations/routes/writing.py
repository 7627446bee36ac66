"""What a person sees of a text while they write it."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from pydantic import BaseModel, ConfigDict

from app.accounts.access import Access, may
from app.accounts.permissions import Permission
from app.annotations.kinds.writing import Written
from app.database import Session
from app.markup import render_markdown
from app.pages import respond
from app.prompts.queries import near_prompts
from app.prompts.rules import first_user_turn
from app.prompts.tables import Use

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


@router.post("/projects/{project}/annotate/texts/near")
async def near(request: Request, form: Annotated[TextForm, Form()], access: MayAnnotate, session: Session) -> Response:
    """Prompts of this project that are nearly the same as the text. What is held out is never shown."""
    found = await near_prompts(session, access.of_project(), form.text)
    texts = [None if one.use is Use.heldout else first_user_turn(one.messages) for one in found]
    return respond(request, PAGE, "near", found=texts)
