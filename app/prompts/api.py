"""REST: prompts in and out."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field

from app.accounts.access import Access, may
from app.accounts.permissions import Permission
from app.cursors import Cursor, Limit, page_of
from app.database import Session, between_transactions
from app.projects.care import categories_of, members_of
from app.projects.forms import Form, Line
from app.projects.queries import get_project
from app.projects.tables import Project
from app.prompts.actions import import_prompts, retire_prompt, tag_prompt
from app.prompts.forms import PromptEdit, Report
from app.prompts.queries import Filter, ids_like, import_of, prompt_of, prompts_like, root_of
from app.prompts.tables import Prompt, Use
from app.prompts.uploads import file_of, uploaded
from app.tasks.actions import categorise, chosen_of, set_care

router = APIRouter(tags=["prompts"])
Reader = Annotated[Access, may(Permission.prompt_read)]
Editor = Annotated[Access, may(Permission.prompt_edit)]
Key = Annotated[str, Field(max_length=40)]

LINE = {
    "type": "object",
    "properties": {
        "prompt": {"type": "string"},
        "messages": {"type": "array", "items": {"type": "object"}},
        "id": {"type": "string"},
        "use": {"enum": [use.value for use in Use]},
        "group": {"type": "string"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "care": {"type": "array", "items": {"type": "string"}},
        "metadata": {"type": "object"},
    },
}


class PromptView(BaseModel):
    """A prompt. messages: [{role, parts: [{type, text}]}]. root: what splits go by. care: keys of categories that it
    is sensitive for."""

    id: UUID
    external_id: str | None
    use: Use
    root: UUID | None = None
    messages: list[dict[str, Any]]
    tags: list[str]
    care: list[str]
    metadata: dict[str, Any]
    created_at: datetime
    retired_at: datetime | None
    is_card: bool
    awaits_check: bool


class CareOfMany(Form):
    """Which prompts, as in their list; and the keys of the categories they get and lose."""

    words: Line | Literal[""] = ""
    use: Use | None = None
    tag: Line | Literal[""] = ""
    root: UUID | None = None
    retired: bool = False
    add: tuple[Key, ...] = Field(default=(), max_length=9)
    remove: tuple[Key, ...] = Field(default=(), max_length=9)


class Changed(BaseModel):
    changed: int


class PromptPage(BaseModel):
    """next: cursor of the following page; empty on the last."""

    rows: list[PromptView]
    next: str | None


def view(prompt: Prompt, project: Project, root: UUID | None = None) -> PromptView:
    plain = ("external_id", "use", "messages", "tags", "created_at", "retired_at", "is_card", "awaits_check")
    shown = {field: getattr(prompt, field) for field in plain}
    care = [one.key for one in members_of(prompt.care, categories_of(project.care))]
    return PromptView(id=prompt.public_id, root=root, care=care, metadata=prompt.extra, **shown)


@router.get("/projects/{project}/prompts")
async def list_prompts(
    project: UUID,
    access: Reader,
    session: Session,
    words: Annotated[str, Query(max_length=500)] = "",
    use: Use | None = None,
    tag: Annotated[str, Query(max_length=100)] = "",
    root: UUID | None = None,
    retired: bool = False,
    cards: bool = False,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> PromptPage:
    """The project's prompts, newest first; with `cards` what people write prompts from instead."""
    wanted = Filter(words.replace("\0", ""), use, tag.replace("\0", ""), retired, root, cards)
    asked = prompts_like(access.of_project(), wanted)
    page = await page_of(session, asked, Prompt.id, cursor=cursor, limit=limit)
    here = await get_project(session, access.of_project())
    return PromptPage(rows=[view(prompt, here) for prompt in page.rows], next=page.next)


@router.post("/projects/{project}/prompts", openapi_extra=file_of(LINE))
async def bring_prompts(
    request: Request, project: UUID, access: Editor, session: Session, dry_run: bool = False
) -> Report:
    """Import prompts: one JSON object a line (NDJSON), a JSON array, or a file. Good lines come in, the report names
    all others with their number and reason; with `dry_run` only the report is made. `?name=` names the import."""
    name, stream = await uploaded(request)
    await between_transactions(session)
    return await import_prompts(session, access.of_project(), name, stream, access.person.id, dry_run=dry_run)


@router.post("/projects/{project}/prompts/care")
async def categorise_prompts(project: UUID, form: CareOfMany, access: Editor, session: Session) -> Changed:
    """Say of every prompt that the filter lets through what it is sensitive for, and what not; 20,000 at a time."""
    found = await get_project(session, access.of_project())
    wanted = Filter(form.words, form.use, form.tag, form.retired, form.root)
    masks = {"add": chosen_of(found, form.add), "remove": chosen_of(found, form.remove)}
    ids = ids_like(found.id, wanted)
    return Changed(changed=await categorise(session, found.id, ids, actor_id=access.person.id, **masks))


@router.get("/projects/{project}/imports/{record}")
async def show_import(project: UUID, record: UUID, access: Reader, session: Session) -> Report:
    """What became of a file."""
    return Report.model_validate((await import_of(session, access.of_project(), record)).report)


@router.get("/prompts/{prompt}")
async def show_prompt(prompt: UUID, access: Reader, session: Session) -> PromptView:
    found = await prompt_of(session, access.of_project(), prompt)
    return view(found, await get_project(session, found.project_id), (await root_of(session, found)).public_id)


@router.patch("/prompts/{prompt}")
async def edit_prompt(prompt: UUID, form: PromptEdit, access: Editor, session: Session) -> PromptView:
    """Tag a prompt, say what it is sensitive for, or take it out of use."""
    found = await prompt_of(session, access.of_project(), prompt)
    if form.tags is not None:
        await tag_prompt(session, found, list(dict.fromkeys(form.tags)), access.person.id)
    if form.retired is not None:
        await retire_prompt(session, found, access.person.id, retired=form.retired)
    if form.care is not None:
        await set_care(session, found, form.care, access.person.id)
    await session.refresh(found)
    return view(found, await get_project(session, found.project_id), (await root_of(session, found)).public_id)
