"""Pages: the prompts of a project, one prompt with its answers, and files that come in."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Form, Query, Request, Response, UploadFile

from app.accounts.access import Access, may
from app.accounts.permissions import Permission
from app.completions.queries import answers_to, count_by_prompt
from app.cursors import Cursor, page_of
from app.database import Session, between_transactions
from app.errors import Invalid
from app.pages import redirect, respond
from app.projects.care import categories_of, members_of, offered
from app.projects.forms import filled
from app.projects.queries import get_project
from app.prompts.actions import import_prompts, retire_prompt, tag_prompt
from app.prompts.forms import PromptEdit, Report
from app.prompts.queries import (
    Filter,
    counts_by_use,
    import_of,
    imports_of,
    prompt_of,
    prompts_like,
    root_of,
    tags_of,
    written_from,
)
from app.prompts.tables import Prompt, Use
from app.tasks.actions import set_care
from app.translation import _

router = APIRouter()
Reader = Annotated[Access, may(Permission.prompt_read)]
Editor = Annotated[Access, may(Permission.prompt_edit)]


@router.get("/projects/{project}/prompts")
async def index(
    request: Request,
    project: UUID,
    access: Reader,
    session: Session,
    words: Annotated[str, Query(max_length=500)] = "",
    use: Annotated[str, Query(pattern="^(label|train|heldout|retired|card)?$")] = "",
    tag: Annotated[str, Query(max_length=100)] = "",
    root: UUID | None = None,
    cursor: Cursor = None,
) -> Response:
    """use: one of the uses, `retired` for those taken out of use, or `card` for what prompts are written from."""
    named = Use(use) if use in set(Use) else None
    wanted = Filter(words.replace("\0", ""), named, tag.replace("\0", ""), use == "retired", root, cards=use == "card")
    here = await get_project(session, access.of_project())
    found = await page_of(session, prompts_like(here.id, wanted), Prompt.id, cursor=cursor)
    return respond(
        request,
        "prompts/index.html",
        "prompts",
        project=here,
        found=found,
        written=await written_from(session, access.of_project()),
        answers=await count_by_prompt(session, [prompt.id for prompt in found.rows]),
        counts=await counts_by_use(session, access.of_project()),
        categories=[(one.key, one.name) for one in offered(categories_of(here.care))],
        tag_options=[(one, one) for one in await tags_of(session, access.of_project())],
        wanted={"words": words, "use": use, "tag": tag, "root": root or ""},
        cursor=cursor,
    )


@router.get("/projects/{project}/prompts/import")
async def choose_file(request: Request, project: UUID, access: Editor, session: Session) -> Response:
    return await _import_page(request, access, session)


@router.post("/projects/{project}/prompts/import")
async def take_file(
    request: Request,
    project: UUID,
    access: Editor,
    session: Session,
    file: UploadFile,
    tags: Annotated[str, Form(max_length=1000)] = "",
    confirm: Annotated[str, Form()] = "",
) -> Response:
    """First the report alone; the good lines come in when it is confirmed."""
    if not file.filename:
        return await _import_page(request, access, session, 422, error=_("Choose a file first."))
    named = tuple(tag.strip() for tag in tags.replace("\0", "").split(",") if tag.strip())
    name, project_id = file.filename.replace("\0", "")[:200], access.of_project()
    await between_transactions(session)
    report = await import_prompts(
        session, project_id, name, file.file, access.person.id, dry_run=not confirm, tags=named
    )
    if confirm:
        return redirect(request, f"/projects/{project}/imports/{report.id}", report.sentence)
    return await _import_page(request, access, session, report=report)


async def _import_page(request: Request, access: Access, session: Session, status: int = 200, **more: Any) -> Response:
    shown: dict[str, Any] = {"report": None, "error": None} | more
    project = await get_project(session, access.of_project())
    past = await imports_of(session, access.of_project())
    return respond(request, "prompts/import.html", "report", status, project=project, past=past, **shown)


@router.get("/projects/{project}/imports/{record}")
async def show_import(request: Request, project: UUID, record: UUID, access: Reader, session: Session) -> Response:
    found = await import_of(session, access.of_project(), record)
    shown = await get_project(session, access.of_project())
    report = Report.model_validate(found.report)
    return respond(request, "prompts/show_import.html", "report", project=shown, record=found, report=report)


@router.get("/prompts/{prompt}")
async def show(request: Request, prompt: UUID, access: Reader, session: Session) -> Response:
    found = await prompt_of(session, access.of_project(), prompt)
    project = await get_project(session, access.of_project())
    categories = categories_of(project.care)
    return respond(
        request,
        "prompts/show.html",
        "prompt",
        project=project,
        prompt=found,
        root=await root_of(session, found),
        categories=categories,
        carried=members_of(found.care, categories),
        answers=await answers_to(session, found.id) if access.may(Permission.completion_read) else [],
    )


@router.post("/prompts/{prompt}")
async def edit(
    request: Request,
    prompt: UUID,
    access: Editor,
    session: Session,
    tags: Annotated[str | None, Form(max_length=5000)] = None,
    retired: Annotated[bool | None, Form()] = None,
    care: Annotated[list[str] | None, Form()] = None,
    of_care: Annotated[bool, Form()] = False,
) -> Response:
    """of_care: the form is the one of the categories; none of them may be chosen."""
    found = await prompt_of(session, access.of_project(), prompt)
    if tags is not None:
        named = [tag.strip() for tag in tags.replace("\0", "").split(",") if tag.strip()]
        form, errors = filled(PromptEdit, {"tags": list(dict.fromkeys(named))})
        if form is None:
            raise Invalid(field="tags", reason=" ".join(errors.values()))
        await tag_prompt(session, found, form.tags or [], access.person.id)
    if retired is not None:
        await retire_prompt(session, found, access.person.id, retired=retired)
    if of_care:
        await set_care(session, found, care or (), access.person.id)
    return redirect(request, f"/prompts/{prompt}", _("Saved."))
