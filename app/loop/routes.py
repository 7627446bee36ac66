"""Pages: schedules of a project, when each last ran, and why it skipped."""

from datetime import time
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Form, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from app.accounts.access import Access, may
from app.accounts.permissions import Permission
from app.database import Session
from app.errors import Invalid
from app.loop.actions import edit_schedule, make_schedule
from app.loop.forms import ScheduleForm
from app.loop.queries import answers_for_training, database_now, fires_of, schedule_of, schedules_of
from app.loop.rules import next_due
from app.loop.tables import Schedule, Trigger
from app.pages import redirect, respond
from app.projects.queries import get_project
from app.projects.tables import Project
from app.translation import _

router = APIRouter()
Reader = Annotated[Access, may(Permission.schedule_read)]
Editor = Annotated[Access, may(Permission.schedule_edit)]
WEEKDAYS = (_("Monday"), _("Tuesday"), _("Wednesday"), _("Thursday"), _("Friday"), _("Saturday"), _("Sunday"))


class ScheduleFields(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str = Field(min_length=1, max_length=120)
    trigger: Trigger
    weekday: int = Field(default=0, ge=0, le=6)
    at: time = time(3, 0)
    every: int = Field(default=500, ge=1)

    def as_form(self) -> ScheduleForm:
        if self.trigger is Trigger.weekly:
            return ScheduleForm(name=self.name, trigger=self.trigger, weekday=self.weekday, at=self.at)
        return ScheduleForm(name=self.name, trigger=self.trigger, every=self.every)


def words_of(schedule: Schedule, project: Project) -> str:
    """The schedule as a sentence."""
    if schedule.trigger is Trigger.answers:
        return _("Whenever {n} new answers have come in").format(n=schedule.every)
    assert schedule.weekday is not None
    return _("Every {day} at {at:%H:%M} ({zone})").format(
        day=WEEKDAYS[schedule.weekday], at=schedule.at, zone=project.zone
    )


async def with_history(session: Session, schedule: Schedule, project: Project) -> dict[str, Any]:
    now, (answers, _preferring) = await database_now(session), await answers_for_training(session, project.id)
    weekly = schedule.weekday is not None and schedule.at is not None
    return {
        "schedule": schedule,
        "words": words_of(schedule, project),
        "next": next_due(schedule.weekday, schedule.at, project.zone, now) if weekly else None,  # type: ignore[arg-type]
        "new_answers": answers - schedule.answers_seen,
        "fires": await fires_of(session, schedule.id),
    }


@router.get("/projects/{project}/schedules")
async def index(request: Request, project: UUID, access: Reader, session: Session) -> Response:
    found = await get_project(session, access.of_project())
    schedules = [await with_history(session, one, found) for one in await schedules_of(session, found.id)]
    context: dict[str, Any] = {"project": found, "schedules": schedules, "weekdays": list(enumerate(WEEKDAYS))}
    return respond(request, "loop/index.html", "schedules", **context)


@router.post("/projects/{project}/schedules")
async def create(
    request: Request, project: UUID, fields: Annotated[ScheduleFields, Form()], access: Editor, session: Session
) -> Response:
    await make_schedule(session, access.of_project(), fields.as_form(), access.person.id)
    return redirect(request, f"/projects/{project}/schedules", _("The schedule is kept from now on."))


@router.post("/schedules/{schedule}/switch")
async def switch(
    request: Request, schedule: UUID, enabled: Annotated[bool, Form()], access: Editor, session: Session
) -> Response:
    found = await schedule_of(session, access.of_project(), schedule)
    if found.enabled == enabled:
        raise Invalid(field="enabled", reason=_("it is so already"))
    told = {name: getattr(found, name) for name in ScheduleForm.model_fields} | {"enabled": enabled}
    await edit_schedule(session, found, ScheduleForm.model_validate(told), access.person.id)
    return redirect(request, f"/projects/{access.project}/schedules")
