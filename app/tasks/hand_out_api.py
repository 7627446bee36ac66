"""REST: of whom, how often and how much a project asks."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from app.accounts.access import Access, may
from app.accounts.actions.audiences import audience_of
from app.accounts.permissions import Permission
from app.database import Session
from app.projects.batching import HandOutEdit, LimitsEdit, TagWish
from app.projects.queries import default_batch, get_project, hand_out_of, limits_of
from app.tasks.actions import assign, edit_hand_out, edit_limits, unassign
from app.tasks.limits import standing_of
from app.tasks.queries import task_id_of
from app.tasks.rules import DEFAULT_BAND

router = APIRouter(tags=["tasks"])
Reader = Annotated[Access, may(Permission.task_read)]
Editor = Annotated[Access, may(Permission.project_edit)]
TaskEditor = Annotated[Access, may(Permission.task_edit)]


class LimitsView(BaseModel):
    """budget, spent, reserved: in hundredths of the currency. used: answers given and tasks being answered. free:
    places that somebody may take now; planned: those that wait for room. reserved: what is handed out may cost. Money:
    only for those who may see pay."""

    version: int
    answers_a_day: int | None
    answers_in_all: int | None
    budget: int | None = None
    currency: str
    tags: list[TagWish]
    used: int
    used_today: int
    free: int
    planned: int
    spent: int | None = None
    reserved: int | None = None


class TaskPlace(BaseModel):
    """audience: empty for everybody. band: 0 … 15, the smallest first; 4 is where everything else stands."""

    model_config = ConfigDict(extra="forbid")
    audience: UUID | None = None
    band: int = Field(default=DEFAULT_BAND, ge=0, le=15)


@router.get("/projects/{project}/hand-out")
async def show_hand_out(project: UUID, access: Reader, session: Session) -> HandOutEdit:
    """How tasks of the default round are handed out."""
    return await _hand_out(session, access)


@router.put("/projects/{project}/hand-out")
async def put_hand_out(project: UUID, form: HandOutEdit, access: Editor, session: Session) -> HandOutEdit:
    """k and calibration hold for new tasks, the rest also for open ones, as far as nobody has them in hand. With the
    version that you saw, 409 if somebody has changed it since."""
    await edit_hand_out(session, await default_batch(session, access.of_project()), form, access.person.id)
    return await _hand_out(session, access)


async def _hand_out(session: Session, access: Access) -> HandOutEdit:
    found = await hand_out_of(session, await default_batch(session, access.of_project()))
    return HandOutEdit(**found | {"calibration": float(found["calibration"]) / 100})


@router.get("/projects/{project}/limits")
async def show_limits(project: UUID, access: Reader, session: Session) -> LimitsView:
    """How much is handed out at most, and where that stands."""
    return await _limits(session, access)


@router.put("/projects/{project}/limits")
async def put_limits(project: UUID, form: LimitsEdit, access: Editor, session: Session) -> LimitsView:
    """All limits and what tags ask for; what is left out is without a bound. It holds when this returns."""
    await edit_limits(session, access.of_project(), form, access.person.id)
    return await _limits(session, access)


async def _limits(session: Session, access: Access) -> LimitsView:
    there = await limits_of(session, await get_project(session, access.of_project()))
    now = await standing_of(session, access.of_project())
    names = ["used", "used_today", "free", "planned"]
    if access.may(Permission.pay_read):
        names += ["spent", "reserved"]
    else:
        there["budget"] = None
    return LimitsView(**there, **{name: getattr(now, name) for name in names})


@router.put("/tasks/{task}/place", status_code=204)
async def put_place(task: UUID, form: TaskPlace, access: TaskEditor, session: Session) -> None:
    """Keep a task for an audience, and say when its turn is, whatever its round and its tags want."""
    project_id = access.of_project()
    people = (await audience_of(session, project_id, form.audience)).number if form.audience else 0
    await assign(session, project_id, await task_id_of(session, project_id, task), people, form.band, access.person.id)


@router.delete("/tasks/{task}/place", status_code=204)
async def delete_place(task: UUID, access: TaskEditor, session: Session) -> None:
    """Hand a task out as its round and its tags want it again."""
    project_id = access.of_project()
    await unassign(session, project_id, await task_id_of(session, project_id, task), access.person.id)
