"""The annotate page: one task, one key, the next task in the same response.

An answer is committed before the next task is looked for. Whatever goes wrong after that, the response still says
that the answer is saved and offers the next task by a click.
"""

import asyncio
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Form, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from app.accounts.access import Access, may
from app.accounts.permissions import Permission
from app.annotations.actions import Draft, edit, save_draft, save_edit_draft, submit
from app.annotations.forms import NewDraft, NewEditDraft, PostedForm, ReportForm, SkipForm
from app.annotations.history import talk_about
from app.annotations.queries import my_answer, my_last_answer
from app.annotations.routes.lean import LeanRoute
from app.annotations.routes.screens import blank, clock, editing, fragment, next_after, next_screen, refused, whole_page
from app.annotations.routes.stencils import PAGE
from app.annotations.sources import sources_shown
from app.annotations.tables import RemarkKind
from app.database import Session, next_transaction
from app.errors import Conflict, Invalid
from app.markup import render_source
from app.pages import respond
from app.tasks.actions import release, report, skip
from app.tasks.actions.claiming import ConsentTakenBack

router = APIRouter()


async def posted(request: Request) -> PostedForm:
    """The form of the hot path, read in one go: it never holds files."""
    try:
        return PostedForm.from_raw(await request.body())
    except ValidationError as wrong:
        raise RequestValidationError([{**found, "loc": ("body", *found["loc"])} for found in wrong.errors()]) from None


Posted = Annotated[PostedForm, Depends(posted)]  # after the access: who may not is told that, whatever was sent
MayAnnotate = Annotated[Access, may(Permission.annotate)]


async def answer(request: Request, task: UUID, access: MayAnnotate, form: Posted, session: Session) -> Response:
    """Keep the answer; then the next task."""
    try:
        if access.has_withdrawn:
            raise ConsentTakenBack
        said = (form.the_key(), form.body(), form.active)
        kept = await submit(session, access.of_project(), access.person.id, task, *said)
    except (Conflict, Invalid) as refusal:
        return await refused(request, session, access, form, refusal, task=task)
    await next_transaction(session)
    return await next_after(request, session, access, kept, form.seen)


router.add_api_route("/projects/{project}/annotate/{task}", answer, methods=["POST"], route_class_override=LeanRoute)


@router.get("/projects/{project}/annotate")
async def annotate(request: Request, access: MayAnnotate, session: Session) -> Response:
    """The whole page, with the task this person holds or the next one."""
    return await whole_page(request, session, access, await next_screen(session, access))


@router.get("/projects/{project}/annotate/next")
async def look_again(request: Request, access: MayAnnotate, session: Session, seen: int = 0) -> Response:
    """Only the task: for pages that wait, and after a claim that failed."""
    return await fragment(request, session, access, await next_screen(session, access, may_ask_for_more=False), seen)


@router.get("/projects/{project}/annotate/{task}/source")
async def as_written(task: UUID, access: MayAnnotate, session: Session) -> list[str]:
    """The texts of a task of mine as they were written, as safe HTML: the prompt's turns, then the answers."""
    turns, texts = await sources_shown(session, access.of_project(), access.person.id, task)
    return await asyncio.to_thread(lambda: [render_source(text) for text in (*turns, *texts)])


@router.get("/projects/{project}/annotate/back")
async def back(
    request: Request, access: MayAnnotate, session: Session, before: UUID | None = None, seen: int = 0
) -> Response:
    """My last answer, whole, to be changed; or the one before it."""
    last = await my_last_answer(session, access.of_project(), access.person.id, before)
    if last is not None:
        return await fragment(request, session, access, await editing(session, access, last), seen)
    screen = await next_screen(session, access, may_ask_for_more=False)
    return await fragment(request, session, access, screen | {"no_way_back": True}, seen)


@router.get("/projects/{project}/annotate/answers/{annotation}")
async def change(request: Request, annotation: UUID, access: MayAnnotate, session: Session, seen: int = 0) -> Response:
    """One answer of mine, to be changed."""
    mine = await my_answer(session, access.of_project(), access.person.id, annotation)
    screen = await editing(session, access, mine)
    if mine.annotation.returned_at is not None:
        remarks = await talk_about(session, mine.annotation)
        screen["remark"] = next((one.text for one in reversed(remarks) if one.kind is RemarkKind.returned), None)
    return await fragment(request, session, access, screen, seen)


@router.post("/projects/{project}/annotate/answers/{annotation}")
async def change_answer(
    request: Request, annotation: UUID, access: MayAnnotate, form: Posted, session: Session
) -> Response:
    """Keep the new version; then the task that was left for it."""
    try:
        whose, version = (access.of_project(), access.person.id, annotation), form.version or 1
        kept = await edit(session, *whose, version, form.body(), over=form.over)
    except (Conflict, Invalid) as refusal:
        return await refused(request, session, access, form, refusal, annotation=annotation)
    await next_transaction(session)
    return await next_after(request, session, access, kept, form.seen)


@router.post("/projects/{project}/annotate/{task}/skip")
async def pass_by(
    request: Request, task: UUID, form: Annotated[SkipForm, Form()], access: MayAnnotate, session: Session
) -> Response:
    reason = form.justification[:500] or None
    await skip(session, access.of_project(), access.person.id, task, form.key, reason, form.why)
    await next_transaction(session)
    return await next_after(request, session, access, None, form.seen)


@router.post("/projects/{project}/annotate/{task}/report")
async def report_harm(
    request: Request, task: UUID, form: Annotated[ReportForm, Form()], access: MayAnnotate, session: Session
) -> Response:
    """This task is harmful: somebody will look at it, and the reporter goes on."""
    project_id, me = access.of_project(), access.person.id
    await report(session, project_id, me, task, form.key, category=form.category or None, words=form.words)
    await next_transaction(session)
    return await next_after(request, session, access, None, form.seen)


@router.post("/projects/{project}/annotate/{task}/release")
async def give_back(
    request: Request, task: UUID, form: Annotated[SkipForm, Form()], access: MayAnnotate, session: Session
) -> Response:
    """Leave the task to others for now."""
    await release(session, access.of_project(), access.person.id, task, form.key)
    return respond(request, PAGE, "task", **(blank(access) | {"mode": "left"}))


@router.post("/projects/{project}/annotate/answers/{annotation}/draft")
async def keep_edit(annotation: UUID, form: NewEditDraft, access: MayAnnotate, session: Session) -> dict[str, object]:
    """What was typed so far to change an answer is safe."""
    draft = await save_edit_draft(session, access.of_project(), access.person.id, annotation, form)
    return told(draft, form.rev, access)


@router.post("/projects/{project}/annotate/{task}/draft")
async def keep_draft(task: UUID, form: NewDraft, access: MayAnnotate, session: Session) -> dict[str, object]:
    """What was typed so far is safe."""
    return told(await save_draft(session, access.of_project(), access.person.id, task, form), form.rev, access)


def told(draft: Draft, rev: int, access: Access) -> dict[str, object]:
    """`saved` is the server's clock in this person's zone. body: of another draft, which is kept instead."""
    other = {} if draft.rev == rev else {"body": draft.body}
    return {"rev": draft.rev, "saved": clock(draft.saved_at, access)} | other
