"""REST: completions in and out, and requests for more of them."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Request
from pydantic import BaseModel

from app.accounts.access import Access, may
from app.accounts.permissions import Permission
from app.checkpoints.tables import Checkpoint
from app.completions.actions import ask, cancel_generation, import_completions
from app.completions.actions.scoring import keep_scores
from app.completions.forms import GenerationForm, SentScores
from app.completions.queries import (
    completion_of,
    completions_of_project,
    generation_of,
    generations_with_checkpoints,
)
from app.completions.tables import Completion, Flaw, Generation, GenerationState
from app.cursors import Cursor, Limit, page_of
from app.database import Session, between_transactions
from app.prompts.forms import Report
from app.prompts.tables import Prompt
from app.prompts.uploads import file_of, uploaded

router = APIRouter(tags=["completions"])
Reader = Annotated[Access, may(Permission.completion_read)]
Editor = Annotated[Access, may(Permission.completion_edit)]

LINE = {
    "type": "object",
    "required": ["prompt_id", "text"],
    "properties": {
        "prompt_id": {"type": "string", "description": "The prompt's id in its file, or ours."},
        "text": {"type": "string"},
        "model": {"type": "string", "description": "What made it."},
    },
}


class CompletionView(BaseModel):
    """An answer with its provenance. checkpoint: what made it; author: the name that an imported one came with.

    flaw: why it is never shown to people. logprob_sum: of its tokens, where known.
    """

    id: UUID
    prompt: UUID
    checkpoint: UUID | None
    author: str | None
    parts: list[dict[str, Any]]
    sampling: dict[str, Any]
    seed: int | None
    number: int | None
    token_count: int | None
    finish_reason: str | None
    logprob_sum: float | None
    flaw: Flaw | None
    created_at: datetime


class CompletionPage(BaseModel):
    """next: cursor of the following page; empty on the last."""

    rows: list[CompletionView]
    next: str | None


class GenerationView(BaseModel):
    """A request for answers. wanted, done: completions. failed: prompts that got none, and why the last one did not."""

    id: UUID
    checkpoint: UUID
    state: GenerationState
    n: int
    sampling: dict[str, Any]
    seed: int
    automatic: bool
    wanted: int
    done: int
    failed: int
    reason: str | None
    created_at: datetime
    finished_at: datetime | None


class GenerationPage(BaseModel):
    """next: cursor of the following page; empty on the last."""

    rows: list[GenerationView]
    next: str | None


def completion_view(completion: Completion, prompt: Prompt, checkpoint: Checkpoint | None) -> CompletionView:
    beside = {"id", "prompt", "checkpoint"}
    plain = {field: getattr(completion, field) for field in CompletionView.model_fields if field not in beside}
    made_by = checkpoint.public_id if checkpoint else None
    return CompletionView(id=completion.public_id, prompt=prompt.public_id, checkpoint=made_by, **plain)


def generation_view(generation: Generation, checkpoint: Checkpoint) -> GenerationView:
    beside = {"id", "checkpoint"}
    plain = {field: getattr(generation, field) for field in GenerationView.model_fields if field not in beside}
    return GenerationView(id=generation.public_id, checkpoint=checkpoint.public_id, **plain)


async def looked_up(session: Session, generation: Generation) -> GenerationView:
    await session.flush()
    await session.refresh(generation)
    return generation_view(generation, await session.get_one(Checkpoint, generation.checkpoint_id))


@router.get("/projects/{project}/completions")
async def list_completions(
    project: UUID,
    access: Reader,
    session: Session,
    prompt: UUID | None = None,
    checkpoint: UUID | None = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> CompletionPage:
    """The project's completions, newest first: of one prompt or checkpoint where it is named."""
    asked = completions_of_project(access.of_project(), prompt, checkpoint)
    page = await page_of(session, asked, Completion.id, cursor=cursor, limit=limit)
    return CompletionPage(rows=[completion_view(*row) for row in page.rows], next=page.next)


@router.post("/projects/{project}/completions", openapi_extra=file_of(LINE))
async def bring_completions(
    request: Request, project: UUID, access: Editor, session: Session, dry_run: bool = False
) -> Report:
    """Import ready-made answers: one {prompt_id, text, model} a line (NDJSON), a JSON array, or a file. The report is
    like that of prompts; with `dry_run` nothing comes in."""
    name, stream = await uploaded(request)
    await between_transactions(session)
    return await import_completions(session, access.of_project(), name, stream, access.person.id, dry_run=dry_run)


@router.get("/completions/{completion}")
async def show_completion(completion: UUID, access: Reader, session: Session) -> CompletionView:
    found = await completion_of(session, access.of_project(), completion)
    checkpoint = await session.get(Checkpoint, found.checkpoint_id) if found.checkpoint_id else None
    return completion_view(found, await session.get_one(Prompt, found.prompt_id), checkpoint)


@router.get("/projects/{project}/generations")
async def list_generations(
    project: UUID, access: Reader, session: Session, cursor: Cursor = None, limit: Limit = 50
) -> GenerationPage:
    """Requests for completions, newest first."""
    asked = generations_with_checkpoints(access.of_project())
    page = await page_of(session, asked, Generation.id, cursor=cursor, limit=limit)
    return GenerationPage(rows=[generation_view(*row) for row in page.rows], next=page.next)


@router.post("/projects/{project}/generations", status_code=202)
async def request_completions(project: UUID, form: GenerationForm, access: Editor, session: Session) -> GenerationView:
    """Ask a checkpoint for n answers each to some prompts. A sampler writes them: ask again until `finished`."""
    return await looked_up(session, await ask(session, access.of_project(), form, access.person.id))


@router.get("/generations/{generation}")
async def show_generation(generation: UUID, access: Reader, session: Session) -> GenerationView:
    return await looked_up(session, await generation_of(session, access.of_project(), generation))


@router.post("/generations/{generation}/cancel")
async def stop_generation(generation: UUID, access: Editor, session: Session) -> GenerationView:
    """Stop asking; what has been answered stays."""
    found = await generation_of(session, access.of_project(), generation)
    await cancel_generation(session, found, access.person.id)
    return await looked_up(session, found)


class KeptScores(BaseModel):
    kept: int


@router.put("/projects/{project}/scores")
async def put_scores(project: UUID, form: SentScores, access: Editor, session: Session) -> KeptScores:
    """What a reward model of this project makes of its completions. Reviewers find the tasks there in which people
    decide against it."""
    who = (access.of_project(), form.checkpoint)
    return KeptScores(kept=await keep_scores(session, *who, form.scores, access.person.id))
