"""Pages: what was asked for and how far it is, the form that asks, and files of ready-made answers."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Form, Query, Request, Response, UploadFile

from app.accounts.access import Access, may
from app.accounts.permissions import Permission
from app.checkpoints.queries import serving, writers_of
from app.checkpoints.tables import Checkpoint
from app.completions.actions import NothingToAsk, ask, cancel_generation, import_completions
from app.completions.forms import GenerationForm
from app.completions.queries import (
    GOING_ON,
    completions_of_generation,
    count_completions,
    generation_of,
    generations_with_checkpoints,
)
from app.completions.tables import Completion, Generation
from app.cursors import Cursor, page_of
from app.database import Session, between_transactions
from app.errors import Invalid
from app.pages import redirect, respond
from app.projects.forms import filled
from app.projects.queries import batches_of, get_project
from app.projects.tables import BatchState
from app.prompts.queries import counts_by_use, imports_of, tags_of
from app.translation import _

router = APIRouter()
Reader = Annotated[Access, may(Permission.completion_read)]
Editor = Annotated[Access, may(Permission.completion_edit)]
STILL_MADE = (BatchState.draft, BatchState.pilot, BatchState.open)  # of a round's tasks
DEFAULTS = {
    "use": "label",
    "most": 50,
    "n": 2,
    "sampling.temperature": 1,
    "sampling.top_p": 1,
    "sampling.max_tokens": 256,
}


@router.get("/projects/{project}/completions")
async def index(request: Request, project: UUID, access: Reader, session: Session, cursor: Cursor = None) -> Response:
    asked = generations_with_checkpoints(access.of_project())
    found = await page_of(session, asked, Generation.id, cursor=cursor, limit=25)
    return respond(
        request,
        "completions/index.html",
        "generations",
        project=await get_project(session, access.of_project()),
        found=found,
        counts=await count_completions(session, access.of_project()),
        is_going_on=any(generation.state in GOING_ON for generation, _checkpoint in found.rows),
        cursor=cursor,
    )


@router.get("/projects/{project}/completions/new")
async def new(
    request: Request,
    project: UUID,
    access: Editor,
    session: Session,
    checkpoint: Annotated[str, Query()] = "",
    batch: Annotated[str, Query()] = "",
) -> Response:
    chosen = await serving(session, access.of_project())
    first = checkpoint or (str(chosen.public_id) if chosen else "")
    return await _form(request, access, session, values=DEFAULTS | {"checkpoint": first, "batch": batch})


@router.post("/projects/{project}/completions")
async def start(request: Request, project: UUID, access: Editor, session: Session) -> Response:
    """Jobs are queued, or the form comes again with what is wrong."""
    fields = await request.form()
    sent: dict[str, Any] = {name: str(value) for name, value in fields.items() if name != "tags"}
    tags = tuple(str(tag) for tag in fields.getlist("tags") if tag)
    form, errors = filled(GenerationForm, sent | ({"tags": tags} if tags else {}))
    if form is not None:
        try:
            generation = await ask(session, access.of_project(), form, access.person.id)
        except NothingToAsk as error:
            errors = {"": str(error)}
        except Invalid as error:
            errors = {str(error.fields["field"]): str(error.fields["reason"])}
        else:
            return redirect(request, f"/generations/{generation.public_id}", _("The answers are on their way."))
    return await _form(request, access, session, 422, values=DEFAULTS | sent | {"tags": tags}, errors=errors)


async def _form(request: Request, access: Access, session: Session, status: int = 200, **more: Any) -> Response:
    writers = await writers_of(session, access.of_project())
    rounds = [one for one in await batches_of(session, access.of_project()) if one.state in STILL_MADE]
    shown: dict[str, Any] = {"errors": {}, "rounds": [(str(one.public_id), one.name) for one in rounds]} | more
    return respond(
        request,
        "completions/new.html",
        "ask",
        status,
        project=await get_project(session, access.of_project()),
        checkpoints=[(str(one.public_id), one.name) for one in writers],
        counts=await counts_by_use(session, access.of_project()),
        tag_options=[(tag, tag) for tag in await tags_of(session, access.of_project())],
        uses=[("label", _("to judge")), ("train", _("training only")), ("heldout", _("held out"))],
        **shown,
    )


@router.get("/projects/{project}/completions/import")
async def choose_file(request: Request, project: UUID, access: Editor, session: Session) -> Response:
    return await _import_page(request, access, session)


@router.post("/projects/{project}/completions/import")
async def take_file(
    request: Request,
    project: UUID,
    access: Editor,
    session: Session,
    file: UploadFile,
    confirm: Annotated[str, Form()] = "",
) -> Response:
    """First the report alone; the good lines come in when it is confirmed."""
    if not file.filename:
        return await _import_page(request, access, session, 422, error=_("Choose a file first."))
    name, project_id = file.filename.replace("\0", "")[:200], access.of_project()
    await between_transactions(session)
    report = await import_completions(session, project_id, name, file.file, access.person.id, dry_run=not confirm)
    if confirm:
        return redirect(request, f"/projects/{project}/imports/{report.id}", report.sentence)
    return await _import_page(request, access, session, report=report)


async def _import_page(request: Request, access: Access, session: Session, status: int = 200, **more: Any) -> Response:
    shown: dict[str, Any] = {"report": None, "error": None} | more
    project = await get_project(session, access.of_project())
    past = await imports_of(session, access.of_project())
    return respond(request, "completions/import.html", "report", status, project=project, past=past, **shown)


@router.get("/generations/{generation}")
async def show(request: Request, generation: UUID, access: Reader, session: Session, cursor: Cursor = None) -> Response:
    found = await generation_of(session, access.of_project(), generation)
    asked = completions_of_generation(found.id)
    return respond(
        request,
        "completions/show.html",
        "generation",
        project=await get_project(session, access.of_project()),
        generation=found,
        checkpoint=await session.get_one(Checkpoint, found.checkpoint_id),
        is_going_on=found.state in GOING_ON,
        answers=await page_of(session, asked, Completion.id, cursor=cursor, limit=20),
        cursor=cursor,
    )


@router.post("/generations/{generation}/cancel")
async def cancel(request: Request, generation: UUID, access: Editor, session: Session) -> Response:
    found = await generation_of(session, access.of_project(), generation)
    await cancel_generation(session, found, access.person.id)
    return redirect(request, f"/generations/{generation}", _("Cancelled. What was answered stays."), "info")
