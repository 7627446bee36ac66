"""REST: tasks by the filters of their page, and all that happened to one."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel

from app.accounts.access import Access, may
from app.accounts.permissions import Permission
from app.database import Session
from app.oversight.browsing import TaskFilter, public_ids, tasks_found
from app.oversight.history import history_of
from app.tasks.queries import shown_task
from app.translation import _

router = APIRouter(tags=["tasks"])
Reader = Annotated[Access, may(Permission.annotation_read)]


class FoundTasks(BaseModel):
    """tasks: ids, the newest first. looked: where the answers of tasks are read (`queue`), how many were; then a page
    may be empty and still have a `next`."""

    tasks: list[UUID]
    looked: int | None
    next: str | None


class HappenedView(BaseModel):
    """what: in words. by: a pseudonym. words: of a person, as they wrote them. annotation: the answer it is about."""

    at: datetime
    what: str
    by: str | None
    words: str
    annotation: UUID | None


@router.get("/projects/{project}/tasks/found")
async def find(project: UUID, access: Reader, session: Session, only: Annotated[TaskFilter, Query()]) -> FoundTasks:
    """Tasks that fit all that is said; with `queue`, those that wait for a reviewer. At most 25 a page."""
    found = await tasks_found(session, access.of_project(), only)
    return FoundTasks(tasks=await public_ids(session, found.ids), looked=found.looked, next=found.next)


@router.get("/tasks/{task}/history")
async def history(task: UUID, access: Reader, session: Session) -> list[HappenedView]:
    """Showings, what ran out or was skipped, answers and their changes, remarks, reports, what was argued,
    contested and settled: the oldest first."""
    found = await shown_task(session, access.of_project(), task)
    lines, people = await history_of(session, found.task)
    return [
        HappenedView(
            at=one.at,
            what=_(one.what),
            by=None if one.who is None else people.get(one.who),
            words=one.words,
            annotation=one.answer,
        )
        for one in lines
    ]
