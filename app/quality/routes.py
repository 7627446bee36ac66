"""Pages: my page, in one project and over all; what one contests; and figures about quality."""

from typing import Annotated, Any
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Form, Query, Request, Response

from app.accounts.access import Access, in_person, may
from app.accounts.actions.inbox import mark_read
from app.accounts.permissions import Permission
from app.accounts.tables import Letter
from app.annotations.earnings import Period, earned_by
from app.annotations.history import my_talks
from app.cursors import Cursor, page_of_list
from app.database import Session
from app.pages import redirect, respond
from app.projects.queries import get_project
from app.quality.contesting import contest
from app.quality.entering import standing_of
from app.quality.forms import ContestForm
from app.quality.queries import (
    checkpoints_by_id,
    figures_of,
    my_days,
    my_lessons,
    my_quotas,
    people_by_id,
)
from app.translation import _

router = APIRouter()
Me = Annotated[Access, in_person()]
Own = Annotated[Access, may(Permission.annotation_own)]
Counter = Annotated[Access, may(Permission.progress_read)]
PEOPLE = 25


@router.get("/me")
async def my_page(request: Request, me: Me, session: Session) -> Response:
    """Over all projects: days are those of one's own time zone."""
    page = await _my_page(session, me, None, me.person.zone)
    return respond(request, "quality/mine.html", None, **page)


@router.get("/projects/{project}/me")
async def my_page_here(request: Request, access: Own, session: Session) -> Response:
    """In one project: days are the project's, as its quota's are."""
    project = await get_project(session, access.of_project())
    page = await _my_page(session, access, project.id, project.zone)
    if project.pays:
        today = Period(page["days"][0].day, page["days"][0].day)
        page["earned"] = [await earned_by(session, project, access.person.id, one) for one in (today, Period())]
    if access.person.unread:
        for kind in (Letter.try_again, Letter.not_entered):
            await mark_read(session, access.person.id, project_id=project.id, kind=kind)
    entrance = await standing_of(session, project, access.person.id)
    return respond(request, "quality/mine.html", None, **(page | {"project": project, "entrance": entrance}))


async def _my_page(session: Session, access: Access, project_id: int | None, zone: str) -> dict[str, Any]:
    me = access.person.id
    talks = await my_talks(session, me, project_id)
    return {
        "zone": zone,
        "days": await my_days(session, me, project_id, zone),
        "quotas": await my_quotas(session, me, project_id),
        "returned": [talk for talk in talks if talk.returned_at is not None],
        "talks": [talk for talk in talks if talk.returned_at is None],
        "lessons": await my_lessons(session, me, project_id),
        "earned": None,
        "entrance": None,
        "asks_consent": access.consent_wanted is not None,
    }


@router.post("/projects/{project}/answers/{annotation}/contest")
async def contest_argument(
    request: Request, annotation: UUID, form: Annotated[ContestForm, Form()], access: Own, session: Session
) -> Response:
    """Say that my answer to an argued task is right."""
    await contest(session, access.of_project(), access.person.id, annotation, form.words)
    address = f"/projects/{access.project}/answers/{annotation}"
    return redirect(request, address, _("A reviewer looks at it, and you are told."))


@router.get("/projects/{project}/quality")
async def show_quality(
    request: Request,
    access: Counter,
    session: Session,
    measure: Annotated[str, Query(max_length=60)] = "",
    cursor: Cursor = None,
) -> Response:
    """How far people agree and can be relied on, as it was computed last; people for those who may read answers."""
    project = await get_project(session, access.of_project())
    figures = await figures_of(session, project.id, "quality")
    measures = figures.body["measures"] if figures else []
    people = await _people(session, access, figures.body["people"]) if figures else []
    part = page_of_list(people, [one["pseudonym"] for one in people], scope="quality", cursor=cursor, limit=PEOPLE)
    page: dict[str, Any] = {
        "project": project,
        "figures": figures,
        "chosen": next((one for one in measures if one["measure"] == measure), measures[0] if measures else None),
        "checkpoints": await checkpoints_by_id(session, project.id),
        "people": part.rows,
        "everybody": len(people),
        "next": urlencode({"measure": measure, "cursor": part.next} if measure else {"cursor": part.next})
        if part.next
        else None,
    }
    return respond(request, "quality/report.html", "quality", **page)


async def _people(session: Session, access: Access, figures: dict[str, Any]) -> list[dict[str, Any]]:
    """The least reliable first, by the lower end; nobody for those who may not read answers."""
    if not access.may(Permission.annotation_read):
        return []
    named = await people_by_id(session, access.of_project())
    by_name = access.may(Permission.member_read)
    people = [
        own | {"pseudonym": named[person][0], "name": named[person][1] if by_name else named[person][0]}
        for person, own in figures.items()
        if person in named
    ]
    return sorted(people, key=lambda one: (one["reliability"] or {"better": {"low": 2}})["better"]["low"])
