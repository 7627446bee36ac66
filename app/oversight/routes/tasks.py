"""Pages: a project's tasks by filters that are links; a task with people's answers side by side, all that happened to
it, and what a reviewer settles or argues about it."""

from typing import Annotated, Any
from urllib.parse import quote, urlencode
from uuid import UUID

from fastapi import APIRouter, Form, Query, Request, Response
from pydantic import ValidationError

from app.accounts.access import Access, may
from app.accounts.permissions import Permission
from app.annotations.actions.answering import kept_body
from app.annotations.asking import asking
from app.annotations.forms import PostedForm
from app.annotations.kinds import in_words
from app.annotations.queries import on_screen
from app.database import Session
from app.errors import DomainError, Invalid, NotFound
from app.oversight.browsing import Queue, TaskFilter, next_in, tasks_found
from app.oversight.history import answers_to, history_of
from app.oversight.listing import made_by, public_id_of, rows_of
from app.pages import redirect, respond
from app.projects.forms import filled
from app.projects.protocols import protocol_of
from app.projects.queries import batches_of, get_project, protocol_of_kind
from app.quality.actions import argue, drop_argument
from app.quality.adjudicating import accept_answer, adjudicate, has_answered, open_again
from app.quality.forms import AcceptedBy, Argument, SettledBy
from app.quality.gathering import OURS
from app.quality.queries import argued_answer, checkpoints_by_id, settled_answer
from app.quality.rules import ARGUABLE
from app.tasks.queries import ShownTask, protocol_body, shown_task
from app.tasks.tables import Purpose, TaskState
from app.translation import _

router = APIRouter(prefix="/projects/{project}")
Reader = Annotated[Access, may(Permission.task_read)]
Reviewer = Annotated[Access, may(Permission.annotation_review)]
From = Annotated[Queue | None, Query()]


@router.get("/tasks")
async def index(request: Request, access: Reader, session: Session, only: Annotated[TaskFilter, Query()]) -> Response:
    """The newest first. Filters by what people said are for those who may read that."""
    project = await get_project(session, access.of_project())
    if not access.may(Permission.annotation_read):
        only = only.model_copy(update={"rater": None, "queue": None})
    found = await tasks_found(session, project.id, only)
    named = await checkpoints_by_id(session, project.id)
    page: dict[str, Any] = {
        "project": project,
        "only": only,
        "found": found,
        "rows": await rows_of(session, found.ids, project.care),
        "next": urlencode(only.asked | {"cursor": found.next}) if found.next else None,
        "batches": [(str(one.public_id), one.name) for one in await batches_of(session, project.id)],
        "checkpoints": sorted((name, str(key)) for name, key in named.values()),
        "states": [(one.value, _(one.value)) for one in TaskState],
        "purposes": [(one.value, _(one.value)) for one in Purpose],
    }
    return respond(request, "oversight/tasks.html", "found", **page)


@router.get("/tasks/{task}")
async def show_task(request: Request, task: UUID, access: Reader, session: Session, queue: From = None) -> Response:
    """A task with what it shows, what people said and what happened to it, and the forms that settle and argue it."""
    page = await _task_page(session, access, task, queue)
    return respond(request, "oversight/task.html", None, **page)


@router.get("/review/next")
async def next_task(
    request: Request,
    access: Reviewer,
    session: Session,
    queue: Annotated[Queue, Query()],
    after: Annotated[UUID, Query()],
) -> Response:
    """The task that comes after one in a queue, or the queue from where it looked to; at its end from its beginning."""
    found = await shown_task(session, access.of_project(), after)
    only = TaskFilter(queue=queue)
    follows, cursor = await next_in(session, access.of_project(), only, found.task.id)
    if follows is None:
        address = f"/projects/{access.project}/review?queue={queue.value}"
        if cursor is not None:  # the page goes on from there, and says how many it looked through
            return redirect(request, f"{address}&cursor={quote(cursor)}")
        return redirect(request, address, _("That was the last one here."))
    return redirect(request, f"/projects/{access.project}/tasks/{follows}?queue={queue.value}")


@router.post("/tasks/{task}/settled")
async def settle(request: Request, task: UUID, access: Reviewer, session: Session, queue: From = None) -> Response:
    """What was filled in is the answer to this task."""
    page = await _task_page(session, access, task, queue)
    posted, typed = await _posted(request)
    form, errors = filled(SettledBy, {"remark": typed["argument"]})
    body, refused = await _body(session, access, page, posted)
    if form is None or body is None:
        return _again(request, page, posted, typed, errors | refused)
    remark, me = form.remark, access.person.id
    try:
        await adjudicate(session, page["found"].task, page["protocol_id"], body, me, remark=remark)
    except DomainError as refusal:
        return _again(request, page, posted, typed, {"": str(refusal)})
    return _on(request, access, page["found"], queue, _("Settled."))


@router.post("/annotations/{annotation}/accept")
async def accept(
    request: Request,
    annotation: UUID,
    access: Reviewer,
    session: Session,
    form: Annotated[AcceptedBy, Form()],
    queue: From = None,
) -> Response:
    """This answer settles its task."""
    settled = await accept_answer(session, access.of_project(), annotation, access.person.id, **form.model_dump())
    public_id = await public_id_of(session, settled.task_id)
    found = await shown_task(session, access.of_project(), public_id)
    return _on(request, access, found, queue, _("Settled by this answer."))


