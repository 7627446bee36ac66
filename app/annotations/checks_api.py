"""REST: written prompts that wait for somebody else to look at them."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import BaseModel

from app.accounts.access import Access, may
from app.accounts.permissions import Permission
from app.annotations.actions import accept_prompt, next_to_check, return_prompt
from app.annotations.forms import RemarkForm
from app.database import Session

router = APIRouter(tags=["annotations"])
Annotator = Annotated[Access, may(Permission.annotate)]


class PromptToCheck(BaseModel):
    """messages: [{role, parts: [{type, text}]}]. card: that it was written from."""

    id: UUID
    messages: list[dict[str, Any]]
    card: dict[str, Any] | None


class Checks(BaseModel):
    """next: the oldest prompt that waits; null: none does. further: how many wait behind it."""

    next: PromptToCheck | None
    further: int


@router.get("/projects/{project}/checks")
async def show_next(project: UUID, access: Annotator, session: Session, after: UUID | None = None) -> Checks:
    """The next prompt of somebody else that waits to be let through."""
    found = await next_to_check(session, access, after)
    if found is None:
        return Checks(next=None, further=0)
    one = found.prompt
    waiting = PromptToCheck(id=one.public_id, messages=one.messages, card=one.extra.get("card"))
    return Checks(next=waiting, further=found.further)


@router.post("/projects/{project}/checks/{prompt}", status_code=204)
async def accept(project: UUID, prompt: UUID, access: Annotator, session: Session) -> Response:
    """Let a prompt through: it is used from now on."""
    await accept_prompt(session, access, prompt)
    return Response(status_code=204)


@router.post("/projects/{project}/checks/{prompt}/return", status_code=204)
async def give_back(project: UUID, prompt: UUID, form: RemarkForm, access: Annotator, session: Session) -> Response:
    """Give a prompt back to its author with a remark; what they make of it waits for a check again."""
    await return_prompt(session, access, prompt, form.text)
    return Response(status_code=204)
