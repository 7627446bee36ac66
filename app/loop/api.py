"""REST: schedules."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel

from app.accounts.access import Access, may
from app.accounts.permissions import Permission
from app.cursors import Cursor, Limit, page_of
from app.database import Session
from app.loop.actions import edit_schedule, make_schedule
from app.loop.forms import ScheduleForm
from app.loop.queries import fires_of, schedule_of, schedules_in
from app.loop.tables import FireState, Schedule

router = APIRouter(tags=["schedules"])
Reader = Annotated[Access, may(Permission.schedule_read)]
Editor = Annotated[Access, may(Permission.schedule_edit)]


class FireView(BaseModel):
    """One time that a schedule was due, and what became of it."""

    due_at: datetime
    state: FireState
    reason: str | None
    finished_at: datetime | None


class ScheduleView(BaseModel):
    id: UUID
    schedule: dict[str, Any]
    created_at: datetime
    fires: list[FireView]


class SchedulePage(BaseModel):
    """next: cursor of the following page; empty on the last."""

    rows: list[ScheduleView]
    next: str | None


async def view(session: Session, schedule: Schedule) -> ScheduleView:
    told = {name: getattr(schedule, name) for name in ScheduleForm.model_fields}
    fires = [FireView.model_validate(fire, from_attributes=True) for fire in await fires_of(session, schedule.id)]
    return ScheduleView(id=schedule.public_id, schedule=told, created_at=schedule.created_at, fires=fires)


@router.get("/projects/{project}/schedules")
async def list_schedules(
    project: UUID, access: Reader, session: Session, cursor: Cursor = None, limit: Limit = 50
) -> SchedulePage:
    """The project's schedules, newest first, each with the last times that it was due."""
    page = await page_of(session, schedules_in(access.of_project()), Schedule.id, cursor=cursor, limit=limit)
    return SchedulePage(rows=[await view(session, one) for one in page.rows], next=page.next)


@router.post("/projects/{project}/schedules", status_code=201)
async def create(project: UUID, form: ScheduleForm, access: Editor, session: Session) -> ScheduleView:
    return await view(session, await make_schedule(session, access.of_project(), form, access.person.id))


@router.get("/schedules/{schedule}")
async def show(schedule: UUID, access: Reader, session: Session) -> ScheduleView:
    return await view(session, await schedule_of(session, access.of_project(), schedule))


@router.put("/schedules/{schedule}")
async def edit(schedule: UUID, form: ScheduleForm, access: Editor, session: Session) -> ScheduleView:
    """Replace a schedule's settings; its history stays."""
    found = await schedule_of(session, access.of_project(), schedule)
    await edit_schedule(session, found, form, access.person.id)
    return await view(session, found)
