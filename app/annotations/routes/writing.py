"""What a person sees of a text while they write it."""

import asyncio
from typing import Annotated
from weakref import WeakValueDictionary

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

router = APIRouter()
MayAnnotate = Annotated[Access, may(Permission.annotate)]
PAGE = "annotations/written.html"


_at_work: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()  # by person, while any of theirs waits


def alone(person_id: int) -> asyncio.Lock:
    """One text of a person at a time: long ones take a second, and other people answer in this process."""
    return _at_work.setdefault(person_id, asyncio.Lock())


class TextForm(BaseModel):
    model_config = ConfigDict(extra="forbid")
    text: Written = ""


@router.post("/projects/{project}/annotate/texts/preview")
async def preview(request: Request, form: Annotated[TextForm, Form()], access: MayAnnotate) -> Response:
    """The text as everybody will be shown it; nothing is kept."""
    async with alone(access.person.id):
        html = await asyncio.to_thread(render_markdown, form.text)
    return respond(request, PAGE, "preview", html=html)


@router.post("/projects/{project}/annotate/texts/near")
async def near(request: Request, form: Annotated[TextForm, Form()], access: MayAnnotate, session: Session) -> Response:
    """Prompts of this project that are nearly the same as the text. Of what is held out not even that is said."""
    async with alone(access.person.id):
        found = await near_prompts(session, access.of_project(), form.text)
    return respond(request, PAGE, "near", found=[first_user_turn(one.messages) for one in found])
