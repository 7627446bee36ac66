"""REST: answer a task, change an answer; and everybody's answers for those who may read them."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from app.accounts.access import Access, may
from app.accounts.permissions import Permission
from app.annotations.actions import Saved, edit, set_aside, submit, withdraw
from app.annotations.forms import EditedAnnotation, NewAnnotation, Reason
from app.annotations.kinds import read_kept
from app.annotations.queries import everybodys, streamed
from app.annotations.tables import Annotation, AnnotationState
from app.cursors import Cursor, Limit, page_of
from app.database import Session, snapshot
from app.tasks.tables import Purpose

router = APIRouter(tags=["annotations"])
Annotator = Annotated[Access, may(Permission.annotate)]
Reader = Annotated[Access, may(Permission.annotation_read)]
Reviewer = Annotated[Access, may(Permission.annotation_review)]


class SavedView(BaseModel):
    """Your answer is kept. state `surplus`: the task had all its answers by then; yours is kept beside them."""

    id: UUID
    version: int
    state: AnnotationState
    saved_at: datetime


class AnnotationView(BaseModel):
    """One answer. rater: a pseudonym that means the same person throughout this project and nowhere else.

    Completions in the body are named by their ids. shown: these ids in the order of the rater's screen.
    fast: given quicker than the texts can be read. active_seconds: that the rater was at it, idle time left out, as
    their page measured; null where nothing did.
    """

    model_config = ConfigDict(extra="forbid")
    id: UUID
    task: UUID
    prompt: UUID
    purpose: Purpose
    rater: str | None
    kind: str
    body: dict[str, Any]
    shown: list[UUID]
    state: AnnotationState
    version: int
    protocol: int = Field(description="version of the protocol it was made under")
    guidelines: int | None
    fast: bool
    active_seconds: float | None
    shown_at: datetime | None
    submitted_at: datetime


class AnnotationPage(BaseModel):
    annotations: list[AnnotationView]
    next: str | None


def kept(saved: Saved) -> SavedView:
    return SavedView(id=saved.public_id, version=saved.version, state=saved.state, saved_at=saved.at)


@router.post("/tasks/{task}/annotations")
async def answer(task: UUID, form: NewAnnotation, access: Annotator, session: Session) -> SavedView:
    """Answer a task that was handed to you. Sending the same again gives the same response; another body under the
    same key is refused and the first one stays."""
    return kept(await submit(session, access.of_project(), access.person.id, task, form.key, form.body))


@router.put("/annotations/{annotation}")
async def change(annotation: UUID, form: EditedAnnotation, access: Annotator, session: Session) -> SavedView:
    """Replace your answer while the project allows it. `preferred` is one of the handles that the task was handed out
    with, also if the answer came late."""
    return kept(await edit(session, access.of_project(), access.person.id, annotation, form.version, form.body))


@router.delete("/annotations/{annotation}")
async def take_back(annotation: UUID, access: Annotator, session: Session) -> SavedView:
    """Take your answer back; somebody else is asked instead."""
    return kept(await withdraw(session, access.of_project(), access.person.id, annotation))


@router.post("/annotations/{annotation}/set-aside")
async def put_aside(annotation: UUID, form: Reason, access: Reviewer, session: Session) -> SavedView:
    """Take an answer out of what is concluded; it stays readable and somebody else is asked instead."""
    person = access.person.id
    return kept(await set_aside(session, access.of_project(), annotation, actor_id=person, reason=form.reason))


@router.get("/projects/{project}/annotations")
async def list_annotations(
    project: UUID, access: Reader, session: Session, cursor: Cursor = None, limit: Limit = 50
) -> AnnotationPage:
    """The project's answers in the order they came, a page at a time."""
    page = await page_of(
        session, everybodys(access.of_project()), Annotation.id, cursor=cursor, limit=limit, newest_first=False
    )
    return AnnotationPage(annotations=[view(row) for row in page.rows], next=page.next)


@router.get("/projects/{project}/annotations.jsonl", response_class=StreamingResponse)
async def stream_annotations(project: UUID, access: Reader) -> StreamingResponse:
    """All of the project's answers as they are at this moment, one JSON object a line (`AnnotationView`)."""
    return StreamingResponse(lines(access.of_project()), media_type="application/x-ndjson")


async def lines(project_id: int) -> AsyncIterator[bytes]:
    async with snapshot() as connection:
        async for row in streamed(connection, project_id):
            yield view(row).model_dump_json().encode() + b"\n"


def view(row: Any) -> AnnotationView:
    """A row of `everybodys`: completions are named by their ids instead of their numbers."""
    (_id, public_id, kind, body, state, version, sides, fast, active, shown_at, submitted_at, task) = row[:12]
    (purpose, prompt, _rendered, completions, rater, protocol, _protocol_id, guidelines) = row[12:]
    return AnnotationView(
        id=public_id,
        task=task,
        prompt=prompt,
        purpose=purpose,
        rater=rater,
        kind=kind,
        body=read_kept(body).told([str(one) for one in completions or ()]),
        shown=[completions[number] for number in sides],
        state=state,
        version=version,
        protocol=protocol,
        guidelines=guidelines,
        fast=fast,
        active_seconds=active,
        shown_at=shown_at,
        submitted_at=submitted_at,
    )
