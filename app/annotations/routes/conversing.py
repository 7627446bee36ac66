"""A conversation on the annotate page: messages, the answers to them, and what is said about those.

With a script each of these draws only the conversation; without one the whole page comes back.
"""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Request, Response

from app.accounts.access import Access, may
from app.accounts.permissions import Permission
from app.annotations.actions import ask_again, judge_anew, judge_turn, send_message
from app.annotations.asking import words_of_page
from app.annotations.conversations import conversation_shown
from app.annotations.forms import PostedForm
from app.annotations.routes.screens import blank, next_screen, whole_page
from app.annotations.routes.stencils import PAGE
from app.annotations.routes.workspace import posted
from app.database import Session, next_transaction
from app.errors import DomainError
from app.pages import redirect, respond

router = APIRouter()
Posted = Annotated[PostedForm, Depends(posted)]
MayAnnotate = Annotated[Access, may(Permission.annotate)]
Number = Annotated[int, Path(ge=1, le=1000)]


@router.get("/projects/{project}/annotate/{task}/turns")
async def look(request: Request, task: UUID, access: MayAnnotate, session: Session) -> Response:
    """The conversation as it stands: pages that wait for answers ask again and again."""
    return await drawn(request, session, access, task)


@router.post("/projects/{project}/annotate/{task}/turns")
async def send(request: Request, task: UUID, access: MayAnnotate, form: Posted, session: Session) -> Response:
    me = access.person.id
    try:
        await send_message(session, access.of_project(), me, task, form.the_key(), form.number(), form.message())
    except DomainError as refusal:
        return await refused(request, session, access, form, refusal)
    await next_transaction(session)
    return await drawn(request, session, access, task)


@router.post("/projects/{project}/annotate/{task}/turns/{number}")
async def judge(
    request: Request, task: UUID, number: Number, access: MayAnnotate, form: Posted, session: Session
) -> Response:
    """kind: of the judgement, which is a form of its own."""
    try:
        await judge_turn(session, access.of_project(), access.person.id, task, form.the_key(), number, form.body())
    except DomainError as refusal:
        return await refused(request, session, access, form, refusal)
    await next_transaction(session)
    return await drawn(request, session, access, task)


@router.post("/projects/{project}/annotate/{task}/turns/{number}/again")
async def once_more(
    request: Request, task: UUID, number: Number, access: MayAnnotate, form: Posted, session: Session
) -> Response:
    try:
        await ask_again(session, access.of_project(), access.person.id, task, form.the_key(), number)
    except DomainError as refusal:
        return await refused(request, session, access, form, refusal)
    await next_transaction(session)
    return await drawn(request, session, access, task)


@router.post("/projects/{project}/annotate/{task}/turns/{number}/anew")
async def choose_anew(
    request: Request, task: UUID, number: Number, access: MayAnnotate, form: Posted, session: Session
) -> Response:
    try:
        await judge_anew(session, access.of_project(), access.person.id, task, form.the_key(), number)
    except DomainError as refusal:
        return await refused(request, session, access, form, refusal)
    await next_transaction(session)
    return await drawn(request, session, access, task)


async def drawn(request: Request, session: Session, access: Access, task: UUID) -> Response:
    if "HX-Request" not in request.headers:
        return redirect(request, f"/projects/{access.project}/annotate")
    talk = await conversation_shown(session, access.of_project(), access.person.id, task)
    address = f"/projects/{access.project}/annotate/{task}"
    context = blank(access) | words_of_page() | {"talk": talk, "address": address, "said": {}}
    return respond(request, PAGE, "talk", **context)


async def refused(
    request: Request, session: Session, access: Access, form: PostedForm, refusal: DomainError
) -> Response:
    """Why it was not taken, beside what was typed and never in its place."""
    context = {"refusal": refusal, "offer": None, "form": form}
    if "HX-Request" in request.headers:
        return respond(request, PAGE, "refused", refusal.status, into="refusal", **(blank(access) | context))
    screen = await next_screen(session, access, may_ask_for_more=False)
    return await whole_page(request, session, access, screen | context | {"said": form.fields})
