"""My answers with every version of them; and everybody's, under pseudonyms, for those who may read them."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form, Request, Response

from app.accounts.access import Access, may
from app.accounts.permissions import Permission
from app.annotations.actions import set_aside, withdraw
from app.annotations.conversations import shown_conversation
from app.annotations.forms import Reason
from app.annotations.kinds import in_words, read_kept
from app.annotations.kinds.marked import marked_in
from app.annotations.queries import everybodys, mine, my_answer, my_answers, versions_of
from app.annotations.routes.screens import words_of_page
from app.annotations.tables import Annotation
from app.cursors import Cursor, page_of
from app.database import Session
from app.pages import redirect, respond
from app.projects.queries import get_project
from app.tasks.queries import protocol_body
from app.translation import _

router = APIRouter()
Own = Annotated[Access, may(Permission.annotation_own)]
Reader = Annotated[Access, may(Permission.annotation_read)]
Reviewer = Annotated[Access, may(Permission.annotation_review)]
ROWS = 25


@router.get("/projects/{project}/answers")
async def my_history(request: Request, access: Own, session: Session, cursor: Cursor = None) -> Response:
    """My own answers, newest first."""
    project = await get_project(session, access.of_project())
    asked = my_answers(project.id, access.person.id)
    page = await page_of(session, asked, Annotation.id, cursor=cursor, limit=ROWS)
    answers = [await mine(session, *row) for row in page.rows]
    return respond(request, "annotations/mine.html", "answers", project=project, answers=answers, next=page.next)


@router.get("/projects/{project}/answers/{annotation}")
async def one_of_mine(request: Request, annotation: UUID, access: Own, session: Session) -> Response:
    """One answer of mine with all its versions."""
    project = await get_project(session, access.of_project())
    answer = await my_answer(session, project.id, access.person.id, annotation)
    versions = [
        (
            number,
            in_words(body, answer.annotation.sides, answer.protocol),
            read_kept(body).written(),
            body.get("justification", ""),
            at,
        )
        for number, body, at in await versions_of(session, answer.annotation)
    ]
    talk = None
    if answer.protocol.needs_turns:
        protocol, task_id = answer.protocol, answer.annotation.task_id
        talk = await shown_conversation(session, task_id, access.person.id, protocol, is_over=True)
    return respond(
        request,
        "annotations/one.html",
        None,
        **words_of_page(),
        talk=talk,
        project=project,
        answer=answer,
        versions=versions,
        marked=marked_in(answer.annotation.body, answer.annotation.sides, answer.shown, answer.protocol),
        written=read_kept(answer.annotation.body).written(),
    )


@router.post("/projects/{project}/answers/{annotation}/withdraw")
async def take_back(request: Request, annotation: UUID, access: Own, session: Session) -> Response:
    await withdraw(session, access.of_project(), access.person.id, annotation)
    return redirect(
        request, f"/projects/{access.project}/answers", _("Your answer is withdrawn; somebody else is asked.")
    )


@router.get("/projects/{project}/annotations")
async def everybodys_answers(request: Request, access: Reader, session: Session, cursor: Cursor = None) -> Response:
    """What everybody said, newest first, under pseudonyms."""
    project = await get_project(session, access.of_project())
    page = await page_of(session, everybodys(project.id), Annotation.id, cursor=cursor, limit=ROWS)
    answers = [
        {
            "id": row[1],
            "words": in_words(row[3], row[6], await protocol_body(session, row[18])),
            "justification": row[3].get("justification", ""),
            "written": read_kept(row[3]).written(),
            "state": row[4],
            "version": row[5],
            "fast": row[7],
            "active_seconds": row[8],
            "submitted_at": row[10],
            "purpose": row[12],
            "rendered": row[14],
            "rater": row[16],
        }
        for row in page.rows
    ]
    return respond(request, "annotations/everybodys.html", "answers", project=project, answers=answers, next=page.next)


@router.post("/projects/{project}/annotations/{annotation}/set-aside")
async def put_aside(
    request: Request, annotation: UUID, form: Annotated[Reason, Form()], access: Reviewer, session: Session
) -> Response:
    await set_aside(session, access.of_project(), annotation, actor_id=access.person.id, reason=form.reason)
    return redirect(request, f"/projects/{access.project}/annotations", _("Set aside; somebody else is asked."))
