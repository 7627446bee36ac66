"""Pages: my page, in one project and over all; a task with its argued answer; and figures about quality."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Form, Query, Request, Response
from pydantic import ValidationError

from app.accounts.access import Access, in_person, may
from app.accounts.actions.inbox import mark_read
from app.accounts.permissions import Permission
from app.accounts.tables import Letter
from app.annotations.actions.answering import kept_body
from app.annotations.asking import asking
from app.annotations.earnings import Period, earned_by
from app.annotations.forms import PostedForm
from app.annotations.history import my_talks
from app.annotations.kinds import in_words
from app.annotations.queries import on_screen
from app.database import Session
from app.errors import DomainError, Invalid, NotFound
from app.pages import redirect, respond
from app.projects.forms import filled
from app.projects.protocols import protocol_of
from app.projects.queries import get_project, protocol_of_kind
from app.quality.actions import argue, drop_argument
from app.quality.contesting import contest
from app.quality.entering import standing_of
from app.quality.forms import Argument, ContestForm
from app.quality.queries import (
    argued_answer,
    checkpoints_by_id,
    figures_of,
    my_days,
    my_lessons,
    my_quotas,
    people_by_id,
)
from app.quality.rules import ARGUABLE
from app.tasks.queries import shown_task
from app.translation import _

router = APIRouter()
Me = Annotated[Access, in_person()]
Own = Annotated[Access, may(Permission.annotation_own)]
Reader = Annotated[Access, may(Permission.task_read)]
Reviewer = Annotated[Access, may(Permission.annotation_review)]
Counter = Annotated[Access, may(Permission.progress_read)]


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


@router.get("/projects/{project}/tasks/{task}")
async def show_task(request: Request, task: UUID, access: Reader, session: Session) -> Response:
    """A task with what it shows, its argued answer, and the form that argues one."""
    return respond(request, "quality/task.html", None, **await _task_page(session, access, task))


@router.post("/projects/{project}/tasks/{task}/argued")
async def argue_task(request: Request, task: UUID, access: Reviewer, session: Session) -> Response:
    """Accept what was filled in as an answer to this task; or the page again, with what is wrong and what was said."""
    page = await _task_page(session, access, task)
    try:
        posted = PostedForm.from_raw(await request.body())
    except ValidationError:
        raise Invalid(field="body", reason=_("this is not a form of ours")) from None
    beside = {name: (posted.fields.get(name) or [""])[-1] for name in ("use", "argument")}
    form, errors = filled(Argument, beside)
    found, protocol = page["found"], page["protocol"]
    try:
        body = await kept_body(
            session, posted.body(), protocol, [0], found.ids, task_id=found.task.id, person_id=access.person.id
        )
    except DomainError as refusal:
        errors = errors | {"": str(refusal)}
    if form is None or errors:
        page |= {"errors": errors, "said": posted.fields, "typed": beside["argument"], "use": beside["use"]}
        return respond(request, "quality/task.html", None, 422, **page)
    await argue(session, found.task, page["protocol_id"], body, form, access.person.id)
    return redirect(request, f"/projects/{access.project}/tasks/{task}", _("Accepted."))


@router.post("/projects/{project}/tasks/{task}/argued/drop")
async def drop(request: Request, task: UUID, access: Reviewer, session: Session) -> Response:
    """Take the argued answer away."""
    found = await shown_task(session, access.of_project(), task)
    await drop_argument(session, found.task, access.person.id)
    return redirect(request, f"/projects/{access.project}/tasks/{task}", _("The task has no argued answer any more."))


async def _task_page(session: Session, access: Access, task: UUID) -> dict[str, Any]:
    """What templates/quality/task.html draws; completions in the task's own order."""
    project = await get_project(session, access.of_project())
    found = await shown_task(session, project.id, task)
    newest = await protocol_of_kind(session, project.id, found.task.kind)
    if newest is None:
        raise NotFound
    protocol = protocol_of(newest.body).of_prompt(found.tags)
    order = range(len(found.ids))
    completions = [(one, html, False) for one, html in zip(found.ids, found.htmls, strict=True)]
    answers = await on_screen(session, protocol, 0, order, completions)
    argued = await argued_answer(session, found.task.id)
    kinds = {part.kind for part in protocol.parts} if protocol.kind == "combined" else {protocol.kind}
    return asking(protocol, answers, {}) | {
        "project": project,
        "found": found,
        "protocol": protocol,
        "protocol_id": newest.id,
        "argued": argued,
        "accepted": [in_words(body, order, protocol) for body in argued.bodies] if argued else [],
        "may_be_argued": kinds <= ARGUABLE,
        "typed": argued.markdown if argued else "",
        "use": argued.use.value if argued else "training",
        "errors": {},
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
    request: Request, access: Counter, session: Session, measure: Annotated[str, Query(max_length=60)] = ""
) -> Response:
    """How far people agree and can be relied on, as it was computed last; people for those who may read answers."""
    project = await get_project(session, access.of_project())
    figures = await figures_of(session, project.id, "quality")
    measures = figures.body["measures"] if figures else []
    page: dict[str, Any] = {
        "project": project,
        "figures": figures,
        "chosen": next((one for one in measures if one["measure"] == measure), measures[0] if measures else None),
        "checkpoints": await checkpoints_by_id(session, project.id),
        "people": await _people(session, access, figures.body["people"]) if figures else [],
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