@router.post("/tasks/{task}/settled/open")
async def unsettle(request: Request, task: UUID, access: Reviewer, session: Session) -> Response:
    """Nothing is settled about it any more."""
    found = await shown_task(session, access.of_project(), task)
    await open_again(session, found.task, access.person.id)
    return _on(request, access, found, None, _("The task is open again; what people said decides."))


@router.post("/tasks/{task}/argued")
async def argue_task(request: Request, task: UUID, access: Reviewer, session: Session) -> Response:
    """Accept what was filled in as an answer to this task; or the page again, with what is wrong and what was said."""
    page = await _task_page(session, access, task, None)
    posted, typed = await _posted(request)
    form, errors = filled(Argument, typed)
    body, refused = await _body(session, access, page, posted)
    if form is None or body is None:
        return _again(request, page, posted, typed, errors | refused)
    try:
        await argue(session, page["found"].task, page["protocol_id"], body, form, access.person.id)
    except DomainError as refusal:
        return _again(request, page, posted, typed, {"": str(refusal)})
    return _on(request, access, page["found"], None, _("Accepted."))


@router.post("/tasks/{task}/argued/drop")
async def drop(request: Request, task: UUID, access: Reviewer, session: Session) -> Response:
    """Take the argued answer away."""
    found = await shown_task(session, access.of_project(), task)
    await drop_argument(session, found.task, access.person.id)
    return _on(request, access, found, None, _("The task has no argued answer any more."))


def _on(request: Request, access: Access, found: ShownTask, queue: Queue | None, notice: str) -> Response:
    """After a deed: the task again, or the next one of the queue that the reviewer goes through."""
    base = f"/projects/{access.project}"
    task = found.task.public_id
    address = f"{base}/tasks/{task}" if queue is None else f"{base}/review/next?queue={queue.value}&after={task}"
    return redirect(request, address, notice)


def _again(
    request: Request, page: dict[str, Any], posted: PostedForm, typed: dict[str, str], errors: dict[str, str]
) -> Response:
    """The page with what is wrong, and with everything that was filled in."""
    page |= {"errors": errors, "said": posted.fields, "typed": typed["argument"], "use": typed["use"] or page["use"]}
    return respond(request, "oversight/task.html", "settling", 422, **page)


async def _posted(request: Request) -> tuple[PostedForm, dict[str, str]]:
    """The browser's fields, and those of them that are no part of the judgement."""
    try:
        posted = PostedForm.from_raw(await request.body())
    except ValidationError:
        raise Invalid(field="body", reason=_("this is not a form of ours")) from None
    return posted, {name: (posted.fields.get(name) or [""])[-1] for name in ("use", "argument")}


async def _body(
    session: Session, access: Access, page: dict[str, Any], posted: PostedForm
) -> tuple[dict[str, Any] | None, dict[str, str]]:
    """What was filled in as it is stored; else None and why."""
    found, protocol, me = page["found"], page["protocol"], access.person.id
    try:
        body = posted.body()
        return await kept_body(session, body, protocol, [0], found.ids, task_id=found.task.id, person_id=me), {}
    except DomainError as refusal:
        return None, {"": str(refusal)}


async def _task_page(session: Session, access: Access, task: UUID, queue: Queue | None) -> dict[str, Any]:
    """What templates/oversight/task.html draws; completions in the task's own order."""
    project = await get_project(session, access.of_project())
    found = await shown_task(session, project.id, task)
    newest = await protocol_of_kind(session, project.id, found.task.kind)
    if newest is None:
        raise NotFound
    protocol = protocol_of(newest.body).of_prompt(found.tags)
    order = range(len(found.ids))
    completions = [(one, html, False) for one, html in zip(found.ids, found.htmls, strict=True)]
    shown = await on_screen(session, protocol, 0, order, completions)
    argued, settled = await argued_answer(session, found.task.id), await settled_answer(session, found.task.id)
    kinds = {part.kind for part in protocol.parts} if protocol.kind == "combined" else {protocol.kind}
    history, people = await history_of(session, found.task)
    by_whom = access.may(Permission.annotation_read)
    me = access.person.id
    given = await answers_to(session, found.task, found.tags, len(found.ids), me) if by_whom else []
    return asking(protocol, shown, {}) | {
        "project": project,
        "found": found,
        "protocol": protocol,
        "protocol_id": newest.id,
        "made": await made_by(session, found.task),
        "given": given,
        "answered_it": await has_answered(session, found.task, me),
        "history": history if by_whom else [],
        "people": people,
        "queue": queue,
        "argued": argued,
        "settled": settled,
        "settled_words": "".join(await _words(session, settled.protocol_id, [settled.body], order) if settled else []),
        "accepted": await _words(session, argued.protocol_id, argued.bodies, order) if argued else [],
        "may_be_argued": kinds <= ARGUABLE,
        "takes_argument": argued is not None or found.task.purpose in OURS,
        "typed": argued.markdown if argued else "",
        "use": argued.use.value if argued else "training",
        "errors": {},
    }


async def _words(session: Session, protocol_id: int, bodies: list[dict[str, Any]], order: range) -> list[str]:
    """In the words of the protocol that they were given under; the newest may know nothing of them."""
    protocol = await protocol_body(session, protocol_id)
    return [in_words(body, order, protocol) for body in bodies]
