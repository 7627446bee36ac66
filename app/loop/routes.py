"""Pages: schedules of a project, when each last ran, and why it skipped."""

from datetime import datetime, time
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Form, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from app.accounts.access import Access, may
from app.accounts.permissions import Permission
from app.database import Session
from app.datasets.forms import Name
from app.loop.actions import edit_schedule, make_schedule, plan_of, switch_schedule
from app.loop.forms import ScheduleForm
from app.loop.queries import database_now, fires_of, new_answers, schedule_of, schedules_of, traces_of
from app.loop.rules import next_due
from app.loop.tables import Schedule, Trigger
from app.pages import redirect, respond
from app.projects.queries import get_project
from app.projects.tables import Project
from app.translation import _, ngettext

router = APIRouter()
Reader = Annotated[Access, may(Permission.schedule_read)]
Editor = Annotated[Access, may(Permission.schedule_edit)]
WEEKDAYS = (_("Monday"), _("Tuesday"), _("Wednesday"), _("Thursday"), _("Friday"), _("Saturday"), _("Sunday"))


class ScheduleFields(BaseModel):
    """What the page offers; REST also takes the plan."""

    model_config = ConfigDict(extra="forbid")
    name: Name
    trigger: Trigger
    weekday: int = Field(default=0, ge=0, le=6)
    at: time = time(3, 0)
    every: int = Field(default=500, ge=1, le=10_000_000)

    def as_form(self, **kept: Any) -> ScheduleForm:
        if self.trigger is Trigger.weekly:
            return ScheduleForm(name=self.name, trigger=self.trigger, weekday=self.weekday, at=self.at, **kept)
        return ScheduleForm(name=self.name, trigger=self.trigger, every=self.every, **kept)


def weekdays() -> list[tuple[int, str]]:
    return [(number, _(name)) for number, name in enumerate(WEEKDAYS)]


def words_of(schedule: Schedule, project: Project) -> str:
    """The schedule as a sentence."""
    if schedule.trigger is Trigger.answers:
        words = ngettext("With every new answer", "Whenever {n} new answers have come in", schedule.every or 0)
        return words.format(n=schedule.every)
    assert schedule.weekday is not None
    return _("Every {day} at {at:%H:%M} ({zone})").format(
        day=_(WEEKDAYS[schedule.weekday]), at=schedule.at, zone=project.zone
    )


async def with_history(session: Session, schedule: Schedule, project: Project) -> dict[str, Any]:
    now = await database_now(session)
    fires = await fires_of(session, schedule.id)
    return {
        "schedule": schedule,
        "words": words_of(schedule, project),
        "next": next_of(schedule, project, now),
        "new_answers": await new_answers(session, schedule),
        "fires": fires,
        "made": await traces_of(session, fires),
    }


def next_of(schedule: Schedule, project: Project, now: datetime) -> datetime | None:
    """When a weekly schedule is due next; None for one that is off or goes by answers."""
    if schedule.weekday is None or schedule.at is None or not schedule.enabled:
        return None
    return next_due(schedule.weekday, schedule.at, project.zone, now)


@router.get("/projects/{project}/schedules")
async def index(request: Request, project: UUID, access: Reader, session: Session) -> Response:
    found = await get_project(session, access.of_project())
    schedules = [await with_history(session, one, found) for one in await schedules_of(session, found.id)]
    context: dict[str, Any] = {"project": found, "schedules": schedules, "weekdays": weekdays()}
    return respond(request, "loop/index.html", "schedules", **context)


@router.post("/projects/{project}/schedules")
async def create(
    request: Request, project: UUID, fields: Annotated[ScheduleFields, Form()], access: Editor, session: Session
) -> Response:
    await make_schedule(session, access.of_project(), fields.as_form(), access.person.id)
    return redirect(request, f"/projects/{project}/schedules", _("Schedule added."))


@router.get("/schedules/{schedule}/edit")
async def edit(request: Request, schedule: UUID, access: Editor, session: Session) -> Response:
    found = await schedule_of(session, access.of_project(), schedule)
    project = await get_project(session, access.of_project())
    days = weekdays()
    return respond(request, "loop/edit.html", "edit", project=project, schedule=found, weekdays=days)


@router.post("/schedules/{schedule}")
async def change(
    request: Request, schedule: UUID, fields: Annotated[ScheduleFields, Form()], access: Editor, session: Session
) -> Response:
    found = await schedule_of(session, access.of_project(), schedule)
    form = fields.as_form(enabled=found.enabled, plan=plan_of(found))
    await edit_schedule(session, found, form, access.person.id)
    return redirect(request, f"/projects/{access.project}/schedules", _("The schedule is changed."))


@router.post("/schedules/{schedule}/switch")
async def switch(
    request: Request, schedule: UUID, enabled: Annotated[bool, Form()], access: Editor, session: Session
) -> Response:
    found = await schedule_of(session, access.of_project(), schedule)
    await switch_schedule(session, found, access.person.id, enabled=enabled)
    return redirect(request, f"/projects/{access.project}/schedules")
